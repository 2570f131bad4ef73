//! `config.shards.host` follows the shards' memberships: whoever reads it later finds a set whose first members are long gone.
//! Only the primary looks and writes; shards are monitored for it like any set that is called.

use crate::metadata::Metadata;
use rpc::{Pool, SetAddress, SetClient};
use sharding::documents::ShardEntry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use types::{Fault, ShardId};

/// How often the shards are compared with what is stored.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Default port of shards, for connection strings that leave it out.
const SHARD_PORT: u16 = 27018;

/// Follows all shards until the process stops. `is_primary` tells whether this member may write.
pub(crate) async fn follow(
    metadata: Arc<Metadata>,
    pool: Pool,
    is_primary: impl Fn() -> bool + Send + 'static,
) {
    let stop = metadata.tasks.token();
    let mut followed: HashMap<ShardId, SetClient> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        if !is_primary() {
            followed.clear();
        } else if let Err(fault) = look(&metadata, &pool, &mut followed).await {
            // The next look does it again.
            tracing::debug!(%fault, "hosts of shards could not be compared");
        }
    }
}

async fn look(
    metadata: &Arc<Metadata>,
    pool: &Pool,
    followed: &mut HashMap<ShardId, SetClient>,
) -> Result<(), Fault> {
    let shards = metadata.view()?.shards()?;
    followed.retain(|id, _| shards.iter().any(|shard| shard.id == *id));
    for shard in shards {
        if !followed.contains_key(&shard.id) {
            let client = pool.set(&SetAddress::parse(&shard.host, SHARD_PORT)?)?;
            followed.insert(shard.id.clone(), client);
        }
        let Some(client) = followed.get(&shard.id) else { continue };
        let topology = client.topology();
        if let Some(host) = newer_host(&shard, client.name(), topology.data_hosts(), topology.set_version()) {
            update(metadata, &shard, host, topology.set_version()).await?;
        }
    }
    Ok(())
}

/// The connection string of a set whose primary told of these hosts, unless it is what is stored, or older.
fn newer_host(stored: &ShardEntry, name: &str, hosts: &[String], version: i64) -> Option<String> {
    if hosts.is_empty() || stored.set_config_version.is_some_and(|stored| stored > version) {
        return None;
    }
    let mut sorted: Vec<&str> = hosts.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut before = stored.members().1;
    before.sort_unstable();
    (sorted != before).then(|| format!("{name}/{}", hosts.join(",")))
}

async fn update(
    metadata: &Arc<Metadata>,
    seen: &ShardEntry,
    host: String,
    version: i64,
) -> Result<(), Fault> {
    let _changing = metadata.changing.lock().await;
    let topology_time = metadata.catalog.new_time()?;
    let is_changed = metadata
        .catalog
        .commit(|changes| {
            // Removed, or changed by somebody else, since it was compared.
            let now = changes.view().shards()?.into_iter().find(|shard| shard.id == seen.id);
            let Some(now) = now.filter(|now| now.host == seen.host) else { return Ok(false) };
            let set_config_version = Some(version);
            changes.put_shard(&ShardEntry {
                host: host.clone(),
                set_config_version,
                topology_time,
                ..now
            })?;
            Ok(true)
        })
        .await?;
    if is_changed {
        tracing::info!(shard = %seen.id, before = seen.host, now = host, "members of a shard changed");
        metadata.tell_shards();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Timestamp;

    #[test]
    fn only_what_is_new_and_different_counts() {
        let stored = ShardEntry {
            id: ShardId::new("s"),
            host: "rs/a:1,b:2".to_owned(),
            topology_time: Timestamp::ZERO,
            set_config_version: Some(3),
            zones: Vec::new(),
            draining: false,
        };
        for (hosts, version, expected) in [
            (&["a:1", "b:2"][..], 4, None),
            (&["b:2", "a:1"], 4, None),
            (&["a:1", "c:3"], 2, None),
            (&[], 4, None),
            (&["a:1", "c:3"], 3, Some("rs/a:1,c:3")),
            (&["c:3"], 9, Some("rs/c:3")),
        ] {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            assert_eq!(newer_host(&stored, "rs", &hosts, version).as_deref(), expected, "{hosts:?}");
        }
    }
}

//! The shards of the cluster as this router knows them, and the one way to run a command on one of them.

use arc_swap::ArcSwap;
use command::{Context, Reply, Request, Routing};
use rpc::{Pool, SetAddress, SetClient, cluster};
use runtime::clock::HybridClock;
use sharding::documents::ShardEntry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use types::{Code, Fault, Label, ShardId, Timestamp};

/// Default port of shards, for connection strings that leave it out.
const SHARD_PORT: u16 = 27018;
/// How long the config server may take to list the shards.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// How soon a wait for a shard notices that its operation was killed.
const KILLED_POLL: Duration = Duration::from_millis(100);

/// One shard.
#[derive(Debug)]
pub struct Shard {
    pub id: ShardId,
    /// `config.shards.host`.
    pub address: SetAddress,
    pub client: SetClient,
}

/// All shards by name, in order.
pub type ShardMap = BTreeMap<ShardId, Arc<Shard>>;

/// The directory of shards. Swapped whole when it is read anew.
#[derive(Debug)]
pub struct Shards {
    map: ArcSwap<ShardMap>,
    config: Arc<Shard>,
    pool: Pool,
    clock: Arc<HybridClock>,
    /// The latest time of a write that any answer told of.
    operation_time: AtomicU64,
    /// Held while the directory is read, so that callers share one read.
    refreshing: tokio::sync::Mutex<()>,
}

impl Shards {
    /// A directory that is empty until first needed.
    ///
    /// # Errors
    /// `FailedToParse` (9) for malformed hosts.
    pub fn new(config: SetAddress, pool: Pool, clock: Arc<HybridClock>) -> Result<Shards, Fault> {
        let client = pool.set(&config)?;
        let config = Arc::new(Shard { id: ShardId::config(), address: config, client });
        Ok(Shards {
            map: ArcSwap::default(),
            config,
            pool,
            clock,
            operation_time: AtomicU64::new(0),
            refreshing: tokio::sync::Mutex::new(()),
        })
    }

    /// The config server, as a place for commands.
    pub fn config(&self) -> &Arc<Shard> {
        &self.config
    }

    /// The latest time of a write that this router heard of; zero before the first.
    pub fn operation_time(&self) -> Timestamp {
        Timestamp(self.operation_time.load(Ordering::Acquire))
    }

    /// A shard by name; looks it up at the config server where it is unknown.
    ///
    /// # Errors
    /// `ShardNotFound` (70), or the config server's fault.
    pub async fn get(&self, id: &ShardId) -> Result<Arc<Shard>, Fault> {
        if *id == self.config.id {
            return Ok(self.config.clone());
        }
        if let Some(shard) = self.map.load().get(id) {
            return Ok(shard.clone());
        }
        self.refresh().await?.get(id).cloned().ok_or_else(|| {
            Fault::new(
                Code::ShardNotFound,
                format!("Shard '{id}' not found; sh.status() lists the shards of this cluster"),
            )
        })
    }

    /// All shards; reads the directory where none is known yet.
    ///
    /// # Errors
    /// The config server's fault.
    pub async fn all(&self) -> Result<Arc<ShardMap>, Fault> {
        let map = self.map.load_full();
        if map.is_empty() { self.refresh().await } else { Ok(map) }
    }

    /// Reads the directory anew.
    ///
    /// # Errors
    /// The config server's fault.
    pub async fn refresh(&self) -> Result<Arc<ShardMap>, Fault> {
        let _refreshing = self.refreshing.lock().await;
        let listed =
            self.config
                .client
                .unary(LIST_TIMEOUT, |mut client| async move {
                    client.get_shards(cluster::ShardsRequest {}).await
                })
                .await
                .map_err(|fault| fault.context("reading the shards from the config server"))?;
        let before = self.map.load();
        let mut map = ShardMap::new();
        for doc in listed.shards {
            let doc = rpc::convert::document(doc, "shard")?;
            let shard = bson::Document::try_from(&*doc).map_err(query::context::invalid_bson)?;
            let shard = ShardEntry::from_document(&shard)?;
            let address = SetAddress::parse(&shard.host, SHARD_PORT)?;
            let known = before.get(&shard.id).filter(|known| known.address == address).cloned();
            let shard = match known {
                Some(known) => known,
                None => Arc::new(Shard { id: shard.id, client: self.pool.set(&address)?, address }),
            };
            map.insert(shard.id.clone(), shard);
        }
        let map = Arc::new(map);
        self.map.store(map.clone());
        Ok(map)
    }

    /// Runs a command on a shard. `repeatable`: it may be sent again where the first try broke off midway.
    ///
    /// # Errors
    /// The shard's fault; where it cannot be reached, `HostUnreachable` (6) naming the shard.
    pub async fn ask(
        &self,
        shard: &Shard,
        ctx: &Context,
        request: &Request,
        routing: Option<&Routing>,
        repeatable: bool,
    ) -> Result<Reply, Fault> {
        let call = shard.client.call(request, routing, ctx.deadline, repeatable);
        let answer = until_killed(&ctx.killed, call).await;
        match answer {
            Ok(answer) => {
                self.clock.observe(answer.cluster_time);
                self.operation_time.fetch_max(answer.operation_time.0, Ordering::AcqRel);
                Ok(answer.reply)
            }
            Err(fault) if fault.code == Code::HostUnreachable => {
                let message =
                    format!("shard {} ({}) does not answer: {}", shard.id, shard.address, fault.message);
                Err(Fault { message, ..fault })
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Waits for a shard's answer, unless the operation is killed or its client goes away. Dropping the call tells the shard to stop, too.
async fn until_killed<T>(
    killed: &AtomicBool,
    call: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let mut call = std::pin::pin!(call);
    loop {
        if let Ok(answer) = tokio::time::timeout(KILLED_POLL, &mut call).await {
            return answer;
        }
        if killed.load(Ordering::Relaxed) {
            return Err(Fault::new(Code::Interrupted, "operation was interrupted"));
        }
    }
}

/// Adds the label by which a driver knows that it may send a retryable write once more.
pub fn label_write(fault: Fault, ctx: &Context) -> Fault {
    if ctx.envelope.txn_number.is_some() && !ctx.envelope.in_transaction() && fault.code.is_retryable() {
        fault.with_label(Label::RetryableWriteError)
    } else {
        fault
    }
}

/// Whether a command with this context may be sent twice: its statements are numbered, so a shard knows them again.
pub fn is_repeatable_write(ctx: &Context) -> bool {
    ctx.envelope.txn_number.is_some() && ctx.envelope.session.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_its_operation_is_killed() {
        let killed = Arc::new(AtomicBool::new(false));
        let answered = until_killed(&killed, async { Ok(1) }).await;
        assert_eq!(answered.unwrap(), 1);
        let waiting = {
            let killed = killed.clone();
            async move { until_killed(&killed, std::future::pending::<Result<(), Fault>>()).await }
        };
        let (outcome, ()) = futures::future::join(waiting, async {
            tokio::task::yield_now().await;
            killed.store(true, Ordering::Relaxed);
        })
        .await;
        assert_eq!(outcome.unwrap_err().code, Code::Interrupted);
    }
}

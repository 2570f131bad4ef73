//! A replica set joins the cluster. It learns who it is first, then `config.shards` names it: a crash in between leaves a set that
//! can be added again under the same name, and that no router asks yet.

use super::shards::SHARD_PORT;
use crate::metadata::Metadata;
use bson::{Bson, Document, doc};
use command::AddShard;
use rpc::SetAddress;
use sharding::documents::{DatabaseEntry, ShardEntry};
use std::sync::Arc;
use std::time::Duration;
use types::{Code, DatabaseVersion, Fault, ShardId, Uuid};

/// How long a new shard may take to answer.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// What `hello` says of a replica set.
struct Found {
    address: SetAddress,
    config_version: Option<i64>,
}

impl Metadata {
    /// Adds a shard; answers its name. Adding the same one again changes nothing.
    ///
    /// # Errors
    /// `OperationFailed` (96) for a server that cannot be a shard, `IllegalOperation` (20) for a name or set that is taken, the fault
    /// of a set that does not answer.
    pub async fn add_shard(self: &Arc<Self>, add: AddShard, client: String) -> Result<ShardId, Fault> {
        let metadata = self.clone();
        self.detached("add-shard", async move {
            let _changing = metadata.changing.lock().await;
            metadata.add_shard_locked(&add, &client).await
        })
        .await
    }

    async fn add_shard_locked(&self, add: &AddShard, client: &str) -> Result<ShardId, Fault> {
        let found = self.inspect(add).await?;
        let id = ShardId::new(add.name.as_deref().unwrap_or(&found.address.name));
        let shards = self.view()?.shards()?;
        if let Some(same) = known(&shards, &found.address, add.name.as_deref())? {
            return Ok(same);
        }
        if shards.iter().any(|shard| shard.id == id) {
            return Err(Fault::new(
                Code::IllegalOperation,
                format!(
                    "a shard with the name '{id}' exists already; choose another one with the field 'name'"
                ),
            ));
        }
        let databases = self.databases_on(&found.address).await?;
        self.check_databases(&databases, &found.address)?;
        let identity = doc! {
            "_shardsvrSetIdentity": {
                "shardName": id.as_str(),
                "clusterId": self.cluster_id()?,
                "configsvrConnectionString": self.own_address()?.to_string(),
            },
            "$db": "admin",
        };
        self.calls.call(&found.address, identity, HELLO_TIMEOUT, true).await.map_err(
            |fault| match fault.code {
                Code::CommandNotFound => Fault::new(
                    Code::OperationFailed,
                    format!(
                        "Cannot add {} as a shard since it was not started with --shardsvr",
                        found.address
                    ),
                ),
                _ => fault.context(format!("cannot add {} as a shard", found.address)),
            },
        )?;
        let topology_time = self.catalog.new_time()?;
        let entry = ShardEntry {
            id: id.clone(),
            host: found.address.to_string(),
            topology_time,
            set_config_version: found.config_version,
            zones: Vec::new(),
            draining: false,
        };
        let homes = databases.iter().map(|name| DatabaseEntry {
            name: name.clone(),
            primary: id.clone(),
            version: DatabaseVersion {
                uuid: Uuid(bson::Uuid::new().bytes()),
                timestamp: topology_time,
                last_mod: 1,
            },
        });
        let homes: Vec<DatabaseEntry> = homes.collect();
        let event = self.event("addShard", "", client, doc! { "name": id.as_str(), "host": &entry.host });
        self.catalog
            .commit(|changes| {
                changes.put_shard(&entry)?;
                homes.iter().try_for_each(|home| changes.put_database(home))?;
                changes.log_change(&event)
            })
            .await?;
        tracing::info!(shard = %id, host = %entry.host, databases = databases.len(), "shard added");
        self.tell_shards();
        databases.iter().for_each(|name| self.tell_database(name));
        Ok(id)
    }

    /// Asks the hosts who they are, and their primary once more if it is another one.
    async fn inspect(&self, add: &AddShard) -> Result<Found, Fault> {
        // Only the hosts matter here: the set's name is what is to be found out.
        let set = add.set.as_deref().unwrap_or("unknown");
        let asked = SetAddress::parse(&format!("{set}/{}", add.hosts.join(",")), SHARD_PORT)?;
        let mut hello = self.hello(&asked.hosts).await?;
        let shown = add.hosts.join(",");
        let failed = |text: String| Fault::new(Code::OperationFailed, text);
        if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
            return Err(failed(format!(
                "Cannot add {shown} as a shard since it is a mongos; name a shardsvr process"
            )));
        }
        if hello.contains_key("configsvr")
            || self.own_address()?.hosts.iter().any(|own| asked.hosts.contains(own))
        {
            return Err(failed(format!(
                "Cannot add {shown} as a shard since it is a config server; name a shardsvr process"
            )));
        }
        let Ok(name) = hello.get_str("setName").map(str::to_owned) else {
            return Err(failed(format!(
                "host {shown} is not part of a replica set yet; run rs.initiate() on it, then add it again"
            )));
        };
        if let Some(given) = &add.set
            && *given != name
        {
            return Err(failed(format!(
                "the provided connection string names the replica set {given}, but {shown} is a member of {name}"
            )));
        }
        if !is_primary(&hello) {
            let Ok(primary) = hello.get_str("primary").map(str::to_owned) else {
                return Err(failed(format!(
                    "replica set {name} has no primary now; try again once it has elected one"
                )));
            };
            hello = self.hello(&[primary]).await?;
            if !is_primary(&hello) {
                return Err(failed(format!("replica set {name} is electing a primary; try again")));
            }
        }
        // Members without data, and hidden ones, are no place to send anything to.
        let lists = ["hosts", "passives"].into_iter().filter_map(|list| hello.get_array(list).ok());
        let hosts: Vec<String> = lists.flatten().filter_map(Bson::as_str).map(str::to_owned).collect();
        if hosts.is_empty() {
            return Err(failed(format!("replica set {name} names no hosts")));
        }
        // As the set's configuration writes it, whole: another name of the same machine would be another member to everybody who asks.
        if let Some(stranger) = asked.hosts.iter().find(|host| !hosts.contains(host)) {
            return Err(failed(format!(
                "in seed list {shown}, host {stranger} does not belong to replica set {name}; found {}",
                Bson::from(hello)
            )));
        }
        let config_version = match hello.get("setVersion") {
            Some(Bson::Int32(version)) => Some(i64::from(*version)),
            Some(Bson::Int64(version)) => Some(*version),
            _ => None,
        };
        Ok(Found { address: SetAddress { name, hosts }, config_version })
    }

    async fn hello(&self, hosts: &[String]) -> Result<Document, Fault> {
        let asked = self.calls.call_any(hosts, doc! { "hello": 1, "$db": "admin" }, HELLO_TIMEOUT).await;
        asked.map_err(|fault| {
            let hosts = hosts.join(",");
            let code = if fault.code == Code::FailedToParse { fault.code } else { Code::OperationFailed };
            let message = format!(
                "Could not ask {hosts} who it is; start it with --shardsvr and check host and port :: caused by :: {}",
                fault.message
            );
            Fault { code, message, ..fault }
        })
    }

    /// The user databases that a set has already.
    async fn databases_on(&self, address: &SetAddress) -> Result<Vec<String>, Fault> {
        let list = doc! { "listDatabases": 1, "nameOnly": true, "$db": "admin" };
        let reply = self.calls.call(address, list, HELLO_TIMEOUT, true).await?;
        let databases = reply.get_array("databases").map_err(|_| {
            Fault::new(
                Code::OperationFailed,
                format!("replica set {} did not list its databases", address.name),
            )
        })?;
        let names = databases.iter().filter_map(|database| database.as_document()?.get_str("name").ok());
        Ok(names.filter(|name| !matches!(*name, "admin" | "config" | "local")).map(str::to_owned).collect())
    }

    fn check_databases(&self, names: &[String], address: &SetAddress) -> Result<(), Fault> {
        let view = self.view()?;
        for name in names {
            if let Some(entry) = view.database(name)? {
                return Err(Fault::new(
                    Code::OperationFailed,
                    format!(
                        "can't add shard '{address}' because a local database '{name}' exists in another {}",
                        entry.primary
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn is_primary(hello: &Document) -> bool {
    hello.get_bool("isWritablePrimary").or_else(|_| hello.get_bool("ismaster")).unwrap_or(false)
}

/// The shard that this set is already, if it is one and may stay so.
fn known(shards: &[ShardEntry], address: &SetAddress, name: Option<&str>) -> Result<Option<ShardId>, Fault> {
    for shard in shards {
        let (set, hosts) = shard.members();
        let same_set = set == Some(address.name.as_str());
        let shares_host = hosts.iter().any(|host| address.hosts.iter().any(|other| other == host));
        if !shares_host {
            if same_set {
                return Err(Fault::new(
                    Code::IllegalOperation,
                    format!(
                        "a replica set named {} is already shard {} with other hosts: {}",
                        address.name, shard.id, shard.host
                    ),
                ));
            }
            continue;
        }
        if same_set && name.is_none_or(|name| name == shard.id.as_str()) {
            return Ok(Some(shard.id.clone()));
        }
        return Err(Fault::new(
            Code::IllegalOperation,
            format!("{address} is a shard already, named {} with host {}", shard.id, shard.host),
        ));
    }
    Ok(None)
}

//! Shards in memory: collections with their counts and indexes, sections, and faults on demand.

use crate::shard_calls::ShardCalls;
use bson::{Bson, Document, doc};
use command::BoxFuture;
use parking_lot::Mutex;
use rpc::SetAddress;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{Code, Fault};

/// One collection of one shard.
#[derive(Debug, Clone)]
pub(super) struct FakeCollection {
    pub(super) uuid: Bson,
    pub(super) keys: Vec<Document>,
    pub(super) indexes: Vec<Document>,
}

#[derive(Debug, Default)]
struct FakeShard {
    hello: Document,
    identity: Option<Document>,
    collections: BTreeMap<String, FakeCollection>,
    sections: BTreeSet<String>,
    /// Names of commands that fail until they are taken out.
    failing: BTreeSet<String>,
}

/// All of them, by `host:port`.
#[derive(Debug, Default)]
pub(super) struct FakeShards {
    shards: Mutex<BTreeMap<String, FakeShard>>,
    log: Mutex<Vec<String>>,
}

impl FakeShards {
    /// A replica set of one member at `name:1`.
    pub(super) fn start(&self, name: &str) {
        let host = format!("{name}:1");
        let hello =
            doc! {"setName": name, "hosts": [&host], "me": &host, "isWritablePrimary": true, "setVersion": 1};
        self.start_as(name, hello);
    }

    /// A server at `name:1` that says this of itself.
    pub(super) fn start_as(&self, name: &str, hello: Document) {
        self.shards.lock().insert(format!("{name}:1"), FakeShard { hello, ..FakeShard::default() });
    }

    pub(super) fn put(&self, shard: &str, ns: &str, keys: Vec<Document>, indexes: Vec<Document>) {
        let uuid = Bson::Binary(types::Uuid([7; 16]).to_bson());
        self.with(shard, |shard| {
            shard.collections.insert(ns.to_owned(), FakeCollection { uuid, keys, indexes })
        });
    }

    pub(super) fn get(&self, shard: &str, ns: &str) -> Option<FakeCollection> {
        self.with(shard, |shard| shard.collections.get(ns).cloned())
    }

    pub(super) fn fail(&self, shard: &str, command: &str, fails: bool) {
        self.with(shard, |shard| match fails {
            true => shard.failing.insert(command.to_owned()),
            false => shard.failing.remove(command),
        });
    }

    pub(super) fn identity(&self, shard: &str) -> Option<Document> {
        self.with(shard, |shard| shard.identity.clone())
    }

    pub(super) fn open_sections(&self) -> Vec<String> {
        self.shards.lock().values().flat_map(|shard| shard.sections.iter().cloned()).collect()
    }

    /// The commands since the last call, as `shard name`.
    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock())
    }

    fn with<T>(&self, shard: &str, change: impl FnOnce(&mut FakeShard) -> T) -> T {
        change(self.shards.lock().get_mut(&format!("{shard}:1")).unwrap())
    }
}

impl ShardCalls for FakeShards {
    fn call(
        &self,
        address: &SetAddress,
        body: Document,
        _bound: Duration,
        _repeatable: bool,
    ) -> BoxFuture<Result<Document, Fault>> {
        let host = address.hosts[0].clone();
        let name = body.keys().next().unwrap().clone();
        self.log.lock().push(format!("{} {name}", host.split(':').next().unwrap()));
        let mut shards = self.shards.lock();
        let reply = match shards.get_mut(&host) {
            None => Err(Fault::new(Code::HostUnreachable, "Connection refused")),
            Some(shard) if shard.failing.contains(&name) => {
                Err(Fault::new(Code::HostUnreachable, "broken off"))
            }
            Some(shard) => shard.run(&name, &body),
        };
        Box::pin(async move { reply })
    }

    fn call_any(
        &self,
        hosts: &[String],
        body: Document,
        bound: Duration,
    ) -> BoxFuture<Result<Document, Fault>> {
        let known = hosts.iter().find(|host| self.shards.lock().contains_key(*host)).or(hosts.first());
        let hosts = known.cloned().into_iter().collect();
        self.call(&SetAddress { name: "any".to_owned(), hosts }, body, bound, true)
    }
}

impl FakeShard {
    fn run(&mut self, name: &str, body: &Document) -> Result<Document, Fault> {
        let text = || body.get_str(name).unwrap().to_owned();
        match name {
            "hello" => return Ok(self.hello.clone()),
            "listDatabases" => {
                let names: BTreeSet<&str> = self
                    .collections
                    .keys()
                    .map(|ns| ns.split_once('.').unwrap().0)
                    .chain(["admin"])
                    .collect();
                let list: Vec<Document> = names.into_iter().map(|name| doc! {"name": name}).collect();
                return Ok(doc! {"databases": list});
            }
            "_shardsvrSetIdentity" => self.identity = Some(body.get_document(name).unwrap().clone()),
            "_shardsvrEnterCriticalSection" => assert!(self.sections.insert(text()), "{body}"),
            "_shardsvrLeaveCriticalSection" => {
                self.sections.remove(&text());
            }
            "_shardsvrCollectionInfo" => {
                return Ok(match self.collections.get(&text()) {
                    None => doc! {"exists": false},
                    Some(found) => doc! {
                        "exists": true,
                        "uuid": found.uuid.clone(),
                        "options": {},
                        "records": found.keys.len() as i64,
                        "indexes": found.indexes.clone(),
                    },
                });
            }
            "_shardsvrCreateCollection" => {
                assert!(self.sections.contains(&text()), "{body}");
                let uuid = body.get("uuid").unwrap().clone();
                let found = self.collections.entry(text()).or_insert_with(|| FakeCollection {
                    uuid: uuid.clone(),
                    keys: Vec::new(),
                    indexes: Vec::new(),
                });
                assert_eq!(found.uuid, uuid);
                let indexes = body.get_array("indexes").unwrap().iter();
                found.indexes = indexes.map(|index| index.as_document().unwrap().clone()).collect();
            }
            "_shardsvrDropCollection" => {
                assert!(self.sections.contains(&text()), "{body}");
                self.collections.remove(&text());
            }
            "_shardsvrDropDatabase" => {
                let prefix = format!("{}.", text());
                self.collections.retain(|ns, _| !ns.starts_with(&prefix));
            }
            "_shardsvrForgetDatabase" => {}
            "count" => return Ok(doc! {"n": self.keys(body).len() as i32}),
            "find" => {
                let skip = usize::try_from(body.get_i64("skip").unwrap()).unwrap();
                let keys = self.keys(body);
                let batch: Vec<Document> = keys.into_iter().skip(skip).take(1).collect();
                return Ok(doc! {"cursor": {"id": 0_i64, "firstBatch": batch}});
            }
            other => panic!("unexpected command {other}"),
        }
        Ok(doc! {})
    }

    /// The documents that match, which the real matcher decides; they are kept in order of the key.
    fn keys(&self, body: &Document) -> Vec<Document> {
        let collection = body.get_str("count").or_else(|_| body.get_str("find")).unwrap();
        let ns = format!("{}.{collection}", body.get_str("$db").unwrap());
        let filter = body.get_document("query").or_else(|_| body.get_document("filter")).unwrap();
        let raw = |doc: &Document| bson::RawDocumentBuf::try_from(doc).unwrap();
        let matcher =
            query::matcher::Matcher::parse(&raw(filter), &query::context::ParseContext::at(0)).unwrap();
        let keys = self.collections.get(&ns).map(|found| found.keys.clone()).unwrap_or_default();
        keys.into_iter().filter(|doc| matcher.matches(&raw(doc)).unwrap()).collect()
    }
}

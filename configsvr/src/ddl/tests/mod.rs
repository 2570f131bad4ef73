//! Changes of definitions against a real store and shards that answer from memory.

mod drop;
mod fake;
mod shard;
mod split;
mod watch;

use crate::metadata::Metadata;
use crate::replica::Replica;
use bson::{Document, RawDocumentBuf};
use command::{BoxFuture, Envelope, Request};
use fake::FakeShards;
use rpc::SetAddress;
use runtime::Tasks;
use runtime::clock::HybridClock;
use std::sync::Arc;
use storage::{EngineKind, Options, Store};
use types::{Fault, Namespace, OpTime, ShardId, Timestamp};

/// A set of one member, for tests: its own disk is the majority.
struct Alone(Store);

impl Replica for Alone {
    fn check_primary(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn term(&self) -> i64 {
        self.0.last_op_time().term
    }

    fn settled(&self) -> Timestamp {
        self.0.durable_op_time().ts
    }

    fn await_majority(&self, at: OpTime) -> BoxFuture<Result<(), Fault>> {
        let durable = self.0.durable(at);
        Box::pin(async move { durable.await.map_err(|error| error.fault()) })
    }
}

/// A config server of a cluster with shards `s0`, `s1`, …
struct Cluster {
    metadata: Arc<Metadata>,
    shards: Arc<FakeShards>,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn new(shard_count: usize) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(repl::StoreClock(Arc::new(HybridClock::default())));
        let store =
            Store::open(Options { engine: EngineKind::Memory, ..Options::new(dir.path(), clock) }).unwrap();
        let shards = Arc::new(FakeShards::default());
        let own = SetAddress { name: "cfg".into(), hosts: vec!["c:1".into()] };
        let tasks = Tasks::new();
        let alone = Arc::new(Alone(store.clone()));
        let metadata =
            Metadata::with_calls(store, alone, shards.clone(), Arc::new(move || Some(own.clone())), &tasks);
        metadata.initialise().await.unwrap();
        let cluster = Cluster { metadata, shards, _dir: dir };
        for at in 0..shard_count {
            cluster.shards.start(&format!("s{at}"));
            cluster.add(&format!("s{at}/s{at}:1")).await.unwrap();
        }
        cluster
    }

    async fn add(&self, url: &str) -> Result<ShardId, Fault> {
        let add = parse(bson::doc! {"addShard": url}, command::AddShard::parse)?;
        self.metadata.add_shard(add, String::new()).await
    }

    async fn shard(&self, body: Document) -> Result<super::Sharded, Fault> {
        let command = parse(body, command::ShardCollection::parse)?;
        self.metadata.shard_collection(command, String::new()).await
    }

    async fn split(&self, body: Document) -> Result<(), Fault> {
        self.metadata.split(parse(body, command::Split::parse)?, String::new()).await
    }

    /// The home shard of a database.
    fn home(&self, db: &str) -> String {
        self.metadata.view().unwrap().database(db).unwrap().unwrap().primary.to_string()
    }

    /// The chunks of a collection as `(min of its first field, shard)`.
    fn chunks(&self, ns: &str) -> Vec<(bson::Bson, String)> {
        let (_, chunks) = self.metadata.sharded(&ns_of(ns)).unwrap();
        let first = |chunk: &Arc<sharding::Chunk>| chunk.min.document().values().next().unwrap().clone();
        chunks.chunks().iter().map(|chunk| (first(chunk), chunk.shard.to_string())).collect()
    }

    /// No section is left open, and no drop is left begun.
    fn check_quiet(&self) {
        assert_eq!(self.shards.open_sections(), Vec::<String>::new());
        assert_eq!(self.metadata.view().unwrap().intents().unwrap(), []);
    }
}

/// Waits for a condition, in real time: the log is synced by a thread of its own.
async fn eventually(mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("condition not met");
}

fn ns_of(ns: &str) -> Namespace {
    Namespace::parse(ns).unwrap()
}

fn parse<T>(mut body: Document, parse: fn(&Request, &Envelope) -> Result<T, Fault>) -> Result<T, Fault> {
    body.insert("$db", "admin");
    let request = Request::from_body(RawDocumentBuf::try_from(&body).unwrap());
    let envelope = Envelope::parse(&request.body).unwrap();
    parse(&request, &envelope)
}

//! A server that is nothing but an engine: runs commands through the table, as the front end would.
// Helpers of tests; not every test file uses all of them.
#![allow(dead_code, clippy::unwrap_used)]

use bson::{Bson, Document, RawDocumentBuf, doc};
use command::{BoxFuture, Client, Context, Envelope, Request, Routing, Spec, WriteConcernError};
use engine::{DocumentFilter, Engine, HasEngine, Surroundings};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::{EngineKind, Options, Store};
use types::{
    Code, Fault, Namespace, OpTime, ReadAt, ReadConcern, ReadConcernLevel, Timestamp, W, WriteConcern,
};

pub(crate) struct Host {
    engine: Arc<Engine>,
    specs: Vec<Spec<Host>>,
    pub(crate) filter: Option<Arc<dyn DocumentFilter>>,
    pub(crate) set: Option<Arc<FakeSet>>,
    dir: Arc<tempfile::TempDir>,
}

impl HasEngine for Host {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn ownership(&self, _: &Namespace) -> Option<Arc<dyn DocumentFilter>> {
        self.filter.clone()
    }

    fn surroundings(&self) -> &dyn Surroundings {
        self
    }
}

impl Surroundings for Host {
    fn check_writable(&self, _: &Namespace) -> Result<(), Fault> {
        match self.set.as_ref().is_none_or(|set| set.writable.load(Ordering::Relaxed)) {
            true => Ok(()),
            false => Err(Fault::new(Code::NotWritablePrimary, "not primary")),
        }
    }

    fn acknowledge(
        &self,
        op_time: OpTime,
        concern: &WriteConcern,
        _: Option<std::time::Instant>,
    ) -> BoxFuture<Result<Option<WriteConcernError>, Fault>> {
        let answer = match &self.set {
            None => Ok(alone(concern)),
            Some(set) => {
                set.asked.lock().push((op_time, concern.clone()));
                set.answer.lock().clone()
            }
        };
        Box::pin(std::future::ready(answer))
    }

    fn read_ready(
        &self,
        concern: &ReadConcern,
        _: Option<std::time::Instant>,
    ) -> BoxFuture<Result<ReadAt, Fault>> {
        let newest = self.engine.store().last_op_time().ts;
        let commit_point = self.set.as_ref().map_or(newest, |set| *set.commit_point.lock());
        let at = match concern.level {
            Some(ReadConcernLevel::Majority | ReadConcernLevel::Linearizable) => ReadAt::At(commit_point),
            Some(ReadConcernLevel::Snapshot) => ReadAt::At(concern.at_cluster_time.unwrap_or(commit_point)),
            _ => ReadAt::Latest,
        };
        Box::pin(std::future::ready(Ok(at)))
    }

    fn virtual_documents(&self, ns: &Namespace) -> Option<Vec<RawDocumentBuf>> {
        (ns.as_str() == "local.system.replset").then(|| vec![bson::rawdoc! {"_id": "rs", "version": 3}])
    }
}

/// A member that stands alone cannot satisfy everything.
fn alone(concern: &WriteConcern) -> Option<WriteConcernError> {
    let (code, message) = match &concern.w {
        W::Majority | W::Default | W::Count(0 | 1) => return None,
        W::Count(_) => (Code::CannotSatisfyWriteConcern, "Not enough data-bearing nodes"),
        W::Mode(_) => (Code::UnknownReplWriteConcern, "No write concern mode of that name"),
        W::Tags(_) => (Code::NoSuchKey, "No such tag"),
    };
    Some(WriteConcernError { code, message: message.to_owned(), info: None })
}

/// What a replica set of several members would say.
pub(crate) struct FakeSet {
    pub(crate) writable: AtomicBool,
    pub(crate) commit_point: Mutex<Timestamp>,
    pub(crate) answer: Mutex<Result<Option<WriteConcernError>, Fault>>,
    /// The write concerns that were waited for.
    pub(crate) asked: Mutex<Vec<(OpTime, WriteConcern)>>,
}

struct WallClock;

impl storage::Clock for WallClock {
    fn wall_millis(&self) -> i64 {
        runtime::clock::now_millis()
    }
}

impl Host {
    pub(crate) fn new() -> Arc<Host> {
        Host::with_filter(None)
    }

    pub(crate) fn with_filter(filter: Option<Arc<dyn DocumentFilter>>) -> Arc<Host> {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Host::open(dir, EngineKind::Memory, filter)
    }

    pub(crate) fn open(
        dir: Arc<tempfile::TempDir>,
        kind: EngineKind,
        filter: Option<Arc<dyn DocumentFilter>>,
    ) -> Arc<Host> {
        let predicates: Option<Arc<dyn storage::Predicates>> = Some(Arc::new(engine::PartialFilters));
        let options = Options { engine: kind, predicates, ..Options::new(dir.path(), Arc::new(WallClock)) };
        let store = Store::open(options).unwrap();
        let engine = Engine::new(store, Arc::new(runtime::clock::HybridClock::default()));
        Arc::new(Host { engine, specs: engine::commands(), filter, set: None, dir })
    }

    /// A member of a set of several, all of whose writes so far a majority has.
    pub(crate) fn in_set() -> Arc<Host> {
        let mut host = Host::new();
        let set = FakeSet {
            writable: AtomicBool::new(true),
            commit_point: Mutex::new(host.engine.store().last_op_time().ts),
            answer: Mutex::new(Ok(None)),
            asked: Mutex::default(),
        };
        Arc::get_mut(&mut host).unwrap().set = Some(Arc::new(set));
        host
    }

    /// The set around this member.
    pub(crate) fn fake(&self) -> &FakeSet {
        self.set.as_ref().unwrap()
    }

    /// A majority has everything now.
    pub(crate) fn settle(&self) -> Timestamp {
        let now = self.engine.store().last_op_time().ts;
        *self.fake().commit_point.lock() = now;
        now
    }

    /// Runs a command; `$db` is `d` where the command names none.
    pub(crate) async fn try_run(self: &Arc<Host>, body: Document) -> Result<Document, Fault> {
        self.run_routed(body, None).await
    }

    pub(crate) async fn run_routed(
        self: &Arc<Host>,
        mut body: Document,
        routing: Option<Routing>,
    ) -> Result<Document, Fault> {
        if !body.contains_key("$db") {
            body.insert("$db", "d");
        }
        let mut call = self.try_prepare(body)?;
        call.ctx.routing = routing.map(Arc::new);
        call.run(self).await
    }

    /// A command that is ready to run, for running it often.
    pub(crate) fn prepare(&self, mut body: Document) -> Call {
        body.insert("$db", "d");
        self.try_prepare(body).unwrap()
    }

    fn try_prepare(&self, body: Document) -> Result<Call, Fault> {
        let name = body.keys().next().unwrap().clone();
        let raw = RawDocumentBuf::try_from(&body).unwrap();
        let envelope = Envelope::parse(&raw)?;
        let spec = *self
            .specs
            .iter()
            .find(|spec| spec.name == name || spec.aliases.contains(&name.as_str()))
            .unwrap_or_else(|| panic!("no command {name}"));
        let client = Client {
            connection_id: 1,
            remote: "127.0.0.1:1".parse().unwrap(),
            local: "127.0.0.1:2".parse().unwrap(),
            internal: false,
            metadata: std::sync::OnceLock::new(),
        };
        let deadline = envelope.max_time.map(|max| std::time::Instant::now() + max);
        let ctx = Context {
            client: Arc::new(client),
            envelope: Arc::new(envelope),
            operation_id: 1,
            deadline,
            killed: Arc::new(AtomicBool::new(false)),
            routing: None,
        };
        Ok(Call { spec, ctx, request: Request::from_body(raw) })
    }

    /// Runs a command that must not fail.
    #[track_caller]
    pub(crate) fn run(self: &Arc<Host>, body: Document) -> impl Future<Output = Document> {
        let text = body.to_string();
        let host = Arc::clone(self);
        async move { host.try_run(body).await.unwrap_or_else(|fault| panic!("{text}: {fault}")) }
    }

    /// Runs a command that must fail, for its code.
    pub(crate) async fn code(self: &Arc<Host>, body: Document) -> i32 {
        let text = body.to_string();
        match self.try_run(body).await {
            Ok(reply) => panic!("{text} gave {reply}"),
            Err(fault) => fault.code.number(),
        }
    }

    /// All documents of a find or aggregate, over all its batches.
    pub(crate) async fn all(self: &Arc<Host>, body: Document) -> Vec<Document> {
        let mut reply = self.run(body).await;
        let mut found = Vec::new();
        loop {
            let cursor = reply.get_document("cursor").unwrap().clone();
            let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch")).unwrap();
            found.extend(batch.iter().map(|doc| doc.as_document().unwrap().clone()));
            let id = cursor.get_i64("id").unwrap();
            if id == 0 {
                return found;
            }
            let ns = cursor.get_str("ns").unwrap();
            let (db, collection) = ns.split_once('.').unwrap();
            reply = self.run(doc! {"getMore": id, "collection": collection, "$db": db, "batchSize": 7}).await;
        }
    }

    /// Inserts documents into `d.c`.
    pub(crate) async fn fill(self: &Arc<Host>, documents: impl IntoIterator<Item = Document>) {
        let documents: Vec<Bson> = documents.into_iter().map(Bson::Document).collect();
        let count = documents.len() as i32;
        let reply = self.run(doc! {"insert": "c", "documents": documents}).await;
        assert_eq!(reply, doc! {"n": count});
    }
}

/// A command and its surroundings.
pub(crate) struct Call {
    spec: Spec<Host>,
    ctx: Context,
    request: Request,
}

impl Call {
    /// Marks the operation as killed before it runs.
    pub(crate) fn kill(&self) {
        self.ctx.killed.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Lets the operation's time be over before it runs.
    pub(crate) fn expire(&mut self) {
        self.ctx.deadline = Some(std::time::Instant::now());
    }

    pub(crate) async fn run(&self, host: &Arc<Host>) -> Result<Document, Fault> {
        let reply = (self.spec.run)(Arc::clone(host), self.ctx.clone(), self.request.clone()).await?;
        Ok(Document::try_from(&*reply.doc).unwrap())
    }

    /// As [`Call::run`]; gives the bytes of the reply and does not decode it.
    pub(crate) async fn run_raw(&self, host: &Arc<Host>) -> RawDocumentBuf {
        (self.spec.run)(Arc::clone(host), self.ctx.clone(), self.request.clone()).await.unwrap().doc
    }
}

/// The `_id`s of documents.
pub(crate) fn ids(documents: &[Document]) -> Vec<Bson> {
    documents.iter().map(|doc| doc.get("_id").unwrap().clone()).collect()
}

/// Those of `_id`s that are numbers, in order.
pub(crate) fn sorted(mut ids: Vec<Bson>) -> Vec<i32> {
    let mut numbers: Vec<i32> = ids.drain(..).filter_map(|id| id.as_i32()).collect();
    numbers.sort_unstable();
    numbers
}

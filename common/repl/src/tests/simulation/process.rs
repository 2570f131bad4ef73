//! One simulated process: the production driver and service of replication, served by `rpc` over the simulated network, and beside them
//! the few operations that clients here ask for.

use super::judge::{Judge, Level, Promise};
use super::net::Sockets;
use crate::core::Command;
use crate::core::bug::Bug;
use crate::core::config::SetConfig;
use crate::data::Data;
use crate::identity::Identity;
use crate::replication::{Replication, Surroundings};
use crate::shared::MajorityPoint;
use crate::tests::memory::{Disk, Memory};
use crate::view::ReadAt;
use bson::{RawDocumentBuf, rawdoc};
use command::{BoxFuture, Reply};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rpc::{Call, Operations};
use runtime::Tasks;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use types::concern::{ReadConcernLevel, W};
use types::{Code, Fault, ReadConcern, Timestamp, WriteConcern};

/// How often the log is synced if nobody asks.
const JOURNAL_INTERVAL: Duration = Duration::from_millis(100);

/// A disk with its own chance, and a member's lives.
#[derive(Debug)]
pub(super) struct Platter {
    one: usize,
    life: AtomicU64,
    judge: Arc<Judge>,
    chance: Mutex<StdRng>,
}

impl Disk for Platter {
    fn sync_time(&self) -> Duration {
        let mut chance = self.chance.lock();
        // Now and then the disk is busy.
        let (least, most) = if chance.random_ratio(1, 50) { (50, 400) } else { (1, 6) };
        Duration::from_millis(chance.random_range(least..most))
    }

    fn survivors(&self, unsynced: usize) -> usize {
        self.chance.lock().random_range(0..=unsynced)
    }

    fn opened(&self, term: i64) {
        self.judge.opened(term, (self.one, self.life.load(Ordering::Relaxed)));
    }
}

/// What outlives the process of one member, and how to look into it from outside.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) config: Arc<SetConfig>,
    bug: Option<Bug>,
    platter: Arc<Platter>,
    judge: Arc<Judge>,
    data: Mutex<Arc<Memory>>,
    replication: Mutex<Weak<Replication>>,
    sockets: Mutex<Sockets>,
}

impl Place {
    pub(super) fn new(
        one: usize,
        seed: u64,
        config: Arc<SetConfig>,
        bug: Option<Bug>,
        judge: &Arc<Judge>,
    ) -> Arc<Place> {
        let chance = Mutex::new(StdRng::seed_from_u64(seed ^ ((one as u64 + 1) << 32)));
        let platter = Arc::new(Platter { one, life: AtomicU64::new(0), judge: judge.clone(), chance });
        Arc::new(Place {
            host: config.members[one].host.clone(),
            config,
            bug,
            data: Mutex::new(Memory::on(platter.clone())),
            platter,
            judge: judge.clone(),
            replication: Mutex::default(),
            sockets: Mutex::default(),
        })
    }

    pub(super) fn data(&self) -> Arc<Memory> {
        self.data.lock().clone()
    }

    pub(super) fn accepts_writes(&self) -> bool {
        self.replication.lock().upgrade().is_some_and(|replication| replication.view().accepts_writes)
    }

    /// The process is about to be killed.
    pub(super) fn die(&self) {
        self.sockets.lock().die();
    }

    /// The process's whole life, until the simulation ends it.
    pub(super) async fn live(self: Arc<Place>) -> turmoil::Result {
        self.platter.life.fetch_add(1, Ordering::Relaxed);
        let data = {
            let mut held = self.data.lock();
            let found = held.after_crash();
            *held = found.clone();
            found
        };
        let sockets = Sockets::default();
        *self.sockets.lock() = sockets.clone();
        let tasks = Tasks::new();
        let surroundings = Surroundings {
            identity: Identity { set_name: "rs".to_owned(), host: self.host.clone(), configsvr: false },
            network: Arc::new(sockets.clone()),
            chance: self.platter.chance.lock().random(),
            bug: self.bug,
        };
        let replication =
            Replication::start_on(data.clone(), surroundings, MajorityPoint::default(), &tasks)?;
        *self.replication.lock() = Arc::downgrade(&replication);
        let routes = replication.add_service(rpc::Routes::default());
        let node = Arc::new(Node { data: data.clone(), replication: replication.clone() });
        rpc::serve(node, Some(routes), sockets.listen().await?, &tasks);
        if self.platter.one == 0 && replication.view().config.is_none() {
            replication.command(Command::Initiate { config: self.config.clone() }).await?;
        }
        let stop = tasks.token();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.judge.blame(format!("{} stopped by itself", self.host));
                    return Ok(());
                }
                () = tokio::time::sleep(JOURNAL_INTERVAL) => {}
            }
            // Cut meanwhile: the next one counts.
            data.sync_to(data.last()).await.ok();
        }
    }
}

struct Node {
    data: Arc<Memory>,
    replication: Arc<Replication>,
}

pub(super) fn put(key: &str, promise: Promise) -> RawDocumentBuf {
    let promise = match promise {
        Promise::One => "one",
        Promise::Journal => "journal",
        Promise::Majority => "majority",
    };
    rawdoc! { "put": key, "promise": promise, "$db": "t" }
}

pub(super) fn get(level: Level, must: &[String]) -> RawDocumentBuf {
    let level = match level {
        Level::Majority => "majority",
        Level::Linearizable => "linearizable",
    };
    rawdoc! { "get": level, "must": must.join(" "), "$db": "t" }
}

impl Node {
    async fn put(&self, call: &Call) -> Result<RawDocumentBuf, Fault> {
        let body = &call.request.body;
        let (key, promise) = (text(body.get_str("put"))?, text(body.get_str("promise"))?);
        let concern = match promise {
            "one" => WriteConcern { w: W::Count(1), ..WriteConcern::default() },
            "journal" => WriteConcern { w: W::Count(1), journal: Some(true), ..WriteConcern::default() },
            _ => WriteConcern::default(),
        };
        self.replication.admit_write(call.deadline).await?;
        let at = self.data.write(key, key)?;
        match self.replication.await_write_concern(at, &concern, call.deadline).await? {
            Some(error) => Err(Fault::new(error.code, error.message)),
            None => Ok(rawdoc! { "ok": 1, "ts": bson::Timestamp::from(at.ts), "t": at.term }),
        }
    }

    async fn get(&self, call: &Call) -> Result<RawDocumentBuf, Fault> {
        let body = &call.request.body;
        let level = match text(body.get_str("get"))? {
            "linearizable" => ReadConcernLevel::Linearizable,
            _ => ReadConcernLevel::Majority,
        };
        let must: Vec<String> = text(body.get_str("must"))?.split_whitespace().map(str::to_owned).collect();
        self.replication.check_readable(true)?;
        let concern = ReadConcern { level: Some(level), ..ReadConcern::default() };
        let until = match self.replication.await_read(&concern, call.deadline).await? {
            ReadAt::Latest => Timestamp::MAX,
            ReadAt::At(at) => at,
        };
        let (end, missed) = self.data.look(until, &must);
        Ok(
            rawdoc! { "ok": 1, "ts": bson::Timestamp::from(end.ts), "t": end.term, "missed": missed.join(" ") },
        )
    }
}

fn text<E: std::fmt::Display>(found: Result<&str, E>) -> Result<&str, Fault> {
    found.map_err(|error| Fault::new(Code::BadValue, error.to_string()))
}

impl Operations for Node {
    fn operate(self: Arc<Self>, call: Call) -> BoxFuture<Result<Reply, Fault>> {
        Box::pin(async move {
            let doc = match call.request.name() {
                "put" => self.put(&call).await?,
                _ => self.get(&call).await?,
            };
            Ok(Reply { doc })
        })
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        (Timestamp::ZERO, self.data.last().ts)
    }
}

//! Follows one replica set: each member is asked who it is, by a `hello` that it answers when that changes, over the stream that
//! carries operations too. So a broken connection and a finished election are both known at once. Members that do not answer are
//! tried again with growing pauses; what callers find out wakes the monitor.

use crate::topology::{Description, HEARTBEAT_INTERVAL, Topology};
use crate::{Peer, Pool};
use arc_swap::{ArcSwap, Guard};
use bson::{RawBsonRef, RawDocumentBuf};
use command::Request;
use parking_lot::Mutex;
use runtime::clock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use types::{Code, Fault};

/// Pauses between tries to reach a member: the first, doubled up to the last.
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_LAST: Duration = Duration::from_millis(500);
/// Two questions to the same member are at least this far apart, whoever asks for them.
const PACE: Duration = Duration::from_millis(10);
/// An answer that need not wait for anything takes no longer.
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// One that waits for a change may be late by so much.
const AWAIT_SLACK: Duration = Duration::from_secs(5);

/// The set as callers see it: immutable, swapped whole.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) topology: Arc<Topology>,
    /// In the order of the members. `None` for a host that cannot be parsed.
    pub(crate) peers: Vec<Option<Arc<Peer>>>,
}

/// A monitored set.
#[derive(Debug)]
pub(crate) struct Set {
    name: String,
    pool: Pool,
    view: ArcSwap<View>,
    /// Held while the picture changes.
    changing: Mutex<Monitored>,
    changed: watch::Sender<u64>,
    turn: AtomicUsize,
    /// Cancelled with the last user.
    unused: CancellationToken,
}

#[derive(Debug)]
struct Monitored {
    topology: Topology,
    /// By host, what wakes its task and what ends it.
    tasks: HashMap<Arc<str>, Watched>,
}

#[derive(Debug, Clone)]
struct Watched {
    wake: Arc<Notify>,
    gone: CancellationToken,
}

impl Drop for Set {
    fn drop(&mut self) {
        self.unused.cancel();
    }
}

impl Set {
    /// Begins to follow a set.
    pub(crate) fn start(name: &str, seeds: &[String], pool: &Pool) -> Arc<Set> {
        let topology = Topology::new(name, seeds);
        let set = Arc::new(Set {
            name: name.to_owned(),
            pool: pool.clone(),
            view: ArcSwap::from_pointee(View { topology: Arc::new(topology.clone()), peers: Vec::new() }),
            changing: Mutex::new(Monitored { topology, tasks: HashMap::new() }),
            changed: watch::channel(0).0,
            turn: AtomicUsize::new(0),
            unused: CancellationToken::new(),
        });
        set.change(|_| {});
        set
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A number for each choice, so that equal members are chosen in turn.
    pub(crate) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn peer(&self, host: &str) -> Result<Arc<Peer>, Fault> {
        self.pool.peer(host)
    }

    pub(crate) fn selection_timeout(&self) -> Duration {
        self.pool.selection_timeout()
    }

    pub(crate) async fn stopping(&self) {
        self.pool.tasks().token().cancelled_owned().await;
    }

    /// More hosts by which the set can be found.
    pub(crate) fn add_seeds(self: &Arc<Set>, seeds: &[String]) {
        let known = self.view();
        if seeds.iter().any(|seed| known.topology.find(seed).is_none()) && known.topology.primary().is_none()
        {
            self.change(|topology| topology.add_hosts(seeds));
        }
    }

    /// Whether any of these hosts is known as a member.
    pub(crate) fn has_any(&self, hosts: &[String]) -> bool {
        let view = self.view();
        hosts.iter().any(|host| view.topology.find(host).is_some())
    }

    /// Changes the picture, and has exactly the members in it monitored.
    fn change(self: &Arc<Set>, change: impl FnOnce(&mut Topology)) {
        let mut monitored = self.changing.lock();
        let before = describe(&monitored.topology);
        change(&mut monitored.topology);
        let Monitored { topology, tasks } = &mut *monitored;
        tasks.retain(|host, watched| {
            let stays = topology.find(host).is_some();
            if !stays {
                watched.gone.cancel();
            }
            stays
        });
        let mut peers = Vec::new();
        for member in topology.members() {
            let peer = self.pool.peer(&member.host).ok();
            if let Some(peer) = &peer
                && !tasks.contains_key(&member.host)
            {
                let watched = Watched { wake: Arc::default(), gone: self.unused.child_token() };
                tasks.insert(member.host.clone(), watched.clone());
                let follow = follow(Arc::downgrade(self), peer.clone(), watched);
                self.pool.tasks().spawn("set-monitor", follow);
            }
            peers.push(peer);
        }
        let after = describe(topology);
        self.view.store(Arc::new(View { topology: Arc::new(topology.clone()), peers }));
        drop(monitored);
        if before != after {
            tracing::debug!(set = self.name, state = %self.view().topology, "replica set changed");
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// A caller lost a member that was chosen when its epoch was this one.
    pub(crate) fn lost(self: &Arc<Set>, host: &str, epoch: u64, fault: &Fault) {
        let is_current = |topology: &Topology| {
            let member = topology.find(host).and_then(|place| topology.members().get(place));
            member.is_some_and(|member| member.epoch == epoch)
        };
        if is_current(&self.view().topology) {
            self.change(|topology| {
                if is_current(topology) {
                    topology.failed(host, &fault.message);
                }
            });
        }
        self.wake(host);
    }

    /// Has a member asked at once.
    pub(crate) fn wake(&self, host: &str) {
        if let Some(watched) = self.changing.lock().tasks.get(host) {
            watched.wake.notify_one();
        }
    }

    /// Has all members asked at once.
    pub(crate) fn wake_all(&self) {
        for watched in self.changing.lock().tasks.values() {
            watched.wake.notify_one();
        }
    }
}

/// What a log line is worth.
fn describe(topology: &Topology) -> Vec<(Arc<str>, crate::MemberKind)> {
    topology.members().iter().map(|member| (member.host.clone(), member.kind)).collect()
}

/// Follows one member until it leaves the set, or nobody uses the set any more.
async fn follow(set: Weak<Set>, peer: Arc<Peer>, watched: Watched) {
    let Some(stop) = set.upgrade().map(|set| set.pool.tasks().token()) else { return };
    let work = async {
        let (mut pause, mut is_warm) = (BACK_OFF_FIRST, false);
        loop {
            let begin = clock::now();
            let mut outcome = hello(&peer, None).await;
            let mut round_trip = clock::now() - begin;
            // The first answer has the time in it that connecting took.
            if outcome.is_ok() && !is_warm {
                let again = clock::now();
                outcome = hello(&peer, None).await;
                round_trip = clock::now() - again;
            }
            is_warm = outcome.is_ok();
            let outcome = match outcome {
                Ok(said) => {
                    tell(&set, &peer, Ok(&said), Some(round_trip));
                    pause = BACK_OFF_FIRST;
                    tokio::select! {
                        outcome = next(&peer, &said) => outcome.map(Some),
                        () = watched.wake.notified() => Ok(None),
                    }
                }
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(said) => {
                    if let Some(said) = said {
                        tell(&set, &peer, Ok(&said), None);
                    }
                    tokio::time::sleep(PACE.saturating_sub(clock::now() - begin)).await;
                }
                Err(fault) => {
                    is_warm = false;
                    tell(&set, &peer, Err(&fault), None);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = watched.wake.notified() => {
                            tokio::time::sleep(BACK_OFF_FIRST.saturating_sub(clock::now() - begin)).await;
                        }
                    }
                    pause = (pause * 2).min(BACK_OFF_LAST);
                }
            }
            if set.strong_count() == 0 {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = watched.gone.cancelled() => {}
        () = stop.cancelled() => {}
    }
}

fn tell(
    set: &Weak<Set>,
    peer: &Peer,
    outcome: Result<&RawDocumentBuf, &Fault>,
    round_trip: Option<Duration>,
) {
    let Some(set) = set.upgrade() else { return };
    match outcome {
        Ok(said) => {
            let said = Description::parse(said);
            let now = runtime::clock::now_millis();
            set.change(|topology| topology.answered(peer.host(), said, round_trip, now));
        }
        Err(fault) => set.change(|topology| topology.failed(peer.host(), &fault.message)),
    }
}

/// The answer when something changed since `said`, or after a while. Of a server that does not tell versions, just after a while.
async fn next(peer: &Peer, said: &RawDocumentBuf) -> Result<RawDocumentBuf, Fault> {
    match said.get("topologyVersion") {
        Ok(Some(RawBsonRef::Document(version))) => hello(peer, Some(version.to_owned())).await,
        _ => {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            hello(peer, None).await
        }
    }
}

async fn hello(peer: &Peer, version: Option<RawDocumentBuf>) -> Result<RawDocumentBuf, Fault> {
    let mut body = bson::rawdoc! { "hello": 1 };
    let bound = match version {
        Some(version) => {
            body.append(bson::raw::cstr!("topologyVersion"), version);
            let millis = i64::try_from(HEARTBEAT_INTERVAL.as_millis()).unwrap_or(i64::MAX);
            body.append(bson::raw::cstr!("maxAwaitTimeMS"), millis);
            HEARTBEAT_INTERVAL + AWAIT_SLACK
        }
        None => HELLO_TIMEOUT,
    };
    body.append(bson::raw::cstr!("$db"), "admin");
    let request = Request::from_body(body);
    match tokio::time::timeout(bound, peer.call(&request, None, None)).await {
        Ok(answer) => Ok(answer?.reply.doc),
        Err(_) => Err(Fault::new(Code::NetworkTimeout, format!("{} does not answer", peer.host()))),
    }
}

/// A bound in milliseconds that can be changed while it is used.
#[derive(Debug)]
pub(crate) struct Bound(AtomicU64);

impl Bound {
    pub(crate) fn new(bound: Duration) -> Bound {
        let cell = Bound(AtomicU64::new(0));
        cell.set(bound);
        cell
    }

    pub(crate) fn set(&self, bound: Duration) {
        self.0.store(u64::try_from(bound.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

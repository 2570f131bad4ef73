//! The driver with the real service on loopback, over logs in memory: several members in one process.

mod memory;
mod simulation;

use crate::core::config::{MemberConfig, SetConfig};
use crate::core::{Command, message::State};
use crate::data::Data;
use crate::identity::Identity;
use crate::replication::{Replication, Surroundings};
use crate::shared::MajorityPoint;
use bson::oid::ObjectId;
use command::{BoxFuture, Reply};
use memory::Memory;
use rpc::{Call, Operations};
use runtime::Tasks;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use types::concern::W;
use types::{Code, Fault, Timestamp, WriteConcern};

const PATIENCE: Duration = Duration::from_secs(30);

/// These members answer nobody but each other.
struct Nothing;

impl Operations for Nothing {
    fn operate(self: Arc<Self>, _call: Call) -> BoxFuture<Result<Reply, Fault>> {
        Box::pin(std::future::ready(Err(Fault::not_implemented("operations"))))
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        (Timestamp::ZERO, Timestamp::ZERO)
    }
}

struct Running {
    data: Arc<Memory>,
    replication: Arc<Replication>,
    tasks: Tasks,
}

struct Set {
    hosts: Vec<String>,
    members: Vec<Option<Running>>,
    data: Vec<Arc<Memory>>,
    id: ObjectId,
}

impl Set {
    /// Processes without a configuration.
    async fn new(count: usize) -> Set {
        let mut set = Set {
            hosts: Vec::new(),
            members: Vec::new(),
            data: (0..count).map(|_| Memory::new()).collect(),
            id: ObjectId::from_bytes([9; 12]),
        };
        for one in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            set.hosts.push(listener.local_addr().unwrap().to_string());
            set.members.push(None);
            set.run(one, listener);
        }
        set
    }

    fn run(&mut self, one: usize, listener: TcpListener) {
        let tasks = Tasks::new();
        let identity =
            Identity { set_name: "rs".to_owned(), host: self.hosts[one].clone(), configsvr: false };
        let data = self.data[one].clone();
        let replication = Replication::start_on(
            data.clone(),
            Surroundings::of_the_process(identity),
            MajorityPoint::default(),
            &tasks,
        )
        .unwrap();
        let routes = replication.add_service(rpc::Routes::default());
        rpc::serve(Arc::new(Nothing), Some(routes), TcpListenerStream::new(listener), &tasks);
        self.members[one] = Some(Running { data, replication, tasks });
    }

    async fn kill(&mut self, one: usize) {
        let running = self.members[one].take().unwrap();
        self.data[one] = running.data.after_crash();
        assert!(running.tasks.stop(PATIENCE).await);
    }

    async fn restart(&mut self, one: usize) {
        let host = self.hosts[one].clone();
        let listener = loop {
            match TcpListener::bind(&host).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.run(one, listener);
    }

    fn config(&self, members: usize) -> Arc<SetConfig> {
        let members =
            (0..).zip(&self.hosts).take(members).map(|(id, host)| MemberConfig::new(id, host)).collect();
        Arc::new(SetConfig { term: 0, ..SetConfig::of("rs", members, false, self.id) })
    }

    async fn initiate(&self, members: usize) {
        let command = Command::Initiate { config: self.config(members) };
        self.replication(0).command(command).await.unwrap();
    }

    /// Two members of three that have forty keys, and which of them is primary.
    async fn of_two_with_keys() -> (Set, usize) {
        let set = Set::new(3).await;
        set.initiate(2).await;
        let primary = set.primary().await;
        for key in 0..40 {
            set.acknowledged(primary, &format!("k{key}")).await;
        }
        set.agreed_among(&[0, 1]).await;
        (set, primary)
    }

    /// Of two members three are made.
    async fn let_third_in(&self, primary: usize) {
        let config = Arc::new(SetConfig { version: 2, ..(*self.config(3)).clone() });
        self.replication(primary).command(Command::Reconfig { config, force: false }).await.unwrap();
    }

    fn replication(&self, one: usize) -> &Arc<Replication> {
        &self.members[one].as_ref().unwrap().replication
    }

    fn data(&self, one: usize) -> &Arc<Memory> {
        &self.members[one].as_ref().unwrap().data
    }

    fn find_primary(&self) -> Option<usize> {
        let governs = |one: &usize| {
            self.members[*one].as_ref().is_some_and(|running| running.replication.view().accepts_writes)
        };
        (0..self.members.len()).find(governs)
    }

    async fn primary(&self) -> usize {
        until("a primary", || self.find_primary()).await
    }

    async fn agreed(&self) {
        let all: Vec<usize> = (0..self.members.len()).collect();
        self.agreed_among(&all).await;
    }

    async fn agreed_among(&self, members: &[usize]) {
        until("the logs to agree", || {
            let running = members.iter().filter_map(|one| self.members[*one].as_ref());
            let mut logs = running.map(|running| running.data.last_places());
            let first = logs.next()?;
            logs.all(|log| log == first).then_some(())
        })
        .await;
    }

    async fn acknowledged(&self, one: usize, key: &str) {
        let at = self.data(one).write(key, key).unwrap();
        let error = self.replication(one).await_write_concern(at, &WriteConcern::default(), deadline()).await;
        assert_eq!(error.unwrap(), None);
    }
}

impl Memory {
    /// The end of the log; its beginning may differ.
    fn last_places(&self) -> Vec<types::OpTime> {
        self.places().into_iter().rev().take(20).collect()
    }
}

fn deadline() -> Option<Instant> {
    Some(Instant::now() + PATIENCE)
}

async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_one_elects_itself_in_a_new_term_each_time() {
    let mut set = Set::new(1).await;
    let uninitiated = set.replication(0).clone();
    assert_eq!(uninitiated.check_writable().unwrap_err().code, Code::NotWritablePrimary);
    assert_eq!(uninitiated.status().await.unwrap_err().code, Code::NotYetInitialized);
    set.initiate(1).await;
    // The answer may come before the office.
    set.primary().await;
    set.acknowledged(0, "a").await;
    let view = set.replication(0).view();
    assert_eq!((view.term, view.is_alone, view.state), (1, true, State::Primary));
    set.kill(0).await;
    set.restart(0).await;
    // At once: whoever starts the process may write when the start returns.
    let again = set.replication(0).view();
    assert_eq!((again.term, again.accepts_writes), (2, true));
    assert!(again.election_id > view.election_id);
    set.acknowledged(0, "b").await;
    let refused = set.replication(0).command(Command::Initiate { config: set.config(1) }).await;
    assert_eq!(refused.unwrap_err().code, Code::AlreadyInitialized);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicate_and_survive_their_primary() {
    let mut set = Set::new(3).await;
    set.initiate(3).await;
    let first = set.primary().await;
    for key in ["a", "b", "c"] {
        set.acknowledged(first, key).await;
    }
    set.agreed().await;
    set.kill(first).await;
    let second = set.primary().await;
    assert_ne!(first, second);
    set.acknowledged(second, "d").await;
    set.restart(first).await;
    set.agreed().await;
    for one in 0..3 {
        assert_eq!(set.data(one).value("a").as_deref(), Some("a"));
        assert_eq!(set.data(one).value("d").as_deref(), Some("d"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_else_has_is_undone() {
    let mut set = Set::new(3).await;
    set.initiate(3).await;
    let first = set.primary().await;
    set.acknowledged(first, "a").await;
    set.agreed().await;
    let others: Vec<usize> = (0..3).filter(|one| *one != first).collect();
    for other in &others {
        set.kill(*other).await;
    }
    let lost = set.data(first).write("lost", "x").unwrap();
    set.data(first).sync_to(lost).await.unwrap();
    let soon = Some(Instant::now() + Duration::from_millis(100));
    let unknown = set.replication(first).await_write_concern(lost, &WriteConcern::default(), soon).await;
    assert_eq!(unknown.unwrap().unwrap().code, Code::MaxTimeMSExpired);
    set.kill(first).await;
    for other in &others {
        set.restart(*other).await;
    }
    let second = set.primary().await;
    set.acknowledged(second, "b").await;
    set.restart(first).await;
    set.agreed().await;
    assert_eq!(set.data(first).value("lost"), None);
    assert_eq!(set.data(first).undone(), 1);
    assert_eq!(set.data(first).value("b").as_deref(), Some("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_copies_what_the_log_no_longer_tells() {
    let (mut set, primary) = Set::of_two_with_keys().await;
    set.data(0).truncate();
    set.data(1).truncate();
    set.let_third_in(primary).await;
    until("the copy", || (set.replication(2).view().state == State::Secondary).then_some(())).await;
    assert_eq!(set.data(2).value("k0").as_deref(), Some("k0"));
    set.acknowledged(primary, "later").await;
    until("the new member to follow", || set.data(2).value("later")).await;
    // It has its vote once it was seen to have the data.
    until("the vote", || {
        let view = set.replication(primary).view();
        (view.config.as_ref()?.voters().count() == 3).then_some(())
    })
    .await;
    set.kill(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_survives_a_log_that_rolls_over_meanwhile() {
    let (mut set, primary) = Set::of_two_with_keys().await;
    let held = [0, 1].map(|one| {
        set.data(one).truncate();
        set.data(one).hold_copy()
    });
    set.let_third_in(primary).await;
    until("the beginning", || set.data(2).importing().filter(|import| import.has_catalog)).await;
    for key in 0..60 {
        set.acknowledged(primary, &format!("m{key}")).await;
    }
    // All of it is kept beside the copy before the sources forget where the copy began.
    let kept = || std::fs::read(set.data(2).spool_path()).unwrap_or_default();
    until("the log to be kept", || kept().windows(3).any(|bytes| bytes == b"m59").then_some(())).await;
    for one in [0, 1] {
        set.data(one).truncate();
        set.data(one).truncate();
    }
    drop(held);
    until("the copy", || (set.replication(2).view().state == State::Secondary).then_some(())).await;
    assert_eq!(set.data(2).epoch(), 1, "it was begun once");
    for key in ["k0", "k39", "m0", "m59"] {
        assert_eq!(set.data(2).value(key).as_deref(), Some(key));
    }
    assert!(!set.data(2).spool_path().exists());
    set.acknowledged(primary, "later").await;
    until("the new member to follow", || set.data(2).value("later")).await;
    set.kill(2).await;
}

/// The source's log goes on while a member may not apply: the stream that it has is of no more use, nor is the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_the_log_left_behind_copies_anew() {
    let (mut set, primary) = Set::of_two_with_keys().await;
    let behind = 1 - primary;
    let hold = set.replication(behind).hold_applying(PATIENCE).await.unwrap();
    // More than is on its way between the two, of one key: the copy is small.
    let long = "x".repeat(1024 * 1024);
    for _ in 0..48 {
        set.data(primary).write("long", &long).unwrap();
    }
    set.data(primary).write("last", "x").unwrap();
    for _ in 0..5 {
        set.data(primary).truncate();
    }
    drop(hold);
    until("the copy", || {
        let is_copied = set.data(behind).epoch() > 0 && set.data(behind).importing().is_none();
        (is_copied && set.replication(behind).view().state == State::Secondary).then_some(())
    })
    .await;
    assert_eq!(set.data(behind).value("last").as_deref(), Some("x"));
    let primary = set.primary().await;
    set.acknowledged(primary, "later").await;
    until("both to have it", || set.data(1 - primary).value("later")).await;
    set.kill(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_down_holds_writes_back_and_hands_over() {
    let set = Set::new(3).await;
    set.initiate(3).await;
    let first = set.primary().await;
    set.acknowledged(first, "a").await;
    let second = crate::core::timer::SECOND;
    let command = Command::StepDown { period: 30 * second, catch_up: 10 * second, force: false };
    set.replication(first).command(command).await.unwrap();
    assert_eq!(set.replication(first).check_writable().unwrap_err().code, Code::NotWritablePrimary);
    assert!(set.data(first).write("b", "b").is_err(), "the log is closed");
    let next = until("another primary", || set.find_primary().filter(|next| *next != first)).await;
    set.acknowledged(next, "c").await;
    // Who waits when the office ends is told.
    let at = set.data(next).write("d", "d").unwrap();
    let concern = WriteConcern { w: W::Count(3), ..WriteConcern::default() };
    let error = set.replication(next).await_write_concern(at, &concern, deadline()).await.unwrap();
    assert_eq!(error, None);
    let error =
        set.replication(first).await_write_concern(at, &WriteConcern::default(), deadline()).await.unwrap();
    assert_eq!(error.unwrap().code, Code::PrimarySteppedDown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused() {
    let set = Set::new(2).await;
    set.initiate(1).await;
    let peer = rpc::Peer::new(&set.hosts[0], &set.members[0].as_ref().unwrap().tasks).unwrap();
    let mut client = peer.replication();
    let sender = |name: &str, id: u8| proto::replication::Sender {
        set: name.to_owned(),
        replica_set_id: vec![id; 12].into(),
        host: "x:1".to_owned(),
        to: set.hosts[0].clone(),
    };
    for (name, id) in [("other", 9), ("rs", 8)] {
        let request = proto::replication::PullRequest {
            sender: Some(sender(name, id)),
            after: Some(proto::replication::OpTime { ts: 0, term: 0 }),
        };
        let refused = peer.unary(PATIENCE, client.pull(request)).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidReplicaSetConfig, "{refused}");
    }
    let none = proto::replication::PullRequest::default();
    assert_eq!(peer.unary(PATIENCE, client.pull(none)).await.unwrap_err().code, Code::ProtocolError);
}

//! A replica set of fake members on real sockets: each answers `hello` as the test says, waits for changes as servers do, and takes
//! or refuses other commands by its role.

#![allow(clippy::unwrap_used, dead_code)]

use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf, doc};
use command::{BoxFuture, Reply};
use parking_lot::Mutex;
use rpc::{Call, Operations};
use runtime::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use types::{Code, Fault, Timestamp};

/// What a member says and does.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) role: &'static str,
    pub(crate) hosts: Vec<String>,
    pub(crate) election: u8,
    pub(crate) tags: Document,
    /// Takes commands and never answers.
    pub(crate) hangs: bool,
    /// Executes commands, then answers that it is no primary any more.
    pub(crate) fault_after: Option<Code>,
}

/// One member.
pub(crate) struct Member {
    pub(crate) host: String,
    said: watch::Sender<(i64, Said)>,
    process: ObjectId,
    /// Commands other than hello that it has executed.
    pub(crate) executed: AtomicU64,
    pub(crate) hellos: AtomicU64,
    tasks: Mutex<Option<Tasks>>,
}

impl Member {
    /// Begins to listen, at `port` or any.
    pub(crate) async fn start(port: u16) -> Arc<Member> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let said = Said {
            role: "secondary",
            hosts: Vec::new(),
            election: 0,
            tags: Document::new(),
            hangs: false,
            fault_after: None,
        };
        let member = Arc::new(Member {
            host,
            said: watch::channel((1, said)).0,
            process: ObjectId::new(),
            executed: AtomicU64::new(0),
            hellos: AtomicU64::new(0),
            tasks: Mutex::new(None),
        });
        member.serve(listener);
        member
    }

    fn serve(self: &Arc<Member>, listener: TcpListener) {
        let tasks = Tasks::new();
        let incoming = futures::stream::unfold(listener, |listener| async move {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        });
        rpc::serve(Arc::new(Door(self.clone())), None, incoming, &tasks);
        *self.tasks.lock() = Some(tasks);
    }

    /// Says something else from now on.
    pub(crate) fn say(&self, change: impl FnOnce(&mut Said)) {
        self.said.send_modify(|(counter, said)| {
            change(said);
            *counter += 1;
        });
    }

    /// Drops all connections and listens no more.
    pub(crate) async fn stop(&self) {
        let tasks = self.tasks.lock().take();
        if let Some(tasks) = tasks {
            tasks.stop(Duration::from_secs(5)).await;
        }
    }

    /// Listens again.
    pub(crate) async fn restart(self: &Arc<Member>) {
        let listener = TcpListener::bind(&self.host).await.unwrap();
        self.serve(listener);
    }

    fn hello(&self) -> Document {
        let (counter, said) = self.said.borrow().clone();
        let mut reply = doc! {
            "setName": "rs", "hosts": &said.hosts, "me": &self.host, "setVersion": 1, "tags": said.tags,
            "isWritablePrimary": said.role == "primary", "secondary": said.role == "secondary",
            "topologyVersion": { "processId": self.process, "counter": counter },
        };
        if said.role == "primary" {
            reply.insert("electionId", ObjectId::from_bytes([said.election; 12]));
        }
        reply
    }

    async fn answer(&self, call: Call) -> Result<Document, Fault> {
        if call.request.body.get_i32("hello").is_ok() {
            self.hellos.fetch_add(1, Ordering::Relaxed);
            if let Ok(version) = call.request.body.get_document("topologyVersion") {
                let seen = version.get_i64("counter").unwrap();
                let mut said = self.said.subscribe();
                let bound = Duration::from_millis(
                    u64::try_from(call.request.body.get_i64("maxAwaitTimeMS").unwrap()).unwrap(),
                );
                tokio::time::timeout(bound, said.wait_for(|(counter, _)| *counter > seen)).await.ok();
            }
            return Ok(self.hello());
        }
        let said = self.said.borrow().1.clone();
        if said.hangs {
            std::future::pending::<()>().await;
        }
        let reads = call.request.body.get("$readPreference").unwrap().is_some();
        match said.role {
            "primary" => {}
            "secondary" if reads => {}
            _ => return Err(Fault::new(Code::NotWritablePrimary, "not primary")),
        }
        self.executed.fetch_add(1, Ordering::Relaxed);
        match said.fault_after {
            Some(code) => {
                if code.is_not_primary() {
                    self.say(|said| said.role = "secondary");
                }
                Err(Fault::new(code, "broken off midway"))
            }
            None => Ok(doc! { "by": &self.host }),
        }
    }
}

struct Door(Arc<Member>);

impl Operations for Door {
    fn operate(self: Arc<Self>, call: Call) -> BoxFuture<Result<Reply, Fault>> {
        Box::pin(async move {
            let reply = self.0.answer(call).await?;
            Ok(RawDocumentBuf::try_from(&reply).unwrap().into())
        })
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        (Timestamp::ZERO, Timestamp::ZERO)
    }
}

/// Members that know of each other; the first is primary.
pub(crate) async fn set(count: usize) -> Vec<Arc<Member>> {
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(Member::start(0).await);
    }
    let hosts: Vec<String> = members.iter().map(|member| member.host.clone()).collect();
    for member in &members {
        member.say(|said| said.hosts.clone_from(&hosts));
    }
    elect(&members, 0, 1);
    members
}

/// Makes one of them primary, the others secondaries.
pub(crate) fn elect(members: &[Arc<Member>], winner: usize, election: u8) {
    for (place, member) in members.iter().enumerate() {
        member.say(|said| {
            said.role = if place == winner { "primary" } else { "secondary" };
            said.election = election;
        });
    }
}

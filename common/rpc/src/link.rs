//! One open stream to a peer: requests go out with ids, replies find their callers by id.
//! A broken link stays broken; [`crate::Peer`] makes a new one.

use crate::convert;
use crate::together::Together;
use parking_lot::Mutex;
use proto::cluster as pb;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};
use types::{Code, Fault};

type Waiter = oneshot::Sender<Result<pb::Reply, Fault>>;

/// Callers that wait for a reply, or the reason why none will ever come.
#[derive(Debug)]
enum Pending {
    Open(HashMap<u64, Waiter>),
    Broken(Fault),
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Link {
    host: Arc<str>,
    outbox: mpsc::Sender<pb::Request>,
    pending: Mutex<Pending>,
    next_id: AtomicU64,
    together: Together,
}

impl Link {
    pub(crate) fn new(host: Arc<str>, outbox: mpsc::Sender<pb::Request>, together: Together) -> Link {
        let pending = Mutex::new(Pending::Open(HashMap::new()));
        Link { host, outbox, pending, next_id: AtomicU64::new(1), together }
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(*self.pending.lock(), Pending::Broken(_))
    }

    /// Sends an operation and waits for its reply. Dropping the future tells the peer that nobody waits any more.
    pub(crate) async fn call(self: &Arc<Link>, mut operation: pb::Operation) -> Result<pb::Reply, Fault> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        operation.id = id;
        let (waiter, reply) = oneshot::channel();
        match &mut *self.pending.lock() {
            Pending::Open(waiters) => {
                waiters.insert(id, waiter);
                self.together.note_operations(waiters.len());
            }
            Pending::Broken(fault) => return Err(fault.clone()),
        }
        let mut abandon = Abandon { link: self, id, armed: true };
        if self
            .outbox
            .send(pb::Request { kind: Some(pb::request::Kind::Operation(operation)) })
            .await
            .is_err()
        {
            self.fail(&Fault::new(Code::HostUnreachable, format!("{}: the connection closed", self.host)));
        }
        let result = reply.await.unwrap_or_else(|_| Err(Fault::internal("a reply was dropped unread")));
        abandon.armed = false;
        result
    }

    /// Hands a reply to its caller. A caller that left is no error.
    fn deliver(&self, reply: pb::Reply) {
        let waiter = match &mut *self.pending.lock() {
            Pending::Open(waiters) => {
                let waiter = waiters.remove(&reply.id);
                self.together.note_operations(waiters.len());
                waiter
            }
            Pending::Broken(_) => None,
        };
        if let Some(waiter) = waiter {
            waiter.send(Ok(reply)).ok(); // the caller left in this very moment
        }
    }

    /// Breaks the link: every caller gets `fault`, and so does everyone after. What broke it first stays the reason.
    pub(crate) fn fail(&self, fault: &Fault) {
        let before = {
            let mut pending = self.pending.lock();
            match *pending {
                Pending::Open(_) => std::mem::replace(&mut *pending, Pending::Broken(fault.clone())),
                Pending::Broken(_) => return,
            }
        };
        if let Pending::Open(waiters) = before {
            let mut waiters: Vec<(u64, Waiter)> = waiters.into_iter().collect();
            // In the order in which they asked.
            waiters.sort_unstable_by_key(|(id, _)| *id);
            for (_, waiter) in waiters {
                waiter.send(Err(fault.clone())).ok(); // the caller left in this very moment
            }
        }
    }

    /// Reads replies until the stream ends, or until it is dropped because the process stops.
    pub(crate) async fn read(self: Arc<Link>, mut replies: tonic::Streaming<pb::Reply>) {
        let _dropped = FailWhenDropped(&self);
        let fault = loop {
            match replies.message().await {
                Ok(Some(reply)) => self.deliver(reply),
                Ok(None) => {
                    break Fault::new(Code::HostUnreachable, format!("{} closed the connection", self.host));
                }
                Err(status) => break convert::status_to_fault(&self.host, &status),
            }
        };
        let fault = if fault.code == Code::HostUnreachable {
            fault
        } else {
            Fault { code: Code::HostUnreachable, ..fault }
        };
        self.fail(&fault);
    }
}

/// Leaves no caller waiting when nobody reads any more.
struct FailWhenDropped<'a>(&'a Link);

impl Drop for FailWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.fail(&Fault::new(Code::ShutdownInProgress, "this server is shutting down"));
    }
}

/// Tells the peer when a caller went away before its reply came.
struct Abandon<'a> {
    link: &'a Arc<Link>,
    id: u64,
    armed: bool,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if let Pending::Open(waiters) = &mut *self.link.pending.lock() {
            waiters.remove(&self.id);
        }
        let cancel = pb::Request { kind: Some(pb::request::Kind::Cancel(pb::Cancel { id: self.id })) };
        // A full outbox only means that the peer finishes work that nobody waits for.
        self.link.outbox.try_send(cancel).ok();
    }
}

//! The outgoing stream to one other member. Bounded: what does not fit is dropped, for the core says everything again.
//! A stream that breaks or cannot be made is told to the core at once, once per time; then it is tried again, with growing waits.

use super::Feed;
use crate::convert::{self, Sender};
use crate::core::config::MemberId;
use crate::core::message::Message;
use crate::shared::Shared;
use parking_lot::Mutex;
use proto::replication as pb;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use types::Fault;

/// Messages that wait for a stream that is being opened, or is slow.
const OUTBOX_COUNT_MAX: usize = 256;
const RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
const RETRY_WAIT_MAX: Duration = Duration::from_millis(500);
/// A stream that is not open by then is not to be had.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to one member; ends when dropped.
pub(super) struct Link {
    pub(super) host: Arc<str>,
    sender: Sender,
    outbox: mpsc::Sender<Message>,
    open: Open,
    nudged: Arc<Notify>,
    _end: DropGuard,
}

/// The stream, while it is open and said who speaks: messages go into it without a detour.
type Open = Arc<Mutex<Option<mpsc::Sender<pb::CoreMessage>>>>;

impl Link {
    pub(super) fn start(shared: &Arc<Shared>, id: MemberId, sender: Sender) -> Link {
        let (outbox, inbox) = mpsc::channel(OUTBOX_COUNT_MAX);
        let end = shared.tasks.token().child_token();
        let host: Arc<str> = Arc::from(sender.to.as_str());
        let nudged = Arc::new(Notify::new());
        let open = Open::default();
        let run = Run {
            shared: shared.clone(),
            id,
            host: host.clone(),
            sender: sender.clone(),
            inbox,
            open: open.clone(),
            nudged: nudged.clone(),
            end: end.clone(),
        };
        shared.tasks.spawn("member-link", run.run());
        Link { host, sender, outbox, open, nudged, _end: end.drop_guard() }
    }

    /// Whether it is what would be made now.
    pub(super) fn is_to(&self, sender: &Sender) -> bool {
        self.sender == *sender
    }

    /// `false` if it does not fit.
    pub(super) fn send(&self, message: Message) -> bool {
        let open = self.open.lock();
        match &*open {
            Some(stream) => {
                let message = convert::message_to_proto(&message, None);
                message.is_ok_and(|message| stream.try_send(message).is_ok())
            }
            None => self.outbox.try_send(message).is_ok(),
        }
    }

    /// The other one was heard: it is there.
    pub(super) fn nudge(&self) {
        self.nudged.notify_one();
    }
}

struct Run {
    shared: Arc<Shared>,
    id: MemberId,
    host: Arc<str>,
    sender: Sender,
    inbox: mpsc::Receiver<Message>,
    open: Open,
    nudged: Arc<Notify>,
    end: CancellationToken,
}

impl Run {
    async fn run(mut self) {
        let end = self.end.clone();
        let mut wait = RETRY_WAIT_MIN;
        let mut is_told = false;
        loop {
            let outcome = tokio::select! {
                biased;
                () = end.cancelled() => return,
                outcome = self.converse() => outcome,
            };
            *self.open.lock() = None;
            match outcome {
                // It was open, and broke.
                Ok(()) => {
                    wait = RETRY_WAIT_MIN;
                    is_told = false;
                }
                Err(fault) => {
                    tracing::debug!(host = &*self.host, %fault, "member cannot be reached");
                    // What was said to nobody is out of date.
                    while self.inbox.try_recv().is_ok() {}
                }
            }
            if !std::mem::replace(&mut is_told, true) {
                self.shared.feed(Feed::Disconnected { id: self.id, host: self.host.clone() }).await;
            }
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                () = self.nudged.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }

    /// One stream: `Ok` if it was open once.
    async fn converse(&mut self) -> Result<(), Fault> {
        let peer = self.shared.peers.get(&self.host)?;
        let (stream, messages) = mpsc::channel(OUTBOX_COUNT_MAX);
        let mut client = peer.replication();
        let speaker = self.sender.clone();
        let mut sender = Some(&speaker);
        let opening = client.converse(ReceiverStream::new(messages));
        // The stream opens with the first message that there is.
        let first = tokio::time::timeout(OPEN_TIMEOUT, opening);
        tokio::pin!(first);
        let opened = loop {
            tokio::select! {
                biased;
                opened = &mut first => break opened,
                Some(message) = self.inbox.recv() => {
                    stream.try_send(convert::message_to_proto(&message, sender.take())?).ok(); // full: said again later
                }
            }
        };
        if sender.is_none() {
            self.open_up(&stream)?;
        }
        let mut replies = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(rpc::convert::status_to_fault(&self.host, &status)),
            Err(_) => {
                return Err(Fault::new(
                    types::Code::HostUnreachable,
                    format!("{} does not answer", self.host),
                ));
            }
        };
        loop {
            tokio::select! {
                biased;
                reply = replies.message() => match reply {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        let fault = rpc::convert::status_to_fault(&self.host, &status);
                        if fault.code == types::Code::HostUnreachable {
                            return Ok(());
                        }
                        tracing::warn!(host = &*self.host, %fault, "member refuses to listen");
                        return Err(fault);
                    }
                },
                message = self.inbox.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    self.pass_on(&stream, &message, sender.take())?;
                    self.open_up(&stream)?;
                }
            }
        }
    }

    fn pass_on(
        &self,
        stream: &mpsc::Sender<pb::CoreMessage>,
        message: &Message,
        sender: Option<&Sender>,
    ) -> Result<(), Fault> {
        if stream.try_send(convert::message_to_proto(message, sender)?).is_err() {
            self.shared.counters.messages_dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The stream is open, and whoever speaks has said so: from here on messages go straight into it.
    fn open_up(&mut self, stream: &mpsc::Sender<pb::CoreMessage>) -> Result<(), Fault> {
        let open = self.open.clone();
        let mut open = open.lock();
        while let Ok(message) = self.inbox.try_recv() {
            self.pass_on(stream, &message, None)?;
        }
        *open = Some(stream.clone());
        Ok(())
    }
}

//! A replica set that we call: its primary, or a member that a read may go to, as its monitor sees the set; and what is done when
//! a member turns out to be gone or no longer primary. Nothing is sent twice unless it is known to be harmless.

use crate::monitor::Set;
use crate::peer::Answer;
use crate::topology::Topology;
use crate::{MemberKind, Peer};
use command::{Request, Routing};
use runtime::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::{Code, Fault, MemberChoice, ReadPreference};

/// How long a primary, or another suitable member, is waited for where the operation sets no closer bound.
pub const SELECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// Times that one operation is sent again to another primary.
const REPEAT_COUNT_MAX: u32 = 3;
/// How soon a wait notices that its operation was killed, or that another primary was elected.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// When an operation may be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Only where the member refused it at its door, or could not be reached at all: then nothing was done.
    IfRefused,
    /// Once, also where it is unknown whether the first try was executed. For reads.
    Once,
    /// Also where it is unknown: it is known by its number, or does nothing the second time.
    Numbered,
}

/// One operation for a set.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub request: &'a Request,
    pub routing: Option<&'a Routing>,
    pub deadline: Option<Instant>,
    pub choice: &'a MemberChoice,
    pub repeat: Repeat,
    /// Set when nobody waits any more.
    pub killed: Option<&'a AtomicBool>,
}

/// An answer and who gave it.
#[derive(Debug)]
pub struct Answered {
    pub answer: Answer,
    /// `host:port`; cursors live there.
    pub host: Arc<str>,
}

/// A member that was chosen.
#[derive(Debug, Clone)]
struct Chosen {
    peer: Arc<Peer>,
    /// What was known of it at that moment.
    epoch: u64,
}

/// A replica set. Cheap to clone; the set is monitored until the last clone is gone.
#[derive(Debug, Clone)]
pub struct SetClient {
    set: Arc<Set>,
}

impl SetClient {
    pub(crate) fn new(set: Arc<Set>) -> SetClient {
        SetClient { set }
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        self.set.name()
    }

    /// The set as it is known now.
    pub fn topology(&self) -> Arc<Topology> {
        self.set.view().topology.clone()
    }

    /// Rises whenever [`SetClient::topology`] changes.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.set.changes()
    }

    /// `host:port` of the primary, or of any member where none is known.
    pub fn preferred_host(&self) -> String {
        let view = self.set.view();
        let members = view.topology.members();
        let place = view.topology.primary().unwrap_or(0);
        members.get(place).map(|member| member.host.to_string()).unwrap_or_default()
    }

    /// The primary; waits for one up to the deadline, or [`SELECTION_TIMEOUT`].
    ///
    /// # Errors
    /// `FailedToSatisfyReadPreference` (133) with the set's state in words.
    pub async fn primary(&self, deadline: Option<Instant>) -> Result<Arc<Peer>, Fault> {
        Ok(self.choose(&MemberChoice::PRIMARY, deadline, None).await?.peer)
    }

    /// A member by the choice, as [`SetClient::primary`].
    ///
    /// # Errors
    /// As [`SetClient::primary`].
    pub async fn member(&self, choice: &MemberChoice, deadline: Option<Instant>) -> Result<Arc<Peer>, Fault> {
        Ok(self.choose(choice, deadline, None).await?.peer)
    }

    async fn choose(
        &self,
        choice: &MemberChoice,
        deadline: Option<Instant>,
        killed: Option<&AtomicBool>,
    ) -> Result<Chosen, Fault> {
        if let Some(chosen) = self.pick(choice) {
            return Ok(chosen);
        }
        let begin = clock::now();
        let bound = begin + self.set.selection_timeout();
        let bound = deadline.map_or(bound, |deadline| deadline.min(bound));
        let mut changes = self.set.changes();
        self.set.wake_all();
        loop {
            changes.mark_unchanged();
            if let Some(chosen) = self.pick(choice) {
                return Ok(chosen);
            }
            let left = bound.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Err(self.nobody(choice, begin.elapsed()));
            }
            check_killed(killed)?;
            tokio::select! {
                outcome = changes.changed() => drop(outcome), // the sender lives as long as the set, which this holds
                () = tokio::time::sleep(left.min(WATCH_INTERVAL)) => {}
                () = self.set.stopping() => {
                    return Err(Fault::new(Code::ShutdownInProgress, "this server is shutting down"));
                }
            }
        }
    }

    fn pick(&self, choice: &MemberChoice) -> Option<Chosen> {
        let view = self.set.view();
        let place = match choice.mode {
            ReadPreference::Primary => view.topology.primary()?,
            _ => {
                let eligible = view.topology.eligible(choice);
                *eligible.get(self.set.turn() % eligible.len().max(1))?
            }
        };
        let (member, peer) = (view.topology.members().get(place)?, view.peers.get(place)?);
        Some(Chosen { peer: peer.clone()?, epoch: member.epoch })
    }

    fn nobody(&self, choice: &MemberChoice, waited: Duration) -> Fault {
        let topology = self.topology();
        Fault::new(
            Code::FailedToSatisfyReadPreference,
            format!(
                "Could not find host matching read preference {choice} for set {} within {} ms; {topology}",
                self.name(),
                waited.as_millis()
            ),
        )
    }

    /// Runs a command on the member that the choice allows.
    ///
    /// # Errors
    /// The member's fault; `FailedToSatisfyReadPreference` (133) where there is none; `HostUnreachable` (6) where it broke off and
    /// the operation may not be sent again.
    pub async fn run(&self, ask: Ask<'_>) -> Result<Answered, Fault> {
        let mut repeats = 0;
        loop {
            let chosen = self.choose(ask.choice, ask.deadline, ask.killed).await?;
            let (sent, outcome) = self.send(&chosen, ask).await;
            let fault = match outcome {
                Ok(answer) => return Ok(Answered { answer, host: chosen.peer.host().clone() }),
                Err(fault) if !is_lost(fault.code) => return Err(fault),
                Err(fault) => fault,
            };
            self.note(&chosen, &fault);
            repeats += 1;
            let nothing_done = !sent || is_refusal(fault.code);
            let again = match ask.repeat {
                Repeat::IfRefused => nothing_done && repeats <= REPEAT_COUNT_MAX,
                Repeat::Once => repeats <= 1,
                Repeat::Numbered => repeats <= REPEAT_COUNT_MAX,
            };
            if !again || ask.deadline.is_some_and(|deadline| deadline <= clock::now()) {
                return Err(fault);
            }
            tracing::debug!(set = self.name(), host = %chosen.peer.host(), %fault, repeats, "operation is sent again");
        }
    }

    /// Sends to one member and waits. Tells whether it was sent at all.
    async fn send(&self, chosen: &Chosen, ask: Ask<'_>) -> (bool, Result<Answer, Fault>) {
        let link = match chosen.peer.link().await {
            Ok(link) => link,
            Err(fault) => return (false, Err(fault)),
        };
        let call = chosen.peer.call_on(&link, ask.request, ask.routing, ask.deadline);
        let mut call = std::pin::pin!(call);
        loop {
            if let Ok(answer) = tokio::time::timeout(WATCH_INTERVAL, &mut call).await {
                return (true, answer);
            }
            if let Err(killed) = check_killed(ask.killed) {
                return (true, Err(killed));
            }
            // A member that hangs is replaced long before its connection ends.
            if ask.repeat != Repeat::IfRefused && self.is_replaced(chosen, ask.choice) {
                let text = format!("{} was replaced as primary while it was asked", chosen.peer.host());
                return (true, Err(Fault::new(Code::HostUnreachable, text)));
            }
        }
    }

    /// Whether another primary was elected since this one was chosen, or a secondary that was chosen does not answer any more.
    fn is_replaced(&self, chosen: &Chosen, choice: &MemberChoice) -> bool {
        let view = self.set.view();
        let host = chosen.peer.host();
        let found = view.topology.find(host).and_then(|place| view.topology.members().get(place));
        match choice.mode {
            ReadPreference::Primary => {
                view.topology.primary().is_some()
                    && found.is_none_or(|member| member.kind != MemberKind::Primary)
            }
            _ => found.is_none_or(|member| member.kind == MemberKind::Unknown),
        }
    }

    /// Runs a command on one named member, once: the next batch of a cursor that lives there.
    ///
    /// # Errors
    /// The member's fault; `HostUnreachable` (6).
    pub async fn run_on(
        &self,
        host: &str,
        request: &Request,
        deadline: Option<Instant>,
        killed: Option<&AtomicBool>,
    ) -> Result<Answer, Fault> {
        let peer = self.set.peer(host)?;
        let call = peer.call(request, None, deadline);
        let mut call = std::pin::pin!(call);
        let outcome = loop {
            if let Ok(outcome) = tokio::time::timeout(WATCH_INTERVAL, &mut call).await {
                break outcome;
            }
            check_killed(killed)?;
        };
        if outcome.as_ref().is_err_and(|fault| is_lost(fault.code)) {
            self.set.wake(host);
        }
        outcome
    }

    /// Runs a command on the primary. `repeatable`: it may be sent again where it is unknown whether the first try was executed.
    ///
    /// # Errors
    /// As [`SetClient::run`].
    pub async fn call(
        &self,
        request: &Request,
        routing: Option<&Routing>,
        deadline: Option<Instant>,
        repeatable: bool,
    ) -> Result<Answer, Fault> {
        let repeat = if repeatable { Repeat::Numbered } else { Repeat::IfRefused };
        let choice = &MemberChoice::PRIMARY;
        Ok(self.run(Ask { request, routing, deadline, choice, repeat, killed: None }).await?.answer)
    }

    /// Runs a unary call of the config service on the primary, again on the next one where it is lost, all within `bound`.
    ///
    /// # Errors
    /// The primary's fault; `FailedToSatisfyReadPreference` (133) or `HostUnreachable` (6).
    pub async fn unary<T, C, F>(&self, bound: Duration, call: C) -> Result<T, Fault>
    where
        C: Fn(proto::cluster::config_client::ConfigClient<tonic::transport::Channel>) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let deadline = clock::now() + bound;
        loop {
            let chosen = self.choose(&MemberChoice::PRIMARY, Some(deadline), None).await?;
            let left = deadline.saturating_duration_since(clock::now());
            match chosen.peer.unary(left, call(chosen.peer.config())).await {
                Ok(answer) => return Ok(answer),
                Err(fault) if is_lost(fault.code) => {
                    self.note(&chosen, &fault);
                    if deadline <= clock::now() {
                        return Err(fault);
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// A member was lost while it was asked: nobody is sent there before it has answered its monitor again.
    fn note(&self, chosen: &Chosen, fault: &Fault) {
        self.set.lost(chosen.peer.host(), chosen.epoch, fault);
    }
}

/// Whether the member is gone, or not what it was taken for.
fn is_lost(code: Code) -> bool {
    code.is_not_primary()
        || matches!(
            code,
            Code::HostUnreachable
                | Code::HostNotFound
                | Code::NetworkTimeout
                | Code::ShutdownInProgress
                | Code::InterruptedAtShutdown
        )
}

/// Whether a member that answers so has not begun. `PrimarySteppedDown` and `InterruptedDueToReplStateChange` may come midway.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::NotWritablePrimary | Code::NotPrimaryNoSecondaryOk | Code::NotPrimaryOrSecondary)
}

fn check_killed(killed: Option<&AtomicBool>) -> Result<(), Fault> {
    match killed {
        Some(killed) if killed.load(Ordering::Relaxed) => {
            Err(Fault::new(Code::Interrupted, "operation was interrupted"))
        }
        _ => Ok(()),
    }
}

//! Follows the part that this member plays in its set, and tells the server around it: what is kept in memory of replicated data is
//! read anew by a new primary, and thrown away when data were undone. Operations that must not go on are ended.

use crate::Member;
use command::{Access, BoxFuture};
use repl::{MemberState, View};
use runtime::Tasks;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use types::Fault;

/// Wait between two tries of what a new primary has to do.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A server that plays a part.
pub trait Player: crate::HasMember {
    /// This member takes writes in a new term. Called again after a failure, as long as it does.
    fn became_primary(self: Arc<Self>, term: i64) -> BoxFuture<Result<(), Fault>>;

    /// This member takes no writes any more.
    fn stepped_down(&self);

    /// Writes of this member were undone: nothing that was read before is certain.
    fn rolled_back(&self);
}

/// Follows the part until the tasks stop.
pub async fn follow<S: Player>(player: Arc<S>) {
    let (tasks, replication) = (player.member().tasks.clone(), player.member().replication.clone());
    let stop = tasks.token();
    let mut topology = replication.topology();
    let mut before = Before::default();
    let mut office: Option<CancellationToken> = None;
    loop {
        topology.borrow_and_update();
        let view = replication.view();
        let step = before.step(&view);
        if step.left_office {
            if let Some(office) = office.take() {
                office.cancel();
            }
            let ended = depose(player.member(), Access::is_change);
            tracing::info!(term = view.term, ended, "this member is no primary any more");
            player.stepped_down();
        }
        if step.undone {
            let ended = depose(player.member(), |access| access != Access::Handshake);
            tracing::info!(ended, "data of this member are being undone");
            if let Err(fault) = crate::commands::count_rollback(player.member()) {
                tracing::error!(%fault, "the rollback could not be counted");
            }
            player.rolled_back();
        }
        if step.redone {
            player.rolled_back();
        }
        if step.took_office {
            let token = stop.child_token();
            office = Some(token.clone());
            take_office(&tasks, player.clone(), view.term, token);
        }
        tokio::select! {
            changed = topology.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

fn depose(member: &Member, concerned: impl Fn(Access) -> bool) -> usize {
    member.front.operations.depose(|operation| concerned(operation.access))
}

fn take_office<S: Player>(tasks: &Tasks, player: Arc<S>, term: i64, office: CancellationToken) {
    tasks.spawn("new-primary", async move {
        loop {
            let outcome = tokio::select! {
                outcome = player.clone().became_primary(term) => outcome,
                () = office.cancelled() => return,
            };
            let Err(fault) = outcome else { return };
            tracing::warn!(term, %fault, "what a new primary has to do has failed; it is tried again");
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                () = office.cancelled() => return,
            }
        }
    });
}

/// What was seen the last time.
#[derive(Debug, Default)]
struct Before {
    office: Option<i64>,
    in_rollback: bool,
}

/// What has changed since.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    left_office: bool,
    took_office: bool,
    undone: bool,
    redone: bool,
}

impl Before {
    fn step(&mut self, view: &View) -> Step {
        let office = view.accepts_writes.then_some(view.term);
        // While a step-down only pauses writes, this member is still primary.
        let stays = office.is_none() && view.state == MemberState::Primary && self.office == Some(view.term);
        let office = if stays { self.office } else { office };
        let in_rollback = view.state == MemberState::Rollback;
        let step = Step {
            left_office: self.office.is_some() && self.office != office,
            took_office: office.is_some() && self.office != office,
            undone: in_rollback && !self.in_rollback,
            redone: !in_rollback && self.in_rollback,
        };
        *self = Before { office, in_rollback };
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once() {
        let view = |state, term, accepts_writes| View { state, term, accepts_writes, ..View::uninitiated() };
        let mut before = Before::default();
        let nothing = Step::default();
        for (state, term, writable, expected) in [
            (MemberState::Startup, 0, false, Step::default()),
            (MemberState::Secondary, 1, false, Step::default()),
            // Elected, and catching up.
            (MemberState::Primary, 2, false, Step::default()),
            (MemberState::Primary, 2, true, Step { took_office: true, ..Step::default() }),
            // Writes pause, and go on.
            (MemberState::Primary, 2, false, Step::default()),
            (MemberState::Primary, 2, true, Step::default()),
            (MemberState::Secondary, 3, false, Step { left_office: true, ..Step::default() }),
            (MemberState::Rollback, 3, false, Step { undone: true, ..Step::default() }),
            (MemberState::Secondary, 3, false, Step { redone: true, ..Step::default() }),
            (MemberState::Primary, 4, true, Step { took_office: true, ..Step::default() }),
            // What lay between was not seen.
            (MemberState::Primary, 6, true, Step { left_office: true, took_office: true, ..Step::default() }),
        ] {
            assert_eq!(before.step(&view(state, term, writable)), expected, "{state:?} in term {term}");
            assert_eq!(before.step(&view(state, term, writable)), nothing);
        }
    }
}

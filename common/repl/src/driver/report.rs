//! What the source is told of how far everybody behind it is. What is applied is synced a moment later: one message says both. A report
//! that comes late is as one that was long on its way, and a newer one says all that an older one did.

use crate::core::config::MemberId;
use crate::core::message::{Body, Message};
use crate::core::timer::{MILLISECOND, Time};
use types::OpTime;

/// A report that says of nobody that more is synced waits so long for one that does.
const SYNC_WAIT: Time = 2 * MILLISECOND;

/// The report that is to be sent next.
#[derive(Debug, Default)]
pub(super) struct Report {
    next: Option<(MemberId, Message)>,
    due: Time,
    /// To whom the last one went, and up to where it said that each is synced.
    last: Option<(MemberId, Vec<(MemberId, OpTime)>)>,
}

impl Report {
    /// When the next one is to be sent at the latest.
    pub(super) fn due(&self) -> Time {
        if self.next.is_some() { self.due } else { Time::MAX }
    }

    /// Takes the place of the one before, which is given back if it is for somebody else.
    pub(super) fn replace(
        &mut self,
        to: MemberId,
        message: Message,
        now: Time,
    ) -> Option<(MemberId, Message)> {
        let wait = if self.says_more_synced(to, &message) { 0 } else { SYNC_WAIT };
        let before = self.next.replace((to, message));
        let is_same = before.as_ref().is_some_and(|(other, _)| *other == to);
        self.due = if is_same { self.due.min(now + wait) } else { now + wait };
        before.filter(|_| !is_same)
    }

    fn says_more_synced(&self, to: MemberId, message: &Message) -> bool {
        let (Some((other, last)), Body::Positions(positions)) = (&self.last, &message.body) else {
            return true;
        };
        *other != to
            || positions.iter().any(|(member, position)| {
                last.iter().find(|(id, _)| id == member).is_none_or(|(_, synced)| position.durable > *synced)
            })
    }

    /// What is to be sent now.
    pub(super) fn take(&mut self, now: Time) -> Option<(MemberId, Message)> {
        let (to, message) = self.next.take_if(|_| self.due <= now)?;
        if let Body::Positions(positions) = &message.body {
            let synced = positions.iter().map(|(member, position)| (*member, position.durable)).collect();
            self.last = Some((to, synced));
        }
        Some((to, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Position;
    use types::Timestamp;

    fn says(applied: u64, durable: u64) -> Message {
        let at = |ts| OpTime { ts: Timestamp(ts), term: 1 };
        let position = Position { applied: at(applied), durable: at(durable) };
        Message { from: 1, term: 1, body: Body::Positions(vec![(1, position)]) }
    }

    #[test]
    fn what_is_applied_waits_for_the_sync_but_not_for_long() {
        let mut report = Report::default();
        assert_eq!(report.due(), Time::MAX);
        assert_eq!(report.replace(0, says(1, 0), 10), None);
        assert_eq!(report.take(10), Some((0, says(1, 0))), "the first one tells of everybody");
        assert_eq!(report.replace(0, says(2, 0), 20), None);
        assert_eq!(report.due(), 20 + SYNC_WAIT);
        assert_eq!(report.take(20), None);
        assert_eq!(report.replace(0, says(3, 2), 21), None);
        assert_eq!(report.take(21), Some((0, says(3, 2))));
        assert_eq!(report.replace(0, says(4, 2), 30), None);
        assert_eq!(report.replace(0, says(5, 2), 40), None);
        assert_eq!(report.take(30 + SYNC_WAIT), Some((0, says(5, 2))), "the wait begins with the first");
        assert_eq!(report.take(90), None);
    }

    #[test]
    fn another_source_is_told_at_once_and_the_one_before_what_it_was_to_hear() {
        let mut report = Report::default();
        report.replace(0, says(1, 1), 10);
        report.take(10);
        report.replace(0, says(2, 1), 20);
        assert_eq!(report.replace(2, says(2, 1), 21), Some((0, says(2, 1))));
        assert_eq!(report.take(21), Some((2, says(2, 1))));
    }
}

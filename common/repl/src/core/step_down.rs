//! A primary's way out of office: by a higher term, by the loss of its majority, or because it was asked; then with a hand-off.

use super::bug::Bug;
use super::config::MemberId;
use super::effect::Effect;
use super::member::{Member, Office, Peer, Phase, Role, StepDown};
use super::message::{Body, State};
use super::refusal::Refusal;
use super::timer::{MILLISECOND, Time, Timer};

/// Who is to take over was heard of within this time, and since it was asked for: one that hangs would not stand.
const HEARD_TIME: Time = 200 * MILLISECOND;
/// While a step-down waits for somebody, the others are asked so often how they are.
pub(super) const ASK_INTERVAL: Time = 50 * MILLISECOND;
/// An heir that has not stood by then is passed over.
const HEIR_TIME: Time = 150 * MILLISECOND;

impl Member {
    /// Becomes a secondary. What waits here for a majority learns that it will not hear of one from this member.
    pub(super) fn leave_office(&mut self, now: Time) {
        let Role::Primary(office) = std::mem::replace(&mut self.role, Role::Secondary) else { return };
        self.primary = None;
        for timer in [Timer::KeepAlive, Timer::Majority, Timer::Listen, Timer::CatchUp, Timer::StepDown] {
            self.timers.clear(timer);
        }
        self.drop_source();
        if office.phase == Phase::Writable {
            self.out.push(Effect::AcceptWrites(None));
        }
        if let Some(StepDown { request, .. }) = office.step_down {
            // It is no primary any more, which is what was asked for.
            self.out.push(Effect::PauseWrites(false));
            self.answer(request, Ok(()));
        }
        if let Some(request) = office.reconfig {
            self.answer(request, Err(Refusal::SteppedDown));
        }
        self.wait_for_primary(now);
    }

    pub(super) fn ask_step_down(
        &mut self,
        request: u64,
        period: Time,
        catch_up: Time,
        force: bool,
        now: Time,
    ) {
        let refused = match &mut self.role {
            Role::Primary(Office { step_down: Some(_), .. }) => Refusal::SteppingDown,
            Role::Primary(Office { phase: Phase::Writable, step_down, .. }) => {
                *step_down = Some(StepDown { request, period, force, since: now });
                // Else the others would never catch up under load.
                self.out.push(Effect::PauseWrites(true));
                self.timers.set(Timer::StepDown, now + catch_up);
                self.send_heartbeats(now);
                return;
            }
            _ => Refusal::NotPrimary("step down"),
        };
        self.answer(request, Err(refused));
    }

    /// Hands over as soon as a majority, and in it somebody electable, has everything.
    pub(super) fn settle_step_down(&mut self, now: Time) {
        let Role::Primary(Office { step_down: Some(asked), .. }) = self.role else { return };
        let Some(config) = self.config.clone() else { return };
        let end = self.end();
        if config.reached_by_majority(|id| self.durable_of(id)) < end {
            return;
        }
        let can_follow = |peer: &&Peer| {
            peer.is_connected
                && peer.state == Some(State::Secondary)
                && peer.position.durable >= end
                && (peer.heard.is_some_and(|heard| heard >= asked.since && now - heard <= HEARD_TIME)
                    || self.has(Bug::HeirUnheard))
        };
        let electable = |peer: &Peer| config.member(peer.id).filter(|member| member.is_electable());
        let mut heirs: Vec<(f64, MemberId)> = self
            .peers
            .iter()
            .filter(can_follow)
            .filter_map(|peer| electable(peer).map(|member| (member.priority, member.id)))
            .collect();
        heirs.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        if !heirs.is_empty() {
            self.frozen_until = now + asked.period;
            self.leave_office(now);
            self.heirs = heirs.into_iter().map(|(_, id)| id).collect();
            self.ask_next_heir(now);
        }
    }

    /// Asks the first of those who can follow to stand; if it does not, it is the next one's turn.
    fn ask_next_heir(&mut self, now: Time) {
        if self.heirs.is_empty() || self.primary.is_some() {
            return;
        }
        let heir = self.heirs.remove(0);
        self.say(heir, Body::StepUp);
        self.timers.set(Timer::StepDown, now + HEIR_TIME);
    }

    pub(super) fn step_down_overdue(&mut self, now: Time) {
        let Role::Primary(office) = &mut self.role else {
            self.ask_next_heir(now);
            return;
        };
        let Some(asked) = office.step_down else { return };
        if asked.force {
            self.frozen_until = now + asked.period;
            self.leave_office(now);
        } else {
            office.step_down = None;
            self.out.push(Effect::PauseWrites(false));
            self.answer(asked.request, Err(Refusal::NobodyCaughtUp));
        }
    }

    pub(super) fn freeze(&mut self, request: u64, period: Time, now: Time) {
        if matches!(self.role, Role::Primary(_)) || self.ballot.is_some() {
            self.answer(request, Err(Refusal::Governing));
            return;
        }
        self.frozen_until = if period == 0 { 0 } else { now + period };
        self.answer(request, Ok(()));
    }
}

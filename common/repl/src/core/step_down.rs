//! A primary's way out of office: by a higher term, by the loss of its majority, or because it was asked; then with a hand-off.

use super::config::MemberId;
use super::effect::Effect;
use super::member::{Member, Office, Phase, Role, StepDown};
use super::message::{Body, State};
use super::refusal::Refusal;
use super::timer::{Time, Timer};

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
                *step_down = Some(StepDown { request, period, force });
                // Else the others would never catch up under load.
                self.out.push(Effect::PauseWrites(true));
                self.timers.set(Timer::StepDown, now + catch_up);
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
        let mut best: Option<(f64, MemberId)> = None;
        for peer in &self.peers {
            let electable = config.member(peer.id).filter(|member| member.is_electable());
            if let Some(member) = electable
                && peer.is_connected
                && peer.state == Some(State::Secondary)
                && peer.position.durable >= end
                && best.is_none_or(|(priority, _)| member.priority > priority)
            {
                best = Some((member.priority, member.id));
            }
        }
        if let Some((_, heir)) = best {
            self.frozen_until = now + asked.period;
            self.leave_office(now);
            self.say(heir, Body::StepUp);
        }
    }

    pub(super) fn step_down_overdue(&mut self, now: Time) {
        let Role::Primary(office) = &mut self.role else { return };
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

//! One member: what it knows, and the one door by which things happen to it.
//! What it does about them is in the sibling files, one per subject; each changes the state and pushes effects.

use super::bug::Bug;
use super::config::{ConfigId, MemberConfig, MemberId, SetConfig};
use super::effect::{Effect, Persistent};
use super::event::{Command, Event};
use super::message::{Body, Message, Position, Reason, State};
use super::refusal::Refusal;
use super::timer::{TIMERS, Time, Timer, Timers};
use std::sync::Arc;
use types::OpTime;

/// A term from a message may be ahead by no more: a broken peer must not use terms up.
const TERM_JUMP_MAX: i64 = 1 << 32;

/// What a process finds on disk when it starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    pub persistent: Persistent,
    pub config: Option<Arc<SetConfig>>,
    /// The last entry of the log, all of it synced and applied.
    pub last: OpTime,
}

/// What a member is at the moment, with what it needs to be that.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) enum Role {
    Startup,
    Removed,
    Arbiter,
    Resync { source: Option<MemberId> },
    Rollback { source: MemberId },
    Secondary,
    Primary(Office),
}

/// The primary's own affairs.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) struct Office {
    pub(super) phase: Phase,
    /// A majority of the voters is known to have the configuration.
    pub(super) config_committed: bool,
    pub(super) step_down: Option<StepDown>,
    /// The client that waits for its configuration to be committed.
    pub(super) reconfig: Option<u64>,
}

/// From the election to the first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Hears whether somebody is fresher, and pulls what is missing.
    CatchUp,
    /// Applies what was pulled.
    Drain,
    /// Writes the first entry of the term.
    Open,
    /// Takes writes.
    Writable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StepDown {
    pub(super) request: u64,
    pub(super) period: Time,
    pub(super) force: bool,
    /// When it was asked for.
    pub(super) since: Time,
}

/// An election this member stands in.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) struct Ballot {
    pub(super) dry_run: bool,
    pub(super) election: i64,
    pub(super) reason: Reason,
    pub(super) granted: Vec<MemberId>,
    pub(super) refused: Vec<MemberId>,
    pub(super) request: Option<u64>,
}

/// What is known of another member.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) struct Peer {
    pub(super) id: MemberId,
    /// How far it has come, never lowered while this member's term lasts.
    pub(super) position: Position,
    /// The end of its log as last heard, which a rollback lowers.
    pub(super) tip: OpTime,
    pub(super) state: Option<State>,
    pub(super) source: Option<MemberId>,
    pub(super) primary: Option<MemberId>,
    pub(super) config: ConfigId,
    pub(super) heard: Option<Time>,
    /// When it last answered something that was sent to it: the way there and back is open.
    pub(super) replied: Option<Time>,
    pub(super) ping: Option<Time>,
    pub(super) is_connected: bool,
    /// Said how far it is since this member was elected.
    pub(super) has_answered: bool,
    /// Not to be pulled from before.
    pub(super) avoid_until: Option<Time>,
    /// Its log begins after ours ends.
    pub(super) is_too_new: bool,
}

impl Peer {
    fn new(id: MemberId) -> Peer {
        Peer {
            id,
            position: Position::default(),
            tip: OpTime::default(),
            state: None,
            source: None,
            primary: None,
            config: ConfigId::NONE,
            heard: None,
            replied: None,
            ping: None,
            is_connected: true,
            has_answered: false,
            avoid_until: None,
            is_too_new: false,
        }
    }
}

/// The stream this member pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub(super) id: MemberId,
    /// Our last entry was found there: what it says of the commit point is about our own log.
    pub(super) is_open: bool,
}

/// The state machine of one member. Same events at same times, same effects.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Member {
    pub(super) host: Arc<str>,
    pub(super) me: Option<MemberId>,
    pub(super) config: Option<Arc<SetConfig>>,
    pub(super) persistent: Persistent,
    pub(super) role: Role,
    /// The end of the log here, synced or not.
    pub(super) written: OpTime,
    pub(super) position: Position,
    pub(super) commit_point: OpTime,
    pub(super) primary: Option<MemberId>,
    pub(super) hears_primary: bool,
    pub(super) ballot: Option<Ballot>,
    /// In the order of the configuration, without this member.
    pub(super) peers: Vec<Peer>,
    pub(super) source: Option<Source>,
    pub(super) forced_source: Option<MemberId>,
    pub(super) frozen_until: Time,
    /// After a step-down: who may be asked to stand next, as long as nobody has.
    pub(super) heirs: Vec<MemberId>,
    pub(super) timers: Timers,
    seed: u64,
    bug: Option<Bug>,
    pub(super) out: Vec<Effect>,
}

impl Member {
    /// A member that the configuration calls `host`, as it was when its process ended. `seed` spreads elections; 0 spreads nothing.
    pub fn new(host: &str, restored: Restored, seed: u64) -> Member {
        let last = restored.last;
        let mut member = Member {
            host: host.into(),
            me: None,
            config: None,
            persistent: restored.persistent,
            role: Role::Startup,
            written: last,
            position: Position { applied: last, durable: last },
            commit_point: OpTime::default(),
            primary: None,
            hears_primary: false,
            ballot: None,
            peers: Vec::new(),
            source: None,
            forced_source: None,
            frozen_until: 0,
            heirs: Vec::new(),
            timers: Timers::default(),
            seed,
            bug: None,
            out: Vec::new(),
        };
        // A crash may have come between the log and the term; whoever wrote in a term knows it.
        member.persistent.term = member.persistent.term.max(0);
        if let Some(config) = restored.config {
            member.adopt(config);
        }
        member
    }

    /// From now on the configuration calls this process so: names that mean the same host differ in spelling, and to find that out is
    /// not for this code. To be told before the configuration is.
    pub fn rename(&mut self, host: &str) {
        self.host = host.into();
    }

    /// The same with a fault in it.
    #[cfg(feature = "bugs")]
    #[must_use]
    pub fn with_bug(mut self, bug: Bug) -> Member {
        self.bug = Some(bug);
        self
    }

    /// What decides what this member will do if time is left out: two members that agree in it differ only in when they act and from
    /// whom they pull. Models, which choose both freely, tell states apart by it.
    #[cfg(feature = "bugs")]
    pub fn hash_essence(&self, state: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        (self.me, self.config_id(), &self.role, self.persistent).hash(state);
        (self.written, self.position, self.commit_point, &self.ballot, &self.heirs).hash(state);
        // Counted by a primary only, and from zero by the next one.
        for peer in self.peers.iter().filter(|_| matches!(self.role, Role::Primary(_))) {
            (peer.id, peer.position, peer.config).hash(state);
        }
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "bugs") && self.bug == Some(bug)
    }

    /// Something happens. The effects are to be carried out in their order, before the next event.
    pub fn on(&mut self, event: Event, now: Time) -> Vec<Effect> {
        let before = (self.persistent, self.state());
        match event {
            Event::Start => self.start(now),
            Event::Tick => {
                for timer in TIMERS {
                    if self.timers.is_due(timer, now) {
                        self.fire(timer, now);
                    }
                }
            }
            Event::Timer(timer) => self.fire(timer, now),
            Event::Receive(message) => self.receive(message, now),
            Event::Disconnected(peer) => self.disconnected(peer, now),
            Event::Written(last) => self.log_written(last),
            Event::Synced(last) => {
                self.position.durable = self.position.durable.max(last.min(self.written));
                self.report_positions();
            }
            Event::Applied(last) => {
                self.position.applied = self.position.applied.max(last.min(self.written));
                self.report_positions();
            }
            Event::StreamOpened { source, verdict } => self.stream_opened(source, verdict, now),
            Event::StreamMeta { source, term, commit_point } => {
                self.observe_term(term, now);
                if self.source == Some(Source { id: source, is_open: true }) {
                    self.learn_commit_point(commit_point, true);
                }
            }
            Event::StreamLost { source } => self.stream_lost(source, now),
            Event::Drained { term } => self.drained(term),
            Event::CommonPoint { source, found } => self.common_point(source, found, now),
            Event::RolledBack { last } => self.rolled_back(last, now),
            Event::Resynced { last } => self.resynced(last, now),
            Event::Command { request, command } => self.command(request, command, now),
        }
        self.settle(now);
        let mut effects = std::mem::take(&mut self.out);
        if self.persistent != before.0 {
            let mut persistent = self.persistent;
            if self.has(Bug::VoteNotPersisted) {
                persistent.voted_for = None;
            }
            // Before anything that was said or done in the new term.
            effects.insert(0, Effect::Persist(persistent));
        }
        if self.state() != before.1 {
            effects.push(Effect::Became(self.state()));
        }
        effects
    }

    /// What follows from the new state, whatever changed it.
    fn settle(&mut self, now: Time) {
        self.settle_config();
        self.advance_commit_point();
        self.settle_newly_added(now);
        self.settle_step_down(now);
        self.settle_source(now);
        self.settle_catch_up();
    }

    fn start(&mut self, now: Time) {
        if self.config.is_none() {
            return;
        }
        self.assume_role(now);
        self.send_heartbeats(now);
        if self.own().is_some_and(MemberConfig::is_electable)
            && self.config.as_ref().is_some_and(|config| config.majority() == 1)
        {
            self.stand(Reason::ElectionTimeout, true, None, now);
        }
    }

    fn fire(&mut self, timer: Timer, now: Time) {
        self.timers.clear(timer);
        match timer {
            Timer::Heartbeat => self.send_heartbeats(now),
            Timer::KeepAlive => self.send_keep_alives(now),
            Timer::Hush => self.hears_primary = false,
            Timer::Silence => self.silence(now),
            Timer::Election => self.election_timeout(now),
            Timer::Ballot => self.ballot_lost(None, now),
            Timer::Majority => self.majority_lost(now),
            // Read by `settle`: what matters is that they no longer run.
            Timer::Listen | Timer::Source => {}
            Timer::CatchUp => self.end_catch_up(),
            Timer::PriorityTakeover => self.priority_takeover(now),
            Timer::CatchUpTakeover => self.catch_up_takeover(now),
            Timer::StepDown => self.step_down_overdue(now),
        }
    }

    fn receive(&mut self, message: Message, now: Time) {
        let Message { from, term, body } = message;
        if Some(from) == self.me || self.config.is_none() && !matches!(body, Body::Config(_)) {
            return;
        }
        if !(self.has(Bug::IgnoreHigherTerm) && matches!(self.role, Role::Primary(_))) {
            self.observe_term(term, now);
        }
        if let Some(peer) = self.peer_mut(from) {
            peer.heard = Some(now);
            peer.is_connected = true;
        }
        match body {
            Body::Heartbeat { sent, status } => {
                self.note_status(from, term, status, now);
                self.say(from, self.reply(sent));
            }
            Body::HeartbeatReply { sent, status } => {
                self.note_reply(from, sent, now);
                self.note_status(from, term, status, now);
            }
            Body::VoteRequest(request) => self.vote_request(from, term, request, now),
            Body::VoteReply(reply) => self.vote_reply(from, reply, now),
            Body::KeepAlive { commit_point, config } => {
                self.keep_alive(from, term, commit_point, config, now);
            }
            Body::Positions(positions) => self.note_positions(positions),
            Body::StepUp => {
                if term == self.persistent.term {
                    self.stand(Reason::StepUp, false, None, now);
                }
            }
            Body::Config(config) => self.receive_config(from, config, now),
        }
    }

    fn command(&mut self, request: u64, command: Command, now: Time) {
        match command {
            Command::Initiate { config } => self.initiate(request, config, now),
            Command::Reconfig { config, force } => self.reconfig(request, &config, force, now),
            Command::StepDown { period, catch_up, force } => {
                self.ask_step_down(request, period, catch_up, force, now);
            }
            Command::StepUp { skip_dry_run } => {
                match self.can_stand(now) {
                    Ok(()) => self.stand(Reason::StepUp, !skip_dry_run, Some(request), now),
                    Err(why) => self.answer(request, Err(Refusal::NotElectable(why))),
                };
            }
            Command::Freeze { period } => self.freeze(request, period, now),
            Command::SyncFrom { source } => self.sync_from(request, source),
            Command::AbortCatchUp => {
                let is_catching_up =
                    matches!(&self.role, Role::Primary(Office { phase: Phase::CatchUp, .. }));
                self.end_catch_up();
                let refusal = Refusal::NotPrimary("abort a catch-up");
                self.answer(request, if is_catching_up { Ok(()) } else { Err(refusal) });
            }
        }
    }

    /// A higher term ends everything that was true in the last one.
    pub(super) fn observe_term(&mut self, term: i64, now: Time) {
        if term <= self.persistent.term || term > self.persistent.term.saturating_add(TERM_JUMP_MAX) {
            return;
        }
        self.persistent.term = term;
        self.persistent.voted_for = None;
        self.primary = None;
        self.hears_primary = false;
        self.give_up_ballot();
        // Somebody stands.
        self.heirs.clear();
        if matches!(self.role, Role::Primary(_)) {
            self.leave_office(now);
        }
    }

    fn log_written(&mut self, last: OpTime) {
        self.written = self.written.max(last);
        if let Role::Primary(office) = &mut self.role
            && office.phase == Phase::Open
            && last.term == self.persistent.term
        {
            office.phase = Phase::Writable;
            let term = self.persistent.term;
            self.out.push(Effect::AcceptWrites(Some(term)));
        }
    }

    /// Takes the part that the configuration gives this member.
    pub(super) fn assume_role(&mut self, now: Time) {
        let role = match self.own() {
            None => Role::Removed,
            Some(own) if own.arbiter_only => Role::Arbiter,
            Some(_) if self.written == OpTime::default() => Role::Resync { source: None },
            Some(_) => Role::Secondary,
        };
        match (&self.role, &role) {
            // What is under way goes on.
            (Role::Primary(_), Role::Secondary)
            | (Role::Rollback { .. } | Role::Resync { .. }, Role::Secondary | Role::Resync { .. }) => {}
            (Role::Primary(_), _) => {
                self.leave_office(now);
                self.role = role;
            }
            _ => self.role = role,
        }
        match self.role {
            Role::Primary(_) => {}
            Role::Removed | Role::Startup => {
                self.timers = Timers::default();
                self.drop_source();
            }
            _ => {
                self.timers.set_once(Timer::Heartbeat, now);
                self.wait_for_primary(now);
            }
        }
    }

    /// Makes the configuration this member's own, in memory.
    pub(super) fn adopt(&mut self, config: Arc<SetConfig>) {
        // Never by number: a number that was given to another host must not give it a second voter.
        self.me = config.members.iter().find(|member| *member.host == *self.host).map(|member| member.id);
        let mut known = std::mem::take(&mut self.peers);
        self.peers = config
            .members
            .iter()
            .filter(|member| Some(member.id) != self.me)
            .map(|member| match known.iter().position(|peer| peer.id == member.id) {
                Some(index) => known.swap_remove(index),
                None => Peer::new(member.id),
            })
            .collect();
        if self.primary.is_some_and(|primary| config.member(primary).is_none()) {
            self.primary = None;
        }
        self.config = Some(config);
    }

    /// This member in the configuration; `None` when it is not in it.
    pub(super) fn own(&self) -> Option<&MemberConfig> {
        self.config.as_ref()?.member(self.me?)
    }

    pub(super) fn peer(&self, id: MemberId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    pub(super) fn peer_mut(&mut self, id: MemberId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    pub(super) fn say(&mut self, to: MemberId, body: Body) {
        if let Some(from) = self.me {
            let message = Message { from, term: self.persistent.term, body };
            self.out.push(Effect::Send(to, message));
        }
    }

    pub(super) fn say_all(&mut self, body: &Body) {
        for index in 0..self.peers.len() {
            self.say(self.peers[index].id, body.clone());
        }
    }

    pub(super) fn answer(&mut self, request: u64, result: Result<(), Refusal>) {
        self.out.push(Effect::Reply { request, result });
    }

    /// A number below `bound` from the seed; the same for the same history.
    pub(super) fn spread(&mut self, bound: Time) -> Time {
        if self.seed == 0 || bound == 0 {
            return 0;
        }
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

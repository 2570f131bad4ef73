//! A set of members as a model for `stateright`: the production state machine, with time left out.
//! The net keeps every message for ever, so each may come late, twice, in any order, or never. What was not synced is gone after a
//! crash. Pulling one entry is one step; everything a member's own driver does without others is part of the event it follows.

use super::judge::{self, Judge};
use super::{at, end, next_entry};
use repl::core::bug::Bug;
use repl::core::config::{MemberId, SetConfig};
use repl::core::effect::Persistent;
use repl::core::event::Verdict;
use repl::core::message::{Body, State as MemberState};
use repl::core::{Command, Effect, Event, Member, Message, Restored};
use stateright::{Checker, Model, Property};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use types::OpTime;

/// The bounds of one model.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub config: Arc<SetConfig>,
    /// Configurations the primary may be asked for, in any order, each once.
    pub reconfigs: Vec<Arc<SetConfig>>,
    /// Who may stand for each term from 2 on.
    pub candidates: Vec<Vec<usize>>,
    pub writes_max: u8,
    pub crashes_max: u8,
    /// Whether a report of a position may come late and twice (of one member to another, only the latest is on its way); else it
    /// comes at once.
    pub late_reports: bool,
    /// Whether what is written is synced in a step of its own; else it is at once.
    pub slow_disks: bool,
    /// Whether members hear of the commit point, which their own decisions to roll back are checked against.
    pub tells_commit_point: bool,
    pub bug: Option<Bug>,
}

impl Bounds {
    /// Elections, and nothing else happens.
    pub fn of(config: Arc<SetConfig>, candidates: &[&[usize]]) -> Bounds {
        Bounds {
            config,
            reconfigs: Vec::new(),
            candidates: candidates.iter().map(|who| who.to_vec()).collect(),
            writes_max: 0,
            crashes_max: 0,
            late_reports: false,
            slow_disks: false,
            tells_commit_point: false,
            bug: None,
        }
    }
}

/// Everything within the bounds is as it should be.
pub fn check(bounds: Bounds) {
    assert_eq!(explore(bounds).violations, []);
}

/// The fault is found within the bounds.
pub fn check_caught(bug: Bug, bounds: Bounds) {
    let found = explore(Bounds { bug: Some(bug), ..bounds });
    assert!(!found.violations.is_empty(), "{bug:?} was not caught");
}

/// One process: the member, its log, and what of it would be left after a crash.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    pub member: Member,
    pub log: Vec<OpTime>,
    pub synced: usize,
    persistent: Persistent,
    config: Arc<SetConfig>,
}

#[derive(Debug, Clone, PartialEq)]
struct Packet {
    key: u64,
    to: MemberId,
    message: Message,
}

/// A state of the whole set.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    pub processes: Vec<Process>,
    /// Sorted by key.
    net: Vec<Arc<Packet>>,
    pub judge: Judge,
    writes: u8,
    crashes: u8,
    asked: u8,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for process in &self.processes {
            process.member.hash_essence(state);
            (&process.log, process.synced, process.persistent, process.config.config_id()).hash(state);
        }
        for packet in &self.net {
            packet.key.hash(state);
        }
        (&self.judge, self.writes, self.crashes, self.asked).hash(state);
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Stands for election.
    Stand(usize),
    /// The packet of that key arrives (once more).
    Deliver(u64),
    /// The first pulls the next entry from the second, or rolls back for it.
    Pull(usize, usize),
    /// The log is synced.
    Sync(usize),
    /// The first tells the second how far it is.
    Report(usize, usize),
    /// A client writes there.
    Write(usize),
    /// The process dies and starts again.
    Crash(usize),
    /// A client asks for that configuration.
    Reconfig(usize, usize),
}

fn index_of(id: MemberId) -> usize {
    usize::try_from(id).unwrap_or(0)
}

impl Bounds {
    fn restore(&self, index: usize, persistent: Persistent, config: &Arc<SetConfig>, last: OpTime) -> Member {
        let restored = Restored { persistent, config: Some(Arc::clone(config)), last };
        let member = Member::new(&self.config.members[index].host, restored, 0);
        match self.bug {
            Some(bug) => member.with_bug(bug),
            None => member,
        }
    }

    fn initial(&self) -> World {
        let base = at(0, 1);
        let process = |index: usize| {
            let holds_data = self.config.members[index].holds_data();
            let log = if holds_data { vec![base] } else { Vec::new() };
            let member = self.restore(index, Persistent::default(), &self.config, end(&log));
            let synced = log.len();
            Process {
                member,
                log,
                synced,
                persistent: Persistent::default(),
                config: Arc::clone(&self.config),
            }
        };
        let mut world = World {
            processes: (0..self.config.members.len()).map(process).collect(),
            net: Vec::new(),
            judge: Judge::default(),
            writes: 0,
            crashes: 0,
            asked: 0,
        };
        for index in 0..world.processes.len() {
            self.happen(&mut world, index, Event::Start);
        }
        // Member 0 governs in term 1; all know its configuration. From here on everything is open.
        self.happen(&mut world, 0, stand(true));
        loop {
            let undelivered = std::mem::take(&mut world.net);
            if undelivered.is_empty() {
                break;
            }
            for packet in undelivered {
                self.happen(&mut world, index_of(packet.to), Event::Receive(packet.message.clone()));
            }
        }
        for index in 1..world.processes.len() {
            let event = report(&world.processes[index].member);
            self.happen(&mut world, 0, event);
        }
        world.net.clear();
        world
    }

    /// Gives a member an event and does what it wants done, until it wants nothing more of its own process.
    fn happen(&self, world: &mut World, index: usize, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let is_vote = matches!(&event, Event::Receive(Message { body: Body::VoteReply(_), .. }));
            let is_written = matches!(event, Event::Written(_));
            let effects = world.processes[index].member.on(event, 0);
            if is_written && !self.slow_disks {
                let process = &mut world.processes[index];
                process.synced = process.log.len();
                events.push_back(Event::Synced(end(&process.log)));
            }
            for effect in effects {
                self.carry_out(world, index, effect, &mut events);
            }
            // Whom to catch up with is a matter of time, and time is left out: the worst case is nobody.
            if (is_vote || world.processes[index].member.term() == 1)
                && world.processes[index].member.state() == MemberState::Primary
                && !world.processes[index].member.accepts_writes()
            {
                events.push_back(Event::Command { request: 0, command: Command::AbortCatchUp });
            }
        }
    }

    fn carry_out(&self, world: &mut World, index: usize, effect: Effect, events: &mut VecDeque<Event>) {
        let World { processes, net, judge, .. } = world;
        match effect {
            Effect::Persist(persistent) => processes[index].persistent = persistent,
            Effect::StoreConfig(config) => processes[index].config = config,
            Effect::Send(to, message) => {
                let matters = match &message.body {
                    Body::VoteRequest(_) => true,
                    // A refusal only ends an election sooner.
                    Body::VoteReply(reply) => reply.refused.is_none(),
                    // Where no member changes its part, configurations come with the entries.
                    Body::Config(_) => !self.reconfigs.is_empty(),
                    Body::HeartbeatReply { .. }
                    | Body::Heartbeat { .. }
                    | Body::KeepAlive { .. }
                    | Body::Positions(_)
                    | Body::StepUp => false,
                };
                let mut message = message;
                if let Body::VoteReply(reply) = &mut message.body {
                    // Tells only whom to catch up with.
                    reply.last = OpTime::default();
                }
                if matters {
                    post(net, to, message);
                }
            }
            Effect::Drain { term } => events.push_back(Event::Drained { term }),
            Effect::WriteNoop { term } => {
                let process = &mut processes[index];
                process.log.push(next_entry(&process.log, term));
                events.push_back(Event::Written(end(&process.log)));
                events.push_back(Event::Applied(end(&process.log)));
            }
            Effect::CommitPoint(point) => {
                let process = &processes[index];
                judge.commit(process.member.term(), point, &process.log);
                for other in processes.iter().filter(|other| other.member.state() == MemberState::Primary) {
                    judge.primary_has_all(other.member.term(), &other.log);
                }
            }
            Effect::FindCommonPoint { source } => {
                let theirs = &processes[index_of(source)].log;
                let found = processes[index].log.iter().rfind(|entry| theirs.contains(entry)).copied();
                events.push_back(Event::CommonPoint { source, found });
            }
            Effect::Rollback { to } => {
                let process = &mut processes[index];
                let keep = process.log.partition_point(|entry| *entry <= to);
                judge.cut(&process.log[keep..]);
                process.log.truncate(keep);
                process.synced = process.log.len();
                events.push_back(Event::RolledBack { last: end(&process.log) });
            }
            Effect::Became(MemberState::Primary) => {
                let process = &processes[index];
                judge.elected(process.member.term(), process.member.id().unwrap_or(-1), &process.log);
            }
            Effect::Halt(_) => judge.halted(),
            Effect::Resync { .. }
            | Effect::Became(_)
            | Effect::Fetch(_)
            | Effect::AcceptWrites(_)
            | Effect::PauseWrites(_)
            | Effect::Reply { .. } => {}
        }
    }

    fn pull(&self, world: &mut World, index: usize, from: usize) -> bool {
        let source = world.config_id_of(from);
        let last = end(&world.processes[index].log);
        let theirs = world.processes[from].log.clone();
        let theirs_at = theirs.binary_search(&last);
        let verdict = match theirs_at {
            Ok(_) => Verdict::Found,
            Err(_) => Verdict::Diverged { last: end(&theirs) },
        };
        let theirs_config = Arc::clone(&world.processes[from].config);
        let own_id = world.processes[index].member.config_id();
        if self.reconfigs.is_empty() && theirs_config.config_id().is_newer_than(own_id) {
            let term = world.processes[from].member.term();
            let message = Message { from: source, term, body: Body::Config(theirs_config) };
            self.happen(world, index, Event::Receive(message));
        }
        self.happen(world, index, Event::Command { request: 0, command: Command::SyncFrom { source } });
        self.happen(world, index, Event::StreamOpened { source, verdict });
        let status = world.processes[from].member.status();
        let term = world.processes[from].member.term();
        if world.processes[index].member.is_pulling_from(source) {
            // The term comes before the entries, what is committed after them.
            self.happen(world, index, Event::StreamMeta { source, term, commit_point: OpTime::default() });
            let next = theirs.iter().find(|entry| **entry > last).copied();
            if let Some(entry) = next.filter(|_| world.processes[index].member.is_pulling_from(source)) {
                world.processes[index].log.push(entry);
                self.happen(world, index, Event::Written(entry));
            }
            if self.tells_commit_point {
                let commit_point = status.commit_point;
                self.happen(world, index, Event::StreamMeta { source, term, commit_point });
            }
        }
        self.happen(world, index, Event::StreamLost { source });
        true
    }
}

impl World {
    /// Packets that nobody will act on any more tell no two states apart.
    fn drop_dead_packets(&mut self) {
        let World { processes, net, .. } = self;
        net.retain(|packet| {
            let recipient = &processes[index_of(packet.to)].member;
            match &packet.message.body {
                Body::VoteRequest(request) => request.election >= recipient.term(),
                Body::VoteReply(reply) => {
                    reply.election >= recipient.term() && recipient.state() == MemberState::Secondary
                }
                Body::Config(config) => {
                    config.config_id().is_newer_than(recipient.config_id())
                        || packet.message.term > recipient.term()
                }
                _ => true,
            }
        });
    }

    fn config_id_of(&self, index: usize) -> MemberId {
        MemberId::try_from(index).unwrap_or(0)
    }
}

fn stand(skip_dry_run: bool) -> Event {
    Event::Command { request: 0, command: Command::StepUp { skip_dry_run } }
}

fn report(member: &Member) -> Event {
    let mut status = member.status();
    // What no decision here depends on.
    status.source = None;
    status.primary = None;
    status.commit_point = OpTime::default();
    status.position.applied = OpTime::default();
    Event::Receive(Message {
        from: member.id().unwrap_or(-1),
        term: member.term(),
        body: Body::HeartbeatReply { sent: 0, status },
    })
}

fn post(net: &mut Vec<Arc<Packet>>, to: MemberId, message: Message) {
    let mut hasher = DefaultHasher::new();
    (to, &message).hash(&mut hasher);
    let key = hasher.finish();
    if let Err(index) = net.binary_search_by_key(&key, |packet| packet.key) {
        net.insert(index, Arc::new(Packet { key, to, message }));
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.initial()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let count = world.processes.len();
        if world.judge.violation.is_some() {
            return;
        }
        for (index, process) in world.processes.iter().enumerate() {
            let member = &process.member;
            let next = usize::try_from(member.term() - 1).ok().and_then(|term| self.candidates.get(term));
            if next.is_some_and(|candidates| candidates.contains(&index)) {
                actions.push(Action::Stand(index));
            }
            if process.synced < process.log.len() {
                actions.push(Action::Sync(index));
            }
            if world.writes < self.writes_max && member.accepts_writes() {
                actions.push(Action::Write(index));
            }
            if world.crashes < self.crashes_max {
                actions.push(Action::Crash(index));
            }
            if member.accepts_writes() {
                for wanted in 0..self.reconfigs.len() {
                    if world.asked & (1 << wanted) == 0 {
                        actions.push(Action::Reconfig(index, wanted));
                    }
                }
            }
            for other in (0..count).filter(|other| *other != index) {
                let theirs = &world.processes[other];
                if member.state() == MemberState::Secondary && end(&theirs.log) != OpTime::default() {
                    actions.push(Action::Pull(index, other));
                }
                if theirs.member.state() == MemberState::Primary {
                    actions.push(Action::Report(index, other));
                }
            }
        }
        actions.extend(world.net.iter().map(|packet| Action::Deliver(packet.key)));
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Stand(index) => self.happen(&mut world, index, stand(true)),
            Action::Deliver(key) => {
                let packet = Arc::clone(world.net.iter().find(|packet| packet.key == key)?);
                self.happen(&mut world, index_of(packet.to), Event::Receive(packet.message.clone()));
            }
            Action::Pull(index, from) => {
                self.pull(&mut world, index, from);
            }
            Action::Sync(index) => {
                world.processes[index].synced = world.processes[index].log.len();
                let last = end(&world.processes[index].log);
                self.happen(&mut world, index, Event::Synced(last));
            }
            Action::Report(index, to) => {
                if let Event::Receive(message) = report(&world.processes[index].member) {
                    let target = world.config_id_of(to);
                    if self.late_reports {
                        let is_report = |body: &Body| matches!(body, Body::HeartbeatReply { .. });
                        world.net.retain(|packet| {
                            packet.to != target
                                || packet.message.from != message.from
                                || !is_report(&packet.message.body)
                        });
                        post(&mut world.net, target, message);
                    } else {
                        self.happen(&mut world, to, Event::Receive(message));
                    }
                }
            }
            Action::Write(index) => {
                let process = &mut world.processes[index];
                let entry = next_entry(&process.log, process.member.term());
                process.log.push(entry);
                world.writes += 1;
                self.happen(&mut world, index, Event::Written(entry));
                self.happen(&mut world, index, Event::Applied(entry));
            }
            Action::Crash(index) => {
                world.crashes += 1;
                let process = &mut world.processes[index];
                process.log.truncate(process.synced);
                process.member = self.restore(index, process.persistent, &process.config, end(&process.log));
                self.happen(&mut world, index, Event::Start);
            }
            Action::Reconfig(index, wanted) => {
                world.asked |= 1 << wanted;
                let mut config = (*self.reconfigs[wanted]).clone();
                config.version = world.processes[index].member.config_id().version + 1;
                let command = Command::Reconfig { config: Arc::new(config), force: false };
                self.happen(&mut world, index, Event::Command { request: 1, command });
            }
        }
        world.drop_dead_packets();
        let World { processes, judge, .. } = &mut world;
        for (index, process) in processes.iter().enumerate() {
            for other in &processes[index + 1..] {
                judge.logs(&process.log, &other.log);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(world: &World, what: &str) -> bool {
            world.judge.violation != Some(what)
        }
        vec![
            Property::always(judge::TWO_PRIMARIES, |_, world| holds(world, judge::TWO_PRIMARIES)),
            Property::always(judge::LOST, |_, world| holds(world, judge::LOST)),
            Property::always(judge::FORKED, |_, world| holds(world, judge::FORKED)),
            Property::always(judge::INCOMPLETE, |_, world| holds(world, judge::INCOMPLETE)),
            Property::always(judge::MISMATCH, |_, world| holds(world, judge::MISMATCH)),
            Property::always(judge::HALTED, |_, world| holds(world, judge::HALTED)),
            // The model is not empty: something is committed in a second term.
            Property::sometimes("a second term commits", |_, world: &World| {
                world.judge.committed.iter().any(|(entry, _)| entry.term > 1)
            }),
        ]
    }
}

/// What a run found.
#[derive(Debug)]
pub struct Found {
    pub unique_states: usize,
    pub depth: usize,
    pub violations: Vec<(&'static str, Vec<String>)>,
}

/// Explores everything within the bounds, or until the first violation.
pub fn explore(bounds: Bounds) -> Found {
    let name = format!("{:?}", bounds.bug);
    let started = std::time::Instant::now();
    let is_bugged = bounds.bug.is_some();
    let mut builder = bounds.checker().threads(2);
    if is_bugged {
        builder = builder.finish_when(stateright::HasDiscoveries::AnyFailures);
    }
    if let Some(count) = std::env::var("STATES_MAX").ok().and_then(|count| count.parse().ok()) {
        builder = builder.target_state_count(count);
    }
    let checker = builder.spawn_bfs().join();
    let violations = checker
        .discoveries()
        .into_iter()
        .filter(|(what, _)| *what != "a second term commits")
        .map(|(what, path)| (what, path.into_actions().iter().map(|action| format!("{action:?}")).collect()))
        .collect::<Vec<(&'static str, Vec<String>)>>();
    let found = Found { unique_states: checker.unique_state_count(), depth: checker.max_depth(), violations };
    println!(
        "bug {name}: {} unique states, depth {}, {} ms, violations {:?}",
        found.unique_states,
        found.depth,
        started.elapsed().as_millis(),
        found.violations
    );
    found
}

//! A seeded simulation of a whole set: own event queue, network, disks and clocks, the production state machine in each process.
//! Everything comes from the seed; the same seed gives the same run, to which [`Outcome::trace`] testifies.

use super::judge::Judge;
use super::{Kind, at, end, next_entry};
use repl::core::bug::Bug;
use repl::core::config::{MemberId, SetConfig};
use repl::core::effect::Persistent;
use repl::core::event::Verdict;
use repl::core::message::State;
use repl::core::{Command, Effect, Event, Member, Message, Refusal, Restored};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use types::OpTime;
use types::concern::W;

/// Microseconds of simulated time.
pub type Micros = u64;
pub const MS: Micros = 1000;
pub const SECOND: Micros = 1000 * MS;

const PULL_AGAIN: Micros = 10 * MS;
const PULL_RETRY: Micros = 300 * MS;
const BATCH_MAX: usize = 50;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Options {
    pub members: usize,
    pub arbiters: usize,
    /// How many of the members have no configuration and no data yet.
    pub spares: usize,
    /// How long faults go on; then they are lifted.
    pub faults: Micros,
    /// How long the set has to recover after that.
    pub calm: Micros,
    pub partitions: bool,
    pub crashes: bool,
    pub slow_disks: bool,
    /// Part per thousand of messages lost, and as many doubled.
    pub loss: u64,
    /// Clocks run faster or slower by up to so many percent.
    pub skew: u64,
    pub write_every: Micros,
    pub tune: fn(&mut SetConfig),
    pub bug: Option<Bug>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            members: 3,
            arbiters: 0,
            spares: 0,
            faults: 15 * SECOND,
            calm: 15 * SECOND,
            partitions: true,
            crashes: true,
            slow_disks: true,
            loss: 10,
            skew: 10,
            write_every: 20 * MS,
            tune: |_| {},
            bug: None,
        }
    }
}

/// splitmix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[derive(Debug, Clone, Hash)]
enum Packet {
    Core(Message),
    Pull {
        generation: u64,
        after: OpTime,
    },
    Batch {
        generation: u64,
        after: OpTime,
        verdict: Verdict,
        entries: Vec<OpTime>,
        term: i64,
        commit_point: OpTime,
    },
}

#[derive(Debug, Clone, Hash)]
enum Happening {
    Arrive { from: usize, to: usize, packet: Packet },
    Wake(usize, u64),
    Synced { node: usize, epoch: u64, cuts: u64, count: usize },
    Local { node: usize, epoch: u64, event: Event },
    Common { node: usize, epoch: u64, source: usize },
    Copied { node: usize, epoch: u64, source: usize },
    Pull { node: usize, epoch: u64, generation: u64, asked: u64 },
    Reset { node: usize, peer: usize },
    Restart(usize),
    Write,
    Fault,
    Calm,
}

#[derive(Debug, Clone, Copy, Hash)]
struct Stream {
    source: usize,
    generation: u64,
    is_open: bool,
    asked: u64,
}

/// One process and its disk.
#[derive(Debug)]
pub struct Node {
    pub member: Option<Member>,
    pub log: Vec<OpTime>,
    synced: usize,
    persistent: Persistent,
    config: Option<Arc<SetConfig>>,
    epoch: u64,
    cuts: u64,
    is_syncing: bool,
    disk: Micros,
    busy_until: Micros,
    /// Parts per million of true time.
    rate: u64,
    stream: Option<Stream>,
    wake_at: Option<Micros>,
    is_paused: bool,
}

/// A write a client waits for.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    entry: OpTime,
    node: usize,
    epoch: u64,
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Outcome {
    pub violation: Option<&'static str>,
    /// Entries acknowledged with `w: majority`.
    pub acknowledged: BTreeSet<OpTime>,
    /// Entries acknowledged with `w: 1`.
    pub written: BTreeSet<OpTime>,
    /// Entries in rollback files.
    pub filed: BTreeSet<OpTime>,
    /// Entries that a crash took before they were synced.
    pub crashed: BTreeSet<OpTime>,
    pub logs: Vec<Vec<OpTime>>,
    /// When something was committed again after the faults were lifted, from then.
    pub recovered_after: Option<Micros>,
    pub elections: usize,
    pub trace: u64,
}

/// The whole.
#[derive(Debug)]
pub struct Sim {
    pub now: Micros,
    pub nodes: Vec<Node>,
    pub judge: Judge,
    pub outcome: Outcome,
    /// Replies to commands: request, result, when.
    pub replies: Vec<(u64, Result<(), Refusal>, Micros)>,
    /// Who became primary when, and when it opened for writes.
    pub offices: Vec<(Micros, usize, i64)>,
    pub opened: Vec<(Micros, usize, i64)>,
    options: Options,
    random: Random,
    queue: BTreeMap<(Micros, u64), Happening>,
    sequence: u64,
    cut: Vec<Vec<bool>>,
    waiting: Vec<Waiting>,
    calm_since: Option<Micros>,
    is_quiet: bool,
    trace: DefaultHasher,
}

fn id(node: usize) -> MemberId {
    MemberId::try_from(node).unwrap_or(0)
}

fn node(id: MemberId) -> usize {
    usize::try_from(id).unwrap_or(0)
}

impl Sim {
    /// A set of which nobody governs yet; every log has one entry.
    pub fn new(seed: u64, options: Options) -> Sim {
        let mut random = Random(seed);
        let first = options.members - options.spares;
        let kind = |one| if one < first - options.arbiters { Kind::Voter } else { Kind::Arbiter };
        let kinds: Vec<(MemberId, Kind)> = (0..first).map(|one| (id(one), kind(one))).collect();
        let mut config = super::config(1, &kinds);
        (options.tune)(&mut config);
        let config = Arc::new(config);
        let nodes = (0..options.members)
            .map(|one| {
                let holds_data = config.members.get(one).is_some_and(|member| member.holds_data());
                let log = if holds_data { vec![at(0, 1)] } else { Vec::new() };
                Node {
                    member: None,
                    synced: log.len(),
                    log,
                    persistent: Persistent::default(),
                    config: (one < first).then(|| Arc::clone(&config)),
                    epoch: 0,
                    cuts: 0,
                    is_syncing: false,
                    disk: 2 * MS,
                    busy_until: 0,
                    rate: 1_000_000 - options.skew * 10_000 + random.below(options.skew * 20_000 + 1),
                    stream: None,
                    wake_at: None,
                    is_paused: false,
                }
            })
            .collect();
        let cut = vec![vec![false; options.members]; options.members];
        let mut sim = Sim {
            now: 0,
            nodes,
            judge: Judge::default(),
            outcome: Outcome::default(),
            replies: Vec::new(),
            offices: Vec::new(),
            opened: Vec::new(),
            options,
            random,
            queue: BTreeMap::new(),
            sequence: 0,
            cut,
            waiting: Vec::new(),
            calm_since: None,
            is_quiet: false,
            trace: DefaultHasher::new(),
        };
        for one in 0..sim.nodes.len() {
            sim.boot(one);
        }
        sim.schedule(0, Happening::Write);
        if sim.options.faults > 0 {
            sim.schedule(2 * SECOND, Happening::Fault);
            sim.schedule(sim.options.faults, Happening::Calm);
        }
        sim
    }

    fn schedule(&mut self, after: Micros, what: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), what);
    }

    fn local(&self, one: usize) -> u64 {
        SECOND + (u128::from(self.now) * u128::from(self.nodes[one].rate) / 1_000_000) as u64
    }

    fn boot(&mut self, one: usize) {
        let seed = self.random.next() | 1;
        let node = &mut self.nodes[one];
        let restored =
            Restored { persistent: node.persistent, config: node.config.clone(), last: end(&node.log) };
        let member = Member::new(&super::host(id(one)), restored, seed);
        node.member = Some(match self.options.bug {
            Some(bug) => member.with_bug(bug),
            None => member,
        });
        node.busy_until = self.now;
        self.happen(one, Event::Start);
    }

    /// Kills a process: what was not synced is gone, its peers see their connections reset.
    pub fn kill(&mut self, one: usize) {
        let node = &mut self.nodes[one];
        if node.member.take().is_none() {
            return;
        }
        node.epoch += 1;
        node.cuts += 1;
        (node.stream, node.wake_at, node.is_syncing, node.is_paused) = (None, None, false, false);
        self.outcome.crashed.extend(node.log.drain(node.synced..));
        for peer in (0..self.nodes.len()).filter(|peer| *peer != one) {
            if !self.cut[one][peer] {
                self.schedule(MS, Happening::Reset { node: peer, peer: one });
            }
        }
    }

    /// Starts a dead process.
    pub fn restart(&mut self, one: usize) {
        if self.nodes[one].member.is_none() {
            self.boot(one);
        }
    }

    /// Cuts (or heals) the way from one to the other.
    pub fn set_cut(&mut self, from: usize, to: usize, is_cut: bool) {
        self.cut[from][to] = is_cut;
    }

    /// Cuts (or heals) both ways between one and everybody.
    pub fn set_isolated(&mut self, one: usize, is_cut: bool) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != one) {
            self.set_cut(one, peer, is_cut);
            self.set_cut(peer, one, is_cut);
        }
    }

    /// A command for a member.
    pub fn command(&mut self, one: usize, request: u64, command: Command) {
        self.happen(one, Event::Command { request, command });
    }

    /// Who takes writes now, in the highest term.
    pub fn primary(&self) -> Option<usize> {
        let writable = |one: &usize| self.nodes[*one].member.as_ref().is_some_and(Member::accepts_writes);
        (0..self.nodes.len())
            .filter(writable)
            .max_by_key(|one| self.nodes[*one].member.as_ref().map_or(0, Member::term))
    }

    pub fn member(&self, one: usize) -> Option<&Member> {
        self.nodes[one].member.as_ref()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Micros) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until the condition holds; whether it did.
    pub fn run_until(&mut self, time: Micros, done: impl Fn(&Sim) -> bool) -> bool {
        let until = self.now + time;
        while let Some((&(when, sequence), _)) = self.queue.first_key_value() {
            if done(self) {
                return true;
            }
            if when > until || self.judge.violation.is_some() {
                break;
            }
            self.now = when;
            if let Some(what) = self.queue.remove(&(when, sequence)) {
                (when, &what).hash(&mut self.trace);
                self.step(what);
            }
        }
        self.now = self.now.max(until);
        done(self)
    }

    fn step(&mut self, what: Happening) {
        let subject = match &what {
            Happening::Arrive { to, .. } => Some(*to),
            Happening::Wake(one, _)
            | Happening::Local { node: one, .. }
            | Happening::Reset { node: one, .. }
            | Happening::Synced { node: one, .. } => Some(*one),
            _ => None,
        };
        // A process that waits for its disk does nothing else.
        if let Some(one) = subject
            && self.nodes[one].busy_until > self.now
        {
            self.sequence += 1;
            self.queue.insert((self.nodes[one].busy_until, self.sequence), what);
            return;
        }
        match what {
            Happening::Arrive { from, to, packet } => {
                if !self.cut[from][to] && self.nodes[to].member.is_some() {
                    self.arrive(from, to, packet);
                }
            }
            Happening::Wake(one, epoch) => {
                if self.nodes[one].epoch == epoch {
                    self.nodes[one].wake_at = None;
                    self.happen(one, Event::Tick);
                }
            }
            Happening::Synced { node: one, epoch, cuts, count } => self.synced(one, epoch, cuts, count),
            Happening::Local { node: one, epoch, event } => {
                if self.nodes[one].epoch == epoch {
                    self.happen(one, event);
                }
            }
            Happening::Common { node: one, epoch, source } => self.common(one, epoch, source),
            Happening::Copied { node: one, epoch, source } => self.copied(one, epoch, source),
            Happening::Pull { node: one, epoch, generation, asked } => {
                let is_same = |stream: &Stream| stream.generation == generation && stream.asked == asked;
                if self.nodes[one].epoch == epoch && self.nodes[one].stream.as_ref().is_some_and(is_same) {
                    self.pull(one);
                }
            }
            Happening::Reset { node: one, peer } => self.happen(one, Event::Disconnected(id(peer))),
            Happening::Restart(one) => self.restart(one),
            Happening::Write => {
                if !self.is_quiet {
                    self.write();
                }
                self.schedule(self.options.write_every, Happening::Write);
            }
            Happening::Fault => self.fault(),
            Happening::Calm => self.calm(),
        }
        self.acknowledge();
    }

    fn happen(&mut self, one: usize, event: Event) {
        let now = self.local(one);
        let Some(member) = &mut self.nodes[one].member else { return };
        let effects = member.on(event, now);
        for effect in effects {
            self.carry_out(one, effect);
        }
        let node = &mut self.nodes[one];
        let Some(at) = node.member.as_ref().and_then(Member::next_deadline) else { return };
        let wait = u128::from(at.saturating_sub(now)) * 1_000_000 / u128::from(node.rate) + 1;
        let at = self.now + wait as u64;
        if node.wake_at.is_none_or(|wake| at < wake) {
            node.wake_at = Some(at);
            let epoch = node.epoch;
            self.schedule(wait as u64, Happening::Wake(one, epoch));
        }
    }

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        if to >= self.nodes.len() {
            return;
        }
        let departs = self.nodes[from].busy_until.saturating_sub(self.now);
        let lossy = self.options.loss > 0 && self.calm_since.is_none();
        if lossy && self.random.below(1000) < self.options.loss {
            return;
        }
        let way = departs + MS / 2 + self.random.below(MS);
        if lossy && self.random.below(1000) < self.options.loss {
            let late = way + self.random.below(50 * MS);
            self.schedule(late, Happening::Arrive { from, to, packet: packet.clone() });
        }
        self.schedule(way, Happening::Arrive { from, to, packet });
    }

    fn carry_out(&mut self, one: usize, effect: Effect) {
        let epoch = self.nodes[one].epoch;
        match effect {
            Effect::Persist(persistent) => {
                let node = &mut self.nodes[one];
                node.persistent = persistent;
                node.busy_until = self.now.max(node.busy_until) + node.disk;
            }
            Effect::StoreConfig(config) => {
                let node = &mut self.nodes[one];
                node.config = Some(config);
                node.busy_until = self.now.max(node.busy_until) + node.disk;
            }
            Effect::Send(to, message) => self.send(one, node(to), Packet::Core(message)),
            Effect::Fetch(source) => {
                self.sequence += 1;
                let generation = self.sequence;
                self.nodes[one].stream = source.map(|source| Stream {
                    source: node(source),
                    generation,
                    is_open: false,
                    asked: 0,
                });
                self.pull(one);
            }
            Effect::Drain { term } => {
                self.schedule(MS, Happening::Local { node: one, epoch, event: Event::Drained { term } });
            }
            Effect::WriteNoop { term } => {
                self.append(one, term);
            }
            Effect::AcceptWrites(Some(term)) => self.opened.push((self.now, one, term)),
            Effect::AcceptWrites(None) => self.waiting.retain(|waiting| waiting.node != one),
            Effect::PauseWrites(is_paused) => self.nodes[one].is_paused = is_paused,
            Effect::CommitPoint(point) => self.committed(one, point),
            Effect::FindCommonPoint { source } => {
                self.schedule(3 * MS, Happening::Common { node: one, epoch, source: node(source) });
            }
            Effect::Rollback { to } => {
                let node = &mut self.nodes[one];
                let keep = node.log.partition_point(|entry| *entry <= to);
                self.judge.cut(&node.log[keep..]);
                self.outcome.filed.extend(node.log.drain(keep..));
                node.synced = node.log.len();
                node.cuts += 1;
                node.is_syncing = false;
                let event = Event::RolledBack { last: end(&node.log) };
                self.schedule(MS, Happening::Local { node: one, epoch, event });
            }
            Effect::Resync { source } => {
                self.schedule(50 * MS, Happening::Copied { node: one, epoch, source: node(source) });
            }
            Effect::Became(state) => {
                if state == State::Primary
                    && let Some(member) = &self.nodes[one].member
                {
                    let term = member.term();
                    self.judge.elected(term, id(one), &self.nodes[one].log);
                    self.outcome.elections += 1;
                    self.offices.push((self.now, one, term));
                }
            }
            Effect::Reply { request, result } => self.replies.push((request, result, self.now)),
            Effect::Halt(_) => self.judge.halted(),
        }
    }

    fn committed(&mut self, one: usize, point: OpTime) {
        let node = &self.nodes[one];
        let term = node.member.as_ref().map_or(0, Member::term);
        self.judge.commit(term, point, &node.log);
        for other in &self.nodes {
            if let Some(member) = &other.member
                && member.state() == State::Primary
                && member.term() > term
            {
                self.judge.primary_has_all(member.term(), &other.log);
            }
        }
        let is_primary = node.member.as_ref().is_some_and(|member| member.state() == State::Primary);
        if let Some(since) = self.calm_since
            && is_primary
            && self.outcome.recovered_after.is_none()
        {
            self.outcome.recovered_after = Some(self.now - since);
        }
    }

    fn append(&mut self, one: usize, term: i64) -> OpTime {
        let node = &mut self.nodes[one];
        let entry = next_entry(&node.log, term);
        node.log.push(entry);
        self.happen(one, Event::Written(entry));
        self.happen(one, Event::Applied(entry));
        self.sync(one);
        entry
    }

    fn sync(&mut self, one: usize) {
        let node = &mut self.nodes[one];
        if node.is_syncing || node.synced == node.log.len() {
            return;
        }
        node.is_syncing = true;
        let (epoch, cuts, count, disk) = (node.epoch, node.cuts, node.log.len(), node.disk);
        self.schedule(disk, Happening::Synced { node: one, epoch, cuts, count });
    }

    fn synced(&mut self, one: usize, epoch: u64, cuts: u64, count: usize) {
        let node = &mut self.nodes[one];
        if (node.epoch, node.cuts) != (epoch, cuts) {
            return;
        }
        node.is_syncing = false;
        node.synced = node.synced.max(count);
        let last = end(&node.log[..count]);
        self.happen(one, Event::Synced(last));
        self.happen(one, Event::Applied(last));
        self.sync(one);
    }

    fn pull(&mut self, one: usize) {
        let (epoch, after) = (self.nodes[one].epoch, end(&self.nodes[one].log));
        let Some(stream) = &mut self.nodes[one].stream else { return };
        stream.asked += 1;
        let Stream { source, generation, asked, .. } = *stream;
        self.send(one, source, Packet::Pull { generation, after });
        self.schedule(PULL_RETRY, Happening::Pull { node: one, epoch, generation, asked });
    }

    fn arrive(&mut self, from: usize, to: usize, packet: Packet) {
        match packet {
            Packet::Core(message) => self.happen(to, Event::Receive(message)),
            Packet::Pull { generation, after } => {
                let node = &self.nodes[to];
                let Some(member) = &node.member else { return };
                let (verdict, entries) = match node.log.binary_search(&after) {
                    Ok(index) => {
                        let entries = node.log[index + 1..].iter().take(BATCH_MAX).copied().collect();
                        (Verdict::Found, entries)
                    }
                    // Entries past the parting, for a member that takes them all the same.
                    Err(index) => {
                        let entries = node.log[index..].iter().take(BATCH_MAX).copied().collect();
                        (Verdict::Diverged { last: end(&node.log) }, entries)
                    }
                };
                let (term, commit_point) = (member.term(), member.commit_point());
                let batch = Packet::Batch { generation, after, verdict, entries, term, commit_point };
                self.send(to, from, batch);
            }
            Packet::Batch { generation, after, verdict, entries, term, commit_point } => {
                let Some(stream) = self.nodes[to].stream.filter(|stream| stream.generation == generation)
                else {
                    return;
                };
                if after != end(&self.nodes[to].log) {
                    return;
                }
                let source = id(stream.source);
                if !stream.is_open {
                    if let Some(stream) = &mut self.nodes[to].stream {
                        stream.is_open = true;
                    }
                    self.happen(to, Event::StreamOpened { source, verdict });
                } else if verdict != Verdict::Found && self.options.bug != Some(Bug::NoRollback) {
                    self.happen(to, Event::StreamLost { source });
                }
                let is_pulling = |sim: &Sim| {
                    let is_same = sim.nodes[to].stream.is_some_and(|stream| stream.generation == generation);
                    is_same && sim.member(to).is_some_and(|member| member.is_pulling_from(source))
                };
                if !is_pulling(self) {
                    return;
                }
                self.happen(to, Event::StreamMeta { source, term, commit_point: OpTime::default() });
                if !is_pulling(self) {
                    return;
                }
                let is_empty = entries.is_empty();
                self.nodes[to].log.extend(entries);
                if !is_empty {
                    let last = end(&self.nodes[to].log);
                    self.happen(to, Event::Written(last));
                    self.sync(to);
                }
                self.happen(to, Event::StreamMeta { source, term, commit_point });
                if is_pulling(self) && is_empty {
                    let epoch = self.nodes[to].epoch;
                    if let Some(stream) = &mut self.nodes[to].stream {
                        stream.asked += 1;
                        let asked = stream.asked;
                        self.schedule(PULL_AGAIN, Happening::Pull { node: to, epoch, generation, asked });
                    }
                } else if is_pulling(self) {
                    self.pull(to);
                }
            }
        }
    }

    fn is_reachable(&self, one: usize, other: usize) -> bool {
        !self.cut[one][other] && !self.cut[other][one] && self.nodes[other].member.is_some()
    }

    fn common(&mut self, one: usize, epoch: u64, source: usize) {
        if self.nodes[one].epoch != epoch {
            return;
        }
        if !self.is_reachable(one, source) {
            self.happen(one, Event::StreamLost { source: id(source) });
            return;
        }
        let theirs = &self.nodes[source].log;
        let found = self.nodes[one].log.iter().rfind(|entry| theirs.binary_search(entry).is_ok()).copied();
        self.happen(one, Event::CommonPoint { source: id(source), found });
    }

    fn copied(&mut self, one: usize, epoch: u64, source: usize) {
        if self.nodes[one].epoch != epoch {
            return;
        }
        if !self.is_reachable(one, source) {
            self.happen(one, Event::StreamLost { source: id(source) });
            return;
        }
        let log = self.nodes[source].log.clone();
        let node = &mut self.nodes[one];
        node.log = log;
        node.synced = node.log.len();
        node.cuts += 1;
        node.is_syncing = false;
        let last = end(&node.log);
        self.happen(one, Event::Resynced { last });
    }

    /// A client writes to somebody who says that it takes writes, be it the right one or not.
    fn write(&mut self) {
        let open: Vec<usize> = (0..self.nodes.len())
            .filter(|one| {
                let node = &self.nodes[*one];
                !node.is_paused
                    && node.busy_until <= self.now
                    && node.member.as_ref().is_some_and(Member::accepts_writes)
            })
            .collect();
        for one in open {
            let term = self.member(one).map_or(0, Member::term);
            let entry = self.append(one, term);
            self.outcome.written.insert(entry);
            self.waiting.push(Waiting { entry, node: one, epoch: self.nodes[one].epoch });
        }
    }

    fn acknowledge(&mut self) {
        let Sim { waiting, nodes, outcome, .. } = self;
        waiting.retain(|one| {
            let node = &nodes[one.node];
            let Some(member) = node.member.as_ref().filter(|_| node.epoch == one.epoch) else { return false };
            match member.is_satisfied(one.entry, &W::Majority, true) {
                Ok(true) => {
                    outcome.acknowledged.insert(one.entry);
                    false
                }
                Ok(false) => true,
                Err(_) => false,
            }
        });
    }

    fn fault(&mut self) {
        if self.calm_since.is_some() {
            return;
        }
        let count = self.nodes.len();
        let one = self.random.below(count as u64) as usize;
        // The primary is the most interesting victim.
        let victim = if self.random.below(2) == 0 { self.primary().unwrap_or(one) } else { one };
        match self.random.below(8) {
            0 | 1 if self.options.crashes => {
                self.kill(victim);
                let after = 100 * MS + self.random.below(3 * SECOND);
                self.schedule(after, Happening::Restart(victim));
            }
            2 if self.options.partitions => self.set_isolated(victim, true),
            3 if self.options.partitions => {
                let side = self.random.next();
                for from in 0..count {
                    for to in 0..count {
                        self.cut[from][to] = (side >> from) & 1 != (side >> to) & 1;
                    }
                }
            }
            4 if self.options.partitions => {
                let other = self.random.below(count as u64) as usize;
                self.cut[victim][other] = victim != other;
            }
            5 if self.options.slow_disks => {
                self.nodes[victim].disk = 50 * MS + self.random.below(400 * MS);
            }
            6 if self.options.slow_disks => self.nodes[victim].disk = 2 * MS,
            _ => self.cut = vec![vec![false; count]; count],
        }
        self.check_logs();
        let next = 100 * MS + self.random.below(2 * SECOND);
        self.schedule(next, Happening::Fault);
    }

    fn calm(&mut self) {
        let count = self.nodes.len();
        self.cut = vec![vec![false; count]; count];
        for one in 0..count {
            self.nodes[one].disk = 2 * MS;
            self.restart(one);
        }
        self.calm_since = Some(self.now);
    }

    fn check_logs(&mut self) {
        for (index, node) in self.nodes.iter().enumerate() {
            for other in &self.nodes[index + 1..] {
                self.judge.logs(&node.log, &other.log);
            }
        }
    }

    /// Ends the run.
    pub fn finish(mut self) -> Outcome {
        self.check_logs();
        self.outcome.violation = self.judge.violation;
        self.outcome.logs = self.nodes.iter().map(|node| node.log.clone()).collect();
        self.outcome.trace = self.trace.finish();
        self.outcome
    }
}

/// One whole run: faults, then calm.
pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut sim = Sim::new(seed, options.clone());
    sim.run_for(options.faults + options.calm);
    // What is on its way arrives.
    sim.is_quiet = true;
    sim.run_for(3 * SECOND);
    sim.finish()
}

/// Runs the seeds (the one in `SHOAL_SEED`, or as many as `SHOAL_SEEDS` says), each printed before it runs, with 3 to 7 members.
pub fn each_seed(count: u64, options: &Options, check: impl Fn(u64, &Outcome)) {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seeds = match number("SHOAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("SHOAL_SEEDS").unwrap_or(count) + 1,
    };
    for seed in seeds {
        println!("SHOAL_SEED={seed}");
        let members = 3 + (seed % 5) as usize;
        let arbiters = usize::from(members == 4);
        check(seed, &run(seed, &Options { members, arbiters, ..options.clone() }));
    }
}

//! The driver: owns the core, gives it one event after the other, and carries its effects out in their order.
//! What must not be lost is on disk before the next effect begins; if the disk fails, the process ends. What may take long (pulling
//! the log, searching, copying) is the [`plane`]'s, and comes back as events.

mod disk;
mod fetch;
mod link;
mod plane;
mod report;
mod resync;
mod search;
mod spool;

pub use disk::make_room;
pub(crate) use disk::restore;
pub(crate) use spool::remove as remove_spool;

use crate::convert::Sender;
use crate::core::config::{MemberId, SetConfig};
use crate::core::message::{Body, Message, Position, State};
use crate::core::timer::SECOND;
use crate::core::{Command, Effect, Event, Member};
use crate::shared::{Admission, Shared, blocking};
use crate::status::Inspection;
use crate::view::View;
use link::Link;
use plane::{Job, Plane, Source};
use report::Report;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use types::{Fault, OpTime, Timestamp};

/// Events that wait for the driver.
pub(crate) const FEED_COUNT_MAX: usize = 1024;
/// Events that are taken before the others learn what came of them.
const FEED_BATCH_MAX: usize = 64;
/// A message may be of a later term by no more.
const TERM_JUMP_MAX: i64 = 1 << 32;
/// A member that was removed is still told so.
const FAREWELL: u64 = 5 * SECOND;

/// Something that happened outside of the core.
pub(crate) enum Feed {
    /// A message of a peer.
    Message { sender: Arc<Sender>, message: Box<Message> },
    /// A link broke, or could not be made.
    Disconnected { id: MemberId, host: Arc<str> },
    /// From the plane, for the job of that number; `go` asks whether entries of that source may be written.
    Plane { generation: u64, event: Event, go: Option<oneshot::Sender<bool>> },
    /// Somebody asks; `own_name` is how the configuration in the command calls this process.
    Command { command: Command, own_name: Option<String>, reply: oneshot::Sender<Result<(), Fault>> },
    /// How everything is.
    Inspect(oneshot::Sender<Inspection>),
    /// What cannot be gone on with.
    Failed(Fault),
}

pub(crate) struct Driver {
    shared: Arc<Shared>,
    member: Member,
    inbox: mpsc::Receiver<Feed>,
    plane: Arc<Plane>,
    /// Of the plane's present job: what an older one has to say is out of date.
    generation: u64,
    links: BTreeMap<MemberId, Link>,
    /// Links to those who were removed, until then.
    leaving: Vec<(MemberId, Link, u64)>,
    own_name: String,
    requests: BTreeMap<u64, oneshot::Sender<Result<(), Fault>>>,
    next_request: u64,
    pending: VecDeque<Event>,
    /// What the core was told of the log: written, applied, synced.
    told: (OpTime, OpTime, OpTime),
    /// With whom the last common entry is searched for.
    search: Option<MemberId>,
    /// The term in which writes are taken.
    office: Option<i64>,
    report: Report,
    election_time: Timestamp,
    elected_millis: i64,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        member: Member,
        inbox: mpsc::Receiver<Feed>,
        own_name: String,
    ) -> Driver {
        let plane = Plane::start(shared.clone());
        let position = member.position();
        Driver {
            shared,
            told: (member.last_written(), position.applied, position.durable),
            member,
            inbox,
            plane,
            generation: 0,
            links: BTreeMap::new(),
            leaving: Vec::new(),
            own_name,
            requests: BTreeMap::new(),
            next_request: 0,
            pending: VecDeque::new(),
            search: None,
            office: None,
            report: Report::default(),
            election_time: Timestamp::ZERO,
            elected_millis: 0,
        }
    }

    /// Everything that follows from the start without anybody else: a set of one has its primary when this returns.
    pub(crate) fn begin(&mut self) -> Result<(), Fault> {
        // Links say how the configuration calls this member.
        self.publish();
        self.reconcile_links();
        self.happen(Event::Start)?;
        self.publish();
        Ok(())
    }

    /// Until the process stops, or something cannot be gone on with.
    pub(crate) async fn run(mut self) -> Result<(), Fault> {
        let stop = self.shared.tasks.token();
        let data = self.shared.data.clone();
        let mut synced = data.synced_past(self.told.2);
        let mut feeds = Vec::with_capacity(FEED_BATCH_MAX);
        loop {
            let deadline = self.member.next_deadline().unwrap_or(u64::MAX).min(self.report.due());
            let wait = Duration::from_micros(deadline.saturating_sub(self.shared.now()).min(3600 * SECOND));
            let mut is_synced = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                count = self.inbox.recv_many(&mut feeds, FEED_BATCH_MAX) => {
                    if count == 0 {
                        return Ok(());
                    }
                }
                // What is only written is looked at with whatever happens next: nobody waits for it but those who know of it.
                () = &mut synced => is_synced = true,
                () = tokio::time::sleep(wait) => {}
            }
            self.tick()?;
            self.own_progress()?;
            for feed in feeds.drain(..) {
                self.take(feed)?;
                self.tick()?;
            }
            if is_synced {
                synced = data.synced_past(data.durable());
                self.own_progress()?;
            }
            self.send_report();
            self.publish();
        }
    }

    fn tick(&mut self) -> Result<(), Fault> {
        let now = self.shared.now();
        self.leaving.retain(|(_, _, until)| *until > now);
        if self.member.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.happen(Event::Tick)?;
        }
        Ok(())
    }

    fn take(&mut self, feed: Feed) -> Result<(), Fault> {
        match feed {
            Feed::Message { sender, message } => self.message(&sender, *message),
            Feed::Disconnected { id, host } => {
                if self.links.get(&id).is_some_and(|link| link.host == host) {
                    self.happen(Event::Disconnected(id))?;
                }
                Ok(())
            }
            Feed::Plane { generation, event, go } => {
                let source = match &event {
                    Event::StreamOpened { source, .. } | Event::StreamMeta { source, .. } => Some(*source),
                    _ => None,
                };
                if generation == self.generation {
                    // What was sent before it is written by now.
                    self.own_progress()?;
                    if let Event::Resynced { last } = event {
                        self.told = (last, last, last);
                    }
                    self.happen(event)?;
                }
                if let Some(go) = go {
                    let is_pulling = source.is_some_and(|source| self.member.is_pulling_from(source));
                    go.send(generation == self.generation && is_pulling).ok(); // the job was ended
                }
                Ok(())
            }
            Feed::Command { command, own_name, reply } => self.command(command, own_name, reply),
            Feed::Inspect(reply) => {
                reply.send(self.inspect()).ok(); // nobody waits any more
                Ok(())
            }
            Feed::Failed(fault) => Err(fault),
        }
    }

    fn message(&mut self, sender: &Sender, message: Message) -> Result<(), Fault> {
        if message.term > self.member.term().saturating_add(TERM_JUMP_MAX) {
            tracing::warn!(
                from = sender.host,
                term = message.term,
                "message refused: its term is too far ahead"
            );
            return Ok(());
        }
        let is_config = matches!(message.body, Body::Config(_));
        match self.member.config() {
            None if !is_config => return Ok(()),
            Some(config) => {
                // By name, never by number alone: a number that was given to another host must not speak for it.
                let is_member = config.member(message.from).is_some_and(|member| member.host == sender.host);
                if !is_member && !is_config {
                    return Ok(());
                }
            }
            None => {}
        }
        if let Some(link) = self.links.get(&message.from).filter(|link| *link.host == *sender.host) {
            link.nudge();
        }
        if let Body::Config(config) = &message.body {
            if config.name != self.shared.identity.set_name {
                tracing::warn!(from = sender.host, set = config.name, "configuration of another set refused");
                return Ok(());
            }
            self.find_own_name(config, Some(&sender.to));
        }
        if self.member.state() == State::Primary && !self.member.accepts_writes() {
            // The position that it may bring is compared with the end of the log, which writers that came before the pause still move.
            self.own_progress()?;
        }
        self.happen(Event::Receive(message))
    }

    /// The configuration may call this process by another name than it calls itself.
    fn find_own_name(&mut self, config: &SetConfig, hint: Option<&str>) {
        if config.members.iter().any(|member| member.host == self.own_name) {
            return;
        }
        let identity = &self.shared.identity;
        if let Some(name) = blocking(|| identity.name_in(config, hint)) {
            self.rename(name);
        }
    }

    fn rename(&mut self, name: String) {
        self.member.rename(&name);
        self.own_name = name;
    }

    fn command(
        &mut self,
        command: Command,
        own_name: Option<String>,
        reply: oneshot::Sender<Result<(), Fault>>,
    ) -> Result<(), Fault> {
        // A step-down looks at once who has everything: also what was committed a moment ago.
        self.own_progress()?;
        self.next_request += 1;
        let request = self.next_request;
        self.requests.insert(request, reply);
        let before = self.own_name.clone();
        let config_before = self.member.config_id();
        if let Some(name) = own_name {
            self.rename(name);
        }
        self.happen(Event::Command { request, command })?;
        if self.member.config_id() == config_before {
            self.rename(before);
        }
        // Nobody waits any more for those whose receiver is gone.
        self.requests.retain(|_, reply| !reply.is_closed());
        Ok(())
    }

    /// Tells the core how far the log here is.
    fn own_progress(&mut self) -> Result<(), Fault> {
        if self.member.state() == State::Startup2 {
            // What is there is not data yet, or no more.
            return Ok(());
        }
        let visible = self.shared.data.visible().take();
        let (last, durable) = (self.shared.data.last(), self.shared.data.durable());
        if last > self.told.0 {
            self.told.0 = last;
            self.happen(Event::Written(last))?;
        }
        if last > self.told.1 && last.ts <= visible {
            self.told.1 = last;
            self.happen(Event::Applied(last))?;
        }
        if durable > self.told.2 {
            self.told.2 = durable;
            self.happen(Event::Synced(durable))?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Fault> {
        self.pending.push_back(event);
        while let Some(event) = self.pending.pop_front() {
            let now = self.shared.now();
            for effect in self.member.on(event, now) {
                self.carry_out(effect)?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Fault> {
        match effect {
            Effect::Persist(persistent) => {
                let data = &self.shared.data;
                blocking(|| disk::store_persistent(&**data, persistent))?;
            }
            Effect::StoreConfig(config) => {
                let data = &self.shared.data;
                blocking(|| disk::store_config(&**data, &config))?;
                tracing::info!(
                    version = config.version,
                    term = config.term,
                    members = config.members.len(),
                    "configuration installed"
                );
                self.publish();
                self.reconcile_links();
            }
            Effect::Send(to, message) if matches!(message.body, Body::Positions(_)) => {
                if let Some((to, message)) = self.report.replace(to, message, self.shared.now()) {
                    self.send(to, message);
                }
            }
            Effect::Send(to, message) => self.send(to, message),
            Effect::Fetch(None) => self.plan(Job::Idle),
            Effect::Fetch(Some(id)) => match self.source(id) {
                Some(source) => self.plan(Job::Fetch(source)),
                None => self.pending.push_back(Event::StreamLost { source: id }),
            },
            Effect::Drain { term } => {
                if self.plane.is_idle() {
                    self.pending.push_back(Event::Drained { term });
                } else {
                    self.plan(Job::Drain { term });
                }
            }
            Effect::WriteNoop { term } => self.write_first_entry(term)?,
            Effect::AcceptWrites(Some(term)) => self.open(term),
            Effect::AcceptWrites(None) => self.close(),
            Effect::PauseWrites(is_paused) => {
                let is_open = self.office.is_some();
                self.shared.admission.set(match (is_paused, is_open) {
                    (true, true) => Admission::Paused,
                    (false, true) => Admission::Open,
                    (_, false) => Admission::Closed,
                });
            }
            Effect::CommitPoint(point) => {
                self.shared.commit.set(point);
                self.set_majority_point();
            }
            Effect::FindCommonPoint { source } => match self.source(source) {
                Some(source) => {
                    self.search = Some(source.id);
                    self.plan(Job::FindCommon(source));
                }
                None => self.pending.push_back(Event::StreamLost { source }),
            },
            Effect::Rollback { to } => {
                let source = self.search.unwrap_or_default();
                self.roll_back(to, source)?;
            }
            Effect::Resync { source } => match self.source(source) {
                Some(source) => {
                    self.shared.end_streams();
                    self.shared.commit.set(OpTime::default());
                    self.plan(Job::Resync(source));
                }
                None => self.pending.push_back(Event::StreamLost { source }),
            },
            Effect::Became(state) => self.became(state),
            Effect::Reply { request, result } => {
                if let Some(reply) = self.requests.remove(&request) {
                    // Whoever asked may look at once.
                    self.publish();
                    reply.send(result.map_err(|refusal| refusal.fault())).ok(); // nobody waits any more
                }
            }
            Effect::Halt(broken) => {
                tracing::error!(%broken, "replication cannot go on without doing harm");
                return Err(Fault::internal(broken.to_string()));
            }
        }
        Ok(())
    }

    fn source(&self, id: MemberId) -> Option<Source> {
        let host = self.member.config()?.member(id)?.host.clone();
        Some(Source { id, host })
    }

    fn plan(&mut self, job: Job) {
        self.generation += 1;
        self.plane.plan(self.generation, job);
    }

    fn send(&mut self, to: MemberId, message: Message) {
        let leaving = || self.leaving.iter().find(|(id, ..)| *id == to).map(|(_, link, _)| link);
        let Some(link) = self.links.get(&to).or_else(leaving) else { return };
        if !link.send(message) {
            self.shared.counters.messages_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How far everybody behind is, once the source should hear of it.
    fn send_report(&mut self) {
        if let Some((to, message)) = self.report.take(self.shared.now()) {
            self.shared.counters.reports_sent.fetch_add(1, Ordering::Relaxed);
            self.send(to, message);
        }
    }

    /// One link to everybody else in the configuration, by the name that it gives them.
    fn reconcile_links(&mut self) {
        let Some(config) = self.member.config().cloned() else { return };
        let me = self.member.id();
        let until = self.shared.now() + FAREWELL;
        let mut before = std::mem::take(&mut self.links);
        for member in config.members.iter().filter(|member| Some(member.id) != me) {
            let sender = self.shared.sender(&member.host);
            let kept = before.remove(&member.id).filter(|link| link.is_to(&sender));
            let link = kept.unwrap_or_else(|| Link::start(&self.shared, member.id, sender));
            self.links.insert(member.id, link);
        }
        self.leaving.extend(before.into_iter().map(|(id, link)| (id, link, until)));
        let leaving = &self.leaving;
        self.shared.peers.keep(|host| {
            config.members.iter().any(|member| member.host == host)
                || leaving.iter().any(|(_, link, _)| *link.host == *host)
        });
    }

    fn write_first_entry(&mut self, term: i64) -> Result<(), Fault> {
        let data = self.shared.data.clone();
        let text = if term == 0 { "initiating set" } else { "new primary" };
        let at = blocking(|| {
            data.set_writable(Some(term));
            let written = data.noop(&bson::rawdoc! { "msg": text });
            // Open for others only when the core says so.
            data.set_writable(None);
            written
        })?;
        if self.election_time < at.ts {
            self.election_time = at.ts;
        }
        self.told = (at, at, self.told.2);
        self.pending.push_back(Event::Written(at));
        self.pending.push_back(Event::Applied(at));
        // A set of one would else wait for the next regular sync.
        let synced = data.sync_to(at);
        let shared = self.shared.clone();
        self.shared.tasks.spawn("first-entry", async move {
            if let Err(fault) = synced.await {
                tracing::debug!(%fault, "first entry not synced");
            }
            drop(shared);
        });
        Ok(())
    }

    fn open(&mut self, term: i64) {
        self.office = Some(term);
        self.elected_millis = runtime::clock::now_millis();
        self.shared.data.set_writable(Some(term));
        self.shared.counters.elections_won.fetch_add(1, Ordering::Relaxed);
        // Who sees that this is the primary and writes at once waits, and is not refused; nor is a write let in before its waits count.
        self.shared.admission.set(Admission::Paused);
        self.publish();
        if !self.shared.data.has_unfinished() {
            self.shared.admission.set(Admission::Open);
            return;
        }
        let (data, shared) = (self.shared.data.clone(), self.shared.clone());
        self.shared.tasks.spawn("take-over", async move {
            match crate::shared::off_thread(move || data.take_over()).await {
                Ok(()) => shared.admission.change(|admission| {
                    let is_waited_for = *admission == Admission::Paused;
                    if is_waited_for {
                        *admission = Admission::Open;
                    }
                    is_waited_for
                }),
                // It may have stepped down meanwhile.
                Err(fault) if fault.code.is_not_primary() => false,
                Err(fault) => {
                    shared.feed(Feed::Failed(fault)).await;
                    false
                }
            };
        });
    }

    fn close(&mut self) {
        self.office = None;
        self.shared.admission.set(Admission::Closed);
        self.shared.data.set_writable(None);
        // Who waits for a majority will not hear of one from here.
        self.publish();
    }

    fn roll_back(&mut self, to: OpTime, source: MemberId) -> Result<(), Fault> {
        self.shared.end_streams();
        let data = self.shared.data.clone();
        let Some((entries, files)) = blocking(|| data.roll_back_to(to))? else {
            // As if the logs had nothing in common.
            tracing::warn!(%to, "the data as of the common point are not to be had any more; they are copied anew");
            self.pending.push_back(Event::CommonPoint { source, found: None });
            return Ok(());
        };
        self.shared.counters.rollbacks.fetch_add(1, Ordering::Relaxed);
        self.shared.counters.entries_rolled_back.fetch_add(entries, Ordering::Relaxed);
        tracing::warn!(%to, entries, ?files, "rolled back");
        let last = data.last();
        self.told = (last, last, last);
        self.pending.push_back(Event::RolledBack { last });
        Ok(())
    }

    fn became(&mut self, state: State) {
        tracing::info!(state = ?state, term = self.member.term(), "member state");
        if state != State::Primary {
            self.shared.admission.set(Admission::Closed);
        }
    }

    fn is_alone(&self) -> bool {
        let config = self.member.config();
        config.is_some_and(|config| config.members.len() == 1) && self.member.id().is_some()
    }

    fn set_majority_point(&self) {
        let point = if self.is_alone() { Timestamp::MAX } else { self.member.commit_point().ts };
        self.shared.majority_point.set(point);
    }

    /// Everybody in the process may see what is now.
    fn publish(&mut self) {
        let member = &self.member;
        let old = self.shared.view.load_full();
        let is_alone = self.is_alone();
        let is_same = old.state == member.state()
            && old.term == member.term()
            && old.config.as_ref().map(|config| config.config_id())
                == member.config().map(|_| member.config_id())
            && old.me == member.id()
            && old.primary == member.primary()
            && old.accepts_writes == self.office.is_some()
            && old.is_alone == is_alone;
        if !is_same || old.source != member.source() {
            let is_primary = self.office.is_some();
            self.shared.view.store(Arc::new(View {
                state: member.state(),
                term: member.term(),
                config: member.config().cloned(),
                me: member.id(),
                primary: member.primary(),
                source: member.source(),
                accepts_writes: is_primary,
                election_id: self.office.map(View::election_id_of),
                election_time: if is_primary { self.election_time } else { Timestamp::ZERO },
                elected_millis: if is_primary { self.elected_millis } else { 0 },
                is_alone,
            }));
        }
        if !is_same {
            if old.is_alone != is_alone {
                self.set_majority_point();
            }
            self.shared.topology.send_modify(|version| *version += 1);
        }
        let (own, office) = (member.id(), self.office);
        let written = member.last_written();
        self.shared.board.update(|progress| {
            progress.office = office;
            progress.own = own;
            progress.commit_point = member.commit_point();
            if progress.config.as_ref().map(|config| config.config_id()) != Some(member.config_id()) {
                progress.config = member.config().cloned();
            }
            progress.positions.clear();
            if let Some(own) = own {
                let position = Position { applied: written, durable: member.position().durable };
                progress.positions.push((own, position));
            }
            progress.positions.extend(member.peers().map(|peer| (peer.id, peer.position)));
        });
    }

    fn inspect(&self) -> Inspection {
        Inspection {
            now: self.shared.now(),
            state: self.member.state(),
            position: self.member.position(),
            commit_point: self.member.commit_point(),
            peers: self.member.peers().collect(),
        }
    }
}

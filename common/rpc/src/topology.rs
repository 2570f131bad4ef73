//! What is known of a replica set, put together from what its members say of themselves (`hello`). Pure: answers and failures in,
//! a picture out. A primary of an older election never replaces one of a newer, whatever order their answers come in.

use bson::oid::ObjectId;
use bson::{RawBsonRef, RawDocument};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use types::{MemberChoice, ReadPreference, TagSet};

/// Members that answer so much later than the nearest one are not chosen.
const LATENCY_WINDOW: Duration = Duration::from_millis(15);
/// A member is heard at least this often, so its staleness is known no more exactly.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// Weight of the newest round trip in the average, in percent.
const ROUND_TRIP_WEIGHT: u32 = 20;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// It does not answer, or has not yet.
    Unknown,
    Primary,
    Secondary,
    Arbiter,
    /// It answers, but serves nobody: starting, copying data, rolling back, of another set.
    Other,
}

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    kind: MemberKind,
    set_name: Option<String>,
    /// All members that are not hidden.
    hosts: Vec<String>,
    /// Those of them with data.
    data_hosts: Vec<String>,
    me: Option<String>,
    hidden: bool,
    tags: TagSet,
    /// Which election made it primary, and the version of its configuration.
    election: Election,
    last_write_millis: Option<i64>,
}

/// Orders primaries: a later election wins, and within one the newer configuration.
type Election = (Option<ObjectId>, i64);

impl Description {
    /// Reads the answer to hello.
    pub(crate) fn parse(hello: &RawDocument) -> Description {
        let flag = |name: &str| hello.get_bool(name).unwrap_or(false);
        let text = |name: &str| hello.get_str(name).ok().map(str::to_owned);
        let mut hosts = Vec::new();
        for list in ["hosts", "passives"] {
            let Ok(names) = hello.get_array(list) else { continue };
            hosts.extend(names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)));
        }
        let data_hosts = hosts.clone();
        let arbiters = hello.get_array("arbiters").into_iter().flatten().flatten();
        hosts.extend(arbiters.filter_map(|name| name.as_str().map(str::to_owned)));
        let set_name = text("setName");
        let kind = match set_name {
            None => MemberKind::Other,
            Some(_) if flag("isWritablePrimary") || flag("ismaster") => MemberKind::Primary,
            Some(_) if flag("secondary") => MemberKind::Secondary,
            Some(_) if flag("arbiterOnly") => MemberKind::Arbiter,
            Some(_) => MemberKind::Other,
        };
        let tags = hello.get_document("tags").map(tags).unwrap_or_default();
        let last_write = hello.get_document("lastWrite").ok();
        let last_write_millis = last_write
            .and_then(|write| write.get_datetime("lastWriteDate").ok())
            .map(bson::DateTime::timestamp_millis);
        let version = match hello.get("setVersion") {
            Ok(Some(RawBsonRef::Int32(version))) => i64::from(version),
            Ok(Some(RawBsonRef::Int64(version))) => version,
            _ => 0,
        };
        Description {
            kind,
            set_name,
            hosts,
            data_hosts,
            me: text("me"),
            hidden: flag("hidden"),
            tags,
            election: (hello.get_object_id("electionId").ok(), version),
            last_write_millis,
        }
    }
}

fn tags(doc: &RawDocument) -> TagSet {
    let tag = |(name, value): (&bson::raw::CStr, RawBsonRef<'_>)| {
        Some((name.as_str().to_owned(), value.as_str()?.to_owned()))
    };
    doc.iter().flatten().filter_map(tag).collect()
}

/// One member as last seen.
#[derive(Debug, Clone)]
pub struct MemberState {
    pub host: Arc<str>,
    pub kind: MemberKind,
    pub tags: TagSet,
    /// Average of the round trips; `None` before the first.
    pub round_trip: Option<Duration>,
    /// Wall clock of its last write, by its own clock.
    pub last_write_millis: Option<i64>,
    /// Wall clock of its last answer, by ours.
    heard_millis: i64,
    hidden: bool,
    /// Rises with every answer and failure.
    pub(crate) epoch: u64,
    /// Why it is not usable, in words.
    trouble: Option<String>,
}

impl MemberState {
    fn new(host: &str) -> MemberState {
        MemberState {
            host: Arc::from(host),
            kind: MemberKind::Unknown,
            tags: TagSet::new(),
            round_trip: None,
            last_write_millis: None,
            heard_millis: 0,
            hidden: false,
            epoch: 0,
            trouble: None,
        }
    }

    fn lost(&mut self, why: impl Into<String>) {
        self.kind = MemberKind::Unknown;
        self.round_trip = None;
        self.epoch += 1;
        self.trouble = Some(why.into());
    }
}

/// The set.
#[derive(Debug, Clone)]
pub struct Topology {
    name: Arc<str>,
    members: Vec<MemberState>,
    /// The newest election that any primary told of.
    newest: Election,
    /// The members with data, as that primary named them.
    data_hosts: Vec<String>,
}

impl Topology {
    /// A set of which only some hosts are known.
    pub(crate) fn new(name: &str, seeds: &[String]) -> Topology {
        let mut topology = Topology {
            name: Arc::from(name),
            members: Vec::new(),
            newest: (None, 0),
            data_hosts: Vec::new(),
        };
        topology.add_hosts(seeds);
        topology
    }

    /// The members, in the order in which they were heard of.
    pub fn members(&self) -> &[MemberState] {
        &self.members
    }

    /// Where the primary stands in [`Topology::members`].
    pub fn primary(&self) -> Option<usize> {
        self.members.iter().position(|member| member.kind == MemberKind::Primary)
    }

    /// The version of the configuration that the last primary told of.
    pub fn set_version(&self) -> i64 {
        self.newest.1
    }

    /// The members with data that are not hidden, as the last primary named them; empty before one was heard.
    pub fn data_hosts(&self) -> &[String] {
        &self.data_hosts
    }

    pub(crate) fn add_hosts<T: AsRef<str>>(&mut self, hosts: &[T]) {
        for host in hosts {
            if self.find(host.as_ref()).is_none() {
                self.members.push(MemberState::new(host.as_ref()));
            }
        }
    }

    pub(crate) fn find(&self, host: &str) -> Option<usize> {
        self.members.iter().position(|member| *member.host == *host)
    }

    /// A member answered hello. `round_trip` is `None` where the member was asked to wait before it answers.
    pub(crate) fn answered(
        &mut self,
        host: &str,
        said: Description,
        round_trip: Option<Duration>,
        now_millis: i64,
    ) {
        let Some(place) = self.find(host) else { return };
        if said.set_name.as_deref().is_some_and(|name| name != &*self.name) {
            let name = said.set_name.unwrap_or_default();
            return self.other(place, format!("is a member of replica set {name}"));
        }
        match said.kind {
            MemberKind::Primary if said.election < self.newest => {
                self.other(place, "believes to be primary, but another one was elected since".to_owned());
            }
            MemberKind::Primary => {
                self.newest = said.election;
                self.data_hosts.clone_from(&said.data_hosts);
                for (other, member) in self.members.iter_mut().enumerate() {
                    if other != place && member.kind == MemberKind::Primary {
                        member.lost(format!("was primary before {host}"));
                    }
                }
                self.describe(place, &said, round_trip, now_millis);
                if !said.hosts.is_empty() {
                    self.add_hosts(&said.hosts);
                    self.members.retain(|member| said.hosts.iter().any(|host| **host == *member.host));
                }
            }
            MemberKind::Other if said.set_name.is_none() => {
                self.other(place, "has no replica set configuration".to_owned());
            }
            _ => {
                self.describe(place, &said, round_trip, now_millis);
                if self.primary().is_none() {
                    self.add_hosts(&said.hosts);
                }
                // It is in the list under the name that the set knows it by.
                let is_alias = said.me.as_deref().is_some_and(|me| me != host && self.find(me).is_some());
                if is_alias {
                    self.members.remove(place);
                }
            }
        }
    }

    fn describe(&mut self, place: usize, said: &Description, round_trip: Option<Duration>, now_millis: i64) {
        let Some(member) = self.members.get_mut(place) else { return };
        member.kind = said.kind;
        member.tags.clone_from(&said.tags);
        member.hidden = said.hidden;
        member.last_write_millis = said.last_write_millis;
        member.heard_millis = now_millis;
        member.epoch += 1;
        member.trouble = (said.kind == MemberKind::Other).then(|| "serves nobody now".to_owned());
        member.round_trip = match (member.round_trip, round_trip) {
            (Some(before), Some(now)) => {
                Some((before * (100 - ROUND_TRIP_WEIGHT) + now * ROUND_TRIP_WEIGHT) / 100)
            }
            (before, now) => now.or(before),
        };
    }

    fn other(&mut self, place: usize, why: String) {
        if let Some(member) = self.members.get_mut(place) {
            member.lost(why);
            member.kind = MemberKind::Other;
        }
    }

    /// A member could not be reached, or turned out not to be what it was.
    pub(crate) fn failed(&mut self, host: &str, why: &str) {
        if let Some(member) = self.find(host).and_then(|place| self.members.get_mut(place)) {
            member.lost(why);
        }
    }

    /// The members that a read may go to; any of them will do.
    pub fn eligible(&self, choice: &MemberChoice) -> Vec<usize> {
        let primary = self.primary();
        let secondaries = || self.nearest(choice, |kind| kind == MemberKind::Secondary);
        let or = |first: Vec<usize>, second: &dyn Fn() -> Vec<usize>| {
            if first.is_empty() { second() } else { first }
        };
        let primary: Vec<usize> = primary.into_iter().collect();
        match choice.mode {
            ReadPreference::Primary => primary,
            ReadPreference::PrimaryPreferred => or(primary, &secondaries),
            ReadPreference::Secondary => secondaries(),
            ReadPreference::SecondaryPreferred => or(secondaries(), &|| primary.clone()),
            ReadPreference::Nearest => {
                self.nearest(choice, |kind| matches!(kind, MemberKind::Primary | MemberKind::Secondary))
            }
        }
    }

    /// Of the members of these kinds: those that are fresh enough, have the tags, and are near.
    fn nearest(&self, choice: &MemberChoice, kinds: impl Fn(MemberKind) -> bool) -> Vec<usize> {
        let fresh = |member: &MemberState| match choice.staleness_max {
            Some(bound) => {
                self.staleness_millis(member) <= i64::try_from(bound.as_millis()).unwrap_or(i64::MAX)
            }
            None => true,
        };
        let usable: Vec<(usize, &MemberState)> = (self.members.iter().enumerate())
            .filter(|(_, member)| kinds(member.kind) && !member.hidden && fresh(member))
            .collect();
        let tagged = |set: &TagSet| -> Vec<(usize, &MemberState)> {
            let has_all = |member: &MemberState| set.iter().all(|tag| member.tags.contains(tag));
            usable.iter().filter(|(_, member)| has_all(member)).copied().collect()
        };
        let chosen = if choice.tag_sets.is_empty() {
            usable
        } else {
            choice.tag_sets.iter().map(tagged).find(|found| !found.is_empty()).unwrap_or_default()
        };
        let round_trip = |member: &MemberState| member.round_trip.unwrap_or(Duration::ZERO);
        let least = chosen.iter().map(|(_, member)| round_trip(member)).min().unwrap_or_default();
        let near = chosen.iter().filter(|(_, member)| round_trip(member) <= least + LATENCY_WINDOW);
        near.map(|(place, _)| *place).collect()
    }

    /// How far a member is behind the primary, or where there is none, behind the freshest secondary; an upper bound.
    fn staleness_millis(&self, member: &MemberState) -> i64 {
        let interval = i64::try_from(HEARTBEAT_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        let Some(written) = member.last_write_millis else { return 0 };
        match self.primary().and_then(|place| self.members.get(place)) {
            Some(primary) if *primary.host == *member.host => 0,
            Some(primary) => {
                let Some(latest) = primary.last_write_millis else { return 0 };
                (member.heard_millis - written) - (primary.heard_millis - latest) + interval
            }
            None => {
                let secondaries = self.members.iter().filter(|member| member.kind == MemberKind::Secondary);
                let latest = secondaries.filter_map(|member| member.last_write_millis).max();
                latest.unwrap_or(written) - written + interval
            }
        }
    }
}

/// The set's state in words, for errors.
impl fmt::Display for Topology {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.name)?;
        if self.members.is_empty() {
            return out.write_str("no members are known");
        }
        for (place, member) in self.members.iter().enumerate() {
            let kind = match member.kind {
                MemberKind::Unknown => "unreachable",
                MemberKind::Primary => "primary",
                MemberKind::Secondary => "secondary",
                MemberKind::Arbiter => "arbiter",
                MemberKind::Other => "not usable",
            };
            let comma = if place == 0 { "" } else { ", " };
            write!(out, "{comma}{} is {kind}", member.host)?;
            if let Some(trouble) = &member.trouble {
                write!(out, " ({trouble})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, RawDocumentBuf, doc};

    fn hello(me: &str, kind: &str, hosts: &[&str], election: u8) -> Document {
        let mut said = doc! { "setName": "rs", "hosts": hosts, "me": me, "setVersion": 1 };
        said.insert("isWritablePrimary", kind == "primary");
        said.insert("secondary", kind == "secondary");
        if kind == "primary" {
            said.insert("electionId", ObjectId::from_bytes([election; 12]));
        }
        said
    }

    fn parse(said: &Document) -> Description {
        Description::parse(&RawDocumentBuf::try_from(said).unwrap())
    }

    fn say(topology: &mut Topology, host: &str, said: &Document) {
        topology.answered(host, parse(said), Some(Duration::from_millis(1)), 100_000);
    }

    fn shown(topology: &Topology) -> String {
        let kinds = topology.members.iter().map(|member| {
            let kind = match member.kind {
                MemberKind::Unknown => '?',
                MemberKind::Primary => 'P',
                MemberKind::Secondary => 'S',
                MemberKind::Arbiter => 'A',
                MemberKind::Other => 'O',
            };
            format!("{}{kind}", member.host)
        });
        kinds.collect::<Vec<_>>().join(" ")
    }

    fn topology(seeds: &[&str]) -> Topology {
        Topology::new("rs", &seeds.iter().map(|seed| (*seed).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn members_are_learned_from_any_of_them() {
        let mut set = topology(&["a"]);
        say(&mut set, "a", &hello("a", "secondary", &["a", "b", "c"], 0));
        assert_eq!(shown(&set), "aS b? c?");
        say(&mut set, "b", &hello("b", "primary", &["a", "b", "d"], 1));
        assert_eq!(shown(&set), "aS bP d?");
        // What is not in the primary's list is gone, and what it says comes too late.
        say(&mut set, "c", &hello("c", "secondary", &["a", "b", "c"], 0));
        assert_eq!(shown(&set), "aS bP d?");
        // A secondary's list does not add while there is a primary.
        say(&mut set, "a", &hello("a", "secondary", &["a", "b", "c"], 0));
        assert_eq!(shown(&set), "aS bP d?");
        let mut arbiter = hello("d", "none", &["a", "b"], 0);
        arbiter.insert("arbiterOnly", true);
        arbiter.insert("arbiters", ["d"]);
        say(&mut set, "d", &arbiter);
        assert_eq!(shown(&set), "aS bP dA");
    }

    #[test]
    fn the_newest_election_wins_in_any_order() {
        let mut set = topology(&["a", "b"]);
        say(&mut set, "a", &hello("a", "primary", &["a", "b"], 1));
        say(&mut set, "b", &hello("b", "primary", &["a", "b"], 2));
        assert_eq!(shown(&set), "a? bP");
        say(&mut set, "a", &hello("a", "primary", &["a", "b"], 1));
        assert_eq!(shown(&set), "aO bP");
        // Also when the newer one is away.
        set.failed("b", "reset");
        say(&mut set, "a", &hello("a", "primary", &["a", "b"], 1));
        assert_eq!(shown(&set), "aO b?");
        let mut newer = hello("a", "primary", &["a", "b"], 2);
        newer.insert("setVersion", 2);
        say(&mut set, "a", &newer);
        assert_eq!(shown(&set), "aP b?");
    }

    #[test]
    fn strangers_and_aliases_are_told_apart() {
        let mut set = topology(&["a", "localhost"]);
        let mut stranger = hello("a", "primary", &["x"], 1);
        stranger.insert("setName", "other");
        say(&mut set, "a", &stranger);
        assert_eq!(shown(&set), "aO localhost?");
        assert!(set.to_string().contains("a is not usable (is a member of replica set other)"), "{set}");
        say(&mut set, "localhost", &hello("b", "secondary", &["b", "c"], 0));
        assert_eq!(shown(&set), "aO b? c?");
        say(&mut set, "b", &doc! { "isWritablePrimary": false, "info": "no config" });
        assert_eq!(shown(&set), "aO bO c?");
    }

    #[test]
    fn reads_go_where_the_choice_says() {
        let hosts = ["p", "s", "t", "far", "stale"];
        let mut set = topology(&hosts);
        for (host, kind, tags, millis, written) in [
            ("p", "primary", doc! { "dc": "x" }, 1, 90_000_i64),
            ("s", "secondary", doc! { "dc": "x", "use": "r" }, 2, 90_000),
            ("t", "secondary", doc! { "dc": "y" }, 10, 90_000),
            ("far", "secondary", doc! { "dc": "z" }, 40, 90_000),
            ("stale", "secondary", doc! {}, 1, -60_000),
        ] {
            let mut said = hello(host, kind, &hosts, 1);
            said.insert("tags", tags);
            said.insert("lastWrite", doc! { "lastWriteDate": bson::DateTime::from_millis(written) });
            set.answered(host, parse(&said), Some(Duration::from_millis(millis)), 100_000);
        }
        let rows = |set: &Topology, preference: Document| -> String {
            let choice = MemberChoice::parse(&RawDocumentBuf::try_from(&preference).unwrap()).unwrap();
            let chosen = set.eligible(&choice);
            let names = chosen.iter().map(|place| set.members[*place].host.to_string());
            names.collect::<Vec<_>>().join(" ")
        };
        for (preference, expected) in [
            (doc! { "mode": "primary" }, "p"),
            (doc! { "mode": "primaryPreferred" }, "p"),
            (doc! { "mode": "secondary" }, "s t stale"),
            (doc! { "mode": "secondaryPreferred" }, "s t stale"),
            (doc! { "mode": "nearest" }, "p s t stale"),
            (doc! { "mode": "nearest", "maxStalenessSeconds": 90 }, "p s t"),
            (doc! { "mode": "secondary", "maxStalenessSeconds": 90 }, "s t"),
            (doc! { "mode": "secondary", "maxStalenessSeconds": 160 }, "s t stale"),
            (doc! { "mode": "secondary", "tags": [{ "dc": "z" }] }, "far"),
            (doc! { "mode": "secondary", "tags": [{ "dc": "x", "use": "r" }] }, "s"),
            (doc! { "mode": "secondary", "tags": [{ "dc": "none" }, { "dc": "y" }] }, "t"),
            (doc! { "mode": "secondary", "tags": [{ "dc": "none" }, {}] }, "s t stale"),
            (doc! { "mode": "secondary", "tags": [{ "dc": "none" }] }, ""),
            (doc! { "mode": "secondaryPreferred", "tags": [{ "dc": "none" }] }, "p"),
            (doc! { "mode": "nearest", "tags": [{ "dc": "x" }] }, "p s"),
        ] {
            assert_eq!(rows(&set, preference.clone()), expected, "{preference}");
        }
        set.failed("p", "reset");
        for (preference, expected) in [
            (doc! { "mode": "primary" }, ""),
            (doc! { "mode": "primaryPreferred" }, "s t stale"),
            (doc! { "mode": "nearest", "maxStalenessSeconds": 90 }, "s t"),
        ] {
            assert_eq!(rows(&set, preference.clone()), expected, "{preference}");
        }
    }
}

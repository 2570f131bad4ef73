//! A configuration as a document: what `rs.initiate` is given, `rs.conf` shows and `local.system.replset` holds.
//! Every field is checked here; nothing past this file reads a field by name.

use super::{ELECTABLE_PRIORITY_MAX, MEMBERS_MAX, MemberConfig, SetConfig, Settings, VOTERS_MAX};
use bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use types::{Code, Fault};

/// Longest delay of a member: a year.
const SECONDARY_DELAY_SECONDS_MAX: i64 = 366 * 24 * 3600;

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::InvalidReplicaSetConfig, message)
}

impl SetConfig {
    /// Parses a configuration document and checks it by itself.
    ///
    /// # Errors
    /// `InvalidReplicaSetConfig` (93) with what is wrong; 40415 for unknown fields.
    pub fn parse(raw: &RawDocument, new_id: bson::oid::ObjectId) -> Result<SetConfig, Fault> {
        let mut config = SetConfig {
            name: String::new(),
            version: 1,
            term: 1,
            members: Vec::new(),
            configsvr: false,
            replica_set_id: new_id,
            settings: Settings::default(),
        };
        for element in raw.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("_id", RawBsonRef::String(set)) => config.name = set.to_owned(),
                ("version", value) => config.version = integer("version", value)?,
                ("term", value) => config.term = integer("term", value)?,
                ("protocolVersion", value) if integer("protocolVersion", value)? == 1 => {}
                ("protocolVersion", _) => return Err(invalid("protocolVersion must be 1")),
                ("writeConcernMajorityJournalDefault", RawBsonRef::Boolean(true)) => {}
                ("configsvr", RawBsonRef::Boolean(on)) => config.configsvr = on,
                ("members", RawBsonRef::Array(members)) => {
                    for member in members {
                        match member.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
                            RawBsonRef::Document(member) => config.members.push(MemberConfig::parse(member)?),
                            _ => return Err(invalid("members must be documents")),
                        }
                    }
                }
                ("settings", RawBsonRef::Document(settings)) => {
                    let settings =
                        Document::try_from(settings).map_err(|error| invalid(error.to_string()))?;
                    for (name, value) in settings {
                        match (name.as_str(), value) {
                            ("replicaSetId", Bson::ObjectId(id)) => config.replica_set_id = id,
                            (name, value) => {
                                if !config.settings.set(name, value)? {
                                    return Err(unknown(&format!("settings.{name}")));
                                }
                            }
                        }
                    }
                }
                (
                    name @ ("_id"
                    | "members"
                    | "settings"
                    | "configsvr"
                    | "writeConcernMajorityJournalDefault"),
                    _,
                ) => {
                    return Err(invalid(format!(
                        "replica set config field '{name}' has a wrong type or value"
                    )));
                }
                (other, _) => return Err(unknown(other)),
            }
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Fault> {
        if self.name.is_empty() {
            return Err(invalid("Replica set configuration must have an _id: the name of the set"));
        }
        if self.version < 1 || self.version > i64::from(i32::MAX) {
            return Err(invalid(format!("version must be between 1 and {}", i32::MAX)));
        }
        if self.members.is_empty() {
            return Err(invalid("Replica set configuration must contain at least one member"));
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(invalid(format!(
                "Replica set configuration contains {} members, but must have no more than {MEMBERS_MAX}",
                self.members.len()
            )));
        }
        let votes = self.members.iter().filter(|member| member.votes > 0).count();
        if votes > VOTERS_MAX {
            return Err(invalid(format!(
                "Replica set configuration contains {votes} voting members, but must be at least 1 and no more than {VOTERS_MAX}"
            )));
        }
        for (mode, tags) in &self.settings.modes {
            for (tag, count) in tags {
                let mut different: Vec<&Bson> = Vec::new();
                for value in self.members.iter().filter_map(|member| member.tags.get(tag)) {
                    if !different.contains(&value) {
                        different.push(value);
                    }
                }
                if (different.len() as u64) < u64::from(*count) {
                    return Err(invalid(format!(
                        "settings.getLastErrorModes.{mode} asks for {count} values of tag {tag}, but the members have {}",
                        different.len()
                    )));
                }
            }
        }
        for (index, member) in self.members.iter().enumerate() {
            let others = self.members.iter().skip(index + 1);
            if others.clone().any(|other| other.id == member.id) {
                return Err(invalid(format!("Found two member configurations with same _id: {}", member.id)));
            }
            if others.clone().any(|other| other.host == member.host) {
                return Err(invalid(format!(
                    "Found two member configurations with same host: {}",
                    member.host
                )));
            }
        }
        if !self
            .members
            .iter()
            .any(|member| member.votes > 0 && member.priority > 0.0 && !member.arbiter_only)
        {
            return Err(invalid(
                "Replica set configuration must contain at least one non-arbiter member with priority > 0",
            ));
        }
        Ok(())
    }

    /// The document that `replSetGetConfig` shows and `local.system.replset` holds.
    pub fn to_document(&self) -> Document {
        let mut config = doc! {
            "_id": &self.name,
            "version": i32::try_from(self.version).unwrap_or(i32::MAX),
            "term": i32::try_from(self.term).unwrap_or(i32::MAX),
            "members": self.members.iter().map(MemberConfig::to_document).collect::<Vec<_>>(),
        };
        if self.configsvr {
            config.insert("configsvr", true);
        }
        config.insert("protocolVersion", 1_i64);
        config.insert("writeConcernMajorityJournalDefault", true);
        let mut settings = self.settings.to_document();
        settings.insert("replicaSetId", self.replica_set_id);
        config.insert("settings", settings);
        config
    }
}

impl MemberConfig {
    fn parse(raw: &RawDocument) -> Result<MemberConfig, Fault> {
        let mut member = MemberConfig::new(-1, "");
        for element in raw.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("_id", value) => {
                    member.id = i32::try_from(integer("members._id", value)?)
                        .ok()
                        .filter(|id| (0..=255).contains(id))
                        .ok_or_else(|| invalid("members._id must be between 0 and 255"))?;
                }
                ("host", RawBsonRef::String(host)) => {
                    let has_port = host
                        .rsplit_once(':')
                        .is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
                    member.host = if has_port { host.to_owned() } else { format!("{host}:27017") };
                }
                ("arbiterOnly", RawBsonRef::Boolean(on)) => member.arbiter_only = on,
                ("buildIndexes", RawBsonRef::Boolean(on)) => member.build_indexes = on,
                ("hidden", RawBsonRef::Boolean(on)) => member.hidden = on,
                ("newlyAdded", RawBsonRef::Boolean(on)) => member.newly_added = on,
                ("priority", value) => {
                    member.priority = double("members.priority", value)?;
                    if !(0.0..=ELECTABLE_PRIORITY_MAX).contains(&member.priority) {
                        return Err(invalid("members.priority must be between 0 and 1000"));
                    }
                }
                ("tags", RawBsonRef::Document(tags)) => {
                    member.tags = Document::try_from(tags).map_err(|error| invalid(error.to_string()))?;
                }
                ("secondaryDelaySecs" | "slaveDelay", value) => {
                    member.secondary_delay_seconds = integer("members.secondaryDelaySecs", value)?;
                    if !(0..=SECONDARY_DELAY_SECONDS_MAX).contains(&member.secondary_delay_seconds) {
                        return Err(invalid("members.secondaryDelaySecs must be between 0 and 366 days"));
                    }
                }
                ("votes", value) => match integer("members.votes", value)? {
                    0 => member.votes = 0,
                    1 => member.votes = 1,
                    _ => return Err(invalid("members.votes must be 0 or 1")),
                },
                (name @ ("host" | "arbiterOnly" | "buildIndexes" | "hidden" | "newlyAdded" | "tags"), _) => {
                    return Err(invalid(format!("members.{name} has a wrong type")));
                }
                (other, _) => return Err(unknown(&format!("members.{other}"))),
            }
        }
        if member.id < 0 || member.host.is_empty() {
            return Err(invalid("every member needs _id and host"));
        }
        if member.arbiter_only {
            if member.priority > 0.0 && member.priority != 1.0 {
                return Err(invalid("priority must be 0 or 1 when arbiterOnly is true"));
            }
            if member.votes == 0 {
                return Err(invalid("votes must be 1 when arbiterOnly is true"));
            }
            if !member.tags.is_empty() {
                return Err(invalid("Cannot set tags on arbiters."));
            }
            member.priority = 0.0;
        }
        if !member.build_indexes && member.priority > 0.0 {
            return Err(invalid("priority must be 0 when buildIndexes is false"));
        }
        if member.priority > 0.0 && (member.hidden || member.votes == 0 || member.secondary_delay_seconds > 0)
        {
            return Err(invalid(
                "priority must be 0 when hidden=true, votes=0 or secondaryDelaySecs is used",
            ));
        }
        Ok(member)
    }

    pub(super) fn to_document(&self) -> Document {
        // A whole priority is shown as an integer, as MongoDB's shell users know it.
        let priority = if self.priority.fract() == 0.0 {
            Bson::Int32(self.priority as i32)
        } else {
            Bson::Double(self.priority)
        };
        let mut member = doc! {
            "_id": self.id,
            "host": &self.host,
            "arbiterOnly": self.arbiter_only,
            "buildIndexes": self.build_indexes,
            "hidden": self.hidden,
            "priority": priority,
            "tags": self.tags.clone(),
            "secondaryDelaySecs": self.secondary_delay_seconds,
            "votes": self.votes,
        };
        if self.newly_added {
            member.insert("newlyAdded", true);
        }
        member
    }
}

fn integer(name: &str, value: RawBsonRef<'_>) -> Result<i64, Fault> {
    match value {
        RawBsonRef::Int32(number) => Ok(i64::from(number)),
        RawBsonRef::Int64(number) => Ok(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Ok(number as i64),
        _ => Err(invalid(format!("{name} must be a whole number"))),
    }
}

fn double(name: &str, value: RawBsonRef<'_>) -> Result<f64, Fault> {
    match value {
        RawBsonRef::Double(number) => Ok(number),
        other => integer(name, other).map(|number| number as f64),
    }
}

fn unknown(field: &str) -> Fault {
    Fault::new(Code::Location(40415), format!("BSON field 'ReplSetConfig.{field}' is an unknown field."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: Document, expected: Result<usize, &str>) {
        let raw = bson::RawDocumentBuf::try_from(&config).unwrap();
        match (SetConfig::parse(&raw, bson::oid::ObjectId::from_bytes([1; 12])), expected) {
            (Ok(config), Ok(members)) => {
                assert_eq!(config.members.len(), members);
                // What we show must be accepted again, whole.
                let shown = bson::RawDocumentBuf::try_from(&config.to_document()).unwrap();
                assert_eq!(
                    SetConfig::parse(&shown, bson::oid::ObjectId::from_bytes([2; 12])).unwrap(),
                    config
                );
            }
            (Err(fault), Err(text)) => assert!(fault.message.contains(text), "{fault}"),
            (result, expected) => panic!("{config}: {result:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn configurations_parse() {
        check(doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}]}, Ok(1));
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}, {"_id": 1, "host": "b:1", "priority": 0.5}]},
            Ok(2),
        );
        check(doc! {"_id": "rs", "configsvr": true, "members": [{"_id": 0, "host": "a"}]}, Ok(1));
        check(doc! {"members": [{"_id": 0, "host": "a:1"}]}, Err("must have an _id"));
        check(doc! {"_id": "rs"}, Err("at least one member"));
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}, {"_id": 0, "host": "b:1"}]},
            Err("same _id"),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}, {"_id": 1, "host": "a:1"}]},
            Err("same host"),
        );
        check(doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1", "priority": 0}]}, Err("priority > 0"));
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1", "votes": 2}]},
            Err("votes must be 0 or 1"),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}, {"_id": 1, "host": "b:1", "arbiterOnly": true, "priority": 1}]},
            Ok(2),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}, {"_id": 1, "host": "b:1", "arbiterOnly": true, "priority": 2}]},
            Err("priority must be 0 or 1"),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}, {"_id": 1, "host": "b:1", "hidden": true}]},
            Err("priority must be 0 when hidden"),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}], "settings": {
                "electionTimeoutMillis": 5000, "catchUpTimeoutMillis": -1, "failureDetectionMillis": 0, "chainingAllowed": false,
            }},
            Ok(1),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}], "settings": {"electionTimeoutMillis": 0}},
            Err("must be between 1 and"),
        );
        check(
            doc! {"_id": "rs", "members": [{"_id": 0, "host": "a:1"}], "settings": {"nope": 0}},
            Err("unknown field"),
        );
        let tagged = |value: &str| {
            doc! {
                "_id": "rs",
                "members": [
                    {"_id": 0, "host": "a:1", "tags": {"dc": "east"}},
                    {"_id": 1, "host": "b:1", "tags": {"dc": value}, "newlyAdded": true},
                ],
                "settings": {"getLastErrorModes": {"both": {"dc": 2}}},
            }
        };
        check(tagged("west"), Ok(2));
        check(tagged("east"), Err("asks for 2 values of tag dc"));
        let many = |count: i32, votes: i32| {
            doc! {
                "_id": "rs",
                "members": (0..count)
                    .map(|id| doc! {"_id": id, "host": format!("h{id}:1"), "votes": i32::from(id < votes), "priority": i32::from(id < votes)})
                    .collect::<Vec<_>>(),
            }
        };
        check(many(50, 7), Ok(50));
        check(many(51, 7), Err("no more than 50"));
        check(many(8, 8), Err("8 voting members"));
        check(doc! {"_id": "rs", "nope": 1, "members": []}, Err("unknown field"));
    }
}

//! The configuration of a replica set: what `rs.initiate` is given and `rs.conf` shows.

use bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use types::{Code, Fault};

/// One member of the set.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberConfig {
    pub id: i32,
    /// `host:port`.
    pub host: String,
    pub arbiter_only: bool,
    pub build_indexes: bool,
    pub hidden: bool,
    pub priority: f64,
    pub tags: Document,
    pub secondary_delay_seconds: i64,
    pub votes: i32,
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct SetConfig {
    /// `_id`: the name of the set.
    pub name: String,
    pub version: i64,
    pub term: i64,
    pub members: Vec<MemberConfig>,
    /// `configsvr: true` on the config server's set.
    pub configsvr: bool,
    pub replica_set_id: bson::oid::ObjectId,
    /// `settings` other than `replicaSetId`, with defaults filled in.
    pub settings: Document,
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Code::InvalidReplicaSetConfig, message)
}

impl SetConfig {
    /// The configuration of a set of one: this member alone.
    pub fn single(name: &str, host: &str, configsvr: bool, replica_set_id: bson::oid::ObjectId) -> SetConfig {
        SetConfig {
            name: name.to_owned(),
            version: 1,
            term: 1,
            members: vec![MemberConfig::new(0, host)],
            configsvr,
            replica_set_id,
            settings: default_settings(),
        }
    }

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
            settings: default_settings(),
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
                            (known, value) if config.settings.contains_key(known) => {
                                config.settings.insert(known, value);
                            }
                            (other, _) => return Err(unknown(&format!("settings.{other}"))),
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
        let mut settings = self.settings.clone();
        settings.insert("replicaSetId", self.replica_set_id);
        config.insert("settings", settings);
        config
    }
}

impl MemberConfig {
    fn new(id: i32, host: &str) -> MemberConfig {
        MemberConfig {
            id,
            host: host.to_owned(),
            arbiter_only: false,
            build_indexes: true,
            hidden: false,
            priority: 1.0,
            tags: Document::new(),
            secondary_delay_seconds: 0,
            votes: 1,
        }
    }

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
                ("priority", value) => {
                    member.priority = double("members.priority", value)?;
                    if !(0.0..=1000.0).contains(&member.priority) {
                        return Err(invalid("members.priority must be between 0 and 1000"));
                    }
                }
                ("tags", RawBsonRef::Document(tags)) => {
                    member.tags = Document::try_from(tags).map_err(|error| invalid(error.to_string()))?;
                }
                ("secondaryDelaySecs" | "slaveDelay", value) => {
                    member.secondary_delay_seconds = integer("members.secondaryDelaySecs", value)?;
                }
                ("votes", value) => match integer("members.votes", value)? {
                    0 => member.votes = 0,
                    1 => member.votes = 1,
                    _ => return Err(invalid("members.votes must be 0 or 1")),
                },
                (name @ ("host" | "arbiterOnly" | "buildIndexes" | "hidden" | "tags"), _) => {
                    return Err(invalid(format!("members.{name} has a wrong type")));
                }
                (other, _) => return Err(unknown(&format!("members.{other}"))),
            }
        }
        if member.id < 0 || member.host.is_empty() {
            return Err(invalid("every member needs _id and host"));
        }
        if member.priority > 0.0 && (member.hidden || member.votes == 0 || member.secondary_delay_seconds > 0)
        {
            return Err(invalid(
                "priority must be 0 when hidden=true, votes=0 or secondaryDelaySecs is used",
            ));
        }
        Ok(member)
    }

    fn to_document(&self) -> Document {
        // A whole priority is shown as an integer, as MongoDB's shell users know it.
        let priority = if self.priority.fract() == 0.0 {
            Bson::Int32(self.priority as i32)
        } else {
            Bson::Double(self.priority)
        };
        doc! {
            "_id": self.id,
            "host": &self.host,
            "arbiterOnly": self.arbiter_only,
            "buildIndexes": self.build_indexes,
            "hidden": self.hidden,
            "priority": priority,
            "tags": self.tags.clone(),
            "secondaryDelaySecs": self.secondary_delay_seconds,
            "votes": self.votes,
        }
    }
}

fn default_settings() -> Document {
    doc! {
        "chainingAllowed": true,
        "heartbeatIntervalMillis": 2000,
        "heartbeatTimeoutSecs": 10,
        "electionTimeoutMillis": 10000,
        "catchUpTimeoutMillis": -1,
        "catchUpTakeoverDelayMillis": 30000,
        "getLastErrorModes": {},
        "getLastErrorDefaults": { "w": 1, "wtimeout": 0 },
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
        check(doc! {"_id": "rs", "nope": 1, "members": []}, Err("unknown field"));
    }
}

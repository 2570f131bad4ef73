//! Read and write concern.

use crate::{Code, Fault};
use bson::{RawBsonRef, RawDocument};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many members must have a write before it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum W {
    /// That many members; 0 asks for no acknowledgement.
    Count(u32),
    /// A majority of the voting, data-bearing members.
    Majority,
    /// A mode of `settings.getLastErrorModes`.
    Mode(String),
    /// For each tag, how many different values of it must have the write.
    Tags(BTreeMap<String, u32>),
    /// Not named: as the default write concern says. MongoDB 8 takes `w` from the default where a client names a write concern without
    /// it (`{ j: true }`, `{ wtimeout: 100 }`); the manual's "Implicit Default Write Concern" says what that is where nobody set one.
    Default,
}

/// What a write waits for before it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteConcern {
    pub w: W,
    /// Wait until the journal is synced; `None` leaves it to `w` (majority implies it).
    pub journal: Option<bool>,
    /// Bound of the wait; zero is unbounded.
    pub timeout: Duration,
}

impl Default for WriteConcern {
    fn default() -> WriteConcern {
        WriteConcern { w: W::Majority, journal: None, timeout: Duration::ZERO }
    }
}

impl WriteConcern {
    /// Parses a `writeConcern` document; without `w` it is [`W::Default`].
    ///
    /// # Errors
    /// `FailedToParse` (9), `TypeMismatch` (14) or `BadValue` (2).
    pub fn parse(doc: &RawDocument) -> Result<WriteConcern, Fault> {
        let mut concern = WriteConcern { w: W::Default, journal: None, timeout: Duration::ZERO };
        for element in doc.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("w", RawBsonRef::String("majority")) => concern.w = W::Majority,
                ("w", RawBsonRef::String(mode)) => concern.w = W::Mode(mode.to_owned()),
                ("w", RawBsonRef::Document(doc)) => concern.w = W::Tags(tags(doc)?),
                ("w", value) => concern.w = W::Count(count(value)?),
                ("j" | "fsync", RawBsonRef::Boolean(on)) => concern.journal = Some(on),
                ("j" | "fsync", RawBsonRef::Null) => {}
                ("j" | "fsync", value) => concern.journal = Some(integer(value, name.as_str())? != 0),
                ("wtimeout" | "wtimeoutMS", value) => {
                    let millis = integer(value, name.as_str())?;
                    concern.timeout = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
                }
                ("provenance" | "getLastError", _) => {}
                (other, _) => {
                    return Err(Fault::new(
                        Code::Location(40415),
                        format!("BSON field 'writeConcern.{other}' is an unknown field."),
                    ));
                }
            }
        }
        if concern.w == W::Count(0) && concern.journal == Some(true) {
            return Err(Fault::bad_value("writeConcern.j cannot be true when writeConcern.w is 0"));
        }
        Ok(concern)
    }

    /// As a `writeConcern` document, which parses to the same.
    pub fn to_doc(&self) -> bson::RawDocumentBuf {
        let mut doc = bson::RawDocumentBuf::new();
        match &self.w {
            W::Count(count) => doc.append(bson::raw::cstr!("w"), i32::try_from(*count).unwrap_or(i32::MAX)),
            W::Majority => doc.append(bson::raw::cstr!("w"), "majority"),
            W::Mode(mode) => doc.append(bson::raw::cstr!("w"), mode.as_str()),
            W::Tags(tags) => {
                let tags = tags.iter().map(|(tag, count)| (tag.clone(), bson::Bson::Int64((*count).into())));
                // Names that were read from a document fit into one.
                let tags = bson::RawDocumentBuf::try_from(&tags.collect::<bson::Document>());
                doc.append(bson::raw::cstr!("w"), tags.unwrap_or_default());
            }
            W::Default => {}
        }
        if let Some(journal) = self.journal {
            doc.append(bson::raw::cstr!("j"), journal);
        }
        let millis = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        doc.append(bson::raw::cstr!("wtimeout"), millis);
        doc
    }

    /// What it leaves open is as `default` says; one that says nothing is the default.
    #[must_use]
    pub fn or(&self, default: &WriteConcern) -> WriteConcern {
        if self.w != W::Default {
            return self.clone();
        }
        if self.journal.is_none() && self.timeout.is_zero() {
            return default.clone();
        }
        WriteConcern {
            w: default.w.clone(),
            journal: self.journal.or(default.journal),
            timeout: self.timeout,
        }
    }

    /// Whether the client wants no answer.
    pub fn is_unacknowledged(&self) -> bool {
        self.w == W::Count(0)
    }

    /// Whether the journal must be synced before the write is acknowledged.
    pub fn needs_journal(&self) -> bool {
        self.journal.unwrap_or(self.w == W::Majority)
    }
}

fn count(value: RawBsonRef<'_>) -> Result<u32, Fault> {
    let number = integer(value, "w")?;
    u32::try_from(number).ok().filter(|number| *number <= 50).ok_or_else(|| {
        Fault::new(Code::FailedToParse, "w has to be a non-negative number and not greater than 50")
    })
}

fn tags(doc: &RawDocument) -> Result<BTreeMap<String, u32>, Fault> {
    let mut tags = BTreeMap::new();
    for element in doc.iter() {
        let (tag, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        let count = match value {
            RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) => count(value)?,
            _ => {
                return Err(Fault::new(
                    Code::FailedToParse,
                    "tags must be a single level document with only number values",
                ));
            }
        };
        tags.insert(tag.as_str().to_owned(), count);
    }
    if tags.is_empty() {
        return Err(Fault::new(Code::FailedToParse, "the tags of writeConcern.w are an empty document"));
    }
    Ok(tags)
}

fn integer(value: RawBsonRef<'_>, name: &str) -> Result<i64, Fault> {
    match value {
        RawBsonRef::Int32(number) => Ok(i64::from(number)),
        RawBsonRef::Int64(number) => Ok(number),
        RawBsonRef::Double(number) if number.is_finite() => Ok(number as i64),
        _ => Err(Fault::new(Code::TypeMismatch, format!("writeConcern.{name} must be a number"))),
    }
}

/// How settled the data of a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadConcernLevel {
    #[default]
    Local,
    Available,
    Majority,
    Linearizable,
    Snapshot,
}

/// A `readConcern` document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadConcern {
    /// `None` where the client named none.
    pub level: Option<ReadConcernLevel>,
    /// Read nothing older than this (causal consistency).
    pub after_cluster_time: Option<crate::Timestamp>,
    /// Read exactly at this time (level snapshot).
    pub at_cluster_time: Option<crate::Timestamp>,
}

impl ReadConcern {
    /// Parses a `readConcern` document.
    ///
    /// # Errors
    /// `FailedToParse` (9), `TypeMismatch` (14) or `InvalidOptions` (72).
    pub fn parse(doc: &RawDocument) -> Result<ReadConcern, Fault> {
        let mut concern = ReadConcern::default();
        for element in doc.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("level", RawBsonRef::String(level)) => {
                    concern.level = Some(match level {
                        "local" => ReadConcernLevel::Local,
                        "available" => ReadConcernLevel::Available,
                        "majority" => ReadConcernLevel::Majority,
                        "linearizable" => ReadConcernLevel::Linearizable,
                        "snapshot" => ReadConcernLevel::Snapshot,
                        other => {
                            return Err(Fault::bad_value(format!(
                                "Enumeration value '{other}' for field 'readConcern.level' is not a valid value."
                            )));
                        }
                    });
                }
                ("afterClusterTime", RawBsonRef::Timestamp(ts)) => {
                    concern.after_cluster_time = Some(ts.into());
                }
                ("atClusterTime", RawBsonRef::Timestamp(ts)) => concern.at_cluster_time = Some(ts.into()),
                ("provenance", _) => {}
                ("level" | "afterClusterTime" | "atClusterTime", _) => {
                    return Err(Fault::new(
                        Code::TypeMismatch,
                        format!("BSON field 'readConcern.{}' is the wrong type", name.as_str()),
                    ));
                }
                (other, _) => {
                    return Err(Fault::new(
                        Code::Location(40415),
                        format!("BSON field 'readConcern.{other}' is an unknown field."),
                    ));
                }
            }
        }
        concern.check()?;
        Ok(concern)
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<(), Fault> {
        let refuse = |message: &str| Err(Fault::new(Code::InvalidOptions, message));
        if let Some(at) = self.at_cluster_time {
            if self.level != Some(ReadConcernLevel::Snapshot) {
                return refuse("atClusterTime field can be set only if level is equal to: snapshot");
            }
            if self.after_cluster_time.is_some() {
                return refuse(
                    "Specifying a timestamp for atClusterTime and afterClusterTime is not allowed",
                );
            }
            if at == crate::Timestamp::ZERO {
                return refuse("atClusterTime cannot be a null timestamp");
            }
        }
        match (self.after_cluster_time, self.level) {
            (Some(crate::Timestamp::ZERO), _) => refuse("afterClusterTime cannot be a null timestamp"),
            (Some(_), Some(ReadConcernLevel::Available | ReadConcernLevel::Linearizable)) => refuse(
                "afterClusterTime field can be set only if level is equal to: local, majority, or snapshot",
            ),
            _ => Ok(()),
        }
    }
}

impl ReadConcernLevel {
    /// As in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadConcernLevel::Local => "local",
            ReadConcernLevel::Available => "available",
            ReadConcernLevel::Majority => "majority",
            ReadConcernLevel::Linearizable => "linearizable",
            ReadConcernLevel::Snapshot => "snapshot",
        }
    }
}

impl ReadConcern {
    /// Whether the newest that the member has is good enough: nothing to wait for, no older time to read at.
    pub fn is_newest(&self) -> bool {
        matches!(self.level, None | Some(ReadConcernLevel::Local | ReadConcernLevel::Available))
            && self.after_cluster_time.is_none()
    }
}

/// Where a read takes its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt {
    /// The newest that this member has.
    Latest,
    /// At this time.
    At(crate::Timestamp),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_concerns_parse_or_are_refused() {
        let ts = bson::Timestamp { time: 5, increment: 1 };
        let zero = bson::Timestamp { time: 0, increment: 0 };
        for (doc, code) in [
            (bson::rawdoc! {}, None),
            (bson::rawdoc! { "level": "majority", "afterClusterTime": ts }, None),
            (bson::rawdoc! { "afterClusterTime": ts }, None),
            (bson::rawdoc! { "level": "snapshot", "atClusterTime": ts }, None),
            (bson::rawdoc! { "level": "snapshot", "afterClusterTime": ts }, None),
            (bson::rawdoc! { "level": "local", "provenance": "clientSupplied" }, None),
            (bson::rawdoc! { "level": "local", "atClusterTime": ts }, Some(72)),
            (bson::rawdoc! { "atClusterTime": ts }, Some(72)),
            (bson::rawdoc! { "level": "snapshot", "atClusterTime": ts, "afterClusterTime": ts }, Some(72)),
            (bson::rawdoc! { "level": "snapshot", "atClusterTime": zero }, Some(72)),
            (bson::rawdoc! { "level": "available", "afterClusterTime": ts }, Some(72)),
            (bson::rawdoc! { "level": "linearizable", "afterClusterTime": ts }, Some(72)),
            (bson::rawdoc! { "level": "local", "afterClusterTime": zero }, Some(72)),
            (bson::rawdoc! { "level": "serializable" }, Some(2)),
            (bson::rawdoc! { "level": 1 }, Some(14)),
            (bson::rawdoc! { "lvl": 1 }, Some(40415)),
        ] {
            let parsed = ReadConcern::parse(&doc);
            assert_eq!(parsed.err().map(|fault| fault.code.number()), code, "{doc:?}");
        }
    }

    #[test]
    fn a_write_concern_reads_back() {
        let tags = W::Tags(BTreeMap::from([("dc".to_owned(), 2), ("rack".to_owned(), 3)]));
        for w in [W::Count(0), W::Count(3), W::Majority, W::Mode("eachRegion".to_owned()), tags, W::Default] {
            for journal in [None, Some(false)] {
                let concern = WriteConcern { w: w.clone(), journal, timeout: Duration::from_millis(250) };
                assert_eq!(WriteConcern::parse(&concern.to_doc()), Ok(concern));
            }
        }
    }

    #[test]
    fn what_a_client_leaves_open_is_as_the_default_says() {
        let default =
            WriteConcern { w: W::Count(2), journal: Some(false), timeout: Duration::from_millis(7) };
        let of = |doc: bson::RawDocumentBuf| WriteConcern::parse(&doc).unwrap().or(&default);
        assert_eq!(of(bson::rawdoc! {}), default);
        assert_eq!(
            of(bson::rawdoc! { "j": true }),
            WriteConcern { w: W::Count(2), journal: Some(true), timeout: Duration::ZERO }
        );
        assert_eq!(
            of(bson::rawdoc! { "wtimeout": 9 }),
            WriteConcern { timeout: Duration::from_millis(9), ..default.clone() }
        );
        let named = WriteConcern { w: W::Majority, journal: None, timeout: Duration::ZERO };
        assert_eq!(of(bson::rawdoc! { "w": "majority" }), named);
    }

    #[test]
    fn tags_are_numbers_by_name() {
        for (doc, code) in [
            (bson::rawdoc! { "w": { "dc": 2, "rack": 1.0 } }, None),
            (bson::rawdoc! { "w": {} }, Some(9)),
            (bson::rawdoc! { "w": { "dc": "two" } }, Some(9)),
            (bson::rawdoc! { "w": { "dc": { "east": 1 } } }, Some(9)),
            (bson::rawdoc! { "w": { "dc": -1 } }, Some(9)),
        ] {
            let parsed = WriteConcern::parse(&doc);
            assert_eq!(parsed.err().map(|fault| fault.code.number()), code, "{doc:?}");
        }
    }
}

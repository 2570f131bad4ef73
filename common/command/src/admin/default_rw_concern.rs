//! `setDefaultRWConcern` and `getDefaultRWConcern`: the concerns of clients that name none.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Code, Fault, ReadConcern, ReadConcernLevel, WriteConcern};

/// A `setDefaultRWConcern` command.
#[derive(Debug, Clone, PartialEq)]
pub struct SetDefaultRwConcern {
    /// `Some(None)` goes back to the implicit default.
    pub read: Option<Option<ReadConcernLevel>>,
    /// Once set it can be changed, but not taken back.
    pub write: Option<Option<WriteConcern>>,
}

impl SetDefaultRwConcern {
    /// Reads the command.
    ///
    /// # Errors
    /// `BadValue` (2) for concerns that cannot be a default; as MongoDB for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<SetDefaultRwConcern, Fault> {
        let mut set = SetDefaultRwConcern { read: None, write: None };
        Body::of(request, "setDefaultRWConcern").each(|field| {
            match field.name {
                "defaultReadConcern" => {
                    let doc = field.document()?;
                    set.read = Some(if doc.is_empty() { None } else { Some(read_level(&doc)?) });
                }
                "defaultWriteConcern" => {
                    let doc = field.document()?;
                    set.write = Some(if doc.is_empty() { None } else { Some(write_concern(&doc)?) });
                }
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        if set.read.is_none() && set.write.is_none() {
            return Err(Fault::bad_value(
                "At least one of the \"defaultReadConcern\" or \"defaultWriteConcern\" fields must be present",
            ));
        }
        Ok(set)
    }
}

fn read_level(doc: &bson::RawDocument) -> Result<ReadConcernLevel, Fault> {
    let concern = ReadConcern::parse(doc)?;
    if concern.after_cluster_time.is_some() || concern.at_cluster_time.is_some() {
        return Err(Fault::bad_value(
            "defaultReadConcern may only have the field 'level'; a time is no default",
        ));
    }
    match concern.level {
        Some(
            level @ (ReadConcernLevel::Local | ReadConcernLevel::Available | ReadConcernLevel::Majority),
        ) => Ok(level),
        Some(level) => Err(Fault::bad_value(format!(
            "level: '{}' is not suitable for the default read concern",
            level.as_str()
        ))),
        None => Err(Fault::bad_value("missing level in defaultReadConcern")),
    }
}

fn write_concern(doc: &bson::RawDocument) -> Result<WriteConcern, Fault> {
    if !matches!(doc.get("w"), Ok(Some(_))) {
        return Err(Fault::bad_value("missing w in defaultWriteConcern"));
    }
    let concern = WriteConcern::parse(doc)?;
    if concern.is_unacknowledged() {
        return Err(Fault::bad_value("w:0 is not suitable for the default write concern"));
    }
    Ok(concern)
}

/// A `getDefaultRWConcern` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetDefaultRwConcern {
    /// Tell what this process goes by, without looking at what is stored.
    pub in_memory: bool,
}

impl GetDefaultRwConcern {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<GetDefaultRwConcern, Fault> {
        let mut in_memory = false;
        Body::of(request, "getDefaultRWConcern").each(|field| {
            match field.name {
                "inMemory" => in_memory = field.flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(GetDefaultRwConcern { in_memory })
    }
}

impl SetDefaultRwConcern {
    /// Refuses to take a write concern back that was set.
    ///
    /// # Errors
    /// `IllegalOperation` (20).
    pub fn check_unset(&self, is_set: bool) -> Result<(), Fault> {
        match &self.write {
            Some(None) if is_set => Err(Fault::new(
                Code::IllegalOperation,
                "The global default write concern cannot be unset once it is set.",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, rawdoc};

    #[test]
    fn only_what_suits_everybody_can_be_a_default() {
        let code = |mut fields: RawDocumentBuf| {
            let mut body = rawdoc! { "setDefaultRWConcern": 1, "$db": "admin" };
            for (name, value) in fields.iter().map(Result::unwrap) {
                body.append(name, value);
            }
            fields = body;
            let request = Request::from_body(fields);
            let envelope = Envelope::parse(&request.body).unwrap();
            SetDefaultRwConcern::parse(&request, &envelope).err().map(|fault| fault.code.number())
        };
        for (fields, expected) in [
            (rawdoc! {}, Some(2)),
            (rawdoc! { "defaultReadConcern": { "level": "majority" } }, None),
            (rawdoc! { "defaultReadConcern": {} }, None),
            (rawdoc! { "defaultReadConcern": { "level": "snapshot" } }, Some(2)),
            (rawdoc! { "defaultReadConcern": { "level": "linearizable" } }, Some(2)),
            (rawdoc! { "defaultWriteConcern": { "w": 1 } }, None),
            (rawdoc! { "defaultWriteConcern": { "w": "majority", "j": true, "wtimeout": 5 } }, None),
            (rawdoc! { "defaultWriteConcern": { "w": 0 } }, Some(2)),
            (rawdoc! { "defaultWriteConcern": { "j": true } }, Some(2)),
            (rawdoc! { "defaultWriteConcern": 1 }, Some(14)),
            (rawdoc! { "other": 1 }, Some(40415)),
        ] {
            assert_eq!(code(fields.clone()), expected, "{fields:?}");
        }
    }
}

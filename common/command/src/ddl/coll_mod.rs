//! `collMod`: changes of an index: hidden, time to live, unique.

use crate::options::Hint;
use crate::parse::{Body, Field, Stop, each};
use crate::{Envelope, Request};
use types::{Code, Fault, Namespace};

/// A `collMod` command.
#[derive(Debug, Clone, PartialEq)]
pub struct CollMod {
    pub ns: Namespace,
    pub index: Option<IndexChange>,
}

/// What changes about one index; `None` leaves as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexChange {
    /// By name or by key pattern.
    pub index: Hint,
    pub hidden: Option<bool>,
    pub expire_after_seconds: Option<i64>,
}

impl CollMod {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; `NotImplemented` (238) for changes other than those of an index.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<CollMod, Fault> {
        let body = Body::of(request, "collMod");
        let mut command = CollMod { ns: body.collection(envelope)?, index: None };
        body.each(|field| {
            match field.name {
                "index" => command.index = Some(index_change(&field)?),
                "validator" => field.unset_document()?,
                "dryRun" => field.unset_flag()?,
                "validationLevel"
                | "validationAction"
                | "viewOn"
                | "pipeline"
                | "expireAfterSeconds"
                | "timeseries"
                | "cappedSize"
                | "cappedMax"
                | "changeStreamPreAndPostImages"
                | "collectionUUID" => field.unsupported()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(command)
    }
}

fn index_change(field: &Field<'_>) -> Result<IndexChange, Stop> {
    let spec = field.document()?;
    let (mut name, mut pattern) = (None, None);
    let (mut hidden, mut expire_after_seconds) = (None, None);
    each(&spec, &spec, "collMod.index", |field| {
        match field.name {
            "name" => name = Some(Hint::Name(field.string()?.to_owned())),
            "keyPattern" => pattern = Some(Hint::Pattern(field.document()?)),
            "hidden" => hidden = Some(field.flag()?),
            "expireAfterSeconds" => expire_after_seconds = Some(field.integer()?),
            "unique" | "prepareUnique" | "forceNonUnique" => field.unset_flag()?,
            _ => return field.unknown(),
        }
        Ok(())
    })?;
    let refuse = |message: &str| Err(Fault::new(Code::InvalidOptions, message).into());
    let index = match (name, pattern) {
        (Some(index), None) | (None, Some(index)) => index,
        (Some(_), Some(_)) => return refuse("Cannot specify both key pattern and name."),
        (None, None) => return refuse("Must specify either index name or key pattern."),
    };
    if hidden.is_none() && expire_after_seconds.is_none() {
        return refuse("no expireAfterSeconds, hidden, unique, or prepareUnique field");
    }
    Ok(IndexChange { index, hidden, expire_after_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn index_changes() {
        let parse = |body| CollMod::parse(&request(body), &envelope());
        let change =
            parse(doc! {"collMod": "c", "index": {"name": "a_1", "hidden": true}}).unwrap().index.unwrap();
        assert_eq!((change.index, change.hidden), (Hint::Name("a_1".into()), Some(true)));
        check_faults(
            |body| parse(body).map(drop),
            &[
                (
                    doc! {"collMod": "c", "index": {"hidden": true}},
                    72,
                    "Must specify either index name or key pattern.",
                ),
                (doc! {"collMod": "c", "index": {"name": "a"}}, 72, ""),
                (doc! {"collMod": "c", "validator": {"a": 1}}, 238, ""),
                (doc! {"collMod": "c", "index": {"name": "a", "unique": true}}, 238, ""),
            ],
        );
    }
}

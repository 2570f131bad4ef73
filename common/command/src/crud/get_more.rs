//! `getMore`: the next batch of a cursor.

use crate::parse::{Body, wrong_type};
use crate::{Envelope, Request};
use bson::{RawBson, RawBsonRef};
use std::num::NonZeroU64;
use types::{Fault, Namespace};

/// A `getMore` command.
#[derive(Debug, Clone, PartialEq)]
pub struct GetMore {
    pub cursor_id: i64,
    /// Must be the namespace that the cursor was opened on; may be `db.$cmd.listCollections` and the like.
    pub ns: Namespace,
    pub batch_size: Option<NonZeroU64>,
    pub comment: Option<RawBson>,
}

impl GetMore {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<GetMore, Fault> {
        let body = Body::of(request, "getMore");
        let cursor_id = match body.value()? {
            RawBsonRef::Int64(id) => id,
            other => return Err(wrong_type("getMore.getMore", other, &["long"])),
        };
        let (mut collection, mut batch_size, mut comment) = (None, None, None);
        body.each(|field| {
            match field.name {
                "collection" => collection = Some(field.string()?),
                "batchSize" => batch_size = NonZeroU64::new(field.count()?),
                "comment" => comment = Some(field.any()),
                "includeQueryStatsMetrics" => field.unset_flag()?,
                "term" | "lastKnownCommittedOpTime" => field.unsupported()?,
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let ns = cursor_namespace(&envelope.db, body.required("collection", collection)?)?;
        Ok(GetMore { cursor_id, ns, batch_size, comment })
    }
}

/// The namespace of a cursor, which may be one that no collection can have.
pub(crate) fn cursor_namespace(db: &str, collection: &str) -> Result<Namespace, Fault> {
    match collection.strip_prefix("$cmd.") {
        Some(command) => Namespace::command_cursor(db, command),
        None => Namespace::new(db, collection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        for (collection, ns) in [
            ("c", "d.c"),
            ("$cmd.listCollections", "d.$cmd.listCollections"),
            ("$cmd.aggregate", "d.$cmd.aggregate"),
        ] {
            let asked = request(doc! {"getMore": 7_i64, "collection": collection, "batchSize": 0});
            let more = GetMore::parse(&asked, &envelope()).unwrap();
            assert_eq!((more.cursor_id, more.ns.as_str(), more.batch_size), (7, ns, None));
        }
        check_faults(
            |body| GetMore::parse(&request(body), &envelope()).map(drop),
            &[
                (
                    doc! {"getMore": 7, "collection": "c"},
                    14,
                    "BSON field 'getMore.getMore' is the wrong type 'int', expected type 'long'",
                ),
                (
                    doc! {"getMore": 7_i64},
                    40414,
                    "BSON field 'getMore.collection' is missing but a required field",
                ),
                (doc! {"getMore": 7_i64, "collection": ""}, 73, ""),
                (doc! {"getMore": 7_i64, "collection": "c", "batchSize": -1}, 51024, ""),
            ],
        );
    }
}

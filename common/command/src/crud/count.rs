//! `count`: how many documents match.

use crate::options::Hint;
use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request, Rewrite};
use bson::RawBson;
use std::num::NonZeroU64;
use types::{Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `count` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    pub ns: Namespace,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    pub skip: u64,
    /// A negative one counts as its absolute value.
    pub limit: Option<NonZeroU64>,
    /// How strings compare.
    pub collation: Collation,
    pub hint: Option<Hint>,
    pub comment: Option<RawBson>,
}

impl Count {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Count, Fault> {
        let body = Body::of(request, "count");
        let mut count = Count {
            ns: body.collection(envelope)?,
            filter: empty_doc(),
            skip: 0,
            limit: None,
            collation: Collation::Inherited,
            hint: None,
            comment: None,
        };
        body.each(|field| {
            match field.name {
                "query" => count.filter = field.document()?,
                "limit" => count.limit = NonZeroU64::new(field.integer()?.unsigned_abs()),
                "skip" => count.skip = field.count()?,
                "hint" => count.hint = Some(field.hint()?),
                "comment" => count.comment = Some(field.any()),
                "collation" => count.collation = field.collation()?,
                // Sent by old shells, never had a meaning.
                "fields" => {}
                "collectionUUID" | "encryptionInformation" => field.unsupported()?,
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// `request` as each of several shards gets it: no skip, and no more documents than skip and limit together need.
    ///
    /// # Errors
    /// `InvalidBSON` (22) where the body cannot be walked.
    pub fn for_each_shard(&self, request: &Request) -> Result<Request, Fault> {
        let rewrite = Rewrite::of(request).remove("skip");
        match self.limit {
            Some(limit) => {
                let wanted = i64::try_from(limit.get().saturating_add(self.skip)).unwrap_or(i64::MAX);
                rewrite.set("limit", wanted).finish()
            }
            None => rewrite.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        let asked = request(doc! {"count": "c", "query": {"a": 1}, "limit": -3, "skip": 2, "fields": {}});
        let count = Count::parse(&asked, &envelope()).unwrap();
        assert_eq!((count.limit, count.skip), (NonZeroU64::new(3), 2));
        let sent = Count::parse(&count.for_each_shard(&asked).unwrap(), &envelope()).unwrap();
        assert_eq!((sent.limit, sent.skip), (NonZeroU64::new(5), 0));
        check_faults(
            |body| Count::parse(&request(body), &envelope()).map(drop),
            &[
                (doc! {"count": "c", "skip": -1}, 51024, ""),
                (doc! {"count": "c", "query": "x"}, 14, ""),
                (doc! {"count": "c", "filter": {}}, 40415, "BSON field 'count.filter' is an unknown field."),
            ],
        );
    }
}

//! `find`: the documents of one collection that match a filter.

use crate::options::Hint;
use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request, Rewrite};
use bson::{RawBson, RawBsonRef};
use std::num::NonZeroU64;
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `find` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    pub ns: Namespace,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    /// `None` for an empty one.
    pub sort: Option<SharedDoc>,
    /// `None` for an empty one.
    pub projection: Option<SharedDoc>,
    /// How strings compare.
    pub collation: Collation,
    pub hint: Option<Hint>,
    pub skip: u64,
    pub limit: Option<NonZeroU64>,
    /// `Some(0)` asks for a cursor without documents.
    pub batch_size: Option<u64>,
    /// Close the cursor after the first batch.
    pub single_batch: bool,
    pub let_vars: Option<SharedDoc>,
    pub allow_disk_use: Option<bool>,
    pub no_cursor_timeout: bool,
    pub allow_partial_results: bool,
    /// The cursor stays open at the end of a capped collection.
    pub tailable: bool,
    /// A getMore at the end waits for more; only together with `tailable`.
    pub await_data: bool,
    pub comment: Option<RawBson>,
}

impl Find {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB: unknown, repeated or wrongly typed fields, and `NotImplemented` (238) for what this server has not.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Find, Fault> {
        let body = Body::of(request, "find");
        let mut find = Find::all(body.collection(envelope)?);
        body.each(|field| {
            match field.name {
                "filter" => find.filter = field.document()?,
                "sort" => find.sort = Some(field.filled_document()?),
                "projection" => find.projection = Some(field.filled_document()?),
                "hint" => find.hint = Some(field.hint()?),
                "skip" => find.skip = field.count()?,
                "limit" => find.limit = NonZeroU64::new(field.count()?),
                "batchSize" => find.batch_size = Some(field.count()?),
                "singleBatch" => find.single_batch = field.flag()?,
                "let" => find.let_vars = Some(field.filled_document()?),
                "allowDiskUse" => find.allow_disk_use = Some(field.flag()?),
                "noCursorTimeout" => find.no_cursor_timeout = field.flag()?,
                "allowPartialResults" => find.allow_partial_results = field.flag()?,
                "comment" => find.comment = Some(field.any()),
                "collation" => find.collation = field.collation()?,
                // Hints about how to read, not about what to answer.
                "readOnce" | "oplogReplay" => {
                    field.flag()?;
                }
                "tailable" => find.tailable = field.flag()?,
                "awaitData" => find.await_data = field.flag()?,
                "returnKey"
                | "showRecordId"
                | "includeQueryStatsMetrics"
                | "_requestResumeToken"
                | "$_requestResumeToken" => field.unset_flag()?,
                "min" | "max" | "_resumeAfter" | "$_resumeAfter" | "$_startAt" => field.unset_document()?,
                "term"
                | "collectionUUID"
                | "encryptionInformation"
                | "legacyRuntimeConstants"
                | "querySettings" => {
                    field.unsupported()?;
                }
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        find.check()?;
        Ok(find)
    }

    /// Refuses combinations that no cursor can be.
    fn check(&self) -> Result<(), Fault> {
        if self.await_data && !self.tailable {
            return Err(Fault::new(
                Code::FailedToParse,
                "Cannot set 'awaitData' without also setting 'tailable'",
            ));
        }
        if !self.tailable {
            return Ok(());
        }
        if self.single_batch {
            return Err(Fault::bad_value("Cannot use tailable option with the 'singleBatch' option"));
        }
        let natural = |sort: &SharedDoc| {
            let mut fields = sort.iter();
            let forward = matches!(
                fields.next(),
                Some(Ok((name, RawBsonRef::Int32(1) | RawBsonRef::Int64(1) | RawBsonRef::Double(1.0))))
                    if name.as_str() == "$natural"
            );
            forward && fields.next().is_none()
        };
        if self.sort.as_ref().is_some_and(|sort| !natural(sort)) {
            return Err(Fault::bad_value("cannot use tailable option with a sort other than {$natural: 1}"));
        }
        Ok(())
    }

    /// Everything in a collection.
    pub fn all(ns: Namespace) -> Find {
        Find {
            ns,
            filter: empty_doc(),
            sort: None,
            projection: None,
            collation: Collation::Inherited,
            hint: None,
            skip: 0,
            limit: None,
            batch_size: None,
            single_batch: false,
            let_vars: None,
            allow_disk_use: None,
            no_cursor_timeout: false,
            allow_partial_results: false,
            tailable: false,
            await_data: false,
            comment: None,
        }
    }

    /// `request` as each of several shards gets it: no skip, and as many documents as skip and limit together may need.
    /// The router skips and limits what it merges. With one shard the request goes on as it is.
    ///
    /// # Errors
    /// `InvalidBSON` (22) where the body cannot be walked.
    pub fn for_each_shard(&self, request: &Request) -> Result<Request, Fault> {
        let rewrite = Rewrite::of(request).remove("skip");
        let wanted =
            self.limit.map(|limit| i64::try_from(limit.get().saturating_add(self.skip)).unwrap_or(i64::MAX));
        // A shard must keep its cursor open: only the router knows when the first batch is full.
        let rewrite = rewrite.remove("singleBatch");
        match wanted {
            Some(limit) => rewrite.set("limit", limit).finish(),
            None => rewrite.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    fn parse(body: bson::Document) -> Result<Find, Fault> {
        Find::parse(&request(body), &envelope())
    }

    #[test]
    fn fields_are_read() {
        let find = parse(doc! {
            "find": "c", "filter": {"a": 1}, "sort": {}, "limit": 5.0, "skip": 2_i64, "batchSize": 0, "hint": "a_1",
            "lsid": {"id": 1}, "$db": "d", "collation": {"locale": "simple"}, "tailable": false, "min": {},
            "projection": bson::Bson::Null, "comment": "why", "singleBatch": 1,
        })
        .unwrap();
        assert_eq!(find.ns.as_str(), "d.c");
        assert_eq!(find.filter.get_i32("a").unwrap(), 1);
        assert_eq!((find.sort, find.projection), (None, None));
        assert_eq!((find.limit, find.skip, find.batch_size), (NonZeroU64::new(5), 2, Some(0)));
        assert_eq!(find.hint, Some(Hint::Name("a_1".into())));
        assert!(find.single_batch);
        let natural = parse(doc! {"find": "c", "hint": {"$natural": -1}}).unwrap();
        assert_eq!(natural.hint, Some(Hint::Natural { backward: true }));
    }

    #[test]
    fn bad_fields_are_refused() {
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"find": "c", "foo": 1}, 40415, "BSON field 'find.foo' is an unknown field."),
                (
                    doc! {"find": "c", "ntoreturn": 1},
                    40415,
                    "BSON field 'find.ntoreturn' is an unknown field.",
                ),
                (
                    doc! {"find": "c", "limit": -1},
                    51024,
                    "BSON field 'limit' value must be >= 0, actual value '-1'",
                ),
                (
                    doc! {"find": "c", "skip": -1_i64},
                    51024,
                    "BSON field 'skip' value must be >= 0, actual value '-1'",
                ),
                (
                    doc! {"find": "c", "limit": "x"},
                    14,
                    "BSON field 'find.limit' is the wrong type 'string', expected types '[long, int, decimal, double]'",
                ),
                (
                    doc! {"find": "c", "filter": 1},
                    14,
                    "BSON field 'find.filter' is the wrong type 'int', expected type 'object'",
                ),
                (doc! {"find": 1}, 73, "collection name has invalid type int"),
                (doc! {"find": "a..b"}, 73, ""),
                (
                    doc! {"find": "c", "awaitData": true},
                    9,
                    "Cannot set 'awaitData' without also setting 'tailable'",
                ),
                (doc! {"find": "c", "max": {"a": 1}}, 238, ""),
                (
                    doc! {"find": "c", "collation": {"locale": "haw"}},
                    238,
                    "collation with locale 'haw' is not implemented by this server",
                ),
                (doc! {"find": "c", "collation": {"locale": "de", "strength": 9}}, 2, ""),
                (doc! {"find": "c", "collation": {"strength": 2}}, 40414, ""),
                (doc! {"find": "c", "hint": 3}, 9, "Hint must be a string or an object"),
                (doc! {"find": "c", "hint": {"$natural": 2}}, 2, ""),
            ],
        );
    }

    #[test]
    fn skip_and_limit_are_pushed_down() {
        let asked = request(
            doc! {"find": "c", "skip": 3, "limit": 4, "singleBatch": true, "comment": "x", "$db": "d"},
        );
        let find = Find::parse(&asked, &envelope()).unwrap();
        let sent = find.for_each_shard(&asked).unwrap();
        assert_eq!(
            bson::Document::try_from(&*sent.body).unwrap(),
            doc! {"find": "c", "limit": 7_i64, "comment": "x", "$db": "d"}
        );
        let asked = request(doc! {"find": "c", "skip": 3, "$db": "d"});
        let sent = Find::parse(&asked, &envelope()).unwrap().for_each_shard(&asked).unwrap();
        assert_eq!(bson::Document::try_from(&*sent.body).unwrap(), doc! {"find": "c", "$db": "d"});
    }
}

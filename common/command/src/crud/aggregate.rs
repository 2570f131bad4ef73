//! `aggregate`: a pipeline over one collection, or over no collection.

use crate::options::Hint;
use crate::parse::{Body, wrong_type};
use crate::{Envelope, Request};
use bson::{RawBson, RawBsonRef};
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// An `aggregate` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// `db.$cmd.aggregate` for `aggregate: 1`.
    pub ns: Namespace,
    /// `aggregate: 1`: the pipeline brings its own source.
    pub collectionless: bool,
    pub pipeline: Vec<SharedDoc>,
    /// `cursor.batchSize`; `Some(0)` asks for a cursor without documents.
    pub batch_size: Option<u64>,
    pub allow_disk_use: Option<bool>,
    /// How strings compare.
    pub collation: Collation,
    pub hint: Option<Hint>,
    pub let_vars: Option<SharedDoc>,
    /// `explain: true` of old clients.
    pub explain: bool,
    pub bypass_document_validation: bool,
    pub comment: Option<RawBson>,
}

impl Aggregate {
    /// Reads the command. The stages are not looked into.
    ///
    /// # Errors
    /// As MongoDB, for bad fields and a missing `cursor`.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Aggregate, Fault> {
        Aggregate::read(request, envelope, false)
    }

    /// Reads the command; within `explain` it needs no `cursor`.
    pub(crate) fn read(request: &Request, envelope: &Envelope, explained: bool) -> Result<Aggregate, Fault> {
        let body = Body::of(request, "aggregate");
        let (ns, collectionless) = match body.value()? {
            RawBsonRef::Int32(1) | RawBsonRef::Int64(1) => (Namespace::collectionless(&envelope.db)?, true),
            RawBsonRef::Double(1.0) => (Namespace::collectionless(&envelope.db)?, true),
            RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) => {
                return Err(Fault::new(
                    Code::FailedToParse,
                    "Invalid command format: the 'aggregate' field must specify a collection name or 1",
                ));
            }
            _ => (body.collection(envelope)?, false),
        };
        let mut command = Aggregate {
            ns,
            collectionless,
            pipeline: Vec::new(),
            batch_size: None,
            allow_disk_use: None,
            collation: Collation::Inherited,
            hint: None,
            let_vars: None,
            explain: false,
            bypass_document_validation: false,
            comment: None,
        };
        let (mut has_pipeline, mut has_cursor) = (false, false);
        body.each(|field| {
            match field.name {
                "pipeline" => {
                    let RawBsonRef::Array(stages) = field.value else {
                        return Err(field.wrong_type(&["array"]));
                    };
                    for stage in stages {
                        match stage.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
                            RawBsonRef::Document(stage) => command.pipeline.push(request.body.share(stage)),
                            _ => {
                                return Err(Fault::new(
                                    Code::TypeMismatch,
                                    "Each element of the 'pipeline' array must be an object",
                                )
                                .into());
                            }
                        }
                    }
                    has_pipeline = true;
                }
                "cursor" => {
                    command.batch_size = field.cursor_batch_size()?;
                    has_cursor = true;
                }
                "allowDiskUse" => command.allow_disk_use = Some(field.flag()?),
                "hint" => command.hint = Some(field.hint()?),
                "let" => command.let_vars = Some(field.filled_document()?),
                "explain" => match field.value {
                    RawBsonRef::Boolean(on) => command.explain = on,
                    other => return Err(wrong_type(&field.path(), other, &["bool"]).into()),
                },
                "bypassDocumentValidation" => command.bypass_document_validation = field.flag()?,
                "comment" => command.comment = Some(field.any()),
                "collation" => command.collation = field.collation()?,
                "isMapReduceCommand"
                | "needsMerge"
                | "fromMongos"
                | "fromRouter"
                | "needsSortedMerge"
                | "includeQueryStatsMetrics"
                | "$_requestReshardingResumeToken"
                | "$_requestResumeToken"
                | "$_generateV2ResumeTokens" => field.unset_flag()?,
                "$_resumeAfter" => field.unset_document()?,
                "exchange"
                | "collectionUUID"
                | "encryptionInformation"
                | "legacyRuntimeConstants"
                | "runtimeConstants"
                | "querySettings"
                | "$_passthroughToShard" => field.unsupported()?,
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        body.required("pipeline", has_pipeline.then_some(()))?;
        if !has_cursor && !command.explain && !explained {
            return Err(Fault::new(
                Code::FailedToParse,
                "The 'cursor' option is required, except for aggregate with the explain argument",
            ));
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    fn parse(body: bson::Document) -> Result<Aggregate, Fault> {
        Aggregate::parse(&request(body), &envelope())
    }

    #[test]
    fn fields_are_read() {
        let aggregate =
            parse(doc! {"aggregate": "c", "pipeline": [{"$match": {}}], "cursor": {"batchSize": 0}}).unwrap();
        assert_eq!((aggregate.batch_size, aggregate.pipeline.len()), (Some(0), 1));
        let aggregate = parse(doc! {"aggregate": 1.0, "pipeline": [], "cursor": {}}).unwrap();
        assert!(aggregate.collectionless);
        assert_eq!(aggregate.ns.as_str(), "d.$cmd.aggregate");
    }

    #[test]
    fn bad_fields_are_refused() {
        check_faults(
            |body| parse(body).map(drop),
            &[
                (
                    doc! {"aggregate": "c", "pipeline": []},
                    9,
                    "The 'cursor' option is required, except for aggregate with the explain argument",
                ),
                (
                    doc! {"aggregate": "c", "cursor": {}},
                    40414,
                    "BSON field 'aggregate.pipeline' is missing but a required field",
                ),
                (doc! {"aggregate": 2, "pipeline": [], "cursor": {}}, 9, ""),
                (
                    doc! {"aggregate": "c", "pipeline": [3], "cursor": {}},
                    14,
                    "Each element of the 'pipeline' array must be an object",
                ),
                (doc! {"aggregate": "c", "pipeline": {}, "cursor": {}}, 14, ""),
                (
                    doc! {"aggregate": "c", "pipeline": [], "cursor": {"size": 3}},
                    40415,
                    "BSON field 'cursor.size' is an unknown field.",
                ),
                (doc! {"aggregate": "c", "pipeline": [], "cursor": {"batchSize": -3}}, 51024, ""),
                (doc! {"aggregate": "c", "pipeline": [], "cursor": {}, "fromRouter": true}, 238, ""),
            ],
        );
    }
}

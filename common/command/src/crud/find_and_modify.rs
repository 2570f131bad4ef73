//! `findAndModify`: changes or removes one document and answers with it.

use crate::options::{Hint, Modification};
use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request};
use bson::RawBson;
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `findAndModify` command.
#[derive(Debug, Clone, PartialEq)]
pub struct FindAndModify {
    pub ns: Namespace,
    /// `query`; empty where the client gave none.
    pub filter: SharedDoc,
    pub sort: Option<SharedDoc>,
    /// Projection of the answer.
    pub fields: Option<SharedDoc>,
    pub action: FindAndModifyAction,
    /// How strings compare.
    pub collation: Collation,
    pub hint: Option<Hint>,
    pub let_vars: Option<SharedDoc>,
    pub bypass_document_validation: bool,
    /// `stmtId`, or 0.
    pub statement_id: i32,
    pub comment: Option<RawBson>,
}

/// What findAndModify does to the document it finds.
#[derive(Debug, Clone, PartialEq)]
pub enum FindAndModifyAction {
    Remove,
    Update {
        update: Modification,
        upsert: bool,
        /// `new`: answer with the document after the change.
        return_new: bool,
        array_filters: Vec<SharedDoc>,
    },
}

impl FindAndModify {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB: bad fields, both or neither of `remove` and `update`, options that do not go with `remove`.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<FindAndModify, Fault> {
        let body = Body::of(request, "findAndModify");
        let mut command = FindAndModify {
            ns: body.collection(envelope)?,
            filter: empty_doc(),
            sort: None,
            fields: None,
            action: FindAndModifyAction::Remove,
            collation: Collation::Inherited,
            hint: None,
            let_vars: None,
            bypass_document_validation: false,
            statement_id: 0,
            comment: None,
        };
        let (mut remove, mut upsert, mut return_new) = (false, false, false);
        let (mut update, mut array_filters) = (None, None);
        body.each(|field| {
            match field.name {
                "query" => command.filter = field.document()?,
                "sort" => command.sort = Some(field.filled_document()?),
                "fields" => command.fields = Some(field.filled_document()?),
                "hint" => command.hint = Some(field.hint()?),
                "let" => command.let_vars = Some(field.filled_document()?),
                "bypassDocumentValidation" => command.bypass_document_validation = field.flag()?,
                "stmtId" => command.statement_id = field.int32()?,
                "comment" => command.comment = Some(field.any()),
                "remove" => remove = field.flag()?,
                "upsert" => upsert = field.flag()?,
                "new" => return_new = field.flag()?,
                "update" => update = Some(field.modification()?),
                "arrayFilters" => array_filters = Some(field.documents()?),
                "collation" => command.collation = field.collation()?,
                "collectionUUID" | "encryptionInformation" | "sampleId" | "legacyRuntimeConstants" => {
                    field.unsupported()?;
                }
                "isTimeseriesNamespace" | "bypassEmptyTsReplacement" => field.unset_flag()?,
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let refuse = |message: &str| Err(Fault::new(Code::FailedToParse, message));
        command.action = match (remove, update) {
            (true, Some(_)) => return refuse("Cannot specify both an update and remove=true"),
            (true, None) if upsert => return refuse("Cannot specify both upsert=true and remove=true"),
            (true, None) if return_new => {
                return refuse(
                    "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document",
                );
            }
            (true, None) if array_filters.is_some() => {
                return refuse("Cannot specify arrayFilters and remove=true");
            }
            (true, None) => FindAndModifyAction::Remove,
            (false, None) => return refuse("Either an update or remove=true must be specified"),
            (false, Some(Modification::Pipeline(_))) if array_filters.is_some() => {
                return refuse("arrayFilters may not be specified for pipeline-style updates");
            }
            (false, Some(update)) => FindAndModifyAction::Update {
                update,
                upsert,
                return_new,
                array_filters: array_filters.unwrap_or_default(),
            },
        };
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    fn parse(body: bson::Document) -> Result<FindAndModify, Fault> {
        FindAndModify::parse(&request(body), &envelope())
    }

    #[test]
    fn actions_are_read() {
        let removal = parse(doc! {"findAndModify": "c", "remove": true, "sort": {"a": 1}}).unwrap();
        assert_eq!(removal.action, FindAndModifyAction::Remove);
        let update =
            parse(doc! {"findandmodify": "c", "update": {"$inc": {"a": 1}}, "new": true, "upsert": 0})
                .unwrap();
        assert!(matches!(update.action, FindAndModifyAction::Update { upsert: false, return_new: true, .. }));
    }

    #[test]
    fn bad_combinations_are_refused() {
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"findAndModify": "c"}, 9, "Either an update or remove=true must be specified"),
                (
                    doc! {"findAndModify": "c", "remove": true, "update": {}},
                    9,
                    "Cannot specify both an update and remove=true",
                ),
                (doc! {"findAndModify": "c", "remove": true, "upsert": true}, 9, ""),
                (doc! {"findAndModify": "c", "remove": true, "new": true}, 9, ""),
                (doc! {"findAndModify": "c", "update": {}, "foo": 1}, 40415, ""),
                (doc! {"findAndModify": "c", "update": 5}, 9, ""),
            ],
        );
    }
}

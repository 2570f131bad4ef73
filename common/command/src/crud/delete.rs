//! `delete`: removal of documents of one collection, statement by statement.

use super::update::refuse_repeatable_multi;
use crate::options::{Hint, WriteOptions};
use crate::parse::{Body, Field, Stop, batch, each, missing, write_options};
use crate::{Envelope, Request, Rewrite};
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `delete` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    pub ns: Namespace,
    pub deletes: Vec<DeleteStatement>,
    pub options: WriteOptions,
}

/// One statement of a delete.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteStatement {
    /// `q`.
    pub filter: SharedDoc,
    /// `limit: 0`: all matches; otherwise one.
    pub multi: bool,
    pub hint: Option<Hint>,
    /// How strings compare.
    pub collation: Collation,
    /// The statement as it came, for forwarding.
    pub raw: SharedDoc,
}

impl Delete {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB: bad fields, no or too many statements, a repeatable statement that touches many documents.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Delete, Fault> {
        let body = Body::with_sequences(request, "delete", &["deletes"]);
        let ns = body.collection(envelope)?;
        let mut statements = None;
        let mut options = WriteOptions::unnamed();
        body.each(|field| {
            match field.name {
                "deletes" => statements = Some(field.documents()?),
                _ if write_options(&field, &mut options)? => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let statements = batch(request, "delete", "deletes", statements)?;
        options.check_statements(statements.len())?;
        let mut deletes = Vec::with_capacity(statements.len());
        for statement in statements {
            let delete = DeleteStatement::parse(statement)?;
            refuse_repeatable_multi(delete.multi, envelope)?;
            deletes.push(delete);
        }
        Ok(Delete { ns, deletes, options })
    }

    /// `request` with only the statements at `positions`.
    ///
    /// # Errors
    /// `InvalidBSON` (22) where the body cannot be walked.
    pub fn subset(&self, request: &Request, positions: &[usize]) -> Result<Request, Fault> {
        let statements = positions.iter().filter_map(|position| self.deletes.get(*position));
        let statements = statements.map(|statement| statement.raw.clone()).collect();
        self.options
            .renumber(Rewrite::of(request), request, positions)
            .sequence("deletes", statements)
            .finish()
    }
}

impl DeleteStatement {
    /// Reads one statement.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(raw: SharedDoc) -> Result<DeleteStatement, Fault> {
        let mut filter = None;
        let mut limit = None;
        let mut hint = None;
        let mut collation = Collation::Inherited;
        each(&raw, &raw, "delete.deletes", |field| {
            match field.name {
                "q" => filter = Some(field.document()?),
                "limit" => limit = Some(field.integer()?),
                _ => other(field, &mut hint, &mut collation)?,
            }
            Ok(())
        })?;
        let multi = match limit.ok_or_else(|| missing("delete.deletes.limit"))? {
            0 => true,
            1 => false,
            other => {
                return Err(Fault::new(
                    Code::FailedToParse,
                    format!("The limit field in delete objects must be 0 or 1. Got {other}"),
                ));
            }
        };
        let filter = filter.ok_or_else(|| missing("delete.deletes.q"))?;
        Ok(DeleteStatement { filter, multi, hint, collation, raw })
    }
}

/// The fields that a delete statement shares with the delete operation of bulkWrite.
pub(crate) fn other(
    field: Field<'_>,
    hint: &mut Option<Hint>,
    collation: &mut Collation,
) -> Result<(), Stop> {
    match field.name {
        "hint" => *hint = Some(field.hint()?),
        "collation" => *collation = field.collation()?,
        "sampleId" => field.unsupported()?,
        _ => return field.unknown(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn statements_are_read() {
        let asked = request(
            doc! {"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 0}, {"q": {}, "limit": 1.0, "hint": "a"}]},
        );
        let delete = Delete::parse(&asked, &envelope()).unwrap();
        assert!(delete.deletes[0].multi && !delete.deletes[1].multi);
        assert_eq!(delete.deletes[1].hint, Some(Hint::Name("a".into())));
        let sent = delete.subset(&asked, &[1]).unwrap();
        assert_eq!(Delete::parse(&sent, &envelope()).unwrap().deletes, &delete.deletes[1..]);
    }

    #[test]
    fn bad_fields_are_refused() {
        let one = |statement: bson::Document| doc! {"delete": "c", "deletes": [statement]};
        check_faults(
            |body| Delete::parse(&request(body), &envelope()).map(drop),
            &[
                (
                    one(doc! {"q": {}}),
                    40414,
                    "BSON field 'delete.deletes.limit' is missing but a required field",
                ),
                (
                    one(doc! {"limit": 0}),
                    40414,
                    "BSON field 'delete.deletes.q' is missing but a required field",
                ),
                (
                    one(doc! {"q": {}, "limit": 2}),
                    9,
                    "The limit field in delete objects must be 0 or 1. Got 2",
                ),
                (one(doc! {"q": {}, "limit": 0, "justOne": true}), 40415, ""),
                (one(doc! {"q": {}, "limit": 0, "collation": {"locale": "FR"}}), 2, ""),
            ],
        );
    }
}

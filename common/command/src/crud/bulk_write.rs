//! `bulkWrite`: inserts, updates and deletes over several collections in one command (8.0).

use super::delete::other;
use super::update::{Draft, refuse_repeatable_multi};
use super::{DeleteStatement, UpdateStatement};
use crate::options::WriteOptions;
use crate::parse::{Body, Field, batch, each, missing, unknown, write_options, wrong_type};
use crate::{Envelope, Request};
use bson::{RawBsonRef, RawDocumentBuf};
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `bulkWrite` command.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkWrite {
    /// In the order given; what does not change the meaning may run together.
    pub operations: Vec<BulkOperation>,
    /// `nsInfo`.
    pub namespaces: Vec<Namespace>,
    /// Answer with the failed operations only.
    pub errors_only: bool,
    /// `cursor.batchSize`.
    pub batch_size: Option<u64>,
    pub options: WriteOptions,
}

/// One operation; `ns` is an index into [`BulkWrite::namespaces`] and known to be in range.
#[derive(Debug, Clone, PartialEq)]
pub enum BulkOperation {
    Insert {
        ns: usize,
        document: SharedDoc,
    },
    /// `raw` is the statement in the shape of the update command.
    Update {
        ns: usize,
        statement: UpdateStatement,
    },
    /// `raw` is the statement in the shape of the delete command.
    Delete {
        ns: usize,
        statement: DeleteStatement,
    },
}

impl BulkWrite {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB: bad fields, an operation whose namespace index is not in `nsInfo`.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<BulkWrite, Fault> {
        let body = Body::with_sequences(request, "bulkWrite", &["ops", "nsInfo"]);
        let (mut ops, mut ns_info) = (None, None);
        let (mut errors_only, mut batch_size) = (false, None);
        let mut options = WriteOptions::unnamed();
        body.each(|field| {
            match field.name {
                "ops" => ops = Some(field.documents()?),
                "nsInfo" => ns_info = Some(field.documents()?),
                "errorsOnly" => errors_only = field.flag()?,
                "cursor" => batch_size = field.cursor_batch_size()?,
                _ if write_options(&field, &mut options)? => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let ops = batch(request, "bulkWrite", "ops", ops)?;
        options.check_statements(ops.len())?;
        let ns_info = batch(request, "bulkWrite", "nsInfo", ns_info)?;
        let namespaces = ns_info.iter().map(namespace).collect::<Result<Vec<_>, Fault>>()?;
        let mut operations = Vec::with_capacity(ops.len());
        for op in &ops {
            let operation = BulkOperation::parse(op)?;
            if operation.ns() >= namespaces.len() {
                return Err(Fault::bad_value(format!(
                    "BulkWrite ops entry has an invalid nsInfo index: {}",
                    operation.ns()
                )));
            }
            refuse_repeatable_multi(operation.is_multi(), envelope)?;
            operations.push(operation);
        }
        Ok(BulkWrite { operations, namespaces, errors_only, batch_size, options })
    }
}

fn namespace(entry: &SharedDoc) -> Result<Namespace, Fault> {
    let mut ns = None;
    each(entry, entry, "bulkWrite.nsInfo", |field| {
        match field.name {
            "ns" => ns = Some(field.string()?),
            "collectionUUID" | "encryptionInformation" => field.unsupported()?,
            "isTimeseriesNamespace" => field.unset_flag()?,
            _ => return field.unknown(),
        }
        Ok(())
    })?;
    Namespace::parse(ns.ok_or_else(|| missing("bulkWrite.nsInfo.ns"))?)
}

impl BulkOperation {
    /// The index of the namespace.
    pub fn ns(&self) -> usize {
        match self {
            BulkOperation::Insert { ns, .. }
            | BulkOperation::Update { ns, .. }
            | BulkOperation::Delete { ns, .. } => *ns,
        }
    }

    /// Whether the operation may touch several documents.
    pub fn is_multi(&self) -> bool {
        match self {
            BulkOperation::Insert { .. } => false,
            BulkOperation::Update { statement, .. } => statement.multi,
            BulkOperation::Delete { statement, .. } => statement.multi,
        }
    }

    fn parse(op: &SharedDoc) -> Result<BulkOperation, Fault> {
        match op.iter().next() {
            Some(Ok((name, _))) => match name.as_str() {
                "insert" => insert(op),
                "update" => update(op),
                "delete" => delete(op),
                other => Err(unknown(&format!("bulkWrite.ops.{other}"))),
            },
            Some(Err(error)) => Err(Fault::new(Code::InvalidBSON, error.to_string())),
            None => {
                Err(Fault::new(Code::FailedToParse, "BulkWriteOps entry must name insert, update or delete"))
            }
        }
    }
}

/// The index that follows the operation's name.
fn index(field: &Field<'_>) -> Result<usize, Fault> {
    match field.value {
        RawBsonRef::Int32(number) => usize::try_from(number).map_err(|_| {
            Fault::new(
                Code::Location(51024),
                format!("BSON field '{}' value must be >= 0, actual value '{number}'", field.name),
            )
        }),
        other => Err(wrong_type(&field.path(), other, &["int"])),
    }
}

fn insert(op: &SharedDoc) -> Result<BulkOperation, Fault> {
    let (mut ns, mut document) = (0, None);
    each(op, op, "bulkWrite.ops", |field| {
        match field.name {
            "insert" => ns = index(&field)?,
            "document" => document = Some(field.document()?),
            _ => return field.unknown(),
        }
        Ok(())
    })?;
    Ok(BulkOperation::Insert { ns, document: document.ok_or_else(|| missing("bulkWrite.ops.document"))? })
}

fn update(op: &SharedDoc) -> Result<BulkOperation, Fault> {
    let mut ns = 0;
    let mut draft = Draft::default();
    each(op, op, "bulkWrite.ops", |field| {
        match field.name {
            "update" => ns = index(&field)?,
            "filter" => draft.filter = Some(field.document()?),
            "updateMods" => draft.update = Some(field.modification()?),
            "constants" => draft.constants = Some(field.document()?),
            _ => draft.read(field)?,
        }
        Ok(())
    })?;
    let raw = renamed(op, &[("filter", "q"), ("updateMods", "u"), ("constants", "c")], "update")?;
    let statement = draft.finish(raw, "bulkWrite.ops.filter", "bulkWrite.ops.updateMods")?;
    Ok(BulkOperation::Update { ns, statement })
}

fn delete(op: &SharedDoc) -> Result<BulkOperation, Fault> {
    let (mut ns, mut filter, mut multi, mut hint) = (0, None, false, None);
    let mut collation = Collation::Inherited;
    each(op, op, "bulkWrite.ops", |field| {
        match field.name {
            "delete" => ns = index(&field)?,
            "filter" => filter = Some(field.document()?),
            "multi" => multi = field.flag()?,
            _ => other(field, &mut hint, &mut collation)?,
        }
        Ok(())
    })?;
    let mut raw = RawDocumentBuf::from_iter([(bson::raw::cstr!("limit"), i32::from(!multi))]);
    for element in renamed(op, &[("filter", "q")], "delete")?.iter() {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        if name.as_str() != "multi" {
            raw.append(name, value);
        }
    }
    let filter = filter.ok_or_else(|| missing("bulkWrite.ops.filter"))?;
    Ok(BulkOperation::Delete {
        ns,
        statement: DeleteStatement { filter, multi, hint, collation, raw: raw.into() },
    })
}

/// The operation as a statement of the older command: other names, and without the operation's own.
fn renamed(op: &SharedDoc, names: &[(&str, &str)], operation: &str) -> Result<SharedDoc, Fault> {
    let mut statement = RawDocumentBuf::new();
    for element in op.iter() {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        match names.iter().find(|(from, _)| *from == name.as_str()) {
            Some((_, to)) => {
                let to =
                    <&bson::raw::CStr>::try_from(*to).map_err(|error| Fault::internal(error.to_string()))?;
                statement.append(to, value);
            }
            None if name.as_str() == operation => {}
            None => statement.append(name, value),
        }
    }
    Ok(statement.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    fn parse(body: bson::Document) -> Result<BulkWrite, Fault> {
        BulkWrite::parse(&request(body), &envelope())
    }

    #[test]
    fn operations_are_read() {
        let bulk = parse(doc! {
            "bulkWrite": 1, "errorsOnly": true, "ordered": false, "nsInfo": [{"ns": "d.a"}, {"ns": "d.b"}],
            "ops": [
                {"insert": 0, "document": {"_id": 1}},
                {"update": 1, "filter": {"a": 1}, "updateMods": {"$set": {"b": 1}}, "multi": true},
                {"delete": 1, "filter": {"a": 2}, "multi": false},
            ],
        })
        .unwrap();
        assert!(bulk.errors_only && !bulk.options.ordered);
        assert_eq!(bulk.namespaces[1].as_str(), "d.b");
        let BulkOperation::Update { ns: 1, statement } = &bulk.operations[1] else { panic!("an update") };
        assert_eq!(UpdateStatement::parse(statement.raw.clone()).unwrap(), *statement);
        let BulkOperation::Delete { ns: 1, statement } = &bulk.operations[2] else { panic!("a delete") };
        assert!(!statement.multi);
        let again = DeleteStatement::parse(statement.raw.clone()).unwrap();
        assert_eq!((&again.filter, again.multi), (&statement.filter, false));
    }

    #[test]
    fn bad_operations_are_refused() {
        let one = |op: bson::Document| doc! {"bulkWrite": 1, "ops": [op], "nsInfo": [{"ns": "d.a"}]};
        check_faults(
            |body| parse(body).map(drop),
            &[
                (
                    one(doc! {"insert": 1, "document": {}}),
                    2,
                    "BulkWrite ops entry has an invalid nsInfo index: 1",
                ),
                (one(doc! {"insert": -1, "document": {}}), 51024, ""),
                (one(doc! {"insert": 0}), 40414, ""),
                (one(doc! {"upsert": 0}), 40415, ""),
                (one(doc! {}), 9, ""),
                (one(doc! {"update": 0, "filter": {}}), 40414, ""),
                (doc! {"bulkWrite": 1, "ops": [], "nsInfo": [{"ns": "d.a"}]}, 16, ""),
                (
                    doc! {"bulkWrite": 1, "ops": [{"insert": 0, "document": {}}], "nsInfo": [{"ns": "d"}]},
                    73,
                    "",
                ),
            ],
        );
    }
}

//! A command's body and sequences.

use super::field::{self, Field, Stop, each, missing, unknown, wrong_type};
use crate::Request;
use crate::envelope::{Envelope, GENERIC_FIELDS};
use crate::options::{StatementIds, WriteOptions};
use bson::RawBsonRef;
use types::{Code, Fault, Namespace, limits};
use value::SharedDoc;

/// A request that is being parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    request: &'a Request,
    command: &'static str,
    sequences: &'a [&'a str],
}

impl<'a> Body<'a> {
    /// A command that takes no document sequences.
    pub(crate) fn of(request: &'a Request, command: &'static str) -> Body<'a> {
        Body { request, command, sequences: &[] }
    }

    /// A command that takes the named document sequences.
    pub(crate) fn with_sequences(
        request: &'a Request,
        command: &'static str,
        sequences: &'a [&'a str],
    ) -> Body<'a> {
        Body { request, command, sequences }
    }

    /// The value that follows the command's name.
    pub(crate) fn value(&self) -> Result<RawBsonRef<'a>, Fault> {
        match self.request.body.iter().next() {
            Some(Ok((_, value))) => Ok(value),
            Some(Err(error)) => Err(Fault::new(Code::InvalidBSON, error.to_string())),
            None => Err(Fault::new(Code::CommandNotFound, "no such command: ''")),
        }
    }

    /// The collection that the command's value names.
    pub(crate) fn collection(&self, envelope: &Envelope) -> Result<Namespace, Fault> {
        match self.value()? {
            RawBsonRef::String(name) | RawBsonRef::Symbol(name) => Namespace::new(&envelope.db, name),
            RawBsonRef::Binary(_) => {
                Err(Fault::not_implemented(format!("naming the collection of '{}' by UUID", self.command)))
            }
            other => Err(Fault::new(
                Code::InvalidNamespace,
                format!("collection name has invalid type {}", super::type_name(other)),
            )),
        }
    }

    /// The full namespace that the command's value names, as the admin commands have it.
    pub(crate) fn full_namespace(&self) -> Result<Namespace, Fault> {
        Namespace::parse(self.text()?)
    }

    /// The command's value as a string.
    pub(crate) fn text(&self) -> Result<&'a str, Fault> {
        match self.value()? {
            RawBsonRef::String(text) => Ok(text),
            other => Err(wrong_type(&format!("{0}.{0}", self.command), other, &["string"])),
        }
    }

    /// The command's value as a whole number; a boolean or null counts as 0.
    pub(crate) fn integer(&self) -> Result<i64, Fault> {
        match self.value()? {
            RawBsonRef::Int32(number) => Ok(i64::from(number)),
            RawBsonRef::Int64(number) => Ok(number),
            RawBsonRef::Double(number) if number.is_finite() => Ok(number as i64),
            RawBsonRef::Boolean(_) | RawBsonRef::Null | RawBsonRef::Undefined => Ok(0),
            other => Err(wrong_type(&format!("{0}.{0}", self.command), other, &["long", "int", "double"])),
        }
    }

    /// Visits the command's own fields: not its name, not the generic ones but for `comment`.
    pub(crate) fn each(&self, mut visit: impl FnMut(Field<'a>) -> Result<(), Stop>) -> Result<(), Fault> {
        for (index, sequence) in self.request.sequences.iter().enumerate() {
            if !self.sequences.contains(&sequence.name.as_str()) {
                return Err(unknown(&format!("{}.{}", self.command, sequence.name)));
            }
            if self.request.sequences.iter().take(index).any(|earlier| earlier.name == sequence.name) {
                return Err(Fault::new(
                    Code::Location(40431),
                    format!("Duplicate document sequence: {}", sequence.name),
                ));
            }
        }
        let mut first = true;
        each(&self.request.body, &self.request.body, self.command, |field| {
            if std::mem::take(&mut first) {
                return Ok(());
            }
            if self.request.sequences.iter().any(|sequence| sequence.name == field.name) {
                return Err(Stop::Fault(Fault::new(
                    Code::Location(40433),
                    format!("Duplicate field between body and document sequence {}", field.name),
                )));
            }
            if field.name != "comment" && GENERIC_FIELDS.contains(&field.name) {
                return Ok(());
            }
            visit(field)
        })
    }

    /// Visits fields of a command that has none of its own.
    pub(crate) fn no_fields(&self) -> Result<(), Fault> {
        self.each(|field| if field.name == "comment" { Ok(()) } else { field.unknown() })
    }

    /// The value of a field that must be there.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Fault> {
        value.ok_or_else(|| missing(&format!("{}.{name}", self.command)))
    }
}

/// The documents of a write: from the body's field, or from the sequence of the same name; counted.
pub(crate) fn batch(
    request: &Request,
    command: &str,
    name: &str,
    from_body: Option<Vec<SharedDoc>>,
) -> Result<Vec<SharedDoc>, Fault> {
    let documents = match (from_body, request.sequence(name)) {
        (Some(documents), _) => documents,
        (None, Some(sequence)) => sequence.to_vec(),
        (None, None) => return Err(field::missing(&format!("{command}.{name}"))),
    };
    if documents.is_empty() || documents.len() > limits::WRITE_BATCH_COUNT_MAX {
        return Err(field::batch_size(documents.len()));
    }
    Ok(documents)
}

/// Reads a field that insert, update, delete and bulkWrite share. `false` if it is none of them.
pub(crate) fn write_options(field: &Field<'_>, options: &mut WriteOptions) -> Result<bool, Stop> {
    match field.name {
        "ordered" => options.ordered = field.flag()?,
        "bypassDocumentValidation" => options.bypass_document_validation = field.flag()?,
        "let" => options.let_vars = Some(field.filled_document()?),
        "comment" => options.comment = Some(field.any()),
        "stmtId" | "stmtIds" if options.statements != StatementIds::default() => {
            return Err(Fault::new(
                Code::InvalidOptions,
                "May not specify both stmtId and stmtIds in write command",
            )
            .into());
        }
        "stmtId" => options.statements = StatementIds::From(field.int32()?),
        "stmtIds" => options.statements = StatementIds::Listed(statement_ids(field)?),
        "collectionUUID" | "encryptionInformation" | "sampleId" => field.unsupported()?,
        "isTimeseriesNamespace" | "bypassEmptyTsReplacement" => field.unset_flag()?,
        _ => return Ok(false),
    }
    Ok(true)
}

impl WriteOptions {
    /// The options of a command that names none.
    pub(crate) fn unnamed() -> WriteOptions {
        WriteOptions { ordered: true, ..WriteOptions::default() }
    }

    /// Checks that there is a statement number for each of `count` statements.
    pub(crate) fn check_statements(&self, count: usize) -> Result<(), Fault> {
        match &self.statements {
            StatementIds::Listed(ids) if ids.len() != count => Err(Fault::new(
                Code::InvalidLength,
                format!(
                    "Number of statement ids must match the number of batch entries. Got {} statement ids but operation \
                     size is {count}",
                    ids.len()
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn statement_ids(field: &Field<'_>) -> Result<Vec<i32>, Stop> {
    let RawBsonRef::Array(array) = field.value else { return Err(field.wrong_type(&["array"])) };
    let mut ids = Vec::new();
    for (index, element) in array.into_iter().enumerate() {
        match element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
            RawBsonRef::Int32(id) => ids.push(id),
            other => return Err(wrong_type(&format!("{}.{index}", field.path()), other, &["int"]).into()),
        }
    }
    Ok(ids)
}

impl WriteOptions {
    /// Gives the statements at `positions` the numbers they had in the whole batch, where the write is repeatable.
    pub(crate) fn renumber<'a>(
        &self,
        rewrite: crate::Rewrite<'a>,
        request: &Request,
        positions: &[usize],
    ) -> crate::Rewrite<'a> {
        let rewrite = rewrite.remove("stmtId").remove("stmtIds");
        if !matches!(request.body.get("txnNumber"), Ok(Some(_))) {
            return rewrite;
        }
        let ids: bson::RawArrayBuf = positions.iter().map(|position| self.statements.of(*position)).collect();
        rewrite.append("stmtIds", ids)
    }
}

//! What an operator does to one value. One file for each family; the table of operators is here.

mod array;
mod bit;
mod current_date;
mod number;
mod pull;
mod push;
mod rename;

use super::operand::{Operand, same};
use crate::context::ParseContext;
use crate::raw::{Field, Writer, write_value};
use bson::spec::ElementType;
use bson::{Bson, RawBsonRef, RawDocument};
use types::Fault;
use value::{Collator, order};

/// One operator with its operand, at one path.
#[derive(Debug)]
pub(super) enum Action {
    Set(Operand),
    SetOnInsert(Operand),
    Unset,
    Arithmetic(number::Arithmetic, value::number::Number),
    Min(Operand, Option<Collator>),
    Max(Operand, Option<Collator>),
    /// The time was fixed when the update was parsed.
    CurrentDate(Operand),
    Bit(bit::Bits),
    Push(push::Push),
    AddToSet(array::AddToSet),
    Pop {
        first: bool,
    },
    Pull(pull::Pull),
    RenameFrom {
        to: String,
    },
    RenameTo {
        from: String,
    },
}

/// What an action may look at besides its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The document before the update.
    pub(super) root: &'a RawDocument,
    pub(super) on_insert: bool,
}

type Parse = fn(&Field<'_>, &ParseContext) -> Result<Action, Fault>;

/// Sorted by name. `$rename` acts on two paths, so its parser is the caller's.
const OPERATORS: &[(&str, Parse)] = &[
    ("$addToSet", array::AddToSet::parse),
    ("$bit", bit::Bits::parse),
    ("$currentDate", current_date::parse),
    ("$inc", number::Arithmetic::parse_inc),
    ("$max", |field, ctx| Ok(Action::Max(Operand::of(field)?, ctx.collation.clone()))),
    ("$min", |field, ctx| Ok(Action::Min(Operand::of(field)?, ctx.collation.clone()))),
    ("$mul", number::Arithmetic::parse_mul),
    ("$pop", array::parse_pop),
    ("$pull", pull::Pull::parse),
    ("$pullAll", pull::Pull::parse_all),
    ("$push", push::Push::parse),
    ("$rename", |_, _| Err(Fault::internal("$rename acts on two paths"))),
    ("$set", |field, _| Operand::of(field).map(Action::Set)),
    ("$setOnInsert", |field, _| Operand::of(field).map(Action::SetOnInsert)),
    ("$unset", |_, _| Ok(Action::Unset)),
];

/// The parser of an operator.
pub(super) fn find(name: &str) -> Option<Parse> {
    OPERATORS.binary_search_by(|(other, _)| (*other).cmp(name)).ok().map(|at| OPERATORS[at].1)
}

impl Action {
    /// Whether the action makes a field that is missing.
    pub(super) fn creates(&self, around: &Surroundings<'_>) -> bool {
        match self {
            Action::SetOnInsert(_) => around.on_insert,
            Action::Unset | Action::Pop { .. } | Action::Pull(_) | Action::RenameFrom { .. } => false,
            // A source that cannot be read is the action's to complain about.
            Action::RenameTo { from } => !matches!(rename::source(around, from), Ok(None)),
            Action::Set(_)
            | Action::Arithmetic(..)
            | Action::Min(..)
            | Action::Max(..)
            | Action::CurrentDate(_)
            | Action::Bit(_)
            | Action::Push(_)
            | Action::AddToSet(_) => true,
        }
    }

    /// Writes what becomes of the value under `name`. Answers whether anything changed. `path` is for messages.
    pub(super) fn apply(
        &self,
        around: &Surroundings<'_>,
        path: &str,
        name: &str,
        existing: Option<&Field<'_>>,
        in_array: bool,
        writer: &mut Writer,
    ) -> Result<bool, Fault> {
        let put = |operand: &Operand, writer: &mut Writer| -> Result<bool, Fault> {
            let new = operand.field()?;
            writer.copy_as(name, &new);
            Ok(!existing.is_some_and(|old| same(old, &new)))
        };
        match self {
            Action::Set(operand) | Action::CurrentDate(operand) => put(operand, writer),
            Action::SetOnInsert(operand) if around.on_insert => put(operand, writer),
            Action::SetOnInsert(_) => Ok(keep(name, existing, writer)),
            Action::Unset => Ok(remove(name, existing, in_array, writer)),
            Action::Min(operand, collation) | Action::Max(operand, collation) => {
                let Some(old) = existing else { return put(operand, writer) };
                let ordering = order::compare_under(operand.value()?, old.value()?, collation.as_ref());
                let wins = if matches!(self, Action::Min(..)) { ordering.is_lt() } else { ordering.is_gt() };
                if wins { put(operand, writer) } else { Ok(keep(name, existing, writer)) }
            }
            Action::Arithmetic(kind, operand) => {
                let new = kind.apply(around, path, existing, *operand)?;
                Ok(put_value(name, existing, new.to_raw_ref(), writer))
            }
            Action::Bit(bits) => Ok(put_value(name, existing, bits.apply(around, path, existing)?, writer)),
            Action::Push(push) => push.apply(around, path, name, existing, writer),
            Action::AddToSet(add) => add.apply(path, name, existing, writer),
            Action::Pop { first } => array::pop(*first, path, name, existing, writer),
            Action::Pull(pull) => pull.apply(name, existing, writer),
            Action::RenameFrom { to } => {
                rename::check_target(around, to, existing.is_some())?;
                Ok(remove(name, existing, in_array, writer))
            }
            Action::RenameTo { from } => match rename::source(around, from)? {
                Some(source) => {
                    writer.copy_as(name, &source);
                    Ok(true)
                }
                None => Ok(keep(name, existing, writer)),
            },
        }
    }
}

/// Leaves the value as it is.
fn keep(name: &str, existing: Option<&Field<'_>>, writer: &mut Writer) -> bool {
    if let Some(old) = existing {
        writer.copy_as(name, old);
    }
    false
}

/// Takes the value away; an element of an array becomes null, so that the others keep their places.
fn remove(name: &str, existing: Option<&Field<'_>>, in_array: bool, writer: &mut Writer) -> bool {
    match existing {
        Some(old) if in_array => {
            writer.append(name, RawBsonRef::Null);
            old.kind() != ElementType::Null
        }
        Some(_) => true,
        None => false,
    }
}

fn put_value(name: &str, existing: Option<&Field<'_>>, new: RawBsonRef<'_>, writer: &mut Writer) -> bool {
    writer.append(name, new);
    let mut bytes = Vec::with_capacity(16);
    write_value(&mut bytes, new);
    !existing.is_some_and(|old| old.kind() == new.element_type() && old.value_bytes() == bytes)
}

/// Bytes of a value that a message shows.
const SHOWN_BYTES_MAX: usize = 256;

/// A value in a message; one that is long, by its type only.
pub(super) fn show(field: &Field<'_>) -> String {
    if field.value_bytes().len() <= SHOWN_BYTES_MAX
        && let Ok(Ok(value)) = field.value().map(Bson::try_from)
    {
        return value.to_string();
    }
    format!("<{}>", kind_name(field.kind()))
}

/// `{_id: …}` of the document, in a message.
fn show_id(root: &RawDocument) -> String {
    match crate::raw::find(root, "_id") {
        Ok(Some(id)) => format!("{{_id: {}}}", show(&id)),
        _ => "{no id}".to_owned(),
    }
}

/// The type's name as `$type` spells it.
pub(super) fn kind_name(kind: ElementType) -> &'static str {
    match kind {
        ElementType::Double => "double",
        ElementType::String => "string",
        ElementType::EmbeddedDocument => "object",
        ElementType::Array => "array",
        ElementType::Binary => "binData",
        ElementType::Undefined => "undefined",
        ElementType::ObjectId => "objectId",
        ElementType::Boolean => "bool",
        ElementType::DateTime => "date",
        ElementType::Null => "null",
        ElementType::RegularExpression => "regex",
        ElementType::DbPointer => "dbPointer",
        ElementType::JavaScriptCode => "javascript",
        ElementType::Symbol => "symbol",
        ElementType::JavaScriptCodeWithScope => "javascriptWithScope",
        ElementType::Int32 => "int",
        ElementType::Timestamp => "timestamp",
        ElementType::Int64 => "long",
        ElementType::Decimal128 => "decimal",
        ElementType::MaxKey => "maxKey",
        ElementType::MinKey => "minKey",
    }
}

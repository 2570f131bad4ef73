//! The find projections that keep a part of an array: `$slice`, `$elemMatch` and the positional `.$`.

use crate::matcher::Test;
use crate::raw::{Field, Writer, fields};
use bson::RawDocument;
use std::sync::Arc;
use types::{Code, Fault};
use value::number::Number;

/// What is kept of an array.
#[derive(Debug, Clone)]
pub enum Transform {
    /// Some of its elements.
    Slice(Slice),
    /// Its first element that matches; the field is dropped if there is none.
    ElemMatch(Arc<Test>),
}

/// `$slice: n` or `$slice: [skip, limit]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Negative: so many from the end. `None`: from the start.
    skip: Option<i64>,
    /// Negative without skip: the last ones.
    limit: i64,
}

impl Slice {
    /// Reads the operand. `None` if it is not of find's form, so that it may be an expression.
    pub(super) fn parse(operand: &Field<'_>) -> Result<Option<Slice>, Fault> {
        let whole = |value| Number::from_raw(value).map(Number::to_i64_saturating);
        let Some(array) = operand.array()? else {
            let limit = whole(operand.value()?);
            return Ok(limit.map(|limit| Slice { skip: None, limit }));
        };
        let mut numbers = Vec::new();
        for element in fields(array) {
            match whole(element?.value()?) {
                Some(number) => numbers.push(number),
                None => return Ok(None),
            }
        }
        match numbers.as_slice() {
            [skip, limit] if *limit > 0 => Ok(Some(Slice { skip: Some(*skip), limit: *limit })),
            [_, _] => Err(Fault::new(Code::Location(28724), "$slice limit must be positive")),
            _ => Ok(None),
        }
    }

    fn range(self, length: i64) -> (i64, i64) {
        match self.skip {
            None if self.limit >= 0 => (0, self.limit.min(length)),
            None => (length.saturating_add(self.limit).max(0), length),
            Some(skip) => {
                let start = if skip >= 0 { skip.min(length) } else { length.saturating_add(skip).max(0) };
                (start, start.saturating_add(self.limit).min(length))
            }
        }
    }

    /// Writes the field with its array cut; any other value as it is.
    pub(super) fn write(self, name: &str, field: &Field<'_>, out: &mut Writer) -> Result<(), Fault> {
        let Some(array) = field.array()? else {
            out.copy(field);
            return Ok(());
        };
        let length = fields(array).count();
        let (start, end) = self.range(i64::try_from(length).unwrap_or(i64::MAX));
        out.begin_array(name);
        let kept = usize::try_from(end - start).unwrap_or(0);
        for (index, element) in fields(array).skip(usize::try_from(start).unwrap_or(0)).take(kept).enumerate()
        {
            out.copy_as(&index.to_string(), &element?);
        }
        out.end();
        Ok(())
    }
}

impl Transform {
    /// Writes the first element that matches as an array of one, or nothing.
    pub(super) fn elem_match(
        test: &Test,
        name: &str,
        field: &Field<'_>,
        out: &mut Writer,
    ) -> Result<(), Fault> {
        if let Some(element) = test.first_element(field)? {
            out.begin_array(name);
            out.copy_as("0", &element);
            out.end();
        }
        Ok(())
    }
}

/// Copies `doc`, keeping of the first array on the path only the element at `index`.
pub(super) fn positional(
    doc: &RawDocument,
    path: &[Box<str>],
    index: Option<usize>,
    out: &mut Writer,
) -> Result<(), Fault> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    for field in fields(doc) {
        let field = field?;
        if field.name() != &**first {
            out.copy(&field);
        } else if let Some(array) = field.array()? {
            let element = index.and_then(|index| fields(array).nth(index)).transpose()?;
            let Some(element) = element else {
                return Err(Fault::new(
                    Code::Location(51246),
                    "Executor error during find command :: caused by :: positional operator '.$' couldn't find a \
                     matching element in the array",
                ));
            };
            out.begin_array(first);
            out.copy_as("0", &element);
            out.end();
        } else if let Some(inner) = field.document()?.filter(|_| !rest.is_empty()) {
            out.begin_document(first);
            positional(inner, rest, index, out)?;
            out.end();
        } else {
            out.copy(&field);
        }
    }
    Ok(())
}

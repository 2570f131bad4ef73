//! A value that an operator brings along, kept as the bytes it came in.

use crate::raw::{Field, Writer, fields};
use bson::{RawBsonRef, RawDocumentBuf};
use types::Fault;

/// One value, as the only element of a document of its own.
#[derive(Debug, Clone)]
pub(super) struct Operand(RawDocumentBuf);

impl Operand {
    /// Takes the value of a field.
    pub(super) fn of(field: &Field<'_>) -> Result<Operand, Fault> {
        let mut holder = Writer::with_capacity(field.bytes().len() + 8);
        holder.copy_as("", field);
        holder.finish().map(Operand)
    }

    /// Takes a value.
    pub(super) fn new(value: RawBsonRef<'_>) -> Result<Operand, Fault> {
        let mut holder = Writer::new();
        holder.append("", value);
        holder.finish().map(Operand)
    }

    /// The value as an element.
    pub(super) fn field(&self) -> Result<Field<'_>, Fault> {
        fields(&self.0).next().unwrap_or_else(|| Err(Fault::internal("operand without a value")))
    }

    /// The value.
    pub(super) fn value(&self) -> Result<RawBsonRef<'_>, Fault> {
        self.field()?.value()
    }
}

/// Whether two elements hold the same value, byte for byte.
pub(super) fn same(left: &Field<'_>, right: &Field<'_>) -> bool {
    left.kind() == right.kind() && left.value_bytes() == right.value_bytes()
}

/// The decimal text of an index, without an allocation.
pub(super) fn index_name(buffer: &mut [u8; 20], mut index: usize) -> &str {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (index % 10) as u8;
        index /= 10;
        if index == 0 {
            break;
        }
    }
    // Digits are UTF-8.
    std::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

//! `$eq $gt $gte $lt $lte` on one value, with type bracketing: values of different brackets never compare,
//! except that a missing value is like null, and MinKey and MaxKey lie outside of everything.

use crate::raw::Field;
use bson::spec::ElementType;
use bson::{RawBson, RawBsonRef};
use std::cell::RefCell;
use std::cmp::Ordering;
use types::Fault;
use value::collation::is_collatable;
use value::{Collator, key, order};

/// Which comparison. Inequality is [`super::Node::Not`] around equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Eq,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Comparison {
    pub(super) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Eq => ordering.is_eq(),
            Comparison::Gt => ordering.is_gt(),
            Comparison::Gte => ordering.is_ge(),
            Comparison::Lt => ordering.is_lt(),
            Comparison::Lte => ordering.is_le(),
        }
    }

    fn accepts_equal(self) -> bool {
        self.accepts(Ordering::Equal)
    }
}

/// The constant side of a comparison.
#[derive(Debug, Clone)]
pub struct Operand {
    value: RawBson,
    bracket: Bracket,
    nan: bool,
    collated: Option<Box<Collated>>,
}

/// What a comparison under a collation takes: there for operands with strings only.
#[derive(Debug, Clone)]
struct Collated {
    collation: Collator,
    /// The constant, encoded.
    key: Vec<u8>,
}

thread_local! {
    /// Where a value is encoded before it is compared.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Operand {
    /// Wraps a constant that values are compared with under a collation, if there is one.
    pub fn new(value: RawBson, collation: Option<&Collator>) -> Operand {
        let nan = is_nan(value.as_raw_bson_ref());
        let collated = collation.filter(|_| is_collatable(value.as_raw_bson_ref())).map(|collation| {
            let key = key::of_under(value.as_raw_bson_ref(), Some(collation));
            Box::new(Collated { collation: collation.clone(), key })
        });
        Operand { bracket: Bracket::of(value.element_type()), value, nan, collated }
    }

    /// How the strings in the constant compare; `None` is by bytes, or that there are none.
    pub fn collation(&self) -> Option<&Collator> {
        self.collated.as_ref().map(|collated| &collated.collation)
    }

    /// The constant.
    pub fn value(&self) -> RawBsonRef<'_> {
        self.value.as_raw_bson_ref()
    }

    /// Compares one value, `None` for a missing one.
    pub(super) fn test(&self, comparison: Comparison, field: Option<&Field<'_>>) -> Result<bool, Fault> {
        let bracket = field.map(|field| Bracket::of(field.kind()));
        if bracket != Some(self.bracket) {
            return Ok(self.test_across(comparison, bracket));
        }
        let Some(field) = field else { return Ok(false) };
        let value = field.value()?;
        if let Some(collated) = &self.collated {
            return Ok(comparison.accepts(collated.compare(value)));
        }
        if comparison == Comparison::Eq {
            // The keys that most look-ups use, without the general comparison.
            match (value, &self.value) {
                (RawBsonRef::ObjectId(a), RawBson::ObjectId(b)) => return Ok(a == *b),
                (RawBsonRef::String(a), RawBson::String(b)) => return Ok(a == b),
                (RawBsonRef::Int32(a), RawBson::Int32(b)) => return Ok(a == *b),
                (RawBsonRef::Int64(a), RawBson::Int64(b)) => return Ok(a == *b),
                _ => {}
            }
        }
        if self.nan || is_nan(value) {
            return Ok(self.nan && is_nan(value) && comparison.accepts_equal());
        }
        Ok(comparison.accepts(order::compare(value, self.value())))
    }

    /// The comparison with a value of another bracket, or a missing one.
    fn test_across(&self, comparison: Comparison, bracket: Option<Bracket>) -> bool {
        match self.bracket {
            Bracket::Null => bracket.is_none() && comparison.accepts_equal(),
            Bracket::MinKey => matches!(comparison, Comparison::Gt | Comparison::Gte),
            Bracket::MaxKey => matches!(comparison, Comparison::Lt | Comparison::Lte),
            _ => false,
        }
    }
}

impl Collated {
    /// How the value compares with the constant.
    fn compare(&self, value: RawBsonRef<'_>) -> Ordering {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            key::encode_under(scratch, value, false, Some(&self.collation));
            scratch.as_slice().cmp(&self.key)
        })
    }
}

/// Whether a number is not a number.
pub(crate) fn is_nan(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Double(value) => value.is_nan(),
        // The combination field 11111 marks a NaN: bits 1 to 5 of the most significant byte.
        RawBsonRef::Decimal128(value) => value.bytes()[15] & 0x7c == 0x7c,
        _ => false,
    }
}

/// Types that compare with each other; ordered as MongoDB orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Bracket {
    MinKey,
    Undefined,
    Null,
    Number,
    String,
    Object,
    Array,
    Binary,
    ObjectId,
    Boolean,
    Date,
    Timestamp,
    Regex,
    DbPointer,
    Code,
    CodeWithScope,
    MaxKey,
}

impl Bracket {
    pub(crate) fn of(kind: ElementType) -> Bracket {
        match kind {
            ElementType::MinKey => Bracket::MinKey,
            ElementType::Undefined => Bracket::Undefined,
            ElementType::Null => Bracket::Null,
            ElementType::Double | ElementType::Int32 | ElementType::Int64 | ElementType::Decimal128 => {
                Bracket::Number
            }
            ElementType::String | ElementType::Symbol => Bracket::String,
            ElementType::EmbeddedDocument => Bracket::Object,
            ElementType::Array => Bracket::Array,
            ElementType::Binary => Bracket::Binary,
            ElementType::ObjectId => Bracket::ObjectId,
            ElementType::Boolean => Bracket::Boolean,
            ElementType::DateTime => Bracket::Date,
            ElementType::Timestamp => Bracket::Timestamp,
            ElementType::RegularExpression => Bracket::Regex,
            ElementType::DbPointer => Bracket::DbPointer,
            ElementType::JavaScriptCode => Bracket::Code,
            ElementType::JavaScriptCodeWithScope => Bracket::CodeWithScope,
            ElementType::MaxKey => Bracket::MaxKey,
        }
    }
}

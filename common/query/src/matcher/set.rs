//! The operand of `$in`: distinct values in order, looked up by their encoded bytes, and regular expressions.
//! One buffer for all values, so a million of them cost little more than the filter that named them.

use super::comparison::Bracket;
use super::pattern::Pattern;
use crate::raw::{Field, Writer, fields};
use bson::{RawBsonRef, RawDocumentBuf};
use std::cell::RefCell;
use std::sync::Arc;
use types::{Code, Fault};
use value::{Collator, key};

/// A set of values and patterns.
#[derive(Debug, Clone)]
pub struct Set {
    /// The distinct values in order, as elements without names.
    values: Arc<RawDocumentBuf>,
    /// The encoded values in order, end to end.
    encoded: Arc<[u8]>,
    /// Where each encoded value ends.
    ends: Arc<[u32]>,
    /// Bit per [`Bracket`] that occurs.
    brackets: u32,
    patterns: Vec<Arc<Pattern>>,
    collation: Option<Collator>,
}

thread_local! {
    /// Where a value is encoded before it is looked up.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Set {
    /// Sorts and stores values and patterns.
    pub(super) fn new<'a>(
        values: impl IntoIterator<Item = RawBsonRef<'a>>,
        patterns: Vec<Arc<Pattern>>,
        collation: Option<&Collator>,
    ) -> Result<Set, Fault> {
        let mut arena = Vec::new();
        let mut entries: Vec<(u32, u32, RawBsonRef<'a>)> = Vec::new();
        let mut brackets = 0;
        for value in values {
            let start = arena.len();
            key::encode_under(&mut arena, value, false, collation);
            let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(arena.len())) else {
                return Err(Fault::new(Code::ExceededMemoryLimit, "$in has too many values"));
            };
            entries.push((start, end, value));
            brackets |= bit(Bracket::of(value.element_type()));
        }
        let bytes = |entry: &(u32, u32, RawBsonRef<'a>)| &arena[entry.0 as usize..entry.1 as usize];
        entries.sort_by(|a, b| bytes(a).cmp(bytes(b)));
        entries.dedup_by(|a, b| bytes(a) == bytes(b));
        let mut sorted = Writer::new();
        let mut encoded = Vec::with_capacity(arena.len());
        let mut ends = Vec::with_capacity(entries.len());
        for entry in &entries {
            sorted.append("", entry.2);
            encoded.extend_from_slice(bytes(entry));
            ends.push(encoded.len() as u32);
        }
        Ok(Set {
            values: Arc::new(sorted.finish()?),
            encoded: encoded.into(),
            ends: ends.into(),
            brackets,
            patterns,
            collation: collation.cloned(),
        })
    }

    /// How many distinct values there are, patterns not counted.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing can match.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.patterns.is_empty()
    }

    /// The distinct values in order.
    pub fn values(&self) -> impl Iterator<Item = Result<RawBsonRef<'_>, Fault>> {
        fields(&self.values).map(|field| field?.value())
    }

    /// How strings compare; `None` is by bytes.
    pub fn collation(&self) -> Option<&Collator> {
        self.collation.as_ref()
    }

    /// The regular expressions.
    pub fn patterns(&self) -> &[Arc<Pattern>] {
        &self.patterns
    }

    /// Whether null, and so a missing field, is in the set.
    pub fn has_null(&self) -> bool {
        self.brackets & bit(Bracket::Null) != 0
    }

    pub(super) fn test(&self, field: Option<&Field<'_>>) -> Result<bool, Fault> {
        let Some(field) = field else { return Ok(self.has_null()) };
        if self.brackets & bit(Bracket::of(field.kind())) != 0 && self.contains(field.value()?) {
            return Ok(true);
        }
        for pattern in &self.patterns {
            if pattern.test(field)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn contains(&self, value: RawBsonRef<'_>) -> bool {
        SCRATCH.with_borrow_mut(|wanted| {
            wanted.clear();
            key::encode_under(wanted, value, false, self.collation.as_ref());
            let start = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] as usize };
            let (mut low, mut high) = (0, self.ends.len());
            while low < high {
                let middle = low + (high - low) / 2;
                match self.encoded[start(middle)..self.ends[middle] as usize].cmp(wanted.as_slice()) {
                    std::cmp::Ordering::Equal => return true,
                    std::cmp::Ordering::Less => low = middle + 1,
                    std::cmp::Ordering::Greater => high = middle,
                }
            }
            false
        })
    }
}

fn bit(bracket: Bracket) -> u32 {
    1 << bracket as u32
}

//! Dotted access: `a.b.0.c`. Two readings of one path: [`get`] walks embedded documents only (shard keys, `_id`),
//! [`visit`] follows arrays as queries do.

mod visit;

use crate::element;
use bson::{RawBsonRef, RawDocument};
use types::Fault;
pub use visit::{Leaf, visit};

/// A dotted path, split once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    text: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Part {
    start: u32,
    end: u32,
    /// Set if the part is a number as arrays spell it: digits without leading zero.
    index: Option<u32>,
}

impl Path {
    /// Splits at the dots. Empty parts are kept as they are; whether they are allowed is the caller's rule.
    pub fn parse(text: &str) -> Path {
        let mut start = 0u32;
        let parts = text
            .split('.')
            .map(|part| {
                let end = start + part.len() as u32;
                let part = Part { start, end, index: array_index(part) };
                start = end + 1;
                part
            })
            .collect();
        Path { text: text.into(), parts }
    }

    /// The whole path as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many parts there are; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// One part.
    pub fn part(&self, at: usize) -> Option<&str> {
        let part = self.parts.get(at)?;
        self.text.get(part.start as usize..part.end as usize)
    }

    /// The number that a part is, if it is one.
    pub fn index(&self, at: usize) -> Option<u32> {
        self.parts.get(at)?.index
    }

    /// The parts in order.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.parts.iter().map(|part| self.text.get(part.start as usize..part.end as usize).unwrap_or(""))
    }

    /// The text from a part to the end.
    pub fn rest(&self, from: usize) -> &str {
        let start = self.parts.get(from).map_or(self.text.len(), |part| part.start as usize);
        self.text.get(start..).unwrap_or("")
    }
}

/// Reads `0`, `17`; not `01`, `+1`, nor what u32 does not hold.
fn array_index(part: &str) -> Option<u32> {
    if part.is_empty()
        || !part.bytes().all(|byte| byte.is_ascii_digit())
        || (part.len() > 1 && part.starts_with('0'))
    {
        return None;
    }
    part.parse().ok()
}

/// The value at a dotted path through embedded documents only; an array on the way ends the walk without a value, and so do
/// broken bytes: use [`get_checked`] where those must be told apart.
pub fn get<'a>(doc: &'a RawDocument, dotted: &str) -> Option<RawBsonRef<'a>> {
    get_checked(doc, dotted).ok().flatten()
}

/// As [`get`].
///
/// # Errors
/// `InvalidBSON` if the value is a string that is not UTF-8, or the bytes are broken.
pub fn get_checked<'a>(doc: &'a RawDocument, dotted: &str) -> Result<Option<RawBsonRef<'a>>, Fault> {
    let mut doc = doc;
    let mut dotted = dotted;
    while let Some((name, rest)) = dotted.split_once('.') {
        match element::find(doc, name)? {
            Some(RawBsonRef::Document(inner)) => doc = inner,
            _ => return Ok(None),
        }
        dotted = rest;
    }
    element::find(doc, dotted)
}

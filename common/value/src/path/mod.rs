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

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, RawDocumentBuf, bson, doc};
    use std::ops::ControlFlow;

    fn check_get(doc: &Document, path: &str, wanted: Option<Bson>) {
        let raw = RawDocumentBuf::try_from(doc).unwrap();
        let got = get(&raw, path).map(|value| Bson::try_from(value).unwrap());
        assert_eq!(got, wanted, "{path} of {doc}");
    }

    /// Wanted: each value, or None for missing, with the index in the outermost array.
    fn check_visit(doc: Document, path: &str, wanted: &[(Option<Bson>, Option<usize>)]) {
        let raw = RawDocumentBuf::try_from(&doc).unwrap();
        let mut got = Vec::new();
        visit(&raw, &Path::parse(path), &mut |value, leaf| {
            got.push((value.map(|value| Bson::try_from(value).unwrap()), leaf.array_index));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(got, wanted, "{path} of {doc}");
    }

    #[test]
    fn gets_through_documents_only() {
        let regex = bson::Regex {
            pattern: "x".to_owned().try_into().unwrap(),
            options: String::new().try_into().unwrap(),
        };
        let doc = doc! {"a": {"b": {"c": 1}, "": 2}, "l": [{"b": 1}], "n": Bson::Null, "r": regex.clone()};
        check_get(&doc, "a.b.c", Some(bson!(1)));
        check_get(&doc, "a.b", Some(bson!({"c": 1})));
        check_get(&doc, "a.", Some(bson!(2)));
        check_get(&doc, "a.x", None);
        check_get(&doc, "l.b", None);
        check_get(&doc, "l.0", None);
        check_get(&doc, "l", Some(bson!([{"b": 1}])));
        check_get(&doc, "n", Some(Bson::Null));
        check_get(&doc, "n.x", None);
        check_get(&doc, "r", Some(Bson::RegularExpression(regex)));
    }

    #[test]
    fn not_utf8_is_an_error_where_it_is_met() {
        let bytes = b"\x17\0\0\0\x02a\0\x02\0\0\0\xff\0\x10b\0\x01\0\0\0\0\0\0";
        let bytes = &bytes[..22];
        let mut bytes = bytes.to_vec();
        bytes[0] = 22;
        bytes[21] = 0;
        let doc = RawDocument::from_bytes(&bytes).unwrap();
        assert_eq!(get_checked(doc, "a").unwrap_err().code, types::Code::InvalidBSON);
        assert_eq!(get_checked(doc, "b").unwrap(), Some(RawBsonRef::Int32(1)));
    }

    #[test]
    fn visits_as_queries_match() {
        check_visit(doc! {"a": 1}, "a", &[(Some(bson!(1)), None)]);
        check_visit(doc! {"a": 1}, "b", &[(None, None)]);
        check_visit(doc! {"a": 1}, "a.b", &[(None, None)]);
        check_visit(doc! {"a": [1, 2]}, "a", &[(Some(bson!([1, 2])), None)]);
        check_visit(doc! {"a": [1, 2]}, "a.b", &[]);
        check_visit(doc! {"a": []}, "a.b", &[]);
        check_visit(doc! {"a": [1, 2]}, "a.1", &[(Some(bson!(2)), Some(1))]);
        check_visit(
            doc! {"a": [{"b": 1}, 5, {"c": 2}]},
            "a.b",
            &[(Some(bson!(1)), Some(0)), (None, Some(2))],
        );
        check_visit(
            doc! {"a": [{"b": 1, "0": 7}]},
            "a.0",
            &[(Some(bson!(7)), Some(0)), (Some(bson!({"b": 1, "0": 7})), Some(0))],
        );
        check_visit(doc! {"a": [{"b": 1}]}, "a.0.b", &[(None, Some(0)), (Some(bson!(1)), Some(0))]);
        check_visit(
            doc! {"a": [{"b": [{"c": 1}, {"c": 2}]}]},
            "a.b.c",
            &[(Some(bson!(1)), Some(0)), (Some(bson!(2)), Some(0))],
        );
        check_visit(doc! {"a": [[{"b": 1}]]}, "a.b", &[]);
        check_visit(doc! {"a": [[1, 2]]}, "a.0.1", &[(Some(bson!(2)), Some(0))]);
        check_visit(doc! {"a": {"0": 3}}, "a.0", &[(Some(bson!(3)), None)]);
    }

    #[test]
    fn stops_when_told() {
        let raw = RawDocumentBuf::try_from(&doc! {"a": [{"b": 1}, {"b": 2}]}).unwrap();
        let mut seen = 0;
        visit(&raw, &Path::parse("a.b"), &mut |_, leaf| {
            assert!(leaf.through_array);
            seen += 1;
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(seen, 1);
    }

    #[test]
    fn parts() {
        let path = Path::parse("a.10.01.b");
        assert_eq!(path.parts().collect::<Vec<_>>(), ["a", "10", "01", "b"]);
        assert_eq!((path.len(), path.part(3), path.part(4)), (4, Some("b"), None));
        assert_eq!((path.index(1), path.index(2)), (Some(10), None));
        assert_eq!((path.rest(0), path.rest(2), path.rest(4)), ("a.10.01.b", "01.b", ""));
    }
}

//! Updates as differences in MongoDB's `$v: 2` form: `{$v: 2, diff: {d: {…}, u: {…}, i: {…}, s<field>: {…}}}`, arrays as
//! `{a: true, l: <length>, u<place>: …, s<place>: {…}}`. A difference is only used where applying it to the old document gives the
//! bytes of the new one exactly: recovery stands on that.

use super::record::set;
use bson::{RawDocument, RawDocumentBuf};
use std::collections::HashMap;

const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BOOLEAN: u8 = 0x08;
const INT32: u8 = 0x10;
/// `{$v: 2, diff: …}` around a difference.
const FRAME_BYTES: usize = 19;
/// Changes of one document up to this many are searched one by one.
const SCANNED_CHANGES_MAX: usize = 16;

/// One element as bytes.
#[derive(Clone, Copy)]
struct Element<'a> {
    kind: u8,
    name: &'a str,
    value: &'a [u8],
    /// Type, name and value.
    whole: &'a [u8],
}

impl Element<'_> {
    fn same(&self, other: &Element<'_>) -> bool {
        self.kind == other.kind && self.value == other.value
    }
}

/// The elements of a document or array; `None` where it cannot be walked.
fn elements(bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let doc = RawDocument::from_bytes(bytes).ok()?;
    let mut found = Vec::with_capacity(16);
    let mut at = 4;
    for element in doc.iter_elements() {
        let element = element.ok()?;
        let name = element.key().as_str();
        let value_at = at + 1 + name.len() + 1;
        let end = value_at + element.size();
        found.push(Element {
            kind: *bytes.get(at)?,
            name,
            value: bytes.get(value_at..end)?,
            whole: bytes.get(at..end)?,
        });
        at = end;
    }
    Some(found)
}

fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    start
}

fn end(out: &mut Vec<u8>, start: usize) {
    out.push(0);
    let length = (out.len() - start) as u32;
    set(out, start, &length.to_le_bytes());
}

fn head(out: &mut Vec<u8>, kind: u8, prefix: &str, name: &str) {
    out.push(kind);
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}

/// `o` of the entry of an update from `old` to `new`, where that is smaller than `new` itself.
pub(crate) fn compute(old: &RawDocument, new: &RawDocument) -> Option<RawDocumentBuf> {
    let bytes_max = new.as_bytes().len().checked_sub(FRAME_BYTES)?;
    let mut out = Vec::with_capacity(128);
    let whole = begin(&mut out);
    head(&mut out, INT32, "", "$v");
    out.extend_from_slice(&2_i32.to_le_bytes());
    head(&mut out, DOCUMENT, "", "diff");
    let diff_at = out.len();
    document(&mut out, old.as_bytes(), new.as_bytes(), bytes_max)?;
    let fits = out.len() - diff_at < bytes_max;
    // Names that come twice or places out of order have no difference of this form: the proof is in the result.
    let exact = fits && apply_document(old.as_bytes(), out.get(diff_at..)?)? == new.as_bytes();
    end(&mut out, whole);
    if exact { RawDocumentBuf::from_bytes(out).ok() } else { None }
}

/// Whether `o` of an update is a difference. A whole document has an `_id`, a difference has not.
pub(crate) fn is_diff(o: &RawDocument) -> bool {
    o.iter_elements().next().is_some_and(|first| first.is_ok_and(|first| first.key().as_str() == "$v"))
        && o.iter_elements().all(|element| element.is_ok_and(|element| element.key().as_str() != "_id"))
}

/// The document that an update makes of `old`; `None` if `o` does not fit it.
pub(crate) fn apply(old: &RawDocument, o: &RawDocument) -> Option<RawDocumentBuf> {
    let diff = o.get_document("diff").ok()?;
    RawDocumentBuf::from_bytes(apply_document(old.as_bytes(), diff.as_bytes())?).ok()
}

fn document(out: &mut Vec<u8>, old: &[u8], new: &[u8], bytes_max: usize) -> Option<()> {
    let (old, new) = (elements(old)?, elements(new)?);
    let mut deleted: Vec<&str> = Vec::new();
    let mut updated: Vec<Element<'_>> = Vec::new();
    let mut inner: Vec<(Element<'_>, Element<'_>)> = Vec::new();
    let mut rest = new.as_slice();
    for before in &old {
        match rest.split_first() {
            Some((after, others)) if after.name == before.name => {
                rest = others;
                if before.same(after) {
                    continue;
                }
                if before.kind == after.kind && matches!(before.kind, DOCUMENT | ARRAY) {
                    inner.push((*before, *after));
                } else {
                    updated.push(*after);
                }
            }
            _ => deleted.push(before.name),
        }
    }
    // What comes at the end is appended, and a field of that name leaves its old place by itself.
    if !rest.is_empty() && !deleted.is_empty() {
        let appended: HashMap<&str, ()> = rest.iter().map(|element| (element.name, ())).collect();
        deleted.retain(|name| !appended.contains_key(name));
    }
    let mut subs = Vec::new();
    for (before, after) in inner {
        match sub(before, after) {
            Some(diff) => subs.push((after.name, diff)),
            None => updated.push(after),
        }
    }
    let start = begin(out);
    if !deleted.is_empty() {
        head(out, DOCUMENT, "", "d");
        let list = begin(out);
        for name in deleted {
            head(out, BOOLEAN, "", name);
            out.push(0);
        }
        end(out, list);
    }
    for (letter, list) in [("u", updated.as_slice()), ("i", rest)] {
        if !list.is_empty() {
            head(out, DOCUMENT, "", letter);
            let inside = begin(out);
            for element in list {
                out.extend_from_slice(element.whole);
                if out.len() - start > bytes_max {
                    return None;
                }
            }
            end(out, inside);
        }
    }
    for (name, diff) in subs {
        head(out, DOCUMENT, "s", name);
        out.extend_from_slice(&diff);
    }
    end(out, start);
    Some(())
}

/// The difference of two documents or two arrays, where it is smaller than the new value.
fn sub(before: Element<'_>, after: Element<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    let bytes_max = after.value.len();
    match after.kind {
        DOCUMENT => document(&mut out, before.value, after.value, bytes_max)?,
        _ => array(&mut out, before.value, after.value, bytes_max)?,
    }
    (out.len() < bytes_max).then_some(out)
}

fn array(out: &mut Vec<u8>, old: &[u8], new: &[u8], bytes_max: usize) -> Option<()> {
    let (old, new) = (elements(old)?, elements(new)?);
    let start = begin(out);
    head(out, BOOLEAN, "", "a");
    out.push(1);
    if new.len() < old.len() {
        head(out, INT32, "", "l");
        out.extend_from_slice(&i32::try_from(new.len()).ok()?.to_le_bytes());
    }
    for (place, after) in new.iter().enumerate() {
        let before = old.get(place);
        if before.is_some_and(|before| before.same(after)) {
            continue;
        }
        let both = before
            .filter(|before| before.kind == after.kind && matches!(after.kind, DOCUMENT | ARRAY))
            .and_then(|before| sub(*before, *after));
        match both {
            Some(diff) => {
                head(out, DOCUMENT, "s", &place.to_string());
                out.extend_from_slice(&diff);
            }
            None => {
                head(out, after.kind, "u", &place.to_string());
                out.extend_from_slice(after.value);
            }
        }
        if out.len() - start > bytes_max {
            return None;
        }
    }
    end(out, start);
    Some(())
}

/// What happens to a field.
#[derive(Clone, Copy)]
enum Action<'a> {
    Remove,
    Replace(Element<'a>),
    Inside(&'a [u8]),
}

/// The changes of one document by name.
enum Actions<'a> {
    Few(Vec<(&'a str, Action<'a>)>),
    Many(HashMap<&'a str, Action<'a>>),
}

impl<'a> Actions<'a> {
    fn of(list: Vec<(&'a str, Action<'a>)>) -> Actions<'a> {
        if list.len() <= SCANNED_CHANGES_MAX {
            Actions::Few(list)
        } else {
            Actions::Many(list.into_iter().collect())
        }
    }

    fn get(&self, name: &str) -> Option<Action<'a>> {
        match self {
            Actions::Few(list) => list.iter().find(|(other, _)| *other == name).map(|(_, action)| *action),
            Actions::Many(map) => map.get(name).copied(),
        }
    }
}

fn apply_document(old: &[u8], diff: &[u8]) -> Option<Vec<u8>> {
    let mut actions: Vec<(&str, Action<'_>)> = Vec::new();
    let mut appended: Vec<Element<'_>> = Vec::new();
    for part in elements(diff)? {
        match part.name {
            "d" => {
                actions.extend(elements(part.value)?.into_iter().map(|gone| (gone.name, Action::Remove)));
            }
            "u" => {
                let updated = elements(part.value)?.into_iter();
                actions.extend(updated.map(|element| (element.name, Action::Replace(element))));
            }
            "i" => {
                appended = elements(part.value)?;
                actions.extend(appended.iter().map(|element| (element.name, Action::Remove)));
            }
            other => actions.push((other.strip_prefix('s')?, Action::Inside(part.value))),
        }
    }
    let actions = Actions::of(actions);
    let mut out = Vec::with_capacity(old.len() + diff.len());
    let start = begin(&mut out);
    for element in elements(old)? {
        match actions.get(element.name) {
            None => out.extend_from_slice(element.whole),
            Some(Action::Remove) => {}
            Some(Action::Replace(new)) => out.extend_from_slice(new.whole),
            Some(Action::Inside(diff)) => {
                head(&mut out, element.kind, "", element.name);
                out.extend_from_slice(&apply_value(element, diff)?);
            }
        }
    }
    for element in appended {
        out.extend_from_slice(element.whole);
    }
    end(&mut out, start);
    Some(out)
}

fn apply_value(old: Element<'_>, diff: &[u8]) -> Option<Vec<u8>> {
    match old.kind {
        DOCUMENT => apply_document(old.value, diff),
        ARRAY => apply_array(old.value, diff),
        _ => None,
    }
}

fn apply_array(old: &[u8], diff: &[u8]) -> Option<Vec<u8>> {
    let mut items: Vec<(u8, String, Vec<u8>)> = elements(old)?
        .into_iter()
        .map(|element| (element.kind, element.name.to_owned(), element.value.to_vec()))
        .collect();
    for part in elements(diff)? {
        if part.name == "a" {
            continue;
        }
        if part.name == "l" {
            let length = i32::from_le_bytes(part.value.try_into().ok()?);
            items.truncate(usize::try_from(length).ok()?);
            continue;
        }
        let (letter, place) = part.name.split_at_checked(1)?;
        let at: usize = place.parse().ok()?;
        let end = items.len();
        match (letter, items.get_mut(at)) {
            ("u", Some(item)) => {
                item.0 = part.kind;
                item.2 = part.value.to_vec();
            }
            ("u", None) if at == end => {
                items.push((part.kind, place.to_owned(), part.value.to_vec()));
            }
            ("s", Some((kind, name, value))) => {
                let whole = Element { kind: *kind, name, value, whole: &[] };
                *value = apply_value(whole, part.value)?;
            }
            _ => return None,
        }
    }
    let mut out = Vec::with_capacity(old.len() + diff.len());
    let start = begin(&mut out);
    for (kind, name, value) in items {
        head(&mut out, kind, "", &name);
        out.extend_from_slice(&value);
    }
    end(&mut out, start);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, doc};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn raw(doc: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(doc).unwrap()
    }

    /// The `diff` of two documents, padded so that it pays.
    fn check(mut old: Document, mut new: Document, want: Document) {
        for doc in [&mut old, &mut new] {
            doc.insert("_id", 1);
            let rest = std::mem::take(doc);
            doc.insert("_id", 1);
            doc.insert("pad", "x".repeat(300));
            doc.extend(rest);
        }
        let (old, new) = (raw(&old), raw(&new));
        let o = compute(&old, &new).unwrap();
        assert!(is_diff(&o));
        assert_eq!(Document::try_from(&*o).unwrap().get_document("diff").unwrap(), &want);
        assert_eq!(apply(&old, &o).unwrap(), new);
    }

    #[test]
    fn differences_have_the_known_shape() {
        check(doc! {"a": 1}, doc! {"a": 2}, doc! {"u": {"a": 2}});
        check(doc! {"a": 1}, doc! {"a": 1}, doc! {});
        check(doc! {"a": 1}, doc! {"a": 1, "b": 2}, doc! {"i": {"b": 2}});
        check(doc! {"a": 1, "b": 2}, doc! {"b": 2}, doc! {"d": {"a": false}});
        check(doc! {"a": 1, "b": 2}, doc! {"b": 2, "a": 1}, doc! {"i": {"a": 1}});
        check(doc! {"a": 1}, doc! {"a": "s"}, doc! {"u": {"a": "s"}});
        check(
            doc! {"o": {"x": 1, "y": "a long text that need not be said again"}},
            doc! {"o": {"x": 2, "y": "a long text that need not be said again"}},
            doc! {"so": {"u": {"x": 2}}},
        );
        check(doc! {"o": {"x": 1}}, doc! {"o": {"x": 2}}, doc! {"u": {"o": {"x": 2}}});
        let long = |head: &[i32]| -> Bson {
            Bson::Array(head.iter().copied().chain(100..140).map(Bson::Int32).collect())
        };
        check(doc! {"l": long(&[1, 2])}, doc! {"l": long(&[1, 3])}, doc! {"sl": {"a": true, "u1": 3}});
        let mut longer = long(&[1]);
        longer.as_array_mut().unwrap().push(Bson::Int32(5));
        check(doc! {"l": long(&[1])}, doc! {"l": longer.clone()}, doc! {"sl": {"a": true, "u41": 5}});
        check(doc! {"l": longer}, doc! {"l": long(&[1])}, doc! {"sl": {"a": true, "l": 41}});
        let all_new = |text: &str| raw(&doc! {"_id": 1, "a": text.repeat(50)});
        assert_eq!(compute(&all_new("x"), &all_new("y")), None);
    }

    #[test]
    fn a_whole_document_is_no_difference() {
        assert!(!is_diff(&raw(&doc! {"_id": 1, "$v": 2})));
        assert!(!is_diff(&raw(&doc! {"$v": 2, "diff": {}, "_id": 1})));
    }

    fn value(random: &mut StdRng, depth: u32) -> Bson {
        match random.random_range(0..if depth > 2 { 4 } else { 6 }) {
            0 => Bson::Int32(random.random_range(0..3)),
            1 => Bson::String("x".repeat(random.random_range(0..30))),
            2 => Bson::Null,
            3 => Bson::Double(f64::from(random.random_range(0..3))),
            4 => Bson::Array((0..random.random_range(0..5)).map(|_| value(random, depth + 1)).collect()),
            _ => Bson::Document(fields(random, depth + 1)),
        }
    }

    fn fields(random: &mut StdRng, depth: u32) -> Document {
        let names = ["a", "b", "c", "s", "u", "i", "d", "l", "", "0", "1", "$v", "diff"];
        let count = random.random_range(0..6);
        (0..count)
            .map(|_| (names[random.random_range(0..names.len())].to_owned(), value(random, depth)))
            .collect()
    }

    fn mutate(random: &mut StdRng, value_now: &mut Bson, depth: u32) {
        match value_now {
            Bson::Document(doc) if random.random_bool(0.8) => {
                let mut list: Vec<(String, Bson)> = std::mem::take(doc).into_iter().collect();
                if !list.is_empty() {
                    let at = random.random_range(0..list.len());
                    match random.random_range(0..5) {
                        0 => drop(list.remove(at)),
                        1 => list.swap(at, 0),
                        2 => list.insert(at, ("n".to_owned(), value(random, depth))),
                        _ => mutate(random, &mut list[at].1, depth + 1),
                    }
                } else {
                    list.push(("z".to_owned(), value(random, depth)));
                }
                doc.extend(list);
            }
            Bson::Array(list) if random.random_bool(0.8) && !list.is_empty() => {
                let at = random.random_range(0..list.len());
                match random.random_range(0..4) {
                    0 => drop(list.remove(at)),
                    1 => list.push(value(random, depth)),
                    _ => mutate(random, &mut list[at], depth + 1),
                }
            }
            other => *other = value(random, depth),
        }
    }

    #[test]
    fn every_difference_gives_the_new_document_back() {
        let mut random = StdRng::seed_from_u64(17);
        let (mut diffs, mut wholes) = (0, 0);
        for _ in 0..20_000 {
            let mut old = doc! {"_id": 1};
            old.extend(fields(&mut random, 0));
            let mut next = Bson::Document(old.clone());
            for _ in 0..random.random_range(0..4) {
                mutate(&mut random, &mut next, 0);
            }
            let Bson::Document(new) = next else { continue };
            let (old, new) = (raw(&old), raw(&new));
            match compute(&old, &new) {
                Some(diff) => {
                    diffs += 1;
                    assert!(diff.as_bytes().len() < new.as_bytes().len());
                    assert_eq!(apply(&old, &diff).unwrap(), new);
                }
                None => wholes += 1,
            }
        }
        assert!(diffs > 1000 && wholes > 1000, "{diffs} {wholes}");
    }

    #[test]
    fn names_that_come_twice_are_logged_whole_or_exactly() {
        let twice = |first: i32, second: i32| {
            let mut doc = RawDocumentBuf::new();
            doc.append(bson::cstr!("_id"), 1);
            doc.append(bson::cstr!("p"), "x".repeat(100));
            doc.append(bson::cstr!("a"), first);
            doc.append(bson::cstr!("a"), second);
            doc
        };
        let (old, new) = (twice(1, 2), twice(1, 3));
        if let Some(diff) = compute(&old, &new) {
            assert_eq!(apply(&old, &diff).unwrap(), new);
        }
    }
}

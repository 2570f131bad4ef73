//! How the bounds of predicates combine under `$and`, `$or`, `$not` and `$elemMatch`.
//! With arrays a document has several keys, and what holds for the document need not hold for one key; see [`choose`].

use super::Keys;
use super::intervals::{self, Found};
use crate::matcher::{Leaf, Node, Test};
use value::interval::{Interval, intersect, normalize};

/// What a node says about each field; `None`: nothing.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) fields: Vec<Option<Vec<Interval>>>,
    /// Whether a key within all of it belongs to a document that fulfils the node.
    pub(super) exact: bool,
}

impl Fields {
    fn nothing(count: usize) -> Fields {
        Fields { fields: vec![None; count], exact: false }
    }

    fn constrained(&self) -> usize {
        self.fields.iter().filter(|field| field.is_some()).count()
    }
}

/// The bounds of a node. A path is `None` where the pattern's field lies outside of the document that is looked at.
pub(super) fn node(node: &Node, paths: &[Option<&str>], keys: Keys<'_>) -> Fields {
    signed(node, paths, keys, false)
}

/// `negated`: of the opposite of the node.
fn signed(node: &Node, paths: &[Option<&str>], keys: Keys<'_>, negated: bool) -> Fields {
    let each = |nodes: &[Node]| -> Vec<Fields> {
        nodes.iter().map(|node| signed(node, paths, keys, negated)).collect()
    };
    match (node, negated) {
        (Node::Not(inner), _) => signed(inner, paths, keys, !negated),
        (Node::And(nodes), false) | (Node::Or(nodes), true) => all_of(each(nodes), paths, keys),
        (Node::Or(nodes), false) | (Node::And(nodes), true) => any_of(each(nodes), paths.len()),
        (Node::Never, false) => Fields { fields: vec![Some(Vec::new()); paths.len()], exact: true },
        (Node::Never, true) => Fields { fields: vec![None; paths.len()], exact: true },
        (Node::Expr(_), _) => Fields::nothing(paths.len()),
        (Node::Leaf(one), _) => leaf(one, paths, keys, negated),
    }
}

fn leaf(leaf: &Leaf, paths: &[Option<&str>], keys: Keys<'_>, negated: bool) -> Fields {
    let text = leaf.path.text();
    let mut found = Fields::nothing(paths.len());
    if keys.multikey && (0..leaf.path.len()).any(|at| leaf.path.index(at).is_some()) {
        // `a.0` may be an element or a field of each element; a key stands for one of them only.
        return found;
    }
    for (field, path) in found.fields.iter_mut().zip(paths) {
        if *path == Some(text) {
            let on_path = intervals::of(leaf, keys);
            let on_path = if negated { intervals::opposite(leaf, on_path, keys) } else { on_path };
            if let Some(Found { intervals, exact }) = on_path {
                *field = Some(intervals);
                found.exact = exact;
            }
            return found;
        }
    }
    if negated {
        return found;
    }
    // Fields of the pattern that lie inside of what the leaf looks at.
    let inside = |path: &Option<&'_ str>| -> Option<String> {
        let rest = (*path)?.strip_prefix(text)?.strip_prefix('.')?;
        Some(rest.to_owned())
    };
    let inner: Vec<Option<String>> = paths.iter().map(inside).collect();
    if inner.iter().all(Option::is_none) {
        return found;
    }
    match &leaf.test {
        Test::ElemMatchObject(node) => {
            let inner: Vec<Option<&str>> = inner.iter().map(Option::as_deref).collect();
            Fields { exact: false, ..signed(node, &inner, keys, false) }
        }
        Test::Compare(crate::matcher::Comparison::Eq, operand) => {
            for (field, path) in found.fields.iter_mut().zip(&inner) {
                let Some(path) = path else { continue };
                if keys.multikey && path.split('.').any(is_number) {
                    // A place of an array or a name in its elements, as above.
                    continue;
                }
                *field = intervals::of_embedded(operand, path, keys);
                if field.is_some() && keys.multikey {
                    // With arrays inside, one key need not hold the values of several fields.
                    break;
                }
            }
            found
        }
        _ => found,
    }
}

/// Whether a component of a path may be the place of an element.
fn is_number(component: &str) -> bool {
    !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit())
}

/// Each of the parts must hold.
fn all_of(parts: Vec<Fields>, paths: &[Option<&str>], keys: Keys<'_>) -> Fields {
    if keys.multikey && parts.len() > 1 {
        return choose(&parts, paths);
    }
    let mut all = Fields { fields: vec![None; paths.len()], exact: true };
    for part in parts {
        all.exact &= part.exact;
        for (field, more) in all.fields.iter_mut().zip(part.fields) {
            *field = match (field.take(), more) {
                (Some(a), Some(b)) => Some(intersect(&a, &b)),
                (a, b) => a.or(b),
            };
        }
    }
    all
}

/// Each of the parts must hold, but perhaps for different keys of the document. One key fulfils one part in each array,
/// so for the fields below one name of the top level only one part counts. Fields below different names are
/// independent: only one of the names may be an array, and each of its keys goes with every value of the others.
fn choose(parts: &[Fields], paths: &[Option<&str>]) -> Fields {
    let mut chosen = Fields { fields: vec![None; paths.len()], exact: true };
    let mut sources: Vec<(&str, usize)> = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let Some(path) = path else { continue };
        let root = path.split('.').next().unwrap_or_default();
        let source = match sources.iter().find(|(name, _)| *name == root) {
            Some((_, part)) => Some(*part),
            None => (0..parts.len())
                .filter(|part| parts[*part].fields[at].is_some())
                .min_by_key(|part| cost(parts[*part].fields[at].as_deref().unwrap_or_default())),
        };
        if let Some(part) = source {
            chosen.fields[at].clone_from(&parts[part].fields[at]);
            if !sources.iter().any(|(name, _)| *name == root) {
                sources.push((root, part));
            }
        }
    }
    for part in parts {
        let used =
            part.fields.iter().zip(&chosen.fields).all(|(field, chosen)| field.is_none() || field == chosen);
        chosen.exact &= part.exact && used;
    }
    chosen
}

/// Less is better: nothing, then points, then ranges with two ends within their type, then the rest.
fn cost(intervals: &[Interval]) -> usize {
    intervals.iter().map(|interval| if interval.is_point() { 1 } else { 1_000 }).sum()
}

/// At least one of the parts must hold.
fn any_of(parts: Vec<Fields>, count: usize) -> Fields {
    let Some(first) = parts.first() else {
        return Fields { fields: vec![Some(Vec::new()); count], exact: true };
    };
    // A key that takes one field from one part and one from another fulfils neither.
    let single = parts.iter().all(|part| {
        part.constrained() == 1
            && part.fields.iter().zip(&first.fields).all(|(a, b)| a.is_some() == b.is_some())
    });
    let exact = parts.iter().all(|part| part.exact) && (single || parts.len() == 1);
    let mut any: Vec<Option<Vec<Interval>>> = vec![Some(Vec::new()); count];
    for part in parts {
        for (field, more) in any.iter_mut().zip(part.fields) {
            *field = match (field.take(), more) {
                (Some(mut list), Some(more)) => {
                    list.extend(more);
                    Some(list)
                }
                _ => None,
            };
        }
    }
    Fields { fields: any.into_iter().map(|field| field.map(normalize)).collect(), exact }
}

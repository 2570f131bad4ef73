//! Whether every document that one filter matches is matched by another: what makes a partial index usable for a query.
//! A `false` may be wrong, a `true` never.

use super::{Comparison, Leaf, Matcher, Node, Operand, Test};
use bson::RawBsonRef;
use bson::spec::ElementType;
use types::{Code, Fault};
use value::collation::is_collatable;
use value::{Collator, order};

/// Whether `query` matches nothing that `filter` does not.
pub fn implies(query: &Matcher, filter: &Matcher) -> bool {
    node_implies(query.root(), filter.root())
}

/// Refuses what the filter of a partial index cannot be.
///
/// # Errors
/// `CannotCreateIndex` (67).
pub fn check_partial_filter(filter: &Matcher) -> Result<(), Fault> {
    check(filter.root())
}

fn check(node: &Node) -> Result<(), Fault> {
    let what = match node {
        Node::And(nodes) | Node::Or(nodes) => return nodes.iter().try_for_each(check),
        Node::Leaf(leaf) => match leaf.test {
            Test::Compare(..) | Test::In(_) | Test::Exists | Test::Type(_) => return Ok(()),
            Test::Size(_) => "$size",
            Test::Mod { .. } => "$mod",
            Test::Regex(_) => "$regex",
            Test::Bits(_) => "$bits",
            Test::ElemMatchObject(_) | Test::ElemMatchValue(_) => "$elemMatch",
        },
        Node::Not(_) => "$not",
        Node::Expr(_) => "$expr",
        Node::Never => "$alwaysFalse",
    };
    Err(Fault::new(Code::CannotCreateIndex, format!("Expression not supported in partial index: {what}")))
}

fn node_implies(query: &Node, filter: &Node) -> bool {
    if let Node::And(parts) = filter {
        return parts.iter().all(|part| node_implies(query, part));
    }
    match query {
        Node::Never => true,
        Node::Or(ways) if !ways.is_empty() => ways.iter().all(|way| node_implies(way, filter)),
        Node::And(parts) => {
            parts.iter().any(|part| node_implies(part, filter))
                || matches!(filter, Node::Or(ways) if ways.iter().any(|way| node_implies(query, way)))
        }
        query => match filter {
            Node::Or(ways) => ways.iter().any(|way| node_implies(query, way)),
            Node::Leaf(filter) => matches!(query, Node::Leaf(query) if leaf_implies(query, filter)),
            _ => false,
        },
    }
}

fn leaf_implies(query: &Leaf, filter: &Leaf) -> bool {
    query.path.text() == filter.path.text() && test_implies(&query.test, &filter.test)
}

fn test_implies(query: &Test, filter: &Test) -> bool {
    match (query, filter) {
        (query, Test::Exists) => proves_presence(query),
        (Test::In(set), filter) => {
            set.patterns().is_empty()
                && set.values().flatten().all(|value| {
                    let point = Test::Compare(Comparison::Eq, Operand::new(value.into(), set.collation()));
                    test_implies(&point, filter)
                })
        }
        (Test::Compare(Comparison::Eq, operand), Test::In(set)) => {
            comparable(operand, set.collation())
                && set
                    .values()
                    .flatten()
                    .any(|value| order::compare_under(value, operand.value(), operand.collation()).is_eq())
        }
        (Test::Compare(comparison, operand), Test::Compare(wanted, bound)) => {
            comparison_implies(*comparison, operand, *wanted, bound)
        }
        (Test::Compare(Comparison::Eq, operand), Test::Type(kinds)) => {
            let kind = operand.value().element_type();
            is_plain(operand.value())
                && kind != ElementType::Array
                && same_kind_only(kind)
                && kinds.contains(kind)
        }
        (Test::Type(kinds), Test::Type(wanted)) => kinds == wanted,
        _ => false,
    }
}

/// Whether a value that equals one of this type has this type: numbers equal across types.
fn same_kind_only(kind: ElementType) -> bool {
    !matches!(
        kind,
        ElementType::Int32
            | ElementType::Int64
            | ElementType::Double
            | ElementType::Decimal128
            | ElementType::String
            | ElementType::Symbol
    )
}

/// Whether a document without the field cannot pass.
fn proves_presence(query: &Test) -> bool {
    match query {
        Test::Compare(_, operand) => is_plain(operand.value()),
        Test::In(set) => set.values().flatten().all(is_plain),
        Test::Type(kinds) => !kinds.contains(ElementType::Undefined) && !kinds.contains(ElementType::Null),
        Test::Exists
        | Test::Size(_)
        | Test::Mod { .. }
        | Test::Regex(_)
        | Test::Bits(_)
        | Test::ElemMatchObject(_)
        | Test::ElemMatchValue(_) => true,
    }
}

/// Values that compare within their own type alone.
fn is_plain(value: RawBsonRef<'_>) -> bool {
    !matches!(value, RawBsonRef::Null | RawBsonRef::Undefined | RawBsonRef::MinKey | RawBsonRef::MaxKey)
}

/// Whether values compare with the operand as they do under the other collation.
fn comparable(operand: &Operand, other: Option<&Collator>) -> bool {
    !is_collatable(operand.value()) || operand.collation() == other
}

fn comparison_implies(query: Comparison, operand: &Operand, filter: Comparison, bound: &Operand) -> bool {
    let collation = operand.collation();
    if is_collatable(operand.value()) != is_collatable(bound.value()) || collation != bound.collation() {
        return false;
    }
    let (operand, bound) = (operand.value(), bound.value());
    let same = order::canonical_type(operand) == order::canonical_type(bound);
    let ordering = order::compare_under(operand, bound, collation);
    if query == filter && same && ordering.is_eq() {
        return true;
    }
    let ordered = |value: RawBsonRef<'_>| {
        let kind = value.element_type();
        is_plain(value)
            && !super::is_nan(value)
            && !matches!(
                kind,
                ElementType::Array | ElementType::EmbeddedDocument | ElementType::RegularExpression
            )
    };
    if !same || !ordered(operand) || !ordered(bound) {
        return false;
    }
    use Comparison::{Eq, Gt, Gte, Lt, Lte};
    match (query, filter) {
        (Eq, filter) => filter.accepts(ordering),
        (Gt, Gt | Gte) | (Gte, Gte) => ordering.is_ge(),
        (Gte, Gt) => ordering.is_gt(),
        (Lt, Lt | Lte) | (Lte, Lte) => ordering.is_le(),
        (Lte, Lt) => ordering.is_lt(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ParseContext;
    use bson::{Bson, Document, RawDocumentBuf, doc};

    fn matcher(filter: &Document) -> Matcher {
        Matcher::parse(&RawDocumentBuf::try_from(filter).unwrap(), &ParseContext::default()).unwrap()
    }

    #[test]
    fn implications_are_seen() {
        let rows = [
            (doc! {"a": 5}, doc! {"a": {"$gt": 3}}, true),
            (doc! {"a": 3}, doc! {"a": {"$gt": 3}}, false),
            (doc! {"a": {"$gt": 3}}, doc! {"a": {"$gte": 3}}, true),
            (doc! {"a": {"$gte": 3}}, doc! {"a": {"$gt": 3}}, false),
            (doc! {"a": {"$gt": 4, "$lt": 9}}, doc! {"a": {"$gt": 3}}, true),
            (doc! {"a": {"$lt": 4}}, doc! {"a": {"$lte": 4}}, true),
            (doc! {"a": "x"}, doc! {"a": {"$gt": 3}}, false),
            (doc! {"b": 5, "a": 1}, doc! {"b": 5}, true),
            (doc! {"b": 5.0}, doc! {"b": 5}, true),
            (doc! {"b": 6}, doc! {"b": 5}, false),
            (doc! {"a": 1}, doc! {"b": {"$exists": true}}, false),
            (doc! {"a": 1}, doc! {"a": {"$exists": true}}, true),
            (doc! {"a": Bson::Null}, doc! {"a": {"$exists": true}}, false),
            (doc! {"a": {"$in": [1, 2]}}, doc! {"a": {"$lt": 3}}, true),
            (doc! {"a": {"$in": [1, Bson::Null]}}, doc! {"a": {"$exists": true}}, false),
            (doc! {"a": {"$in": [1, 5]}}, doc! {"a": {"$lt": 3}}, false),
            (doc! {"a": 2}, doc! {"a": {"$in": [1, 2]}}, true),
            (doc! {"a": {"$in": [1, 2]}}, doc! {"a": {"$in": [1, 2, 3]}}, true),
            (doc! {"$or": [{"a": 5}, {"a": 6}]}, doc! {"a": {"$gt": 3}}, true),
            (doc! {"$or": [{"a": 5}, {"b": 6}]}, doc! {"a": {"$gt": 3}}, false),
            (doc! {"a": 1}, doc! {"$or": [{"a": 1}, {"b": 1}]}, true),
            (doc! {"a": 1, "b": 1}, doc! {"$and": [{"a": 1}, {"b": 1}]}, true),
            (doc! {"a": 1}, doc! {"$and": [{"a": 1}, {"b": 1}]}, false),
            (doc! {"a": true}, doc! {"a": {"$type": "bool"}}, true),
            (doc! {"a": 1}, doc! {"a": {"$type": "int"}}, false),
            (doc! {"a": {"$type": "int"}}, doc! {"a": {"$type": "int"}}, true),
            (doc! {"a": {"$ne": 1}}, doc! {"a": {"$exists": true}}, false),
            (doc! {}, doc! {"a": 1}, false),
            (doc! {}, doc! {}, true),
        ];
        for (query, filter, want) in rows {
            assert_eq!(implies(&matcher(&query), &matcher(&filter)), want, "{query} => {filter}");
        }
    }

    #[test]
    fn filters_of_partial_indexes_are_limited() {
        let code = |filter: Document| match check_partial_filter(&matcher(&filter)) {
            Ok(()) => 0,
            Err(fault) => fault.code.number(),
        };
        assert_eq!(code(doc! {"a": {"$gt": 1}, "$or": [{"b": {"$exists": true}}, {"c": {"$type": 2}}]}), 0);
        for bad in [doc! {"a": {"$exists": false}}, doc! {"a": {"$ne": 1}}, doc! {"a": {"$size": 1}}] {
            assert_eq!(code(bad), 67);
        }
    }
}

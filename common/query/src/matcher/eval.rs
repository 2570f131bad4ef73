//! Does a document, or one value, fulfil a node?
//! `position` is where the index of the array element that made the last leaf true is left.

use super::walk::walk;
use super::{Leaf, Node, Test};
use crate::expr::{Env, is_true};
use crate::raw::{Field, fields, find};
use bson::RawDocument;
use bson::spec::ElementType;
use std::ops::ControlFlow;
use types::Fault;
use value::number::Number;

impl Node {
    /// Whether `doc` matches.
    pub(super) fn test(&self, doc: &RawDocument, position: &mut Option<usize>) -> Result<bool, Fault> {
        match self {
            Node::Leaf(leaf) => leaf.test(doc, position),
            Node::And(nodes) => {
                for node in nodes {
                    if !node.test(doc, position)? {
                        *position = None;
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Or(nodes) => {
                for node in nodes {
                    if node.test(doc, position)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Node::Not(node) => Ok(!node.test(doc, &mut None)?),
            Node::Expr(expr) => Ok(is_true(&expr.eval(&Env::new(doc))?)),
            Node::Never => Ok(false),
        }
    }

    /// Whether a value matches by itself, whatever the paths say: the value form of `$elemMatch`.
    fn test_value(&self, field: &Field<'_>) -> Result<bool, Fault> {
        match self {
            Node::Leaf(leaf) => leaf.test.test(Some(field), &mut None),
            Node::And(nodes) => {
                for node in nodes {
                    if !node.test_value(field)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Or(nodes) => {
                for node in nodes {
                    if node.test_value(field)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Node::Not(node) => Ok(!node.test_value(field)?),
            Node::Expr(_) => Err(Fault::internal("$expr inside of $elemMatch")),
            Node::Never => Ok(false),
        }
    }
}

impl Leaf {
    fn test(&self, doc: &RawDocument, position: &mut Option<usize>) -> Result<bool, Fault> {
        if self.path.len() == 1 {
            // The common case: one name, and no array behind it.
            let field = find(doc, self.path.text())?;
            if field.as_ref().is_none_or(|field| field.kind() != ElementType::Array) {
                return self.test.test(field.as_ref(), &mut None);
            }
        }
        let mut found = false;
        walk(doc, &self.path, self.test.enters_arrays(), &mut |value, outer| {
            let mut inner = None;
            if !self.test.test(value, &mut inner)? {
                return Ok(ControlFlow::Continue(()));
            }
            found = true;
            if let Some(index) = outer.or(inner) {
                *position = Some(index);
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

impl Test {
    /// Tests one value, `None` for a missing one. `inner` takes the index of the element that `$elemMatch` found.
    fn test(&self, field: Option<&Field<'_>>, inner: &mut Option<usize>) -> Result<bool, Fault> {
        match self {
            Test::Compare(comparison, operand) => return operand.test(*comparison, field),
            Test::In(set) => return set.test(field),
            _ => {}
        }
        let Some(field) = field else { return Ok(false) };
        Ok(match self {
            Test::Exists => true,
            Test::Type(kinds) => kinds.contains(field.kind()),
            Test::Size(size) => match field.array()? {
                Some(array) => has_size(array, *size)?,
                None => false,
            },
            Test::Mod { divisor, remainder } => match field.kind() {
                ElementType::Int32 | ElementType::Int64 | ElementType::Double | ElementType::Decimal128 => {
                    let number = Number::from_raw(field.value()?).and_then(Number::to_i64_truncated);
                    // i64::MIN by -1 has no quotient, but its remainder is 0.
                    number.is_some_and(|number| number.wrapping_rem(*divisor) == *remainder)
                }
                _ => false,
            },
            Test::Regex(pattern) => pattern.test(field)?,
            Test::Bits(bits) => match field.kind() {
                ElementType::Int32
                | ElementType::Int64
                | ElementType::Double
                | ElementType::Decimal128
                | ElementType::Binary => bits.test(field)?,
                _ => false,
            },
            Test::ElemMatchObject(_) | Test::ElemMatchValue(_) => match self.element(field)? {
                Some((index, _)) => {
                    *inner = Some(index);
                    true
                }
                None => false,
            },
            Test::Compare(..) | Test::In(_) => false,
        })
    }

    /// The first element of an array that `$elemMatch` finds; none for other tests.
    pub(crate) fn first_element<'a>(&self, field: &Field<'a>) -> Result<Option<Field<'a>>, Fault> {
        Ok(self.element(field)?.map(|(_, element)| element))
    }

    fn element<'a>(&self, field: &Field<'a>) -> Result<Option<(usize, Field<'a>)>, Fault> {
        let Some(array) = field.array()? else { return Ok(None) };
        for (at, element) in fields(array).enumerate() {
            let element = element?;
            let passes = match self {
                Test::ElemMatchObject(node) => match element.document()?.or(element.array()?) {
                    Some(doc) => node.test(doc, &mut None)?,
                    None => false,
                },
                Test::ElemMatchValue(node) => node.test_value(&element)?,
                _ => false,
            };
            if passes {
                return Ok(Some((at, element)));
            }
        }
        Ok(None)
    }
}

fn has_size(array: &RawDocument, size: i64) -> Result<bool, Fault> {
    let mut count = 0;
    for element in fields(array) {
        element?;
        count += 1;
        if count > size {
            return Ok(false);
        }
    }
    Ok(count == size)
}

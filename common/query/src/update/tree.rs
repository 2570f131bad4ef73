//! The operators of an update by path: a document is walked along this tree once.

use super::action::{Action, Surroundings};
use super::path::{Part, array_index};
use std::cmp::Ordering;
use types::{Code, Fault};

/// What happens at a path and below.
#[derive(Debug)]
pub(super) enum Node {
    Leaf(Action),
    Fields(Fields),
    Elements(Elements),
}

/// What happens to fields of a document, or to elements of an array by index.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// In the order in which new fields are added: numbers by value, then names by bytes.
    pub(super) children: Vec<(String, Node)>,
    /// What happens to the element that the filter matched.
    pub(super) positional: Option<Box<Node>>,
}

/// What happens to array elements by what they hold.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// By the identifier of the array filter; an empty one stands for all elements.
    pub(super) children: Vec<(String, Node)>,
}

impl Node {
    /// The root of an update without operators.
    pub(super) fn root() -> Node {
        Node::Fields(Fields::default())
    }

    /// Adds what happens at `parts`.
    ///
    /// # Errors
    /// `ConflictingUpdateOperators` (40) where something else happens there, above or below.
    pub(super) fn insert(&mut self, path: &str, parts: &[Part<'_>], action: Action) -> Result<(), Fault> {
        let mut node = self;
        for (depth, part) in parts.iter().enumerate() {
            let rest = parts.get(depth + 1..).unwrap_or_default();
            let slot = match (node, part) {
                (Node::Fields(fields), Part::Name(name)) => {
                    match fields.children.binary_search_by(|(other, _)| compare_names(other, name)) {
                        Ok(at) => Slot::Taken(&mut fields.children[at].1),
                        Err(at) => {
                            fields.children.insert(at, ((*name).to_owned(), empty(rest)));
                            Slot::New(&mut fields.children[at].1)
                        }
                    }
                }
                (Node::Fields(fields), Part::Positional) => match &mut fields.positional {
                    Some(node) => Slot::Taken(node),
                    empty_slot => Slot::New(empty_slot.insert(Box::new(empty(rest)))),
                },
                (Node::Elements(elements), Part::Filtered(name)) => {
                    match elements.children.iter().position(|(other, _)| other == name) {
                        Some(at) => Slot::Taken(&mut elements.children[at].1),
                        None => {
                            elements.children.push(((*name).to_owned(), empty(rest)));
                            let last = elements.children.len() - 1;
                            Slot::New(&mut elements.children[last].1)
                        }
                    }
                }
                _ => return Err(conflict(path, depth)),
            };
            node = match slot {
                Slot::New(node) => node,
                Slot::Taken(Node::Leaf(_)) => return Err(conflict(path, depth + 1)),
                Slot::Taken(_) if rest.is_empty() => return Err(conflict(path, depth + 1)),
                Slot::Taken(node) => node,
            };
        }
        *node = Node::Leaf(action);
        Ok(())
    }

    /// Whether something here makes a field that is missing.
    pub(super) fn creates(&self, around: &Surroundings<'_>) -> bool {
        match self {
            Node::Leaf(action) => action.creates(around),
            Node::Fields(fields) => {
                fields.positional.as_ref().is_some_and(|node| node.creates(around))
                    || fields.children.iter().any(|(_, node)| node.creates(around))
            }
            Node::Elements(elements) => elements.children.iter().any(|(_, node)| node.creates(around)),
        }
    }
}

enum Slot<'a> {
    New(&'a mut Node),
    Taken(&'a mut Node),
}

/// The node that the rest of a path needs; the end of a path is filled in by the caller.
fn empty(rest: &[Part<'_>]) -> Node {
    match rest.first() {
        Some(Part::Filtered(_)) => Node::Elements(Elements::default()),
        Some(Part::Name(_) | Part::Positional) | None => Node::Fields(Fields::default()),
    }
}

/// The order in which MongoDB adds new fields.
pub(super) fn compare_names(left: &str, right: &str) -> Ordering {
    match (array_index(left), array_index(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// Error 40; the conflict is at the first `parts` parts of the path.
fn conflict(path: &str, parts: usize) -> Fault {
    let at = path.split('.').take(parts.max(1)).collect::<Vec<_>>().join(".");
    conflict_at(path, &at)
}

/// Error 40.
pub(super) fn conflict_at(path: &str, at: &str) -> Fault {
    Fault::new(
        Code::ConflictingUpdateOperators,
        format!("Updating the path '{path}' would create a conflict at '{at}'"),
    )
}

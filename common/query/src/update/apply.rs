//! Walks a document along the tree of operators and writes what it becomes.

use super::Outcome;
use super::action::Surroundings;
use super::array_filter::ArrayFilters;
use super::operand::index_name;
use super::path::array_index;
use super::tree::{Node, compare_names, conflict_at};
use crate::matcher::Position;
use crate::raw::{Field, Writer, fields};
use bson::{RawBsonRef, RawDocument};
use std::borrow::Cow;
use types::{Code, Fault};

/// Nulls that one update may put between the end of an array and an index past it; MongoDB's bound.
const BACKFILL_COUNT_MAX: usize = 1_500_000;

/// Applies the operators to `doc`.
pub(super) fn apply(
    root: &Node,
    filters: &ArrayFilters,
    doc: &RawDocument,
    position: Option<Position>,
    on_insert: bool,
) -> Result<Outcome, Fault> {
    let mut walk = Walk {
        surroundings: Surroundings { root: doc, on_insert },
        filters,
        position: position.and_then(|position| position.index),
        path: String::new(),
        writer: Writer::with_capacity(doc.as_bytes().len() + 64),
    };
    let modified = walk.document(&Group::one(root), doc)?;
    let doc = if modified { walk.writer.finish()? } else { doc.to_owned() };
    Ok(Outcome { doc, modified })
}

/// The nodes that apply to one place: usually one; several where `$`, `$[]` and indexes meet at one element.
struct Group<'n> {
    first: &'n Node,
    rest: Vec<&'n Node>,
}

impl<'n> Group<'n> {
    fn one(node: &'n Node) -> Group<'n> {
        Group { first: node, rest: Vec::new() }
    }

    fn nodes(&self) -> impl Iterator<Item = &'n Node> + '_ {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    fn creates(&self, around: &Surroundings<'_>) -> bool {
        self.nodes().any(|node| node.creates(around))
    }
}

/// A field that something happens to.
struct Slot<'n> {
    name: Cow<'n, str>,
    group: Group<'n>,
    seen: bool,
}

struct Walk<'a> {
    surroundings: Surroundings<'a>,
    filters: &'a ArrayFilters,
    position: Option<usize>,
    /// Where the walk is, for messages.
    path: String,
    writer: Writer,
}

impl Walk<'_> {
    /// Writes the fields of a document; the container is open. Answers whether anything changed.
    fn document(&mut self, group: &Group<'_>, doc: &RawDocument) -> Result<bool, Fault> {
        let mut slots = self.slots(group)?;
        let mut modified = false;
        let mut open = slots.len();
        for field in fields(doc) {
            let field = field?;
            let found = match open {
                0 => None,
                _ => slots.binary_search_by(|slot| compare_names(&slot.name, field.name())).ok(),
            };
            match found.and_then(|at| slots.get_mut(at)).filter(|slot| !slot.seen) {
                Some(slot) => {
                    slot.seen = true;
                    open -= 1;
                    modified |= self.value(&slot.group, field.name(), Some(&field), false)?;
                }
                None => self.writer.copy(&field),
            }
        }
        for slot in slots.iter().filter(|slot| !slot.seen) {
            modified |= self.value(&slot.group, &slot.name, None, false)?;
        }
        Ok(modified)
    }

    /// Writes what becomes of one value, which may be missing. Answers whether anything changed.
    fn value(
        &mut self,
        group: &Group<'_>,
        name: &str,
        existing: Option<&Field<'_>>,
        in_array: bool,
    ) -> Result<bool, Fault> {
        let parent = self.path.len();
        if parent > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let modified = match (group.first, group.rest.is_empty()) {
            (Node::Leaf(action), true) => {
                action.apply(&self.surroundings, &self.path, name, existing, in_array, &mut self.writer)
            }
            (Node::Fields(_), _) if group.rest.iter().all(|node| matches!(node, Node::Fields(_))) => {
                self.inside(group, name, existing)
            }
            (Node::Elements(_), _) if group.rest.iter().all(|node| matches!(node, Node::Elements(_))) => {
                self.elements(group, name, existing)
            }
            _ => Err(conflict_at(&self.path, &self.path)),
        }?;
        self.path.truncate(parent);
        Ok(modified)
    }

    /// A value in which fields or indexed elements change.
    fn inside(&mut self, group: &Group<'_>, name: &str, existing: Option<&Field<'_>>) -> Result<bool, Fault> {
        let around = self.surroundings;
        let Some(field) = existing else {
            let mark = self.writer.mark();
            self.writer.begin_document(name);
            let mut made = false;
            for slot in self.slots(group)? {
                made |= self.value(&slot.group, &slot.name, None, false)?;
            }
            self.writer.end();
            if !made {
                self.writer.truncate(mark);
            }
            return Ok(made);
        };
        if let Some(doc) = field.document()? {
            self.writer.begin_document(name);
            let modified = self.document(group, doc)?;
            self.writer.end();
            return Ok(modified);
        }
        if let Some(array) = field.array()? {
            self.writer.begin_array(name);
            let modified = self.indexed(group, field, array)?;
            self.writer.end();
            return Ok(modified);
        }
        if group.creates(&around) {
            let slots = self.slots(group)?;
            let wanted = slots.iter().find(|slot| slot.group.creates(&around)).map_or("", |slot| &slot.name);
            return Err(not_viable(wanted, field));
        }
        self.writer.copy_as(name, field);
        Ok(false)
    }

    /// Elements of an array by index; the array is open.
    fn indexed(&mut self, group: &Group<'_>, field: &Field<'_>, array: &RawDocument) -> Result<bool, Fault> {
        let around = self.surroundings;
        let slots = self.slots(group)?;
        let mut by_index = Vec::with_capacity(slots.len());
        for slot in &slots {
            match array_index(&slot.name) {
                Some(index) => by_index.push((index, slot)),
                None if slot.group.creates(&around) => return Err(not_viable(&slot.name, field)),
                None => {}
            }
        }
        // Indexes come first and in order: see `compare_names`.
        let mut wanted = by_index.into_iter().peekable();
        let mut modified = false;
        let mut length = 0;
        let mut buffer = [0; 20];
        for element in fields(array) {
            let element = element?;
            match wanted.next_if(|(index, _)| *index == length) {
                Some((index, slot)) => {
                    let name = index_name(&mut buffer, index);
                    modified |= self.value(&slot.group, name, Some(&element), true)?;
                }
                None => self.writer.copy(&element),
            }
            length += 1;
        }
        for (index, slot) in wanted {
            if !slot.group.creates(&around) {
                continue;
            }
            if index - length > BACKFILL_COUNT_MAX {
                return Err(Fault::new(
                    Code::CannotBackfillArray,
                    format!(
                        "Cannot backfill more than {BACKFILL_COUNT_MAX} elements: the array has {length}, the index is {index}"
                    ),
                ));
            }
            let mark = self.writer.mark();
            for place in length..index {
                self.writer.append(index_name(&mut buffer, place), RawBsonRef::Null);
            }
            let name = index_name(&mut buffer, index);
            if self.value(&slot.group, name, None, true)? {
                modified = true;
                length = index + 1;
            } else {
                self.writer.truncate(mark);
            }
        }
        Ok(modified)
    }

    /// A value in which array elements change by what they hold.
    fn elements(
        &mut self,
        group: &Group<'_>,
        name: &str,
        existing: Option<&Field<'_>>,
    ) -> Result<bool, Fault> {
        let Some(field) = existing else {
            return Err(Fault::bad_value(format!(
                "The path '{}' must exist in the document in order to apply array updates.",
                self.path
            )));
        };
        let Some(array) = field.array()? else {
            return Err(Fault::bad_value(format!(
                "Cannot apply array updates to non-array element {}: {}",
                name,
                super::action::show(field)
            )));
        };
        let children: Vec<&(String, Node)> = group
            .nodes()
            .flat_map(|node| match node {
                Node::Elements(elements) => elements.children.as_slice(),
                Node::Leaf(_) | Node::Fields(_) => &[],
            })
            .collect();
        self.writer.begin_array(name);
        let mut modified = false;
        let mut buffer = [0; 20];
        for (index, element) in fields(array).enumerate() {
            let element = element?;
            let mut matched: Option<Group<'_>> = None;
            for (filter, node) in &children {
                if self.filters.matches(filter, &element)? {
                    match &mut matched {
                        Some(group) => group.rest.push(node),
                        None => matched = Some(Group::one(node)),
                    }
                }
            }
            match matched {
                Some(group) => {
                    let name = index_name(&mut buffer, index);
                    modified |= self.value(&group, name, Some(&element), true)?;
                }
                None => self.writer.copy(&element),
            }
        }
        self.writer.end();
        Ok(modified)
    }

    /// The fields that a group names, in the order of [`compare_names`]; `$` has become an index.
    fn slots<'n>(&self, group: &Group<'n>) -> Result<Vec<Slot<'n>>, Fault> {
        let mut slots: Vec<Slot<'n>> = Vec::new();
        for node in group.nodes() {
            let Node::Fields(named) = node else { continue };
            if slots.is_empty() {
                slots.extend(named.children.iter().map(|(name, node)| Slot {
                    name: Cow::Borrowed(name.as_str()),
                    group: Group::one(node),
                    seen: false,
                }));
            } else {
                for (name, node) in &named.children {
                    join(&mut slots, Cow::Borrowed(name.as_str()), node);
                }
            }
            if let Some(node) = &named.positional {
                let Some(index) = self.position else {
                    return Err(Fault::bad_value(
                        "The positional operator did not find the match needed from the query.",
                    ));
                };
                join(&mut slots, Cow::Owned(index.to_string()), node);
            }
        }
        Ok(slots)
    }
}

fn join<'n>(slots: &mut Vec<Slot<'n>>, name: Cow<'n, str>, node: &'n Node) {
    match slots.binary_search_by(|slot| compare_names(&slot.name, &name)) {
        Ok(at) => slots[at].group.rest.push(node),
        Err(at) => slots.insert(at, Slot { name, group: Group::one(node), seen: false }),
    }
}

/// Error 28.
fn not_viable(wanted: &str, field: &Field<'_>) -> Fault {
    Fault::new(
        Code::PathNotViable,
        format!(
            "Cannot create field '{wanted}' in element {{{}: {}}}",
            field.name(),
            super::action::show(field)
        ),
    )
}

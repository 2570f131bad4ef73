//! The tree of `$project`, `$addFields`, `$set` and `$unset`, applied to raw documents: what is kept is copied
//! byte for byte, only computed fields are evaluated.

use crate::expr::{Env, Evaluated, Expr, to_raw};
use crate::raw::{self, Field, Writer};
use bson::{RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// What happens to a field that the tree does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Only what is named stays.
    Include,
    /// All but what is named stays.
    Exclude,
    /// All stays, and what is named is added or replaced.
    Add,
}

/// A node for one document: its named fields in the order of the specification.
#[derive(Debug, Default)]
pub(super) struct Tree {
    fields: Vec<(String, Node)>,
    /// Whether anything below is computed.
    computes: bool,
}

#[derive(Debug)]
pub(super) enum Node {
    Include,
    Exclude,
    Compute(Expr),
    Nested(Tree),
}

impl Tree {
    /// Adds a leaf at a path.
    ///
    /// # Errors
    /// 31249 and 31250 if the path meets one that is there already.
    pub(super) fn insert(&mut self, path: &[String], leaf: Node) -> Result<(), Fault> {
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        self.computes |= matches!(leaf, Node::Compute(_));
        let found = self.fields.iter().position(|(name, _)| name == first);
        let Some(index) = found else {
            let node = if rest.is_empty() {
                leaf
            } else {
                let mut tree = Tree::default();
                tree.insert(rest, leaf)?;
                Node::Nested(tree)
            };
            self.fields.push((first.clone(), node));
            return Ok(());
        };
        match (self.fields.get_mut(index), rest.is_empty()) {
            (Some((_, Node::Nested(tree))), false) => tree.insert(rest, leaf),
            (_, true) => Err(Fault::new(Code::Location(31250), format!("Path collision at {first}"))),
            (_, false) => Err(Fault::new(
                Code::Location(31249),
                format!("Path collision at {first} remaining portion {}", rest.join(".")),
            )),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether a field of the top is named.
    pub(super) fn names(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }

    /// The document reshaped.
    pub(super) fn apply(&self, document: &RawDocument, policy: Policy) -> Result<RawDocumentBuf, Fault> {
        let mut out = Writer::with_capacity(document.as_bytes().len());
        self.write(&mut out, Some(document), policy, &Env::new(document))?;
        out.finish()
    }

    fn write(
        &self,
        out: &mut Writer,
        document: Option<&RawDocument>,
        policy: Policy,
        env: &Env<'_>,
    ) -> Result<(), Fault> {
        // Which computed fields are written already. Trees with more fields than bits look twice.
        let mut written = Written::default();
        if let Some(document) = document {
            for field in raw::fields(document) {
                let field = field?;
                let named = self.fields.iter().position(|(name, _)| name == field.name());
                let node = named.and_then(|index| self.fields.get(index).map(|(_, node)| (index, node)));
                match node {
                    None if policy == Policy::Include => {}
                    None | Some((_, Node::Include)) => out.copy(&field),
                    Some((_, Node::Exclude)) => {}
                    // Included documents list their computed fields at the end.
                    Some((_, Node::Compute(_))) if policy == Policy::Include => {}
                    Some((index, Node::Compute(expr))) => {
                        written.set(index);
                        compute(out, field.name(), expr, env)?;
                    }
                    Some((index, Node::Nested(tree))) => {
                        if tree.value(out, field.name(), &field, policy, env)? {
                            written.set(index);
                        }
                    }
                }
            }
        }
        if !self.computes {
            return Ok(());
        }
        for (index, (name, node)) in self.fields.iter().enumerate() {
            if written.get(index) {
                continue;
            }
            match node {
                Node::Compute(expr) => compute(out, name, expr, env)?,
                Node::Nested(tree) if tree.computes => {
                    out.begin_document(name);
                    tree.write(out, None, policy, env)?;
                    out.end();
                }
                Node::Include | Node::Exclude | Node::Nested(_) => {}
            }
        }
        Ok(())
    }

    /// Writes a value that the tree looks into; answers whether it is done with the field.
    fn value(
        &self,
        out: &mut Writer,
        name: &str,
        field: &Field<'_>,
        policy: Policy,
        env: &Env<'_>,
    ) -> Result<bool, Fault> {
        if let Some(inner) = field.document()? {
            out.begin_document(name);
            self.write(out, Some(inner), policy, env)?;
            out.end();
            return Ok(true);
        }
        if let Some(array) = field.array()? {
            out.begin_array(name);
            let mut index = 0_usize;
            for element in raw::fields(array) {
                if self.element(out, &index.to_string(), &element?, policy, env)? {
                    index += 1;
                }
            }
            out.end();
            return Ok(true);
        }
        match policy {
            Policy::Exclude => {
                out.copy_as(name, field);
                Ok(true)
            }
            Policy::Add if self.computes => {
                out.begin_document(name);
                self.write(out, None, policy, env)?;
                out.end();
                Ok(true)
            }
            Policy::Add | Policy::Include => Ok(false),
        }
    }

    /// Writes an element of an array that the tree looks into; answers whether there is something to write.
    fn element(
        &self,
        out: &mut Writer,
        name: &str,
        element: &Field<'_>,
        policy: Policy,
        env: &Env<'_>,
    ) -> Result<bool, Fault> {
        if self.value(out, name, element, policy, env)? {
            return Ok(true);
        }
        if self.computes {
            out.begin_document(name);
            self.write(out, None, policy, env)?;
            out.end();
        }
        Ok(self.computes)
    }
}

fn compute(out: &mut Writer, name: &str, expr: &Expr, env: &Env<'_>) -> Result<(), Fault> {
    match expr.eval_ref(env)? {
        Evaluated::Missing => {}
        Evaluated::Raw(raw) => out.append(name, raw),
        Evaluated::Owned(value) => out.append(name, to_raw(&value)?.as_raw_bson_ref()),
    }
    Ok(())
}

/// Which fields of a node are written.
#[derive(Default)]
struct Written {
    low: u64,
    high: Vec<usize>,
}

impl Written {
    fn set(&mut self, index: usize) {
        match index {
            0..64 => self.low |= 1 << index,
            _ => self.high.push(index),
        }
    }

    fn get(&self, index: usize) -> bool {
        match index {
            0..64 => self.low & (1 << index) != 0,
            _ => self.high.contains(&index),
        }
    }
}

//! What a projection does to a document, as a tree of names. Find projections, `$project`, `$addFields`, `$set` and
//! `$unset` are all such a tree; they differ in [`Kind`] and in who parses them.
//!
//! - [`Kind::Inclusion`] keeps the named fields, in the document's order; computed fields follow in the order they were
//!   added. Scalars where the tree goes deeper are dropped.
//! - [`Kind::Exclusion`] keeps everything but the named fields.
//! - [`Kind::Additions`] keeps everything; computed fields replace theirs in place or follow at the end.
//!
//! Arrays on the way stand for their elements, nested arrays included. What is kept is copied byte for byte.

use super::transform::Transform;
use crate::expr::{Env, Expr};
use crate::raw::{Field, Writer, fields};
use bson::{RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// Which fields are kept where the tree says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Inclusion,
    Exclusion,
    Additions,
}

/// What happens to the field at a path.
#[derive(Debug, Clone)]
pub enum Action {
    Include,
    Exclude,
    /// The value of an expression over the whole document; nothing if it is missing.
    Compute(Expr),
    /// Part of what is there: `$slice`, `$elemMatch` of find.
    Transform(Transform),
}

/// A projection, ready to be applied to any number of documents.
#[derive(Debug, Clone)]
pub struct Tree {
    kind: Kind,
    root: Node,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// In the order they were added.
    children: Vec<(Box<str>, Child)>,
    /// Whether an expression is computed somewhere below.
    computes: bool,
}

#[derive(Debug, Clone)]
enum Child {
    Leaf(Action),
    Node(Node),
}

impl Tree {
    /// A tree without actions.
    pub fn new(kind: Kind) -> Tree {
        Tree { kind, root: Node::default() }
    }

    /// Which fields are kept by default.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.root.children.is_empty()
    }

    /// Adds an action at a dotted path.
    ///
    /// # Errors
    /// 31249 and 31250 if the path, or one above or below it, has an action already.
    pub fn add(&mut self, path: &str, action: Action) -> Result<(), Fault> {
        let computes = matches!(action, Action::Compute(_) | Action::Transform(Transform::ElemMatch(_)));
        let mut node = &mut self.root;
        let mut rest = path;
        loop {
            node.computes |= computes;
            let (name, below) = match rest.split_once('.') {
                Some((name, below)) => (name, Some(below)),
                None => (rest, None),
            };
            let found = node.children.iter().position(|(other, _)| **other == *name);
            let Some(below) = below else {
                if found.is_some() {
                    return Err(Fault::new(Code::Location(31250), format!("Path collision at {path}")));
                }
                node.children.push((name.into(), Child::Leaf(action)));
                return Ok(());
            };
            let at = found.unwrap_or_else(|| {
                node.children.push((name.into(), Child::Node(Node::default())));
                node.children.len() - 1
            });
            match &mut node.children[at].1 {
                Child::Node(inner) => node = inner,
                Child::Leaf(_) => {
                    return Err(Fault::new(
                        Code::Location(31249),
                        format!("Path collision at {path} remaining portion {below}"),
                    ));
                }
            }
            rest = below;
        }
    }

    /// Applies the tree. Expressions see `doc` as their root.
    ///
    /// # Errors
    /// Those of the expressions; InvalidBSON where a value must be read and is none.
    pub fn apply(&self, doc: &RawDocument) -> Result<RawDocumentBuf, Fault> {
        let mut out = Writer::with_capacity(match self.kind {
            Kind::Inclusion => 256,
            _ => doc.as_bytes().len() + 64,
        });
        Run { kind: self.kind, root: doc, out: &mut out }.document(&self.root, doc)?;
        out.finish()
    }

    /// Whether the result needs nothing but these top-level fields; `None` if it needs more than the named ones.
    pub fn top_level_fields(&self) -> Option<Vec<&str>> {
        let plain = self.kind == Kind::Inclusion && !self.root.computes;
        plain.then(|| self.root.children.iter().map(|(name, _)| &**name).collect())
    }
}

/// One application.
struct Run<'d, 'w> {
    kind: Kind,
    root: &'d RawDocument,
    out: &'w mut Writer,
}

impl Run<'_, '_> {
    /// Writes the fields of `doc` as `node` says, then what it adds.
    fn document(&mut self, node: &Node, doc: &RawDocument) -> Result<(), Fault> {
        // A bit per child that was met; only those that add fields need it.
        let mut met = vec![false; if node.computes { node.children.len() } else { 0 }];
        for field in fields(doc) {
            let field = field?;
            let name = field.name();
            let Some(at) = node.children.iter().position(|(other, _)| **other == *name) else {
                if self.kind != Kind::Inclusion {
                    self.out.copy(&field);
                }
                continue;
            };
            let written = match &node.children[at].1 {
                Child::Leaf(action) => self.leaf(action, name, &field)?,
                Child::Node(inner) => self.inner(inner, name, &field)?,
            };
            if let Some(met) = met.get_mut(at) {
                *met |= written;
            }
        }
        for (at, met) in met.iter().enumerate() {
            let (name, child) = &node.children[at];
            match child {
                _ if *met => {}
                Child::Leaf(Action::Compute(expr)) => self.compute(expr, name)?,
                Child::Leaf(Action::Transform(Transform::ElemMatch(test)))
                    if self.kind == Kind::Inclusion =>
                {
                    // Like a computed field it follows the included ones.
                    if let Some(field) = crate::raw::find(doc, name)? {
                        Transform::elem_match(test, name, &field, self.out)?;
                    }
                }
                Child::Node(inner) if inner.computes => self.create(inner, name)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a field that has an action; false if it is to be looked at again at the end.
    fn leaf(&mut self, action: &Action, name: &str, field: &Field<'_>) -> Result<bool, Fault> {
        match action {
            Action::Include => self.out.copy(field),
            Action::Exclude => {}
            Action::Compute(_) if self.kind == Kind::Inclusion => return Ok(false),
            Action::Compute(expr) => self.compute(expr, name)?,
            Action::Transform(Transform::ElemMatch(test)) => {
                if self.kind == Kind::Inclusion {
                    return Ok(false);
                }
                Transform::elem_match(test, name, field, self.out)?;
            }
            Action::Transform(Transform::Slice(slice)) => slice.write(name, field, self.out)?,
        }
        Ok(true)
    }

    /// Writes a field in which the tree goes deeper.
    fn inner(&mut self, node: &Node, name: &str, field: &Field<'_>) -> Result<bool, Fault> {
        if let Some(doc) = field.document()? {
            self.out.begin_document(name);
            self.document(node, doc)?;
            self.out.end();
        } else if let Some(array) = field.array()? {
            self.out.begin_array(name);
            self.array(node, array)?;
            self.out.end();
        } else {
            match self.kind {
                Kind::Inclusion => return Ok(false),
                Kind::Additions if node.computes => self.create(node, name)?,
                _ => self.out.copy(field),
            }
        }
        Ok(true)
    }

    fn array(&mut self, node: &Node, array: &RawDocument) -> Result<(), Fault> {
        let mut index = 0usize;
        let mut digits = String::new();
        for element in fields(array) {
            let element = element?;
            digits.clear();
            std::fmt::Write::write_fmt(&mut digits, format_args!("{index}"))
                .map_err(|_| Fault::internal("formatting an index"))?;
            if let Some(doc) = element.document()? {
                self.out.begin_document(&digits);
                self.document(node, doc)?;
                self.out.end();
            } else if let Some(nested) = element.array()? {
                self.out.begin_array(&digits);
                self.array(node, nested)?;
                self.out.end();
            } else if node.computes && self.kind != Kind::Exclusion {
                self.create(node, &digits)?;
            } else if self.kind == Kind::Inclusion {
                // Dropped, and the elements behind it move up.
                continue;
            } else {
                self.out.copy_as(&digits, &element);
            }
            index += 1;
        }
        Ok(())
    }

    /// Writes what `node` computes where the document has nothing, or nothing to keep.
    fn create(&mut self, node: &Node, name: &str) -> Result<(), Fault> {
        self.out.begin_document(name);
        for (name, child) in &node.children {
            match child {
                Child::Leaf(Action::Compute(expr)) => self.compute(expr, name)?,
                Child::Node(inner) if inner.computes => self.create(inner, name)?,
                _ => {}
            }
        }
        self.out.end();
        Ok(())
    }

    fn compute(&mut self, expr: &Expr, name: &str) -> Result<(), Fault> {
        match expr.eval(&Env::new(self.root))? {
            Some(value) => self.out.append_bson(name, &value),
            None => Ok(()),
        }
    }
}

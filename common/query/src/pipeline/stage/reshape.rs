//! What `$project`, `$addFields`, `$set` and `$unset` share: each document goes through a projection tree by itself.

use super::Exec;
use crate::projection::{Kind, Tree};
use bson::{RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::Fault;

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Reshape {
    name: &'static str,
    tree: Arc<Tree>,
}

impl Reshape {
    pub(super) fn new(name: &'static str, tree: Tree) -> Reshape {
        Reshape { name, tree: Arc::new(tree) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Only computed fields can add levels.
    pub(super) fn deepens(&self) -> bool {
        self.tree.kind() != Kind::Exclusion && self.tree.top_level_fields().is_none()
    }

    pub(super) fn start(&self) -> impl Exec + use<> {
        Reshaping { tree: Arc::clone(&self.tree), out: None }
    }
}

struct Reshaping {
    tree: Arc<Tree>,
    out: Option<RawDocumentBuf>,
}

impl Exec for Reshaping {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.push_ref(&document)
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        self.out = Some(self.tree.apply(document)?);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.out.take())
    }
}

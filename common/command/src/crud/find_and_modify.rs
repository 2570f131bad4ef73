//! `findAndModify`: changes or removes one document and answers with it.

use crate::options::{Hint, Modification};
use bson::RawBson;
use types::Namespace;
use value::SharedDoc;

/// A `findAndModify` command.
#[derive(Debug, Clone, PartialEq)]
pub struct FindAndModify {
    pub ns: Namespace,
    /// `query`; empty where the client gave none.
    pub filter: SharedDoc,
    pub sort: Option<SharedDoc>,
    /// Projection of the answer.
    pub fields: Option<SharedDoc>,
    pub action: FindAndModifyAction,
    pub hint: Option<Hint>,
    pub let_vars: Option<SharedDoc>,
    pub bypass_document_validation: bool,
    /// `stmtId`, or 0.
    pub statement_id: i32,
    pub comment: Option<RawBson>,
}

/// What findAndModify does to the document it finds.
#[derive(Debug, Clone, PartialEq)]
pub enum FindAndModifyAction {
    Remove,
    Update {
        update: Modification,
        upsert: bool,
        /// `new`: answer with the document after the change.
        return_new: bool,
        array_filters: Vec<SharedDoc>,
    },
}

//! `distinct`: the different values of one path.

use crate::options::Hint;
use bson::RawBson;
use types::Namespace;
use value::SharedDoc;

/// A `distinct` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Distinct {
    pub ns: Namespace,
    /// A dotted path.
    pub key: String,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    pub hint: Option<Hint>,
    pub comment: Option<RawBson>,
}

//! `validate`: checks a collection and its indexes against each other.

use types::Namespace;

/// A `validate` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validate {
    pub ns: Namespace,
    pub full: bool,
}

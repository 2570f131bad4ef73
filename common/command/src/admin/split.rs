//! `split`: two chunks out of one.

use types::Namespace;
use value::SharedDoc;

/// A `split` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    pub ns: Namespace,
    pub at: SplitPoint,
}

/// Where to split.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitPoint {
    /// `middle`: exactly at this key.
    Middle(SharedDoc),
    /// `find`: the chunk that holds this key, in its middle.
    Find(SharedDoc),
    /// `bounds`: this chunk, in its middle.
    Bounds { min: SharedDoc, max: SharedDoc },
}

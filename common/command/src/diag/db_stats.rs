//! `dbStats`: sizes of one database.

/// A `dbStats` command.
#[derive(Debug, Clone, PartialEq)]
pub struct DbStats {
    pub db: String,
    /// Sizes are divided by this; at least 1.
    pub scale: i64,
    pub free_storage: bool,
}

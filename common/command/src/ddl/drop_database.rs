//! `dropDatabase`: removes a database with all it holds.

/// A `dropDatabase` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropDatabase {
    pub db: String,
}

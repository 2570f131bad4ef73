//! `database.collection`.

use crate::{Code, Fault, limits};
use std::fmt;
use std::sync::Arc;

/// A validated namespace. The collection may be `$cmd` or `$cmd.aggregate` for commands on a whole database. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    full: Arc<str>,
    dot: usize,
}

impl Namespace {
    /// Joins and checks both names.
    ///
    /// # Errors
    /// `InvalidNamespace` (73) for an empty or over-long name, a dot, slash, space, quote or NUL in the database, a NUL or `$` in
    /// the collection, a leading or trailing dot or two dots in a row.
    pub fn new(db: &str, collection: &str) -> Result<Namespace, Fault> {
        check_db(db)?;
        check_collection(db, collection)?;
        Ok(Namespace { full: Arc::from(format!("{db}.{collection}")), dot: db.len() })
    }

    /// Splits `db.collection` at the first dot and checks both.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn parse(full: &str) -> Result<Namespace, Fault> {
        match full.split_once('.') {
            Some((db, collection)) => Namespace::new(db, collection),
            None => Err(invalid(format!("Invalid namespace specified '{full}'"))),
        }
    }

    /// The namespace of commands that concern a whole database (`aggregate: 1`): `db.$cmd.aggregate`.
    ///
    /// # Errors
    /// `InvalidNamespace` for a bad database name.
    pub fn collectionless(db: &str) -> Result<Namespace, Fault> {
        check_db(db)?;
        Ok(Namespace { full: Arc::from(format!("{db}.$cmd.aggregate")), dot: db.len() })
    }

    /// The namespace that a cursor of `listCollections` carries: `db.$cmd.listCollections`.
    ///
    /// # Errors
    /// `InvalidNamespace` for a bad database name.
    pub fn command_cursor(db: &str, command: &str) -> Result<Namespace, Fault> {
        check_db(db)?;
        Ok(Namespace { full: Arc::from(format!("{db}.$cmd.{command}")), dot: db.len() })
    }

    /// The database.
    pub fn db(&self) -> &str {
        self.full.get(..self.dot).unwrap_or("")
    }

    /// The collection.
    pub fn collection(&self) -> &str {
        self.full.get(self.dot + 1..).unwrap_or("")
    }

    /// `db.collection`.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// Whether the collection is one of the server's own (`system.*`).
    pub fn is_system(&self) -> bool {
        self.collection().starts_with("system.")
    }

    /// Whether the data belongs to one member only and is never sharded or routed: `local`.
    pub fn is_local(&self) -> bool {
        self.db() == "local"
    }
}

/// Checks the name of a database.
///
/// # Errors
/// `InvalidNamespace` (73).
fn check_db(db: &str) -> Result<(), Fault> {
    if db.is_empty() || db.len() > limits::DATABASE_NAME_BYTES_MAX {
        return Err(invalid(format!("Invalid database name: '{db}'")));
    }
    if db.contains(['/', '\\', '.', ' ', '"', '$', '\0', '*', '<', '>', ':', '|', '?']) && db != "$external" {
        return Err(invalid(format!("Invalid database name: '{db}'")));
    }
    Ok(())
}

fn check_collection(db: &str, name: &str) -> Result<(), Fault> {
    let full = || format!("Invalid namespace specified '{db}.{name}'");
    if name.is_empty() {
        return Err(invalid(full()));
    }
    if db.len() + 1 + name.len() > limits::NAMESPACE_BYTES_MAX {
        return Err(invalid(format!(
            "Fully qualified namespace is too long. Namespace: {db}.{name} Max: {}",
            limits::NAMESPACE_BYTES_MAX
        )));
    }
    if name.contains(['\0', '$']) || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(invalid(format!("Invalid collection name: '{name}'")));
    }
    Ok(())
}

fn invalid(message: String) -> Fault {
    Fault::new(Code::InvalidNamespace, message)
}

impl Namespace {
    /// Checks the name of a database alone.
    ///
    /// # Errors
    /// `InvalidNamespace` (73).
    pub fn check_db(db: &str) -> Result<(), Fault> {
        check_db(db)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.full)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a.b", "a.b.c", "test.fs.files", "a.system.views"] {
            assert_eq!(Namespace::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a", ".b", "a.", "a..b", "a.b.", "a b.c", "a/b.c", "a.b\0", "a.$b"] {
            assert_eq!(Namespace::parse(bad).unwrap_err().code, Code::InvalidNamespace, "{bad:?}");
        }
        let ns = Namespace::parse("db.x.y").unwrap();
        assert_eq!((ns.db(), ns.collection()), ("db", "x.y"));
        assert!(Namespace::new("d", &"c".repeat(255)).is_err());
    }
}

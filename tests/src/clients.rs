//! Where the real clients are, after `make setup`. A client that is missing skips its test and says so, unless
//! `SHOAL_REQUIRE_CLIENTS` is set, as `make test` does.

use crate::process::{root, say};
use std::path::PathBuf;

/// A program of a client, or `None` with a word about what is skipped.
///
/// # Panics
/// If it is missing although it is required.
pub fn find(what: &str, candidates: &[PathBuf]) -> Option<PathBuf> {
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Some(found.clone());
    }
    let required = std::env::var_os("SHOAL_REQUIRE_CLIENTS").is_some_and(|value| !value.is_empty());
    assert!(!required, "{what} is not installed: run `make setup`");
    say(&format!("SKIPPED: {what} is not installed; `make setup` installs it"));
    None
}

/// The folder of client tests.
pub fn dir() -> PathBuf {
    root().join("tests/clients")
}

/// `node`, if the npm part is installed.
pub fn node() -> Option<PathBuf> {
    find("the npm part (mongosh, Node driver)", &[dir().join("node_modules/mongodb/package.json")])?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    find("node", &std::env::split_paths(&path).map(|dir| dir.join("node")).collect::<Vec<_>>())
}

/// mongosh, as npm installed it.
pub fn mongosh() -> Option<PathBuf> {
    find("mongosh", &[dir().join("node_modules/.bin/mongosh")])
}

/// Python with PyMongo and pytest.
pub fn python() -> Option<PathBuf> {
    find("the Python part (PyMongo, pytest)", &[dir().join(".venv/bin/pytest")])?;
    find("Python", &[dir().join(".venv/bin/python")])
}

//! The record of what the server acknowledged: the `_id` of each document, one a line, as canonical extended JSON.
//! Written after the answer and before the next request, so a line means that the document was acknowledged.

use crate::extended_json::canonical;
use crate::failure::Failure;
use bson::{Bson, RawDocument};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An open log, shared by the senders.
#[derive(Debug)]
pub(crate) struct AckedLog {
    path: PathBuf,
    file: Mutex<File>,
}

impl AckedLog {
    /// Makes the file empty.
    pub(crate) fn create(path: &Path) -> Result<AckedLog, Failure> {
        let file = File::create(path).map_err(|error| {
            Failure::new(format!("cannot write {}: {error}", path.display()))
                .next("choose another --acked-log")
        })?;
        Ok(AckedLog { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Appends the ids of documents in one write.
    pub(crate) fn append<'a>(&self, documents: impl Iterator<Item = &'a RawDocument>) -> io::Result<()> {
        let mut text = String::new();
        for document in documents {
            let id = document.get("_id").map_err(io::Error::other)?;
            let id = id.map_or(Ok(Bson::Null), Bson::try_from).map_err(io::Error::other)?;
            text.push_str(&canonical(id));
            text.push('\n');
        }
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

//! Everything that can go wrong in storage, as values, and the one place that turns it into a client's error.

use bson::RawDocumentBuf;
use bson::raw::cstr;
use std::path::PathBuf;
use types::{Code, Fault, Namespace, Timestamp};

/// A violated unique index.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateKey {
    pub ns: Namespace,
    pub index: String,
    pub key_pattern: RawDocumentBuf,
    /// The offending values under the names of the pattern's fields.
    pub key_value: RawDocumentBuf,
}

/// Why the log can no longer be written.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub reason: String,
    pub disk_full: bool,
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Failure {
        let full = match error {
            Error::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            // Engines hand on only the system's sentence.
            Error::Base(text) => text.contains("No space left") || text.contains("StorageFull"),
            Error::DiskFull { .. } => true,
            _ => false,
        };
        Failure { reason: error.to_string(), disk_full: full }
    }
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key changed after the batch's snapshot. Take a new snapshot and do the statement again.
    #[error("write conflict")]
    WriteConflict,
    #[error("duplicate key in {} index {}", .0.ns, .0.index)]
    DuplicateKey(Box<DuplicateKey>),
    #[error("collection {ns} already exists")]
    NamespaceExists { ns: Namespace },
    #[error("ns does not exist: {ns}")]
    NamespaceNotFound { ns: Namespace },
    #[error("index not found with name [{name}]")]
    IndexNotFound { ns: Namespace, name: String },
    /// An index specification that cannot be taken; code as MongoDB has it.
    #[error("{message}")]
    IndexSpec { code: Code, message: String },
    /// A document that this index cannot hold, such as two arrays side by side.
    #[error("{message}")]
    Unindexable { code: Code, message: String },
    /// A document without `_id`, or with one that cannot be a key.
    #[error("{message}")]
    InvalidDocument { code: Code, message: String },
    #[error("{0} is not implemented by this server")]
    NotImplemented(String),
    /// The time asked for is no longer kept, or not reached yet.
    #[error("snapshot at {at} is not available, oldest is {oldest}, newest is {newest}")]
    SnapshotUnavailable { at: Timestamp, oldest: Timestamp, newest: Timestamp },
    /// The snapshot was let go because it was held past its maximum age while memory ran out.
    #[error("snapshot at {at} has expired")]
    SnapshotTooOld { at: Timestamp },
    /// This member takes no writes: it is no primary, or not any more.
    #[error("not primary")]
    NotWritable,
    /// Records of another member that do not continue this log, or that this member cannot take now. Nothing was applied.
    #[error("records cannot be applied: {0}")]
    ApplyRefused(String),
    /// The log was cut back to that time; what came after it never happened.
    #[error("rolled back to {to}")]
    RolledBack { to: Timestamp },
    /// A rollback that would lose what a majority may have, or to a time that the log does not have.
    #[error("cannot roll back to {to}: {reason}")]
    RollbackRefused { to: Timestamp, reason: String },
    /// The position asked for has left the log.
    #[error("oplog position {at} is gone, oldest is {oldest}")]
    OplogPositionLost { at: Timestamp, oldest: Timestamp },
    /// A write or sync of the log failed earlier. Nothing is accepted until the process is started again.
    #[error("storage stopped accepting writes: {reason}")]
    Poisoned { reason: String },
    /// The disk is full. Where the log was hit by it this is as [`Error::Poisoned`], else it ends when there is room again.
    #[error("writes are refused, the disk is full: {reason}")]
    DiskFull { reason: String },
    /// Memory for recent versions is full, and nothing leaves it.
    #[error("writes are refused, the memory for recent versions (--versionsMB) is full: {reason}")]
    MemoryFull { reason: String },
    #[error("storage is closed")]
    Closed,
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{file} is damaged at offset {offset}: {reason}", file = .file.display())]
    Corrupt { file: PathBuf, offset: u64, reason: String },
    #[error("data directory has format {found}, this server reads {supported}")]
    Format { found: u32, supported: u32 },
    #[error("data directory was made with storage engine {found}, asked for {asked}")]
    EngineMismatch { found: String, asked: String },
    #[error("data directory {dir} is in use by another process", dir = .dir.display())]
    Locked { dir: PathBuf },
    /// The base engine failed.
    #[error("storage base: {0}")]
    Base(String),
    /// Files of the base could not be synced: what was written since they last were may be on no disk, whatever is read.
    #[error("storage base could not be synced: {0}")]
    Unsynced(String),
    /// Bytes that we wrote ourselves do not read back.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// An error of the value layer, passed on.
    #[error(transparent)]
    Value(#[from] Fault),
}

impl Error {
    /// The error as clients see it.
    pub fn fault(&self) -> Fault {
        let text = self.to_string();
        match self {
            Error::WriteConflict => Fault::new(
                Code::WriteConflict,
                "Caused by :: Write conflict during plan execution and yielding is disabled. :: Please retry your operation or multi-document transaction.",
            ),
            Error::DuplicateKey(duplicate) => duplicate.fault(),
            Error::NamespaceExists { .. } => Fault::new(Code::NamespaceExists, text),
            Error::NamespaceNotFound { .. } => Fault::new(Code::NamespaceNotFound, text),
            Error::IndexNotFound { .. } => Fault::new(Code::IndexNotFound, text),
            Error::IndexSpec { code, .. }
            | Error::Unindexable { code, .. }
            | Error::InvalidDocument { code, .. } => Fault::new(*code, text),
            Error::NotImplemented(what) => Fault::not_implemented(what),
            Error::SnapshotUnavailable { .. } => Fault::new(Code::SnapshotUnavailable, text),
            Error::SnapshotTooOld { .. } => Fault::new(Code::SnapshotTooOld, text),
            Error::OplogPositionLost { .. } => Fault::new(Code::CappedPositionLost, text),
            Error::NotWritable => Fault::new(Code::NotWritablePrimary, text),
            Error::RolledBack { .. } => Fault::new(Code::InterruptedDueToReplStateChange, text),
            Error::Closed => Fault::new(Code::ShutdownInProgress, text),
            Error::Locked { .. } => Fault::new(Code::DBPathInUse, text),
            Error::Value(fault) => fault.clone(),
            Error::DiskFull { .. } => Fault::new(Code::OutOfDiskSpace, text),
            Error::MemoryFull { .. } => Fault::new(Code::ExceededMemoryLimit, text),
            Error::Io { .. } | Error::Base(_) if Failure::of(self).disk_full => {
                Fault::new(Code::OutOfDiskSpace, text)
            }
            Error::ApplyRefused(_)
            | Error::RollbackRefused { .. }
            | Error::Poisoned { .. }
            | Error::Io { .. }
            | Error::Corrupt { .. }
            | Error::Format { .. }
            | Error::EngineMismatch { .. }
            | Error::Base(_)
            | Error::Unsynced(_)
            | Error::Damaged(_) => Fault::internal(text),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// A fresh error of the same kind for a further waiter.
    pub(crate) fn poisoned(failure: &Failure) -> Error {
        let reason = failure.reason.clone();
        if failure.disk_full { Error::DiskFull { reason } } else { Error::Poisoned { reason } }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        error.fault()
    }
}

impl DuplicateKey {
    /// `E11000` with `keyPattern` and `keyValue` beside it.
    pub fn fault(&self) -> Fault {
        let message = format!(
            "E11000 duplicate key error collection: {} index: {} dup key: {}",
            self.ns,
            self.index,
            crate::index::display::key(&self.key_value)
        );
        let mut extra = RawDocumentBuf::new();
        extra.append(cstr!("keyPattern"), self.key_pattern.clone());
        extra.append(cstr!("keyValue"), self.key_value.clone());
        Fault::new(Code::DuplicateKey, message).with_extra(extra)
    }
}

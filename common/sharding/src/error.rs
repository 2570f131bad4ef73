//! What can be wrong with sharding metadata or a request to change it.

use types::{Code, Fault, ShardId};

/// Errors of this crate; [`Error::fault`] says what the client sees.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A pattern that cannot be a shard key.
    #[error("Shard key {pattern} {reason}")]
    BadKeyPattern { pattern: String, reason: String },
    /// A shard key field of a document is an array or lies below one.
    #[error(
        "Shard key cannot contain array values or array descendants. Field '{field}' of shard key {pattern}"
    )]
    ArrayInKey { field: String, pattern: String },
    /// A border that does not have the fields of the shard key in their order.
    #[error("{bound} does not match the shard key {pattern}")]
    BadBound { bound: String, pattern: String },
    /// The first or last border is not that of the key space, or two neighbours do not meet.
    #[error("chunks do not tile the key space: {detail}")]
    NotTiled { detail: String },
    /// No chunk has exactly these borders.
    #[error("no chunk from {min} to {max}")]
    NoSuchChunk { min: String, max: String },
    /// A split point outside of its chunk, on its border, or out of order.
    #[error(
        "cannot split chunk [{min}, {max}) at {point}: a split point must lie strictly inside, and points must ascend"
    )]
    BadSplitPoint { min: String, max: String, point: String },
    /// A merge of fewer than two chunks, or of chunks of several shards.
    #[error("cannot merge chunks from {min} to {max}: {reason}")]
    BadMerge { min: String, max: String, reason: String },
    /// A range that is empty, or that several shards own.
    #[error("cannot move the range from {min} to {max}: {reason}")]
    BadMove { min: String, max: String, reason: String },
    /// A zone range that overlaps another one.
    #[error("Zone range: {zone} [{min}, {max}) is overlapping with existing: {other}")]
    ZoneOverlap { zone: String, min: String, max: String, other: String },
    /// An option of `shardCollection` that does not go with the rest.
    #[error("{0}")]
    BadOptions(String),
    /// Chunks cannot be dealt without shards.
    #[error("there are no shards")]
    NoShards,
    /// The table does not have that shard.
    #[error("Shard {0} not found")]
    ShardNotFound(ShardId),
    /// A document of the config database that is not as it must be.
    #[error("config.{collection}: {reason}")]
    BadDocument { collection: &'static str, reason: String },
    /// Bytes of a client's document that cannot be read.
    #[error("{}", .0.message)]
    Document(Fault),
    /// Something that MongoDB has and we have not.
    #[error("{0} is not implemented by this server")]
    NotImplemented(&'static str),
}

impl Error {
    /// As the client sees it.
    pub fn fault(self) -> Fault {
        let code = match &self {
            Error::BadKeyPattern { .. }
            | Error::BadSplitPoint { .. }
            | Error::BadBound { .. }
            | Error::BadMove { .. } => Code::BadValue,
            Error::ArrayInKey { .. } => Code::ShardKeyNotFound,
            Error::NotTiled { .. } | Error::BadDocument { .. } => Code::IncompatibleShardingMetadata,
            Error::NoSuchChunk { .. } | Error::BadMerge { .. } => Code::IllegalOperation,
            Error::ZoneOverlap { .. } => Code::RangeOverlapConflict,
            Error::BadOptions(_) => Code::InvalidOptions,
            Error::NoShards | Error::ShardNotFound(_) => Code::ShardNotFound,
            Error::NotImplemented(_) => Code::NotImplemented,
            Error::Document(fault) => return fault.clone(),
        };
        Fault::new(code, self.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        error.fault()
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Document(fault)
    }
}

//! Identifiers: sessions, shards, collections.

use std::fmt;
use std::sync::Arc;

/// A 16-byte UUID, as collections and sessions carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The UUID as BSON binary subtype 4.
    pub fn to_bson(self) -> bson::Binary {
        bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: self.0.to_vec() }
    }

    /// Reads BSON binary subtype 4 (or the old subtype 3) of 16 bytes.
    pub fn from_bson(value: bson::RawBsonRef<'_>) -> Option<Uuid> {
        match value {
            bson::RawBsonRef::Binary(binary)
                if matches!(
                    binary.subtype,
                    bson::spec::BinarySubtype::Uuid | bson::spec::BinarySubtype::UuidOld
                ) =>
            {
                binary.bytes.try_into().ok().map(Uuid)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A logical session: the client's UUID. The user's digest joins it when login exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub Uuid);

/// The number of a transaction or retryable write within its session; only grows.
pub type TxnNumber = i64;

/// The name of a shard, as `config.shards._id` has it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// A shard of that name.
    pub fn new(name: &str) -> ShardId {
        ShardId(Arc::from(name))
    }

    /// The name of the config server where it stands in a shard's place (`config.databases.primary` of `admin` and `config`).
    pub fn config() -> ShardId {
        ShardId::new("config")
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

//! `shardCollection`: deals a collection over the shards by a key.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `shardCollection` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardCollection {
    pub ns: Namespace,
    /// The key pattern as it came; `sharding::shard_key` judges it.
    pub key: SharedDoc,
    pub unique: bool,
    /// Shard keys compare by bytes; a client has to say so where the collection says otherwise.
    pub collation: Collation,
    pub num_initial_chunks: Option<u32>,
    pub presplit_hashed_zones: bool,
    /// Make the index that supports the key where it is missing.
    pub implicitly_create_index: bool,
    pub enforce_uniqueness_check: bool,
}

/// Chunks that a client may ask for at once; MongoDB's bound.
const INITIAL_CHUNKS_MAX: i64 = 1_000_000;

impl ShardCollection {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ShardCollection, Fault> {
        let body = Body::of(request, "shardCollection");
        let ns = body.full_namespace()?;
        let mut key = None;
        let (mut unique, mut presplit, mut implicitly_create, mut enforce) = (false, false, true, true);
        let mut chunks = None;
        let mut collation = Collation::Inherited;
        body.each(|field| {
            match field.name {
                "key" => key = Some(field.document()?),
                "unique" => unique = field.flag()?,
                "numInitialChunks" => chunks = Some(field.integer()?),
                "presplitHashedZones" => presplit = field.flag()?,
                "implicitlyCreateIndex" => implicitly_create = field.flag()?,
                "enforceUniquenessCheck" => enforce = field.flag()?,
                "collation" => collation = field.collation()?,
                "timeseries" | "collectionUUID" => field.unsupported()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let num_initial_chunks = match chunks {
            None | Some(0) => None,
            Some(count @ 1..INITIAL_CHUNKS_MAX) => u32::try_from(count).ok(),
            Some(count) => {
                return Err(Fault::bad_value(format!(
                    "numInitialChunks {count} must be from 1 to {}",
                    INITIAL_CHUNKS_MAX - 1
                )));
            }
        };
        Ok(ShardCollection {
            ns,
            key: body.required("key", key)?,
            unique,
            collation,
            num_initial_chunks,
            presplit_hashed_zones: presplit,
            implicitly_create_index: implicitly_create,
            enforce_uniqueness_check: enforce,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        let parse = |body| ShardCollection::parse(&request(body), &envelope());
        let shard =
            parse(doc! {"shardCollection": "d.c", "key": {"a": "hashed"}, "numInitialChunks": 8}).unwrap();
        assert_eq!((shard.ns.as_str(), shard.num_initial_chunks, shard.unique), ("d.c", Some(8), false));
        assert!(shard.implicitly_create_index && shard.enforce_uniqueness_check);
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"shardCollection": "d.c"}, 40414, ""),
                (doc! {"shardCollection": "c", "key": {"a": 1}}, 73, ""),
                (doc! {"shardCollection": "d.c", "key": {"a": 1}, "numInitialChunks": -1}, 2, ""),
                (doc! {"shardCollection": "d.c", "key": {"a": 1}, "timeseries": {}}, 238, ""),
            ],
        );
    }
}

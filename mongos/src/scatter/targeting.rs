//! From a filter to the shards that can own matching documents, with the reason in words for `explain`.

use crate::routing::{Place, Route, Target};
use bson::RawDocument;
use query::bounds;
use query::context::ParseContext;
use query::matcher::Matcher;
use std::fmt;
use types::Fault;

/// Why these shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `admin` and `config` live on the config server.
    ConfigServer,
    /// There is no such database.
    NoDatabase,
    /// The collection is not sharded.
    Unsharded,
    /// The filter gives every field of the shard key one value.
    WholeKey,
    /// The filter bounds the shard key.
    KeyRange,
    /// The filter says nothing of the shard key's first field.
    AllShards,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Reason::ConfigServer => "the namespace lives on the config server",
            Reason::NoDatabase => "the database does not exist",
            Reason::Unsharded => "the collection is not sharded: it is whole on its database's home shard",
            Reason::WholeKey => "the filter gives every field of the shard key one value",
            Reason::KeyRange => "the filter bounds the shard key to ranges that these shards own",
            Reason::AllShards => {
                "the filter does not bound the shard key: every shard that owns chunks is asked"
            }
        })
    }
}

/// The shards to ask.
#[derive(Debug, Clone)]
pub struct Targeted {
    pub targets: Vec<Target>,
    pub reason: Reason,
}

impl Targeted {
    /// Whether the filter alone decides which shard owns a document that is made from it: an upsert may go there as it is.
    pub fn decides_owner(&self) -> bool {
        !matches!(self.reason, Reason::KeyRange | Reason::AllShards)
    }
}

/// The shards that can own documents that match `filter`.
///
/// # Errors
/// What is wrong with the filter.
pub fn target_filter(route: &Route, filter: &RawDocument, parse: &ParseContext) -> Result<Targeted, Fault> {
    let Place::Sharded { collection, pattern, .. } = &route.place else {
        let reason = match &route.place {
            Place::Config => Reason::ConfigServer,
            Place::Nowhere => Reason::NoDatabase,
            Place::Home(_) | Place::Sharded { .. } => Reason::Unsharded,
        };
        // A malformed filter is refused here too, where no shard would see it.
        if reason == Reason::NoDatabase {
            Matcher::parse(filter, parse)?;
        }
        return Ok(Targeted { targets: route.home().into_iter().collect(), reason });
    };
    if filter.is_empty() {
        return Ok(Targeted { targets: route.everywhere(), reason: Reason::AllShards });
    }
    let matcher = Matcher::parse(filter, parse)?;
    // A shard key has no arrays, so the ranges of one field may be intersected.
    let fields = bounds::bounds(&matcher, pattern, false);
    let is_bounded = fields.constrained_prefix() > 0;
    let chosen = sharding::target(collection, &fields.into_intervals());
    let reason = match (chosen.is_point(), is_bounded) {
        (true, _) => Reason::WholeKey,
        (false, true) => Reason::KeyRange,
        (false, false) => Reason::AllShards,
    };
    let mut targets: Vec<Target> =
        chosen.shards.iter().map(|shard| Route::on_shard(collection, shard)).collect();
    if targets.is_empty() {
        // Nothing can match. One shard is asked all the same: it says so in the right shape, and checks the rest of the command.
        targets.extend(route.everywhere().into_iter().next());
    }
    Ok(Targeted { targets, reason })
}

/// The shard that owns a whole document; the home shard where the collection is not sharded.
///
/// # Errors
/// `ShardKeyNotFound` (61) for a key that holds an array.
pub fn key_target(route: &Route, doc: &RawDocument) -> Result<Vec<Target>, Fault> {
    match route.collection() {
        Some(collection) => {
            let key = collection.key.key_of(doc)?;
            Ok(vec![Route::on_shard(collection, collection.owner(&key))])
        }
        None => Ok(route.home().into_iter().collect()),
    }
}

//! The route of one namespace: where its documents are, and with which versions requests for them are marked.

use bson::RawDocumentBuf;
use command::Routing;
use query::bounds::KeyPattern;
use sharding::routing_table::{CollectionRouting, DatabaseRouting};
use std::sync::Arc;
use types::{Fault, ShardId, ShardVersion};
use value::{Collation, Collator};

/// Where the documents of a namespace are.
#[derive(Debug, Clone)]
pub enum Place {
    /// On the config server: `admin` and `config`. Never versioned.
    Config,
    /// Nowhere: there is no such database.
    Nowhere,
    /// Whole on the home shard of the database.
    Home(Arc<DatabaseRouting>),
    /// In chunks over shards.
    Sharded {
        database: Arc<DatabaseRouting>,
        collection: Arc<CollectionRouting>,
        /// The shard key as targeting reads it.
        pattern: Arc<KeyPattern>,
    },
}

/// A namespace's place at one moment: an immutable snapshot.
#[derive(Debug, Clone)]
pub struct Route {
    pub place: Place,
}

/// A shard to ask, and how to mark the request.
#[derive(Debug, Clone)]
pub struct Target {
    pub shard: ShardId,
    /// Absent towards the config server.
    pub routing: Option<Routing>,
}

impl Target {
    /// The same target, asked for the sort key with each document where the answers are to be merged in order.
    #[must_use]
    pub fn with_sort_key(mut self, wanted: bool) -> Target {
        if let Some(routing) = &mut self.routing {
            routing.with_sort_key = wanted;
        }
        self
    }
}

impl Route {
    /// The routing table of a sharded collection.
    pub fn collection(&self) -> Option<&Arc<CollectionRouting>> {
        match &self.place {
            Place::Sharded { collection, .. } => Some(collection),
            _ => None,
        }
    }

    /// How strings compare in a command that says `asked`, as far as is known here.
    ///
    /// # Errors
    /// For a collation of the collection that this router has no rules for.
    pub fn collation(&self, asked: &Collation) -> Result<Option<Collator>, Fault> {
        let inherited = match self.collection().and_then(|collection| collection.default_collation.as_ref()) {
            Some(document) if *asked == Collation::Inherited => {
                let document = RawDocumentBuf::try_from(document).map_err(query::context::invalid_bson)?;
                Collator::stored(Some(&document))?
            }
            _ => None,
        };
        Ok(asked.over(inherited.as_ref()))
    }

    /// The target for what concerns the database, or a collection that is whole on its home shard; `None` where there is no database.
    pub fn home(&self) -> Option<Target> {
        match &self.place {
            Place::Config => Some(Target { shard: ShardId::config(), routing: None }),
            Place::Nowhere => None,
            Place::Home(database) => Some(home_target(database, Some(ShardVersion::Unsharded))),
            Place::Sharded { database, .. } => Some(home_target(database, None)),
        }
    }

    /// The target on `shard` of a sharded collection.
    pub fn on_shard(collection: &CollectionRouting, shard: &ShardId) -> Target {
        let version = collection.shard_version(shard);
        Target {
            shard: shard.clone(),
            routing: Some(Routing {
                shard_version: Some(version),
                database_version: None,
                with_sort_key: false,
            }),
        }
    }

    /// All shards that own chunks; the home alone where the collection is not sharded.
    pub fn everywhere(&self) -> Vec<Target> {
        match self.collection() {
            Some(collection) => {
                collection.chunks.shards().map(|(shard, _)| Route::on_shard(collection, shard)).collect()
            }
            None => self.home().into_iter().collect(),
        }
    }
}

fn home_target(database: &DatabaseRouting, shard_version: Option<ShardVersion>) -> Target {
    Target {
        shard: database.primary.clone(),
        routing: Some(Routing {
            shard_version,
            database_version: Some(database.version),
            with_sort_key: false,
        }),
    }
}

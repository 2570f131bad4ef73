//! Commands of MongoDB that this router knows by name and does not have yet: they say so instead of seeming unknown.

use super::spec;
use crate::node::Node;
use command::{Access, BoxFuture, Context, Reply, Request, Spec};
use std::sync::Arc;
use types::Fault;

/// Sorted.
const NAMES: &[&str] = &[
    "abortMoveCollection",
    "abortReshardCollection",
    "abortTransaction",
    "abortUnshardCollection",
    "addShardToZone",
    "analyzeShardKey",
    "balancerCollectionStatus",
    "balancerStart",
    "balancerStop",
    "checkMetadataConsistency",
    "cleanupOrphaned",
    "clearJumboFlag",
    "commitReshardCollection",
    "commitTransaction",
    "configureQueryAnalyzer",
    "convertToCapped",
    "createRole",
    "createUser",
    "dropRole",
    "dropUser",
    "getShardVersion",
    "mapReduce",
    "mergeAllChunksOnShard",
    "mergeChunks",
    "moveChunk",
    "moveCollection",
    "movePrimary",
    "moveRange",
    "planCacheClear",
    "refineCollectionShardKey",
    "removeShard",
    "removeShardFromZone",
    "renameCollection",
    "reshardCollection",
    "setAllowMigrations",
    "setDefaultRWConcern",
    "setUserWriteBlockMode",
    "shardDrainingStatus",
    "transitionFromDedicatedConfigServer",
    "transitionToDedicatedConfigServer",
    "unshardCollection",
    "updateRole",
    "updateUser",
    "updateZoneKeyRange",
];

/// The entries.
pub(super) fn table() -> impl Iterator<Item = Spec<Node>> {
    NAMES.iter().map(|name| Spec {
        names_collection: false,
        ..spec(name, Access::Missing, "known to MongoDB, not built yet", refuse)
    })
}

fn refuse(_node: Arc<Node>, _ctx: Context, request: Request) -> BoxFuture<Result<Reply, Fault>> {
    Box::pin(std::future::ready(Err(Fault::not_implemented(request.name()))))
}

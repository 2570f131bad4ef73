//! What to do when a shard says that the route was stale: forget it, and let the caller route again.

use super::RoutingCache;
use types::{Fault, Namespace, StaleRoute};

/// How often one request is routed before its stale route is the client's to see.
pub const ROUTE_ATTEMPTS_MAX: usize = 10;

/// Forgets what a stale-route fault says is stale. `false` where the fault is about something else.
pub fn note_stale(cache: &RoutingCache, ns: &Namespace, fault: &Fault) -> bool {
    if !fault.code.is_stale_route() {
        return false;
    }
    match fault.stale.as_deref() {
        Some(StaleRoute::Database { db, .. }) => cache.forget_database(db),
        Some(StaleRoute::Collection { ns, .. }) => cache.forget(ns),
        None => cache.forget(ns),
    }
    true
}

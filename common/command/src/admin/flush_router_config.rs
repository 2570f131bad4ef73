//! `flushRouterConfig`: the router forgets what it knows of routes.

use types::Namespace;

/// A `flushRouterConfig` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlushRouterConfig {
    All,
    Database(String),
    Collection(Namespace),
}

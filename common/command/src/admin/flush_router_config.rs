//! `flushRouterConfig`: the router forgets what it knows of routes.

use crate::parse::Body;
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Fault, Namespace};

/// A `flushRouterConfig` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlushRouterConfig {
    All,
    Database(String),
    Collection(Namespace),
}

impl FlushRouterConfig {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<FlushRouterConfig, Fault> {
        let body = Body::of(request, "flushRouterConfig");
        body.no_fields()?;
        match body.value()? {
            RawBsonRef::String(name) if name.contains('.') => {
                Namespace::parse(name).map(FlushRouterConfig::Collection)
            }
            RawBsonRef::String(name) => {
                Namespace::check_db(name)?;
                Ok(FlushRouterConfig::Database(name.to_owned()))
            }
            _ => Ok(FlushRouterConfig::All),
        }
    }
}

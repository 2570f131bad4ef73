//! `replSetInitiate`: the first configuration of a replica set.

use crate::parse::{Body, wrong_type};
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::Fault;
use value::SharedDoc;

/// A `replSetInitiate` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplSetInitiate {
    /// `None` for `{}`, null or 1: one member, the node itself.
    pub config: Option<SharedDoc>,
}

impl ReplSetInitiate {
    /// Reads the command. The configuration is not looked into.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetInitiate, Fault> {
        let body = Body::of(request, "replSetInitiate");
        body.no_fields()?;
        let config = match body.value()? {
            RawBsonRef::Document(config) if config.iter().next().is_some() => {
                Some(request.body.share(config))
            }
            RawBsonRef::Document(_) | RawBsonRef::Null | RawBsonRef::Undefined => None,
            RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) => None,
            other => return Err(wrong_type("replSetInitiate.replSetInitiate", other, &["object"])),
        };
        Ok(ReplSetInitiate { config })
    }
}

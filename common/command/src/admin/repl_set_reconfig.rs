//! `replSetReconfig`: another configuration of the replica set.

use crate::parse::{Body, wrong_type};
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::Fault;
use value::SharedDoc;

/// A `replSetReconfig` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplSetReconfig {
    pub config: SharedDoc,
    /// Whatever the others say.
    pub force: bool,
}

impl ReplSetReconfig {
    /// Reads the command. The configuration is not looked into.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetReconfig, Fault> {
        let body = Body::of(request, "replSetReconfig");
        let config = match body.value()? {
            RawBsonRef::Document(config) => request.body.share(config),
            other => return Err(wrong_type("replSetReconfig.replSetReconfig", other, &["object"])),
        };
        let mut force = false;
        body.each(|field| match field.name {
            "force" => field.flag().map(|on| force = on),
            "comment" => Ok(()),
            _ => field.unknown(),
        })?;
        Ok(ReplSetReconfig { config, force })
    }
}

//! `collStats`: sizes of one collection.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace};

/// A `collStats` command.
#[derive(Debug, Clone, PartialEq)]
pub struct CollStats {
    pub ns: Namespace,
    /// Sizes are divided by this; at least 1.
    pub scale: i64,
}

impl CollStats {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<CollStats, Fault> {
        let body = Body::of(request, "collStats");
        let mut stats = CollStats { ns: body.collection(envelope)?, scale: 1 };
        body.each(|field| {
            match field.name {
                "scale" => stats.scale = field.positive()?,
                // Details of one storage engine, which is not ours.
                "verbose" | "waitForLock" | "numericOnly" => {
                    field.flag()?;
                }
                "isTimeseriesNamespace" => field.unset_flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(stats)
    }
}

//! `validate`: checks a collection and its indexes against each other.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace};

/// A `validate` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validate {
    pub ns: Namespace,
    pub full: bool,
}

impl Validate {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; `NotImplemented` (238) for repairing.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Validate, Fault> {
        let body = Body::of(request, "validate");
        let mut validate = Validate { ns: body.collection(envelope)?, full: false };
        body.each(|field| {
            match field.name {
                "full" => validate.full = field.flag()?,
                // All documents are checked for BSON validity in any case.
                "checkBSONConformance" | "enforceFastCount" | "scandata" => {
                    field.flag()?;
                }
                "repair" | "fixMultikey" | "background" | "metadata" | "collHash" => field.unset_flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(validate)
    }
}

//! `convertToCapped`: a collection gets a bound, and loses its oldest documents and its indexes.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace};

/// A `convertToCapped` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertToCapped {
    pub ns: Namespace,
    /// Bytes, a multiple of 256.
    pub size: i64,
}

impl ConvertToCapped {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<ConvertToCapped, Fault> {
        let body = Body::of(request, "convertToCapped");
        let ns = body.collection(envelope)?;
        let mut size = None;
        body.each(|field| {
            match field.name {
                "size" => size = Some(field.integer()?),
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let size = body.required("size", size)?;
        if !(1..=super::create::CAPPED_BYTES_MAX).contains(&size) {
            return Err(Fault::bad_value(format!(
                "Capped collection size must be greater than zero and at most {}",
                super::create::CAPPED_BYTES_MAX
            )));
        }
        Ok(ConvertToCapped { ns, size: (size + 255) & !255 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        let parse = |body| ConvertToCapped::parse(&request(body), &envelope());
        assert_eq!(parse(doc! {"convertToCapped": "c", "size": 1000.0}).unwrap().size, 1024);
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"convertToCapped": "c"}, 40414, ""),
                (doc! {"convertToCapped": "c", "size": 0}, 2, ""),
                (doc! {"convertToCapped": "c", "size": "x"}, 14, ""),
                (doc! {"convertToCapped": "c", "size": 1, "temp": true}, 40415, ""),
            ],
        );
    }
}

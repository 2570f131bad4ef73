//! `split`: two chunks out of one.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Code, Fault, Namespace};
use value::SharedDoc;

/// A `split` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    pub ns: Namespace,
    pub at: SplitPoint,
}

/// Where to split.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitPoint {
    /// `middle`: exactly at this key.
    Middle(SharedDoc),
    /// `find`: the chunk that holds this key, in its middle.
    Find(SharedDoc),
    /// `bounds`: this chunk, in its middle.
    Bounds { min: SharedDoc, max: SharedDoc },
}

impl Split {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB: bad fields, not exactly one way to say where.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<Split, Fault> {
        let body = Body::of(request, "split");
        let ns = body.full_namespace()?;
        let (mut find, mut middle, mut bounds) = (None, None, None);
        body.each(|field| {
            match field.name {
                "find" => find = Some(field.filled_document()?),
                "middle" => middle = Some(field.filled_document()?),
                "bounds" => bounds = Some(field.documents()?),
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let at = match (find, bounds, middle) {
            (Some(find), None, None) => SplitPoint::Find(find),
            (None, None, Some(middle)) => SplitPoint::Middle(middle),
            (None, Some(bounds), None) => match <[SharedDoc; 2]>::try_from(bounds) {
                Ok([min, max]) => SplitPoint::Bounds { min, max },
                Err(_) => return Err(Fault::bad_value("bounds must be an array of two documents")),
            },
            (None, None, None) => {
                return Err(Fault::new(Code::InvalidOptions, "need to specify find/bounds or middle"));
            }
            _ => {
                return Err(Fault::new(
                    Code::InvalidOptions,
                    "cannot specify find, bounds and middle together",
                ));
            }
        };
        Ok(Split { ns, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn split_points() {
        let parse = |body| Split::parse(&request(body), &envelope());
        let split = parse(doc! {"split": "d.c", "middle": {"a": 1}}).unwrap();
        assert!(matches!(split.at, SplitPoint::Middle(_)));
        let split = parse(doc! {"split": "d.c", "bounds": [{"a": 1}, {"a": 2}]}).unwrap();
        assert!(matches!(split.at, SplitPoint::Bounds { .. }));
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"split": "d.c"}, 72, ""),
                (doc! {"split": "d.c", "find": {"a": 1}, "middle": {"a": 1}}, 72, ""),
                (doc! {"split": "d.c", "bounds": [{"a": 1}]}, 2, ""),
            ],
        );
    }
}

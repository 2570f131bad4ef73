//! `distinct`: the different values of one path.

use crate::options::Hint;
use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request};
use bson::RawBson;
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// A `distinct` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Distinct {
    pub ns: Namespace,
    /// A dotted path.
    pub key: String,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    /// How strings compare.
    pub collation: Collation,
    pub hint: Option<Hint>,
    pub comment: Option<RawBson>,
}

impl Distinct {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Distinct, Fault> {
        let body = Body::of(request, "distinct");
        let ns = body.collection(envelope)?;
        let (mut key, mut filter, mut hint, mut comment) = (None, empty_doc(), None, None);
        let mut collation = Collation::Inherited;
        body.each(|field| {
            match field.name {
                "key" => key = Some(field.string()?.to_owned()),
                "query" => filter = field.document()?,
                "hint" => hint = Some(field.hint()?),
                "comment" => comment = Some(field.any()),
                "collation" => collation = field.collation()?,
                "collectionUUID" | "encryptionInformation" => field.unsupported()?,
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let key = body.required("key", key)?;
        if key.contains('\0') {
            return Err(Fault::new(Code::Location(31032), "Key field cannot contain an embedded null byte"));
        }
        Ok(Distinct { ns, key, filter, collation, hint, comment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        let distinct = Distinct::parse(
            &request(doc! {"distinct": "c", "key": "a.b", "query": bson::Bson::Null}),
            &envelope(),
        );
        assert_eq!(distinct.unwrap().key, "a.b");
        check_faults(
            |body| Distinct::parse(&request(body), &envelope()).map(drop),
            &[
                (doc! {"distinct": "c"}, 40414, "BSON field 'distinct.key' is missing but a required field"),
                (doc! {"distinct": "c", "key": 1}, 14, ""),
                (doc! {"distinct": "c", "key": "a\0"}, 31032, ""),
            ],
        );
    }
}

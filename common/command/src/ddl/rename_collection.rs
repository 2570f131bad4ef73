//! `renameCollection`: another name for a collection.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Code, Fault, Namespace};

/// A `renameCollection` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenameCollection {
    pub from: Namespace,
    pub to: Namespace,
    /// Remove a collection that has the new name.
    pub drop_target: bool,
}

impl RenameCollection {
    /// Reads the command; both names are full ones.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; `IllegalOperation` (20) for one name twice.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<RenameCollection, Fault> {
        let body = Body::of(request, "renameCollection");
        let from = body.full_namespace()?;
        let (mut to, mut drop_target) = (None, false);
        body.each(|field| {
            match field.name {
                "to" => to = Some(Namespace::parse(field.string()?)?),
                "dropTarget" => drop_target = field.flag()?,
                "stayTemp" => field.unset_flag()?,
                "collectionUUID" => field.unsupported()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let to = body.required("to", to)?;
        if from == to {
            return Err(Fault::new(Code::IllegalOperation, "Can't rename a collection to itself"));
        }
        Ok(RenameCollection { from, to, drop_target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn names() {
        let parse = |body| RenameCollection::parse(&request(body), &envelope());
        let rename = parse(doc! {"renameCollection": "d.a", "to": "d.b.c", "dropTarget": true}).unwrap();
        assert_eq!((rename.from.as_str(), rename.to.as_str(), rename.drop_target), ("d.a", "d.b.c", true));
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"renameCollection": "d.a"}, 40414, ""),
                (doc! {"renameCollection": "d.a", "to": "d.a"}, 20, ""),
                (doc! {"renameCollection": "a", "to": "d.a"}, 73, ""),
                (doc! {"renameCollection": 1, "to": "d.a"}, 14, ""),
            ],
        );
    }
}

//! `dropIndexes`: removes indexes of one collection; the one on `_id` stays.

use crate::parse::Body;
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Code, Fault, Namespace};
use value::SharedDoc;

/// A `dropIndexes` command.
#[derive(Debug, Clone, PartialEq)]
pub struct DropIndexes {
    pub ns: Namespace,
    pub index: IndexSelector,
}

/// Which indexes to remove.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexSelector {
    /// `"*"`: all but `_id`.
    All,
    Names(Vec<String>),
    Pattern(SharedDoc),
}

impl DropIndexes {
    /// Reads the command, also under its old name `deleteIndexes`.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<DropIndexes, Fault> {
        let body = Body::of(request, "dropIndexes");
        let ns = body.collection(envelope)?;
        let mut index = None;
        body.each(|field| {
            match field.name {
                "index" => {
                    index = Some(match field.value {
                        RawBsonRef::String("*") => IndexSelector::All,
                        RawBsonRef::String(name) => IndexSelector::Names(vec![name.to_owned()]),
                        RawBsonRef::Document(_) => IndexSelector::Pattern(field.document()?),
                        RawBsonRef::Array(array) => {
                            let mut names = Vec::new();
                            for name in array {
                                match name
                                    .map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?
                                {
                                    RawBsonRef::String(name) => names.push(name.to_owned()),
                                    _ => {
                                        return Err(field.wrong_type(&["string", "array<string>", "object"]));
                                    }
                                }
                            }
                            IndexSelector::Names(names)
                        }
                        _ => return Err(field.wrong_type(&["string", "array<string>", "object"])),
                    });
                }
                "isTimeseriesNamespace" => field.unset_flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(DropIndexes { ns, index: body.required("index", index)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn selectors() {
        let parse = |body| DropIndexes::parse(&request(body), &envelope());
        let names =
            |list: &[&str]| IndexSelector::Names(list.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(parse(doc! {"dropIndexes": "c", "index": "*"}).unwrap().index, IndexSelector::All);
        assert_eq!(parse(doc! {"dropIndexes": "c", "index": "a_1"}).unwrap().index, names(&["a_1"]));
        assert_eq!(parse(doc! {"dropIndexes": "c", "index": ["a", "b"]}).unwrap().index, names(&["a", "b"]));
        let pattern = parse(doc! {"dropIndexes": "c", "index": {"a": 1}}).unwrap().index;
        assert!(matches!(pattern, IndexSelector::Pattern(_)));
        check_faults(
            |body| parse(body).map(drop),
            &[
                (
                    doc! {"dropIndexes": "c"},
                    40414,
                    "BSON field 'dropIndexes.index' is missing but a required field",
                ),
                (doc! {"dropIndexes": "c", "index": 1}, 14, ""),
                (doc! {"dropIndexes": "c", "index": [1]}, 14, ""),
            ],
        );
    }
}

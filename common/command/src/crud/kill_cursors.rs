//! `killCursors`: closes cursors.

use super::get_more::cursor_namespace;
use crate::parse::{Body, type_name, wrong_type};
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Code, Fault, Namespace};

/// A `killCursors` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillCursors {
    pub ns: Namespace,
    pub cursors: Vec<i64>,
}

impl KillCursors {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<KillCursors, Fault> {
        let body = Body::of(request, "killCursors");
        let ns = match body.value()? {
            RawBsonRef::String(collection) => cursor_namespace(&envelope.db, collection)?,
            other => {
                return Err(Fault::new(
                    Code::InvalidNamespace,
                    format!("collection name has invalid type {}", type_name(other)),
                ));
            }
        };
        let mut cursors = None;
        body.each(|field| {
            match field.name {
                "cursors" => {
                    let RawBsonRef::Array(array) = field.value else {
                        return Err(field.wrong_type(&["array"]));
                    };
                    let mut ids = Vec::new();
                    for (index, id) in array.into_iter().enumerate() {
                        match id.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
                            RawBsonRef::Int64(id) => ids.push(id),
                            other => {
                                return Err(wrong_type(
                                    &format!("{}.{index}", field.path()),
                                    other,
                                    &["long"],
                                )
                                .into());
                            }
                        }
                    }
                    cursors = Some(ids);
                }
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(KillCursors { ns, cursors: body.required("cursors", cursors)? })
    }
}

/// What became of the cursors that a client asked to close.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillCursorsOutcome {
    pub killed: Vec<i64>,
    pub not_found: Vec<i64>,
    pub alive: Vec<i64>,
    pub unknown: Vec<i64>,
}

impl KillCursorsOutcome {
    /// `{cursorsKilled, cursorsNotFound, cursorsAlive, cursorsUnknown}`.
    pub fn to_reply(&self) -> crate::Reply {
        let mut doc = bson::RawDocumentBuf::new();
        let list = |ids: &[i64]| ids.iter().copied().collect::<bson::RawArrayBuf>();
        doc.append(bson::raw::cstr!("cursorsKilled"), list(&self.killed));
        doc.append(bson::raw::cstr!("cursorsNotFound"), list(&self.not_found));
        doc.append(bson::raw::cstr!("cursorsAlive"), list(&self.alive));
        doc.append(bson::raw::cstr!("cursorsUnknown"), list(&self.unknown));
        doc.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn fields_are_read() {
        let kill =
            KillCursors::parse(&request(doc! {"killCursors": "c", "cursors": [1_i64, 2_i64]}), &envelope())
                .unwrap();
        assert_eq!(kill.cursors, [1, 2]);
        let outcome =
            KillCursorsOutcome { killed: vec![1], not_found: vec![2], ..KillCursorsOutcome::default() };
        assert_eq!(
            bson::Document::try_from(&*outcome.to_reply().doc).unwrap(),
            doc! {"cursorsKilled": [1_i64], "cursorsNotFound": [2_i64], "cursorsAlive": [], "cursorsUnknown": []}
        );
        check_faults(
            |body| KillCursors::parse(&request(body), &envelope()).map(drop),
            &[
                (doc! {"killCursors": "c"}, 40414, ""),
                (doc! {"killCursors": "c", "cursors": [1]}, 14, ""),
                (doc! {"killCursors": 1, "cursors": []}, 73, ""),
            ],
        );
    }
}

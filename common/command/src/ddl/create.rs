//! `create`: a new, empty collection. Views, time-series collections and validators are refused by name.

use crate::parse::{Body, Field, Stop};
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Code, Fault, Namespace, Uuid};
use value::Collation;

/// The largest size of a capped collection: a pebibyte.
pub(super) const CAPPED_BYTES_MAX: i64 = 1 << 50;

/// A `create` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    pub ns: Namespace,
    /// The options as `listCollections` shows them, without name and generic fields.
    pub options: bson::Document,
    /// A UUID that a router chose; absent from clients.
    pub uuid: Option<Uuid>,
}

impl Create {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; `NotImplemented` (238) for kinds of collections that this server has not.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Create, Fault> {
        let body = Body::of(request, "create");
        let mut create =
            Create { ns: body.collection(envelope)?, options: bson::Document::new(), uuid: None };
        let (mut capped, mut size, mut max) = (false, None, None);
        body.each(|field| {
            match field.name {
                "capped" => capped = field.flag()?,
                "size" => size = Some(field.integer()?),
                "max" => max = Some(field.integer()?),
                "uuid" => create.uuid = Some(field.uuid()?),
                "autoIndexId" => {
                    if !field.flag()? {
                        return Err(field.not_implemented().into());
                    }
                }
                "idIndex" => id_index(&field)?,
                "collation" => {
                    if let Collation::By(collator) = field.filled_collation("create.collation")? {
                        let resolved = bson::Document::try_from(collator.resolved());
                        let resolved = resolved.map_err(|error| Fault::internal(error.to_string()))?;
                        create.options.insert("collation", resolved);
                    }
                }
                "validationLevel" => default_name(&field, "strict")?,
                "validationAction" => default_name(&field, "error")?,
                "validator" | "storageEngine" | "indexOptionDefaults" => field.unset_document()?,
                "changeStreamPreAndPostImages" => {
                    if !matches!(field.document()?.get_bool("enabled"), Ok(false)) {
                        return Err(field.not_implemented().into());
                    }
                }
                "temp" | "recordIdsReplicated" => field.unset_flag()?,
                "viewOn" | "pipeline" | "timeseries" | "clusteredIndex" | "expireAfterSeconds"
                | "encryptedFields" => {
                    field.unsupported()?;
                }
                "flags" | "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        if !capped && (size.is_some() || max.is_some()) {
            return Err(Fault::new(
                Code::InvalidOptions,
                "the 'capped' field needs to be true when either the 'size' or 'max' fields are present",
            ));
        }
        if capped {
            create.cap(size, max)?;
        }
        Ok(create)
    }

    /// Sizes are multiples of 256 bytes; a number of documents that is no bound is left out.
    fn cap(&mut self, size: Option<i64>, max: Option<i64>) -> Result<(), Fault> {
        let size = size.ok_or_else(|| {
            Fault::new(Code::InvalidOptions, "the 'size' field is required when 'capped' is true")
        })?;
        if !(1..=CAPPED_BYTES_MAX).contains(&size) {
            return Err(Fault::bad_value(format!(
                "BSON field 'create.size' value must be between 1 and {CAPPED_BYTES_MAX}, actual value '{size}'"
            )));
        }
        if max.is_some_and(|max| max > i64::from(i32::MAX)) {
            return Err(Fault::bad_value("max in a capped collection has to be < 2^31 or not set"));
        }
        self.options.insert("capped", true);
        self.options.insert("size", shortest((size + 255) & !255));
        if let Some(max) = max.filter(|max| *max > 0) {
            self.options.insert("max", shortest(max));
        }
        Ok(())
    }
}

fn shortest(number: i64) -> bson::Bson {
    i32::try_from(number).map_or(bson::Bson::Int64(number), bson::Bson::Int32)
}

/// The index on `_id` is made in any case, and only in one way.
fn id_index(field: &Field<'_>) -> Result<(), Stop> {
    let index = field.document()?;
    let key = index.get_document("key").map_err(|_| {
        Fault::new(Code::FailedToParse, "The 'key' field is a required property of an index specification")
    })?;
    let mut fields = key.iter();
    match (fields.next(), fields.next()) {
        (Some(Ok((name, RawBsonRef::Int32(1) | RawBsonRef::Int64(1) | RawBsonRef::Double(1.0)))), None)
            if name.as_str() == "_id" =>
        {
            Ok(())
        }
        _ => Err(Fault::bad_value("The field 'key' for an _id index must be {_id: 1}").into()),
    }
}

fn default_name(field: &Field<'_>, default: &str) -> Result<(), Stop> {
    if field.string()? == default { Ok(()) } else { Err(field.not_implemented().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn kinds_of_collections() {
        let parse = |body| Create::parse(&request(body), &envelope());
        let fine = parse(
            doc! {"create": "c", "capped": false, "validator": {}, "idIndex": {"key": {"_id": 1}, "name": "_id_"}},
        );
        assert_eq!(fine.unwrap().ns.as_str(), "d.c");
        let capped = parse(doc! {"create": "c", "capped": true, "size": 1000, "max": 5_i64}).unwrap();
        assert_eq!(capped.options, doc! {"capped": true, "size": 1024, "max": 5});
        check_faults(
            |body| parse(body).map(drop),
            &[
                (
                    doc! {"create": "c", "capped": true},
                    72,
                    "the 'size' field is required when 'capped' is true",
                ),
                (doc! {"create": "c", "capped": true, "size": 0}, 2, ""),
                (doc! {"create": "c", "size": 1}, 72, ""),
                (doc! {"create": "c", "viewOn": "x", "pipeline": []}, 238, ""),
                (doc! {"create": "c", "validator": {"a": 1}}, 238, ""),
                (doc! {"create": "c", "validationAction": "warn"}, 238, ""),
                (doc! {"create": "c", "idIndex": {"key": {"a": 1}}}, 2, ""),
                (doc! {"create": "c", "timeseries": {"timeField": "t"}}, 238, ""),
                (doc! {"create": "c$d"}, 73, ""),
                (doc! {"create": "c", "nope": 1}, 40415, ""),
            ],
        );
    }
}

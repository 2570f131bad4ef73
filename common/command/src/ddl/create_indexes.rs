//! `createIndexes`: new indexes of one collection.

use crate::parse::{Body, each, type_name};
use crate::{Envelope, Request};
use bson::raw::cstr;
use bson::{RawBsonRef, RawDocumentBuf};
use types::{Code, Fault, Namespace, limits};
use value::{Collation, SharedDoc};

/// A `createIndexes` command.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndexes {
    pub ns: Namespace,
    pub indexes: Vec<IndexSpec>,
}

/// One index to make.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexSpec {
    pub name: String,
    /// The key pattern; not empty; the directions are numbers or names of special index kinds.
    pub key: SharedDoc,
    pub unique: bool,
    pub sparse: bool,
    pub hidden: bool,
    pub partial_filter: Option<SharedDoc>,
    pub expire_after_seconds: Option<i64>,
    pub wildcard_projection: Option<SharedDoc>,
    /// How strings compare.
    pub collation: Collation,
    /// What is stored and shown by `listIndexes`: `{v: 2, key, name, …}`, normalised.
    pub spec: RawDocumentBuf,
}

impl CreateIndexes {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB: bad fields, specifications that no index can have; `NotImplemented` (238) for kinds of indexes that this
    /// server has not.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<CreateIndexes, Fault> {
        let body = Body::with_sequences(request, "createIndexes", &["indexes"]);
        let ns = body.collection(envelope)?;
        let mut specs = request.sequence("indexes").map(<[SharedDoc]>::to_vec);
        body.each(|field| {
            match field.name {
                "indexes" => specs = Some(field.documents()?),
                "ignoreUnknownIndexOptions" | "isTimeseriesNamespace" => field.unset_flag()?,
                // An index is ready on all members in the order of the log, whatever the quorum.
                "commitQuorum" => match field.value {
                    RawBsonRef::String(_) => {}
                    _ => {
                        field.integer()?;
                    }
                },
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let specs = body.required("indexes", specs)?;
        if specs.is_empty() {
            return Err(Fault::bad_value("Must specify at least one index to create"));
        }
        let mut indexes: Vec<IndexSpec> = Vec::with_capacity(specs.len());
        for spec in &specs {
            let index = IndexSpec::parse(spec)?;
            if !indexes.contains(&index) {
                indexes.push(index);
            }
        }
        Ok(CreateIndexes { ns, indexes })
    }
}

impl IndexSpec {
    /// Reads the specification of one index.
    ///
    /// # Errors
    /// As MongoDB; see [`CreateIndexes::parse`].
    pub fn parse(spec: &SharedDoc) -> Result<IndexSpec, Fault> {
        let (mut key, mut name) = (None, None);
        let (mut unique, mut sparse, mut hidden) = (false, false, false);
        let (mut partial_filter, mut expire_after_seconds, mut wildcard_projection) = (None, None, None);
        let mut collation = Collation::Inherited;
        each(spec, spec, "createIndexes.indexes", |field| {
            match field.name {
                "key" => key = Some(field.document()?),
                "name" => name = Some(field.string()?.to_owned()),
                "unique" => unique = field.flag()?,
                "sparse" => sparse = field.flag()?,
                "hidden" => hidden = field.flag()?,
                "partialFilterExpression" => partial_filter = Some(field.document()?),
                "expireAfterSeconds" => expire_after_seconds = Some(field.integer()?),
                "wildcardProjection" => wildcard_projection = Some(field.document()?),
                "v" => version(field.integer()?)?,
                // Both without meaning since MongoDB 4.4: every build is alike, and the namespace is the command's.
                "background" | "ns" => {}
                "collation" => collation = field.filled_collation("collation")?,
                "storageEngine" => field.unset_document()?,
                "clustered" | "prepareUnique" => field.unset_flag()?,
                "dropDups"
                | "weights"
                | "default_language"
                | "language_override"
                | "textIndexVersion"
                | "2dsphereIndexVersion"
                | "bits"
                | "min"
                | "max"
                | "bucketSize"
                | "coarsestIndexedLevel"
                | "finestIndexedLevel"
                | "columnstoreProjection"
                | "originalSpec" => {
                    field.unsupported()?;
                }
                other => {
                    return Err(Fault::new(
                        Code::InvalidIndexSpecificationOption,
                        format!("The field '{other}' is not valid for an index specification."),
                    )
                    .into());
                }
            }
            Ok(())
        })?;
        let required = |what: &str| {
            Fault::new(
                Code::FailedToParse,
                format!("The '{what}' field is a required property of an index specification"),
            )
        };
        let key = key.ok_or_else(|| required("key"))?;
        let name = name.ok_or_else(|| required("name"))?;
        let mut index = IndexSpec {
            name,
            key,
            unique,
            sparse,
            hidden,
            partial_filter,
            expire_after_seconds,
            wildcard_projection,
            collation,
            spec: RawDocumentBuf::new(),
        };
        index.check()?;
        index.spec = index.stored();
        Ok(index)
    }

    /// Whether this is the index that every collection has: `{_id: 1}`.
    pub fn is_id(&self) -> bool {
        let mut fields = self.key.iter().flatten();
        let ascending = |value: RawBsonRef<'_>| {
            matches!(value, RawBsonRef::Int32(1) | RawBsonRef::Int64(1) | RawBsonRef::Double(1.0))
        };
        matches!((fields.next(), fields.next()), (Some((name, value)), None) if name.as_str() == "_id" && ascending(value))
    }

    fn check(&mut self) -> Result<(), Fault> {
        let CheckedKey { hashed, wildcard } = check_key(&self.key)?;
        if self.name.is_empty() {
            return Err(refuse("index name cannot be empty"));
        }
        if self.name == "*" {
            return Err(Fault::bad_value("The index name '*' is not valid."));
        }
        if self.name.contains('\0') {
            return Err(Fault::bad_value("An index name may not hold a null byte"));
        }
        if self.is_id() {
            self.check_id()?;
        } else if self.name == "_id_" {
            return Err(Fault::bad_value(
                "The index name '_id_' is reserved for the _id index, which must have key pattern {_id: 1}",
            ));
        }
        if hashed > 1 {
            return Err(Fault::new(
                Code::Location(31303),
                format!("A maximum of one index field is allowed to be hashed but found {hashed}"),
            ));
        }
        if hashed == 1 && self.unique {
            return Err(Fault::new(
                Code::Location(16764),
                "Currently hashed indexes cannot guarantee uniqueness. Use a regular index.",
            ));
        }
        if wildcard {
            let given = [
                ("unique", self.unique),
                ("sparse", self.sparse),
                ("expireAfterSeconds", self.expire_after_seconds.is_some()),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(refuse(&format!("Index type 'wildcard' does not support the {name} option")));
            }
        }
        if let Some(projection) = &self.wildcard_projection {
            if !wildcard {
                return Err(Fault::bad_value(
                    "The field 'wildcardProjection' is only allowed in an 'wildcard' index",
                ));
            }
            if self.key.iter().flatten().all(|(name, _)| name.as_str() != "$**") {
                return Err(Fault::new(
                    Code::FailedToParse,
                    "The field 'wildcardProjection' is only allowed when 'key' is {\"$**\": ±1}",
                ));
            }
            if projection.iter().next().is_none() {
                return Err(Fault::new(
                    Code::FailedToParse,
                    "The 'wildcardProjection' field can't be an empty object",
                ));
            }
        }
        if self.partial_filter.is_some() && self.sparse {
            return Err(refuse("cannot mix \"partialFilterExpression\" and \"sparse\" options"));
        }
        if let Some(seconds) = self.expire_after_seconds {
            if !(0..=i64::from(i32::MAX)).contains(&seconds) {
                return Err(refuse(
                    "TTL index 'expireAfterSeconds' option must be within an acceptable range, try a different number",
                ));
            }
            if self.key.iter().count() > 1 {
                return Err(refuse(
                    "TTL indexes are single-field indexes, compound indexes do not support TTL",
                ));
            }
        }
        Ok(())
    }

    /// The index on `_id` has one name and no options.
    fn check_id(&mut self) -> Result<(), Fault> {
        let option = [
            ("sparse", self.sparse),
            ("partialFilterExpression", self.partial_filter.is_some()),
            ("expireAfterSeconds", self.expire_after_seconds.is_some()),
        ];
        if let Some((name, _)) = option.into_iter().find(|(_, given)| *given) {
            return Err(Fault::new(
                Code::InvalidIndexSpecificationOption,
                format!("The field '{name}' is not valid for an _id index specification."),
            ));
        }
        if self.hidden {
            return Err(Fault::bad_value("can't hide _id index"));
        }
        self.unique = false;
        "_id_".clone_into(&mut self.name);
        Ok(())
    }

    fn stored(&self) -> RawDocumentBuf {
        let mut spec = RawDocumentBuf::new();
        spec.append(cstr!("v"), 2);
        spec.append(cstr!("key"), &*self.key);
        spec.append(cstr!("name"), self.name.as_str());
        for (name, on) in
            [(cstr!("unique"), self.unique), (cstr!("sparse"), self.sparse), (cstr!("hidden"), self.hidden)]
        {
            if on {
                spec.append(name, true);
            }
        }
        if let Some(filter) = &self.partial_filter {
            spec.append(cstr!("partialFilterExpression"), &**filter);
        }
        if let Some(projection) = &self.wildcard_projection {
            spec.append(cstr!("wildcardProjection"), &**projection);
        }
        if let Some(seconds) = self.expire_after_seconds {
            // Checked to fit when the specification was read.
            spec.append(cstr!("expireAfterSeconds"), i32::try_from(seconds).unwrap_or(i32::MAX));
        }
        if let Some(collation) = self.collation.to_document() {
            spec.append(cstr!("collation"), collation);
        }
        spec
    }
}

fn version(version: i64) -> Result<(), Fault> {
    match version {
        1 | 2 => Ok(()),
        other => Err(refuse(&format!("Invalid index specification; cannot create an index with v={other}"))),
    }
}

/// What a key pattern is.
struct CheckedKey {
    hashed: usize,
    wildcard: bool,
}

fn check_key(key: &SharedDoc) -> Result<CheckedKey, Fault> {
    let (mut hashed, mut wildcard, mut seen) = (0, false, Vec::new());
    for element in key.iter() {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        let name = name.as_str();
        if seen.contains(&name) {
            return Err(refuse(&format!(
                "The field '{name}' appears multiple times in the index key pattern"
            )));
        }
        seen.push(name);
        match value {
            RawBsonRef::String("hashed") => hashed += 1,
            RawBsonRef::String(
                plugin @ ("text" | "2d" | "2dsphere" | "2dsphere_bucket" | "geoHaystack" | "columnstore"),
            ) => {
                return Err(Fault::not_implemented(format!("an index of kind '{plugin}'")));
            }
            RawBsonRef::String(other) => return Err(refuse(&format!("Unknown index plugin '{other}'"))),
            RawBsonRef::Int32(0) | RawBsonRef::Int64(0) => {
                return Err(refuse("Values in the index key pattern cannot be 0."));
            }
            RawBsonRef::Double(direction) if direction == 0.0 || direction.is_nan() => {
                return Err(refuse("Values in the index key pattern cannot be 0."));
            }
            RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) => {}
            other => {
                return Err(refuse(&format!(
                    "Values in v:2 index key pattern cannot be of type {}. Only numbers > 0, numbers < 0, and strings are                      allowed.",
                    type_name(other)
                )));
            }
        }
        if name == "$**" || name.ends_with(".$**") {
            wildcard = true;
        }
        if name.split('.').any(str::is_empty) {
            return Err(refuse("Index keys cannot contain an empty field."));
        }
        // `$id`, `$ref` and `$db` are the fields of a DBRef.
        let parts = name.strip_suffix("$**").filter(|_| wildcard).unwrap_or(name);
        if parts.split('.').any(|part| part.starts_with('$') && !matches!(part, "$id" | "$ref" | "$db")) {
            return Err(refuse("Index key contains an illegal field name: field name starts with '$'."));
        }
    }
    if seen.is_empty() {
        return Err(refuse("Index keys cannot be an empty object."));
    }
    if seen.len() > limits::INDEX_FIELD_COUNT_MAX {
        return Err(Fault::new(Code::Location(13103), "too many compound keys"));
    }
    if wildcard && seen.len() > 1 {
        return Err(Fault::not_implemented("a compound wildcard index"));
    }
    if wildcard && hashed > 0 {
        return Err(refuse("A wildcard index cannot be hashed"));
    }
    Ok(CheckedKey { hashed, wildcard })
}

fn refuse(message: &str) -> Fault {
    Fault::new(Code::CannotCreateIndex, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::{Document, doc};

    fn parse(body: Document) -> Result<CreateIndexes, Fault> {
        CreateIndexes::parse(&request(body), &envelope())
    }

    #[test]
    fn specifications_are_read() {
        let indexes = parse(doc! {"createIndexes": "c", "commitQuorum": "votingMembers", "indexes": [
            {"key": {"a": 1, "b": -1.0}, "name": "ab", "unique": true, "background": true, "v": 2},
            {"key": {"_id": 1}, "name": "whatever"},
            {"key": {"t": 1}, "name": "t", "expireAfterSeconds": 60_i64, "partialFilterExpression": {"x": 1}},
            {"key": {"h": "hashed"}, "name": "h"},
        ]})
        .unwrap()
        .indexes;
        let stored: Vec<Document> =
            indexes.iter().map(|index| Document::try_from(&*index.spec).unwrap()).collect();
        assert_eq!(
            stored,
            [
                doc! {"v": 2, "key": {"a": 1, "b": -1.0}, "name": "ab", "unique": true},
                doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"},
                doc! {"v": 2, "key": {"t": 1}, "name": "t", "partialFilterExpression": {"x": 1}, "expireAfterSeconds": 60},
                doc! {"v": 2, "key": {"h": "hashed"}, "name": "h"},
            ]
        );
        assert!(indexes[1].is_id() && !indexes[0].is_id());
        let again = IndexSpec::parse(&indexes[2].spec.clone().into()).unwrap();
        assert_eq!(again, indexes[2]);
    }

    #[test]
    fn bad_specifications_are_refused() {
        let one = |spec: Document| doc! {"createIndexes": "c", "indexes": [spec]};
        let key = |key: Document| doc! {"createIndexes": "c", "indexes": [{"key": key, "name": "n"}]};
        let wide: Document = (0..33).map(|number| (format!("f{number}"), bson::Bson::Int32(1))).collect();
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"createIndexes": "c"}, 40414, ""),
                (doc! {"createIndexes": "c", "indexes": []}, 2, "Must specify at least one index to create"),
                (
                    one(doc! {"name": "n"}),
                    9,
                    "The 'key' field is a required property of an index specification",
                ),
                (
                    one(doc! {"key": {"a": 1}}),
                    9,
                    "The 'name' field is a required property of an index specification",
                ),
                (one(doc! {"key": {"a": 1}, "name": ""}), 67, ""),
                (one(doc! {"key": {"a": 1}, "name": "*"}), 2, ""),
                (one(doc! {"key": {"a": 1}, "name": "_id_"}), 2, ""),
                (one(doc! {"key": {"a": 1}, "name": "n", "foo": 1}), 197, ""),
                (one(doc! {"key": {"_id": 1}, "name": "n", "sparse": true}), 197, ""),
                (one(doc! {"key": {"a": "hashed"}, "name": "n", "unique": true}), 16764, ""),
                (
                    one(doc! {"key": {"a": 1}, "name": "n", "sparse": true, "partialFilterExpression": {}}),
                    67,
                    "",
                ),
                (one(doc! {"key": {"a": 1}, "name": "n", "expireAfterSeconds": -1}), 67, ""),
                (one(doc! {"key": {"a": 1, "b": 1}, "name": "n", "expireAfterSeconds": 1}), 67, ""),
                (one(doc! {"key": {"a": 1}, "name": "n", "weights": {"a": 1}}), 238, ""),
                (key(doc! {}), 67, ""),
                (key(doc! {"a": 0}), 67, ""),
                (key(doc! {"a": true}), 67, ""),
                (key(doc! {"a": "nope"}), 67, "Unknown index plugin 'nope'"),
                (key(doc! {"a": "text"}), 238, ""),
                (key(doc! {"$**": 1, "a": 1}), 238, ""),
                (key(doc! {"a.$**.b": 1}), 67, ""),
                (one(doc! {"key": {"$**": 1}, "name": "n", "unique": true}), 67, ""),
                (one(doc! {"key": {"a": 1}, "name": "n", "wildcardProjection": {"a": 1}}), 2, ""),
                (key(doc! {"a..b": 1}), 67, ""),
                (key(doc! {"a.$b": 1}), 67, ""),
                (key(doc! {"a": "hashed", "b": "hashed"}), 31303, ""),
                (key(wide), 13103, ""),
            ],
        );
    }
}

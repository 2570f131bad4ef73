//! Two chunks out of one. Moves nothing and changes no owner, so no shard needs to be asked, but for where the middle is.

use crate::metadata::Metadata;
use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocument, doc};
use command::{Split, SplitPoint};
use sharding::documents::CollectionEntry;
use sharding::{Bound, Chunk, ChunkMap, ShardKey};
use std::sync::Arc;
use types::{Code, Fault, Namespace};
use value::SharedDoc;

/// What a split has found out before it commits.
enum Plan {
    At(Bound),
    Middle(Arc<Chunk>),
}

impl Metadata {
    /// Splits a chunk.
    ///
    /// # Errors
    /// `NamespaceNotSharded` (118), `BadValue` (2) for keys that do not fit or lie on a border, `OperationFailed` (96) where a chunk has
    /// no middle.
    pub async fn split(self: &Arc<Self>, split: Split, client: String) -> Result<(), Fault> {
        let metadata = self.clone();
        self.detached("split", async move {
            let _changing = metadata.changing.lock().await;
            metadata.split_locked(&split, &client).await
        })
        .await
    }

    async fn split_locked(&self, split: &Split, client: &str) -> Result<(), Fault> {
        let (entry, chunks) = self.sharded(&split.ns)?;
        let (chunk, point) = match plan(&entry.key, &chunks, &split.at)? {
            Plan::At(point) => (chunks.find(point.bytes()).clone(), point),
            Plan::Middle(chunk) => {
                let point = self.median(&entry, &chunk).await?;
                (chunk, point)
            }
        };
        if point <= chunk.min || point >= chunk.max {
            return Err(Fault::bad_value(format!(
                "new split key {point} is a boundary key of existing chunk [{},{})",
                chunk.min, chunk.max
            )));
        }
        let change =
            chunks.split(&chunk.min, &chunk.max, std::slice::from_ref(&point), &mut ObjectId::new)?;
        let side = |chunk: Option<&Chunk>| {
            chunk.map(|chunk| {
                doc! {
                    "min": chunk.min.document().clone(),
                    "max": chunk.max.document().clone(),
                    "lastmod": chunk.version.to_timestamp(),
                }
            })
        };
        let details = doc! {
            "before": side(Some(&chunk)),
            "left": side(change.written.first()),
            "right": side(change.written.get(1)),
            "owningShard": chunk.shard.as_str(),
        };
        let event = self.event("split", split.ns.as_str(), client, details);
        self.catalog
            .commit(|changes| {
                changes.change_chunks(entry.uuid, &change)?;
                changes.log_change(&event)
            })
            .await?;
        tracing::info!(ns = %split.ns, at = %point, shard = %chunk.shard, "chunk split");
        self.tell_collection(&split.ns);
        Ok(())
    }

    /// A sharded collection and its chunks.
    pub(super) fn sharded(&self, ns: &Namespace) -> Result<(CollectionEntry, ChunkMap), Fault> {
        let view = self.view()?;
        let entry = view
            .collection(ns)?
            .filter(|entry| !entry.unsplittable)
            .ok_or_else(|| Fault::new(Code::NamespaceNotSharded, format!("ns {ns} is not sharded")))?;
        let chunks = view.chunks(&entry)?;
        Ok((entry, chunks))
    }
}

fn plan(key: &ShardKey, chunks: &ChunkMap, at: &SplitPoint) -> Result<Plan, Fault> {
    match at {
        SplitPoint::Middle(middle) => Ok(Plan::At(border(key, middle)?)),
        SplitPoint::Find(query) => {
            let bound = key.bound_of(&found(key, query)?)?;
            Ok(Plan::Middle(chunks.find(bound.bytes()).clone()))
        }
        SplitPoint::Bounds { min, max } => {
            let (min, max) = (border(key, min)?, border(key, max)?);
            let chunk = chunks.find(min.bytes());
            if chunk.min != min || chunk.max != max {
                return Err(Fault::bad_value(format!(
                    "no chunk found with the shard key bounds [{min},{max})"
                )));
            }
            Ok(Plan::Middle(chunk.clone()))
        }
    }
}

/// A border as a client writes it: the key's fields in any order, hashed ones as hashes, which shells may send as any number.
fn border(key: &ShardKey, given: &SharedDoc) -> Result<Bound, Fault> {
    let given = decode(given)?;
    let mismatch = || {
        Fault::bad_value(format!(
            "shard key pattern {} does not match the split point {given}",
            key.pattern()
        ))
    };
    if given.len() != key.fields().len() {
        return Err(mismatch());
    }
    let mut ordered = Document::new();
    for field in key.fields() {
        let value = given.get(field.path.as_ref()).ok_or_else(mismatch)?;
        let value = match value {
            Bson::Int32(_) | Bson::Double(_) | Bson::Decimal128(_) if field.hashed => {
                let number = value::number::Number::from_bson(value).and_then(|number| number.to_i64_exact());
                Bson::Int64(number.ok_or_else(mismatch)?)
            }
            Bson::Array(_) | Bson::RegularExpression(_) => return Err(mismatch()),
            other => other.clone(),
        };
        ordered.insert(field.path.as_ref(), value);
    }
    Ok(key.bound(ordered)?)
}

/// The query's own document, once it is certain that it names a value for each field of the key.
fn found<'a>(key: &ShardKey, query: &'a SharedDoc) -> Result<std::borrow::Cow<'a, RawDocument>, Fault> {
    let missing = || Fault::bad_value(format!("no shard key found in chunk query {}", show(query)));
    let is_value = |value: bson::RawBsonRef<'_>| match value {
        bson::RawBsonRef::Document(inner) => {
            !matches!(inner.iter().next(), Some(Ok((name, _))) if name.as_str().starts_with('$'))
        }
        bson::RawBsonRef::RegularExpression(_) => false,
        _ => true,
    };
    let values = key.values_of(query)?;
    if values.iter().all(|value| value.is_some_and(is_value)) {
        return Ok(std::borrow::Cow::Borrowed(query));
    }
    // `{"a.b": 1}` names the field as a query does: nested, it is a document that has it.
    let flat = decode(query)?;
    let mut nested = Document::new();
    for field in key.fields() {
        let value = flat.get(field.path.as_ref()).ok_or_else(missing)?;
        let raw = bson::RawBson::try_from(value.clone()).map_err(|_| missing())?;
        if !is_value(raw.as_raw_bson_ref()) {
            return Err(missing());
        }
        nest(&mut nested, &field.path, value.clone());
    }
    let raw = bson::RawDocumentBuf::try_from(&nested).map_err(|error| Fault::internal(error.to_string()))?;
    Ok(std::borrow::Cow::Owned(raw))
}

fn nest(into: &mut Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => {
            into.insert(path, value);
        }
        Some((first, rest)) => {
            if !matches!(into.get(first), Some(Bson::Document(_))) {
                into.insert(first, Document::new());
            }
            if let Some(Bson::Document(inner)) = into.get_mut(first) {
                nest(inner, rest, value);
            }
        }
    }
}

fn decode(doc: &SharedDoc) -> Result<Document, Fault> {
    Document::try_from(&**doc).map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))
}

fn show(doc: &SharedDoc) -> String {
    decode(doc).map_or_else(|fault| fault.message, |doc| doc.to_string())
}

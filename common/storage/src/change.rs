//! What each change of the catalogue does: the records of the catalogue that it writes, and the catalogue that results.
//! The same for a command that is given here and for one that comes from the log of another member.

use crate::Error;
use crate::capped::Capped;
use crate::catalog::Catalog;
use crate::collection::{
    Collection, CollectionId, Index, LOG_NAMESPACE, RecordOrder, TEMPORARY, collation_of,
};
use crate::index;
use crate::keyspace::{self, Ident};
use crate::versions::Value;
use bson::{RawBson, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::sync::Arc;
use types::{Code, Fault, Namespace, Timestamp, Uuid};

/// The result of one change.
pub(crate) struct Changed {
    pub puts: Vec<(Bytes, Value)>,
    pub catalog: Catalog,
}

pub(crate) fn aborted() -> Error {
    Error::IndexSpec {
        code: Code::IndexBuildAborted,
        message: "the collection or index was dropped meanwhile".to_owned(),
    }
}

pub(crate) fn definition(collection: &Collection) -> (Bytes, Value) {
    let doc = Bytes::from(collection.to_document().into_bytes());
    (Bytes::from(keyspace::catalog(collection.id.0)), Some(doc))
}

pub(crate) fn next_ident(ident: Ident) -> (Bytes, Value) {
    (Bytes::from_static(keyspace::NEXT_IDENT_KEY), Some(Bytes::copy_from_slice(&ident.to_le_bytes())))
}

fn dropped_mark(ident: Ident, at: Timestamp) -> (Bytes, Value) {
    (Bytes::from(keyspace::dropped(ident)), Some(Bytes::copy_from_slice(&at.0.to_le_bytes())))
}

/// A collection to be made.
pub(crate) struct Fresh<'a> {
    pub ns: &'a Namespace,
    pub uuid: Uuid,
    pub options: &'a RawDocument,
    pub capped: Option<Capped>,
    /// The first of the idents that it takes.
    pub ident: Ident,
}

impl Fresh<'_> {
    /// The next free ident afterwards. Where records are in another order, the index on `_id` is one with entries.
    pub(crate) fn next(&self) -> Ident {
        if self.capped.is_some() { self.ident + 2 } else { self.ident + 1 }
    }

    pub(crate) fn create(&self, mut catalog: Catalog, at: Timestamp) -> Result<Changed, Error> {
        let Fresh { ns, uuid, options, capped, ident } = *self;
        let collation = collation_of(options)?;
        let id_index = match capped {
            None => Index::clustered(ident, ns, at, collation.as_ref())?,
            Some(_) => {
                let spec = index::id_spec(collation.as_ref());
                Index::new(ident + 1, ns, spec.clone(), None)?.with(Some(at), spec)?
            }
        };
        let collection = Collection {
            ns: ns.clone(),
            uuid,
            id: CollectionId(ident),
            options: options.to_owned(),
            order: if capped.is_some() { RecordOrder::Number } else { RecordOrder::Id },
            capped,
            collation,
            indexes: vec![Arc::new(id_index)],
            version: at,
        };
        let puts = vec![definition(&collection), next_ident(self.next())];
        catalog.put(Arc::new(collection));
        Ok(Changed { puts, catalog })
    }
}

fn remove(
    collection: &Collection,
    catalog: &mut Catalog,
    at: Timestamp,
) -> impl Iterator<Item = (Bytes, Value)> {
    catalog.remove(collection.id.0);
    let idents: Vec<Ident> =
        collection.secondary().map(|index| index.id.0).chain([collection.id.0]).collect();
    let definition = (Bytes::from(keyspace::catalog(collection.id.0)), None);
    std::iter::once(definition).chain(idents.into_iter().map(move |ident| dropped_mark(ident, at)))
}

pub(crate) fn drop_collection(mut catalog: Catalog, collection: &Collection, at: Timestamp) -> Changed {
    let puts = remove(collection, &mut catalog, at).collect();
    Changed { puts, catalog }
}

/// The records of `local` are in no other member's log: what is replicated stays so, and what is not does not become so.
///
/// # Errors
/// `IllegalOperation` (20).
pub(crate) fn check_rename(from: &Namespace, to: &Namespace) -> Result<(), Error> {
    let refuse = |message: String| Err(Error::Value(Fault::new(Code::IllegalOperation, message)));
    if from.is_local() != to.is_local() {
        return refuse(format!("cannot rename {from} to {to}: one is replicated and the other is not"));
    }
    if to.as_str() == LOG_NAMESPACE {
        return refuse(format!("cannot rename {from} to {to}: it is the log of this member"));
    }
    Ok(())
}

/// Whoever was temporary is so no longer under the other name.
pub(crate) fn rename(
    mut catalog: Catalog,
    collection: &Collection,
    target: Option<&Collection>,
    to: &Namespace,
    at: Timestamp,
) -> Result<Changed, Error> {
    check_rename(&collection.ns, to)?;
    let mut puts = Vec::new();
    if let Some(target) = target {
        puts.extend(remove(target, &mut catalog, at));
    }
    let mut next = Collection::clone(collection);
    next.options = collection.options.iter().flatten().filter(|(name, _)| *name != TEMPORARY).collect();
    next.ns = to.clone();
    next.version = at;
    next.indexes = Vec::new();
    for index in &collection.indexes {
        next.indexes.push(Arc::new(index.renamed(to)?));
    }
    puts.push(definition(&next));
    catalog.put(Arc::new(next));
    Ok(Changed { puts, catalog })
}

/// Puts a definition in the place of the one it came from.
pub(crate) fn redefine(
    mut catalog: Catalog,
    ident: Ident,
    free: Option<Ident>,
    dropped: &[Ident],
    at: Timestamp,
    change: impl FnOnce(&Collection, Timestamp) -> Result<Collection, Error>,
) -> Result<Changed, Error> {
    let now = catalog.by_ident(ident).cloned().ok_or_else(aborted)?;
    let mut next = change(&now, at)?;
    next.version = at;
    let mut puts = vec![definition(&next)];
    puts.extend(free.map(next_ident));
    puts.extend(dropped.iter().map(|ident| dropped_mark(*ident, at)));
    catalog.put(Arc::new(next));
    Ok(Changed { puts, catalog })
}

/// The definition without the indexes that have these idents.
pub(crate) fn without(now: &Collection, idents: &[Ident]) -> Collection {
    let mut next = now.clone();
    next.indexes.retain(|index| !idents.contains(&index.id.0) || index.is_clustered());
    next
}

/// The definition with these indexes complete from `at` on.
pub(crate) fn completed(now: &Collection, idents: &[Ident], at: Timestamp) -> Result<Collection, Error> {
    let mut next = now.clone();
    for index in next.indexes.iter_mut().filter(|index| !index.is_clustered()) {
        if idents.contains(&index.id.0) {
            *index = Arc::new(index.with(Some(at), index.spec.clone())?);
        }
    }
    Ok(next)
}

/// The definition with another value, or none, under one name of an index's specification.
pub(crate) fn respecified(
    now: &Collection,
    ident: Ident,
    field: &bson::raw::CStr,
    value: Option<RawBson>,
) -> Result<Collection, Error> {
    let mut next = now.clone();
    for index in next.indexes.iter_mut().filter(|index| index.id.0 == ident && !index.is_clustered()) {
        let others = index.spec.iter().flatten().filter(|(name, _)| *name != field);
        let mut spec: RawDocumentBuf = others.collect();
        if let Some(value) = value.clone() {
            spec.append(field, value);
        }
        *index = Arc::new(index.with(index.ready, spec)?);
    }
    Ok(next)
}

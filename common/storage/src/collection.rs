//! A collection and its indexes as immutable values, and their stored form.

use crate::Error;
use crate::index::Pattern;
use crate::keyspace::Ident;
use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{Namespace, Timestamp, Uuid};

/// The key of a record within its collection: the encoded `_id`.
pub type RecordKey = Bytes;

/// A collection's place in the key space; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionId(pub(crate) Ident);

/// An index's place in the key space; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexId(pub(crate) Ident);

/// A collection as the catalogue had it at one moment.
#[derive(Debug, Clone)]
pub struct Collection {
    pub ns: Namespace,
    pub uuid: Uuid,
    pub id: CollectionId,
    /// As given to `create`.
    pub options: RawDocumentBuf,
    /// The one on `_id` first, the others in the order of their creation.
    pub indexes: Vec<Arc<Index>>,
    /// Time of the definition's last change; a batch prepared against another one does not commit.
    pub version: Timestamp,
}

/// An index as the catalogue had it at one moment.
#[derive(Debug)]
pub struct Index {
    pub id: IndexId,
    pub ns: Namespace,
    pub name: String,
    /// The key pattern, as given.
    pub key: RawDocumentBuf,
    pub unique: bool,
    pub sparse: bool,
    pub hidden: bool,
    /// The whole specification as `listIndexes` shows it.
    pub spec: RawDocumentBuf,
    /// When the build was complete; `None` while it runs. Snapshots before it must not use the index.
    pub ready: Option<Timestamp>,
    pub(crate) pattern: Pattern,
    multikey: AtomicU64,
}

impl Collection {
    /// The index of that name.
    pub fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The key of the record with that `_id`.
    pub fn record_key(&self, id: RawBsonRef<'_>) -> RecordKey {
        let mut key = Vec::with_capacity(16);
        value::key::encode(&mut key, id, false);
        Bytes::from(key)
    }

    /// The indexes that have entries of their own: all but the one on `_id`, by which the records themselves are ordered.
    pub(crate) fn secondary(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.iter().filter(|index| !index.is_id())
    }

    pub(crate) fn to_document(&self) -> RawDocumentBuf {
        let mut indexes = RawArrayBuf::new();
        for index in &self.indexes {
            indexes.push(index.to_document());
        }
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("v"), 1_i32);
        doc.append(cstr!("ns"), self.ns.as_str());
        doc.append(cstr!("uuid"), self.uuid.to_bson());
        doc.append(cstr!("options"), self.options.clone());
        doc.append(cstr!("version"), bson::Timestamp::from(self.version));
        doc.append(cstr!("indexes"), indexes);
        doc
    }

    pub(crate) fn from_document(ident: Ident, doc: &RawDocument) -> Result<Collection, Error> {
        let damaged = |what: &str| Error::Damaged(format!("catalogue record {ident}: {what}"));
        let ns = Namespace::parse(doc.get_str("ns").map_err(|_| damaged("ns"))?)?;
        let uuid = doc.get("uuid").ok().flatten().and_then(Uuid::from_bson).ok_or_else(|| damaged("uuid"))?;
        let mut indexes = Vec::new();
        for index in doc.get_array("indexes").map_err(|_| damaged("indexes"))? {
            let index = index.ok().and_then(|index| index.as_document()).ok_or_else(|| damaged("indexes"))?;
            indexes.push(Arc::new(Index::from_document(&ns, index)?));
        }
        Ok(Collection {
            ns,
            uuid,
            id: CollectionId(ident),
            options: doc.get_document("options").map_err(|_| damaged("options"))?.to_owned(),
            indexes,
            version: doc.get_timestamp("version").map_err(|_| damaged("version"))?.into(),
        })
    }
}

impl Index {
    pub(crate) fn new(ident: Ident, ns: &Namespace, spec: RawDocumentBuf) -> Result<Index, Error> {
        let damaged = |what: &str| Error::Damaged(format!("index {ident} of {ns}: {what}"));
        let key = spec.get_document("key").map_err(|_| damaged("key"))?.to_owned();
        let flag = |name: &str| spec.get_bool(name).unwrap_or(false);
        Ok(Index {
            id: IndexId(ident),
            ns: ns.clone(),
            name: spec.get_str("name").map_err(|_| damaged("name"))?.to_owned(),
            pattern: Pattern::parse(&key)?,
            key,
            unique: flag("unique"),
            sparse: flag("sparse"),
            hidden: flag("hidden"),
            ready: None,
            multikey: AtomicU64::new(0),
            spec,
        })
    }

    /// The same index at another point of its life. Flags of arrays seen so far are carried over.
    pub(crate) fn with(&self, ready: Option<Timestamp>, spec: RawDocumentBuf) -> Result<Index, Error> {
        let mut next = Index::new(self.id.0, &self.ns, spec)?;
        next.ready = ready;
        next.multikey = AtomicU64::new(self.multikey_fields());
        Ok(next)
    }

    /// The same index of a collection that got another name.
    pub(crate) fn renamed(&self, ns: &Namespace) -> Result<Index, Error> {
        let mut next = self.with(self.ready, self.spec.clone())?;
        next.ns = ns.clone();
        Ok(next)
    }

    /// The encoded keys that a document yields in this index, each once: what its entries must be.
    ///
    /// # Errors
    /// [`Error::Unindexable`] for a document that the index cannot hold.
    pub fn keys(&self, doc: &RawDocument) -> Result<Vec<Vec<u8>>, Error> {
        crate::index::keys(&self.pattern, self.sparse, doc).map(|keys| keys.keys)
    }

    /// Whether this is the index on `_id`, which is the order of the records.
    pub fn is_id(&self) -> bool {
        self.pattern.is_id()
    }

    /// Whether some document ever had an array on an indexed path. Take the snapshot first, then ask.
    pub fn multikey(&self) -> bool {
        self.multikey_fields() != 0
    }

    /// The pattern's fields, by position as bits, whose path ever crossed an array.
    pub fn multikey_fields(&self) -> u64 {
        self.multikey.load(Ordering::Acquire)
    }

    /// Whether a reader at that time may use the index.
    pub fn usable_at(&self, at: Timestamp) -> bool {
        self.ready.is_some_and(|ready| ready <= at)
    }

    pub(crate) fn add_multikey(&self, fields: u64) {
        self.multikey.fetch_or(fields, Ordering::AcqRel);
    }

    fn to_document(&self) -> RawDocumentBuf {
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("ident"), i64::from(self.id.0));
        doc.append(cstr!("multikey"), self.multikey_fields() as i64);
        if let Some(ready) = self.ready {
            doc.append(cstr!("ready"), bson::Timestamp::from(ready));
        }
        doc.append(cstr!("spec"), self.spec.clone());
        doc
    }

    fn from_document(ns: &Namespace, doc: &RawDocument) -> Result<Index, Error> {
        let damaged = |what: &str| Error::Damaged(format!("index record of {ns}: {what}"));
        let ident = doc.get_i64("ident").ok().and_then(|ident| Ident::try_from(ident).ok());
        let spec = doc.get_document("spec").map_err(|_| damaged("spec"))?.to_owned();
        let mut index = Index::new(ident.ok_or_else(|| damaged("ident"))?, ns, spec)?;
        index.ready = doc.get_timestamp("ready").ok().map(Timestamp::from);
        index.multikey = AtomicU64::new(doc.get_i64("multikey").map_err(|_| damaged("multikey"))? as u64);
        Ok(index)
    }
}

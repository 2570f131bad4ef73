//! A collection and its indexes as immutable values, and their stored form.

use crate::Error;
use crate::capped::Capped;
use crate::index::{Keys, Pattern, Suspects};
use crate::keyspace::Ident;
use crate::predicate::{Predicate, Predicates};
use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{Namespace, Timestamp, Uuid};
use value::Collator;

/// The key of a record within its collection: the encoded `_id`; the number, big-endian, in a capped collection; the encoded
/// time in the oplog.
pub type RecordKey = Bytes;

/// What the records of a collection are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordOrder {
    /// Their `_id`: there is no other index on it.
    #[default]
    Id,
    /// A number that rises with every insert. The index on `_id` has entries like any other.
    Number,
    /// Their time: the entries of the log. There are no indexes.
    Log,
}

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
    pub order: RecordOrder,
    /// The bounds of a capped collection.
    pub capped: Option<Capped>,
    /// How strings compare where a request does not say; `None` is by bytes.
    pub collation: Option<Collator>,
    /// The one on `_id` first, the others in the order of their creation.
    pub indexes: Vec<Arc<Index>>,
    /// Time of the definition's last change; a batch prepared against another one does not commit.
    pub version: Timestamp,
}

/// An index as the catalogue had it at one moment.
#[derive(Debug, Clone)]
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
    /// Only documents that pass have entries.
    pub partial: Option<Arc<dyn Predicate>>,
    pub(crate) pattern: Pattern,
    multikey: Arc<AtomicU64>,
    /// The order of the records themselves: it has no entries of its own.
    clustered: bool,
    pub(crate) suspects: Arc<Suspects>,
}

/// The option of a collection that a command makes for itself while it runs, and that goes if the command does not end.
pub(crate) const TEMPORARY: &bson::raw::CStr = cstr!("temp");

/// The name of the log.
pub(crate) const LOG_NAMESPACE: &str = "local.oplog.rs";
/// Its UUID, the same on every member: nothing but this member's own log is meant by it.
const LOG_UUID: [u8; 16] =
    [0x0b, 0x10, 0x6e, 0x77, 0x41, 0xc5, 0x4d, 0x2b, 0x9f, 0x5e, 0x73, 0x68, 0x6f, 0x61, 0x6c, 0x01];

impl Collection {
    /// The log as a collection: its records are the entries, by time.
    pub(crate) fn of_log(bytes_max: u64) -> Result<Collection, Error> {
        let size = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        Ok(Collection {
            ns: Namespace::parse(LOG_NAMESPACE)?,
            uuid: Uuid(LOG_UUID),
            id: CollectionId(0),
            options: bson::rawdoc! { "capped": true, "size": size, "autoIndexId": false },
            order: RecordOrder::Log,
            capped: Some(Capped { bytes_max, records_max: None }),
            collation: None,
            indexes: Vec::new(),
            version: Timestamp::ZERO,
        })
    }

    /// Whether it is the unfinished work of a command: it goes when a member becomes primary.
    pub fn is_temporary(&self) -> bool {
        matches!(self.options.get(TEMPORARY), Ok(Some(RawBsonRef::Boolean(true))))
    }

    /// The index of that name.
    pub fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The key of the record with that `_id`, where records are ordered by it: under the collation of the collection, so that
    /// ids which it calls equal are one.
    pub fn record_key(&self, id: RawBsonRef<'_>) -> RecordKey {
        let mut key = Vec::with_capacity(16);
        value::key::encode_under(&mut key, id, false, self.collation.as_ref());
        Bytes::from(key)
    }

    /// The indexes that have entries of their own: all but the one on `_id`, by which the records themselves are ordered.
    pub(crate) fn secondary(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.iter().filter(|index| !index.clustered)
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

    pub(crate) fn from_document(
        ident: Ident,
        doc: &RawDocument,
        predicates: Option<&Arc<dyn Predicates>>,
    ) -> Result<Collection, Error> {
        let damaged = |what: &str| Error::Damaged(format!("catalogue record {ident}: {what}"));
        let ns = Namespace::parse(doc.get_str("ns").map_err(|_| damaged("ns"))?)?;
        let uuid = doc.get("uuid").ok().flatten().and_then(Uuid::from_bson).ok_or_else(|| damaged("uuid"))?;
        let options = doc.get_document("options").map_err(|_| damaged("options"))?.to_owned();
        let capped = Capped::of(&options)?;
        let collation = collation_of(&options)?;
        let mut indexes = Vec::new();
        for index in doc.get_array("indexes").map_err(|_| damaged("indexes"))? {
            let index = index.ok().and_then(|index| index.as_document()).ok_or_else(|| damaged("indexes"))?;
            let mut index = Index::from_document(&ns, index, predicates)?;
            index.clustered = index.id.0 == ident;
            indexes.push(Arc::new(index));
        }
        Ok(Collection {
            ns,
            uuid,
            id: CollectionId(ident),
            options,
            order: if capped.is_some() { RecordOrder::Number } else { RecordOrder::Id },
            capped,
            collation,
            indexes,
            version: doc.get_timestamp("version").map_err(|_| damaged("version"))?.into(),
        })
    }
}

/// The `collation` of a collection's options or an index's specification.
pub(crate) fn collation_of(options: &RawDocument) -> Result<Option<Collator>, Error> {
    Ok(Collator::stored(options.get_document("collation").ok())?)
}

impl Index {
    /// `predicates` makes the filter of a partial index.
    pub(crate) fn new(
        ident: Ident,
        ns: &Namespace,
        spec: RawDocumentBuf,
        predicates: Option<&Arc<dyn Predicates>>,
    ) -> Result<Index, Error> {
        let partial = match spec.get_document("partialFilterExpression") {
            Ok(filter) => {
                let collation = collation_of(&spec)?;
                Some(crate::predicate::compile(predicates, filter, collation.as_ref())?)
            }
            Err(_) => None,
        };
        Index::parse(ident, ns, spec, partial)
    }

    fn parse(
        ident: Ident,
        ns: &Namespace,
        spec: RawDocumentBuf,
        partial: Option<Arc<dyn Predicate>>,
    ) -> Result<Index, Error> {
        let damaged = |what: &str| Error::Damaged(format!("index {ident} of {ns}: {what}"));
        let key = spec.get_document("key").map_err(|_| damaged("key"))?.to_owned();
        let flag = |name: &str| spec.get_bool(name).unwrap_or(false);
        let pattern = Pattern::parse(&key, spec.get_document("wildcardProjection").ok())?;
        let pattern = pattern.under(collation_of(&spec)?);
        Ok(Index {
            id: IndexId(ident),
            ns: ns.clone(),
            name: spec.get_str("name").map_err(|_| damaged("name"))?.to_owned(),
            key,
            // The one on `_id` does not say so.
            unique: flag("unique") || pattern.is_id(),
            sparse: flag("sparse") || pattern.wildcard.is_some(),
            hidden: flag("hidden"),
            ready: None,
            partial,
            pattern,
            multikey: Arc::default(),
            clustered: false,
            suspects: Arc::default(),
            spec,
        })
    }

    /// The index that is the order of the records of the collection with this ident.
    pub(crate) fn clustered(
        ident: Ident,
        ns: &Namespace,
        ready: Timestamp,
        collation: Option<&Collator>,
    ) -> Result<Index, Error> {
        let mut index = Index::parse(ident, ns, crate::index::id_spec(collation), None)?;
        index.clustered = true;
        index.ready = Some(ready);
        Ok(index)
    }

    /// The same index at another point of its life. What may change of the specification is neither key nor filter.
    pub(crate) fn with(&self, ready: Option<Timestamp>, spec: RawDocumentBuf) -> Result<Index, Error> {
        let mut next = Index::parse(self.id.0, &self.ns, spec, self.partial.clone())?;
        next.ready = ready;
        next.multikey = self.multikey.clone();
        next.clustered = self.clustered;
        next.suspects = self.suspects.clone();
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
        self.yields(doc).map(|keys| keys.keys)
    }

    /// As [`Index::keys`], with what arrays were crossed.
    pub(crate) fn yields(&self, doc: &RawDocument) -> Result<Keys, Error> {
        match &self.partial {
            Some(partial) if !partial.passes(doc)? => Ok(Keys::default()),
            _ => crate::index::keys(&self.pattern, self.sparse, doc),
        }
    }

    /// How strings are ordered in its keys; `None` is by bytes.
    pub fn collation(&self) -> Option<&Collator> {
        self.pattern.collation.as_ref()
    }

    /// Whether this is the index on `_id`.
    pub fn is_id(&self) -> bool {
        self.pattern.is_id()
    }

    /// Whether this is the order of the records, without entries of its own.
    pub fn is_clustered(&self) -> bool {
        self.clustered
    }

    /// Whether this is a wildcard index: its entries are those of a path and a value.
    pub fn is_wildcard(&self) -> bool {
        self.pattern.wildcard.is_some()
    }

    /// Whether a wildcard index has entries for the values of this path.
    pub fn covers(&self, path: &str) -> bool {
        self.pattern.wildcard.as_ref().is_some_and(|wildcard| wildcard.covers(path))
    }

    /// Seconds after which a document expires, of an index that says so.
    pub fn expire_after_seconds(&self) -> Option<i64> {
        match self.spec.get("expireAfterSeconds") {
            Ok(Some(RawBsonRef::Int32(seconds))) => Some(i64::from(seconds)),
            Ok(Some(RawBsonRef::Int64(seconds))) => Some(seconds),
            _ => None,
        }
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

    #[cfg(any(debug_assertions, feature = "failpoints"))]
    pub(crate) fn forget_multikey(&self) {
        self.multikey.store(0, Ordering::Release);
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

    fn from_document(
        ns: &Namespace,
        doc: &RawDocument,
        predicates: Option<&Arc<dyn Predicates>>,
    ) -> Result<Index, Error> {
        let damaged = |what: &str| Error::Damaged(format!("index record of {ns}: {what}"));
        let ident = doc.get_i64("ident").ok().and_then(|ident| Ident::try_from(ident).ok());
        let spec = doc.get_document("spec").map_err(|_| damaged("spec"))?.to_owned();
        let mut index = Index::new(ident.ok_or_else(|| damaged("ident"))?, ns, spec, predicates)?;
        index.ready = doc.get_timestamp("ready").ok().map(Timestamp::from);
        let multikey = doc.get_i64("multikey").map_err(|_| damaged("multikey"))? as u64;
        index.multikey = Arc::new(AtomicU64::new(multikey));
        Ok(index)
    }
}

//! What a rollback undoes, as files of BSON for people to look at, and to get back by hand what was acknowledged and lost.
//! One file per namespace, one document per write, in MongoDB's oplog shape; an update has the whole document that it made in `o`,
//! not a difference, so that whatever was lost is found by its `_id`.

use crate::Error;
use crate::catalog::Catalog;
use crate::collection::Collection;
use crate::control::sync_dir;
use crate::keyspace;
use crate::oplog::side;
use crate::oplog::{Fields, Record};
use crate::rollback::RolledBack;
use crate::store::Shared;
use crate::versions::Value;
use bson::raw::{CStr, cstr};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{OpTime, Timestamp, Uuid};

/// Longer names of files than this are refused by file systems.
const NAME_BYTES_MAX: usize = 180;

/// The files.
pub(crate) struct Undone<'s> {
    shared: &'s Shared,
    dir: PathBuf,
    files: BTreeMap<String, (PathBuf, BufWriter<File>)>,
    entries: u64,
    /// The collections as they were at the record that is taken.
    known: HashMap<Uuid, Arc<Collection>>,
}

impl<'s> Undone<'s> {
    /// `catalog` is that of the time to go back to.
    pub(crate) fn new(shared: &'s Shared, dir: PathBuf, catalog: &Catalog) -> Undone<'s> {
        let known = catalog.all().map(|collection| (collection.uuid, collection.clone())).collect();
        Undone { shared, dir, files: BTreeMap::new(), entries: 0, known }
    }

    /// Records from the oldest to the newest.
    pub(crate) fn take(&mut self, record: &Record) -> Result<(), Error> {
        let at = record.at;
        let local = record.local()?;
        for (key, value) in local.puts.iter().filter(|(key, _)| keyspace::is_catalog(key)) {
            // What was dropped may still be named by its last writes: it stays known.
            let (Some(ident), Some(bytes)) = (keyspace::ident_of(key), value) else { continue };
            let doc = parse(bytes, at)?;
            let predicates = self.shared.options.predicates.as_ref();
            let collection = Collection::from_document(ident, doc, predicates)?;
            self.known.insert(collection.uuid, Arc::new(collection));
        }
        for write in side::decode(&local.side, at)? {
            self.aside(write, at)?;
        }
        if record.entry.is_empty() {
            return Ok(());
        }
        self.entries += 1;
        let entry = parse(&record.entry, at)?;
        let parts = entry.get_document("o").ok().and_then(|o| o.get_array("applyOps").ok());
        let Some(parts) = parts else {
            return self.write_whole(entry, None, at);
        };
        for part in parts {
            let Ok(RawBsonRef::Document(part)) = part else { return Err(Fields::bad(at, "applyOps")) };
            self.write_whole(part, Some(entry), at)?;
        }
        Ok(())
    }

    /// The value of a record as of a time. Everything newer than the time to go back to is still in memory or spilled.
    fn value(&self, collection: &Collection, record_key: &[u8], at: Timestamp) -> Result<Value, Error> {
        let key = keyspace::record(collection.id.0, record_key);
        match self.shared.spill.newest_of(&self.shared.versions, &key, at)? {
            Some((_, value)) => Ok(value),
            None => Ok(self.shared.base_value(&key)?.filter(|(time, _)| *time <= at).map(|(_, value)| value)),
        }
    }

    /// One write of an entry, with what stands around it.
    fn write_whole(
        &mut self,
        part: &RawDocument,
        around: Option<&RawDocument>,
        at: OpTime,
    ) -> Result<(), Error> {
        let fields = Fields::of(part, at)?;
        let collection = fields.uuid.and_then(|uuid| self.known.get(&uuid)).cloned();
        let document = match &collection {
            Some(collection) if fields.op == "u" => {
                let record_key = fields.record_key(collection, at)?;
                self.value(collection, &record_key, at.ts)?
            }
            _ => None,
        };
        let document = document.as_ref().map(|bytes| parse(bytes, at)).transpose()?;
        let mut whole = RawDocumentBuf::new();
        let outside = around
            .into_iter()
            .flat_map(|entry| entry.iter())
            .flatten()
            .filter(|(name, _)| !matches!(name.as_str(), "op" | "ns" | "ui" | "o" | "o2" | "stmtId"));
        for (name, value) in part.iter().flatten().chain(outside) {
            let name: &CStr = name;
            match document {
                Some(document) if name.as_str() == "o" => whole.append(name, document.to_owned()),
                _ => whole.append(name, value),
            }
        }
        let ns = part.get(cstr!("ns")).ok().flatten().and_then(|ns| ns.as_str()).unwrap_or_default();
        self.write(ns, at.ts, &whole)
    }

    /// A write beside the entries, in the same shape.
    fn aside(&mut self, write: side::SideWrite, at: OpTime) -> Result<(), Error> {
        let Some(collection) = self.known.get(&write.uuid).cloned() else { return Ok(()) };
        let before = Timestamp(at.ts.0.saturating_sub(1));
        let old = self.value(&collection, &write.record_key, before)?;
        let mut doc = RawDocumentBuf::new();
        let op = match (&old, &write.value) {
            (_, None) => "d",
            (None, Some(_)) => "i",
            (Some(_), Some(_)) => "u",
        };
        doc.append(cstr!("op"), op);
        doc.append(cstr!("ns"), collection.ns.as_str());
        doc.append(cstr!("ui"), collection.uuid.to_bson());
        let id = |bytes: &Bytes| -> Result<RawDocumentBuf, Error> {
            let id = crate::batch::document_id(parse(bytes, at)?)?;
            Ok([(cstr!("_id"), id)].into_iter().collect())
        };
        match (&write.value, &old) {
            (Some(value), _) => doc.append(cstr!("o"), parse(value, at)?.to_owned()),
            (None, Some(old)) => doc.append(cstr!("o"), id(old)?),
            (None, None) => return Ok(()),
        }
        doc.append(cstr!("ts"), bson::Timestamp::from(at.ts));
        doc.append(cstr!("t"), at.term);
        self.write(collection.ns.as_str(), at.ts, &doc)
    }

    fn write(&mut self, ns: &str, at: Timestamp, entry: &RawDocument) -> Result<(), Error> {
        if !self.files.contains_key(ns) {
            fs::create_dir_all(&self.dir).map_err(Error::io(&self.dir))?;
            let path = self.dir.join(file_name(ns, at));
            // One that is there already is of a rollback that a crash interrupted: the same again.
            let file = File::create(&path).map_err(Error::io(&path))?;
            self.files.insert(ns.to_owned(), (path, BufWriter::new(file)));
        }
        if let Some((path, file)) = self.files.get_mut(ns) {
            file.write_all(entry.as_bytes()).map_err(Error::io(path.as_path()))?;
        }
        Ok(())
    }

    /// Everything is on disk afterwards.
    pub(crate) fn finish(self) -> Result<RolledBack, Error> {
        let mut done = RolledBack { entries: self.entries, files: Vec::new() };
        for (path, file) in self.files.into_values() {
            let file = file.into_inner().map_err(|error| error.into_error());
            file.and_then(|file| file.sync_all()).map_err(Error::io(&path))?;
            done.files.push(path);
        }
        if !done.files.is_empty() {
            sync_dir(&self.dir)?;
            sync_dir(self.dir.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(done)
    }
}

fn parse(bytes: &[u8], at: OpTime) -> Result<&RawDocument, Error> {
    RawDocument::from_bytes(bytes).map_err(|error| Fields::bad(at, &error.to_string()))
}

/// `<ns>.<seconds>-<counter of the first entry>.bson`; what cannot stand in a name is written in hex.
fn file_name(ns: &str, first: Timestamp) -> String {
    let mut name = String::new();
    for byte in ns.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-$".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > NAME_BYTES_MAX {
        // ASCII only by now.
        name.truncate(NAME_BYTES_MAX);
        name.push_str(&format!("~{:08x}", crc32c::crc32c(ns.as_bytes())));
    }
    format!("{name}.{}-{}.bson", first.0 >> 32, first.0 & u64::from(u32::MAX))
}

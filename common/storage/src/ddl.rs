//! Changes of the catalogue: each one commit, one log entry in MongoDB's shape, and the resulting records beside it.
//! One at a time. What a drop leaves behind is removed by the checkpoint once nobody can read it.

use crate::Error;
use crate::capped::Capped;
use crate::catalog::Catalog;
use crate::change::{self, Changed, Fresh, aborted};
use crate::collection::{Collection, Index, RecordOrder, collation_of};
use crate::commit::Outgoing;
use crate::index::{self, Requested};
use crate::keyspace::Ident;
use crate::oplog::entry::{self, Change, Op};
use crate::oplog::record::{Draft, Local};
use crate::store::{Shared, Store};
use bson::raw::cstr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use std::sync::Arc;
use std::time::Duration;
use types::{Code, Fault, Namespace, OpTime, Timestamp, Uuid, limits};

/// Options of `create` that change what a collection is, known and not there yet.
const NOT_YET: &[&str] =
    &["timeseries", "viewOn", "pipeline", "clusteredIndex", "expireAfterSeconds", "encryptedFields"];

/// What `create_indexes` did.
#[derive(Debug, Clone)]
pub struct CreatedIndexes {
    pub before: usize,
    pub after: usize,
    /// As it is afterwards.
    pub collection: Arc<Collection>,
    pub op_time: OpTime,
}

/// Asked now and then by what takes long; an error ends it.
pub type Interrupted<'a> = dyn FnMut() -> Result<(), Fault> + Send + 'a;

/// How often whoever waits for another's build asks whether to go on.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is to be built, and what others are building.
struct BegunIndexes {
    collection: Arc<Collection>,
    before: usize,
    fresh: Vec<Arc<Index>>,
    awaited: Vec<String>,
}

/// A change of the catalogue, put together in the commit section.
pub(crate) struct CatalogChange<'a> {
    pub(crate) ns: &'a Namespace,
    pub(crate) uuid: Option<Uuid>,
    pub(crate) command: RawDocumentBuf,
    pub(crate) changed: Changed,
}

impl Shared {
    pub(crate) fn commit_ddl<'a>(
        &self,
        build: impl FnOnce(OpTime, Catalog) -> Result<CatalogChange<'a>, Error>,
    ) -> Result<OpTime, Error> {
        let wall = self.options.clock.wall_millis();
        self.commit_with(|at| {
            let change = build(at, Catalog::clone(&self.catalog.load()))?;
            // The catalogue of `local` is this member's own.
            let entry = if change.ns.is_local() {
                Vec::new()
            } else {
                let ns = entry::command_ns(change.ns);
                let command = Change::Command { command: &change.command };
                let op = Op { ns: &ns, uuid: change.uuid, change: command, record: None, stmt_id: None };
                entry::encode(&[op], None, wall)
            };
            let Changed { puts, catalog } = change.changed;
            let local = Local { puts: puts.clone(), ..Local::default() };
            let draft = Draft::new(&local, &entry);
            Ok(Outgoing { draft, puts, deltas: Vec::new(), catalog: Some(catalog) })
        })
    }

    /// Puts a definition in the place of the one it came from.
    pub(crate) fn commit_definition(
        &self,
        ident: Ident,
        command: RawDocumentBuf,
        idents: Option<Ident>,
        dropped: &[Ident],
        change: impl FnOnce(&Collection, Timestamp) -> Result<Collection, Error>,
    ) -> Result<OpTime, Error> {
        let current = self.catalog.load();
        let ns = match current.by_ident(ident) {
            Some(collection) => collection.ns.clone(),
            None => return Err(aborted()),
        };
        self.commit_ddl(|at, catalog| {
            let uuid = catalog.by_ident(ident).map(|now| now.uuid);
            let changed = change::redefine(catalog, ident, idents, dropped, at.ts, change)?;
            Ok(CatalogChange { ns: &ns, uuid, command, changed })
        })
    }
}

impl Store {
    /// Creates a collection with its index on `_id`.
    ///
    /// # Errors
    /// [`Error::NamespaceExists`], or an option that this server has not.
    pub fn create_collection(
        &self,
        ns: &Namespace,
        uuid: Option<Uuid>,
        options: &RawDocument,
    ) -> Result<Arc<Collection>, Error> {
        check_options(options)?;
        let capped = Capped::of(options)?;
        let collation = collation_of(options)?;
        let mut free = self.shared.ddl.lock();
        if self.catalog().get(ns).is_some() {
            return Err(Error::NamespaceExists { ns: ns.clone() });
        }
        let uuid = uuid.unwrap_or_else(new_uuid);
        if let Some(other) = self.catalog().by_uuid(uuid) {
            return Err(Error::NamespaceExists { ns: other.ns.clone() });
        }
        let mut command = RawDocumentBuf::new();
        command.append(cstr!("create"), ns.collection());
        for (name, value) in options.iter().flatten() {
            command.append(name, value);
        }
        command.append(cstr!("idIndex"), index::id_spec(collation.as_ref()));
        let fresh = Fresh { ns, uuid, options, capped, ident: *free };
        self.shared.commit_ddl(|at, catalog| {
            let changed = fresh.create(catalog, at.ts)?;
            Ok(CatalogChange { ns, uuid: Some(uuid), command, changed })
        })?;
        *free = fresh.next();
        drop(free);
        self.catalog().get(ns).cloned().ok_or_else(|| Error::NamespaceNotFound { ns: ns.clone() })
    }

    /// Drops a collection and its indexes. Snapshots taken before go on reading it.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`].
    pub fn drop_collection(&self, ns: &Namespace) -> Result<OpTime, Error> {
        let _ddl = self.shared.ddl.lock();
        let collection = self.existing(ns)?;
        self.shared.numbers.forget(collection.id.0);
        let command = rawdoc! { "drop": ns.collection() };
        self.shared.commit_ddl(|at, catalog| {
            let changed = change::drop_collection(catalog, &collection, at.ts);
            Ok(CatalogChange { ns, uuid: Some(collection.uuid), command, changed })
        })
    }

    /// Drops every collection of a database, then logs the end of the database. `None` if it had none.
    ///
    /// # Errors
    /// If the log fails; what was dropped until then stays dropped.
    pub fn drop_database(&self, db: &str) -> Result<Option<OpTime>, Error> {
        let catalog = self.catalog();
        let names: Vec<Namespace> = catalog.collections(db).map(|collection| collection.ns.clone()).collect();
        for ns in &names {
            match self.drop_collection(ns) {
                // Somebody else was faster.
                Ok(_) | Err(Error::NamespaceNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(ns) = names.first() else { return Ok(None) };
        let _ddl = self.shared.ddl.lock();
        let command = rawdoc! { "dropDatabase": 1_i32 };
        let at = self.shared.commit_ddl(|_, catalog| {
            let changed = Changed { puts: Vec::new(), catalog };
            Ok(CatalogChange { ns, uuid: None, command, changed })
        })?;
        Ok(Some(at))
    }

    /// Gives a collection another name, in the same or another database. Records and indexes stay where they are.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`]; [`Error::NamespaceExists`] unless `drop_target`; `IllegalOperation` (20) between `local` and
    /// another database.
    pub fn rename_collection(
        &self,
        from: &Namespace,
        to: &Namespace,
        drop_target: bool,
    ) -> Result<OpTime, Error> {
        change::check_rename(from, to)?;
        let _ddl = self.shared.ddl.lock();
        let collection = self.existing(from)?;
        let target = self.catalog().get(to).cloned();
        if target.is_some() && (!drop_target || from == to) {
            return Err(Error::NamespaceExists { ns: to.clone() });
        }
        let mut command = rawdoc! { "renameCollection": from.as_str(), "to": to.as_str(), "stayTemp": false };
        if let Some(target) = &target {
            command.append(cstr!("dropTarget"), target.uuid.to_bson());
        }
        self.shared.commit_ddl(|at, catalog| {
            let changed = change::rename(catalog, &collection, target.as_deref(), to, at.ts)?;
            Ok(CatalogChange { ns: from, uuid: Some(collection.uuid), command, changed })
        })
    }

    /// Creates indexes and builds them while writes go on. Returns when they can be used. Those that exist already are no error.
    ///
    /// # Errors
    /// [`Error::IndexSpec`], [`Error::NotImplemented`] for kinds that this server has not, [`Error::DuplicateKey`] when the data
    /// violates a unique index: none of the new indexes is kept then.
    pub fn create_indexes(&self, ns: &Namespace, specs: &[RawDocumentBuf]) -> Result<CreatedIndexes, Error> {
        self.create_indexes_unless(ns, specs, &mut || Ok(()))
    }

    /// As [`Store::create_indexes`]; `interrupted` is asked now and then while another caller's build is waited for.
    ///
    /// # Errors
    /// As [`Store::create_indexes`], and what `interrupted` says.
    pub fn create_indexes_unless(
        &self,
        ns: &Namespace,
        specs: &[RawDocumentBuf],
        interrupted: &mut Interrupted<'_>,
    ) -> Result<CreatedIndexes, Error> {
        let (mut built, mut done) = (0, None);
        loop {
            let begun = self.begin_indexes(ns, specs)?;
            let before = begun.before.saturating_sub(built);
            let after = begun.before + begun.fresh.len();
            built += begun.fresh.len();
            if !begun.fresh.is_empty() {
                done = Some(self.build(&begun.collection, &begun.fresh)?);
            }
            self.await_ready(ns, &begun.awaited, interrupted)?;
            let collection = self.existing(ns)?;
            // What another caller was building may have come to nothing: then it is this caller's turn, and error.
            let is_there = |name: &String| collection.index(name).is_some_and(|index| index.ready.is_some());
            if begun.awaited.iter().all(is_there) {
                let op_time = done.unwrap_or_else(|| self.last_op_time());
                return Ok(CreatedIndexes { before, after, collection, op_time });
            }
        }
    }

    /// Enters into the catalogue what is not there yet.
    fn begin_indexes(&self, ns: &Namespace, specs: &[RawDocumentBuf]) -> Result<BegunIndexes, Error> {
        let mut free = self.shared.ddl.lock();
        let collection = self.existing(ns)?;
        let before = collection.indexes.len();
        let mut fresh: Vec<Arc<Index>> = Vec::new();
        let mut awaited: Vec<String> = Vec::new();
        for spec in specs {
            let all = collection.indexes.iter().chain(&fresh).map(AsRef::as_ref);
            match index::parse(spec, all, collection.collation.as_ref())? {
                Requested::New(spec) => {
                    let ident = *free + fresh.len() as Ident;
                    let index = Index::new(ident, ns, spec, self.shared.options.predicates.as_ref())?;
                    if index.expire_after_seconds().is_some() && collection.capped.is_some() {
                        return Err(Error::IndexSpec {
                            code: Code::CannotCreateIndex,
                            message: "Cannot create TTL index on a capped collection".to_owned(),
                        });
                    }
                    fresh.push(Arc::new(index));
                }
                Requested::Exists(name) => {
                    // Given twice, it is built here and waited for by nobody.
                    if !fresh.iter().any(|index| index.name == name) {
                        awaited.push(name);
                    }
                }
            }
        }
        if before + fresh.len() > limits::INDEX_COUNT_MAX {
            return Err(Error::IndexSpec {
                code: Code::CannotCreateIndex,
                message: format!("add index fails, too many indexes for {ns}"),
            });
        }
        if !fresh.is_empty() {
            let next = *free + fresh.len() as Ident;
            let command = index_command("startIndexBuild", ns, &fresh);
            self.shared.commit_definition(collection.id.0, command, Some(next), &[], |now, _| {
                let mut next = now.clone();
                next.indexes.extend(fresh.iter().cloned());
                Ok(next)
            })?;
            *free = next;
        }
        Ok(BegunIndexes { collection, before, fresh, awaited })
    }

    fn build(&self, collection: &Arc<Collection>, fresh: &[Arc<Index>]) -> Result<OpTime, Error> {
        let idents: Vec<Ident> = fresh.iter().map(|index| index.id.0).collect();
        let epoch = self.shared.log.epoch();
        self.shared.builds.begin(&idents, epoch);
        let built = index::build::run(&self.shared, collection.id.0, &idents);
        self.shared.builds.end(&idents, epoch, built.as_ref().map(|()| Vec::new()).ok());
        match built.and_then(|()| self.finish_build(collection, fresh)) {
            Ok(at) => Ok(at),
            // Whoever is primary now ends the build one way or the other.
            Err(error @ (Error::NotWritable | Error::RolledBack { .. })) => Err(error),
            Err(error) => {
                let _ddl = self.shared.ddl.lock();
                let command = index_command("abortIndexBuild", &collection.ns, fresh);
                let undone =
                    self.shared.commit_definition(collection.id.0, command, None, &idents, |now, _| {
                        Ok(change::without(now, &idents))
                    });
                // Already dropped by somebody else is as good.
                undone.map(drop).or_else(|error| match error {
                    Error::IndexSpec { code: Code::IndexBuildAborted, .. } => Ok(()),
                    other => Err(other),
                })?;
                Err(error)
            }
        }
    }

    /// Marks indexes as complete from now on.
    pub(crate) fn finish_build(
        &self,
        collection: &Collection,
        built: &[Arc<Index>],
    ) -> Result<OpTime, Error> {
        for index in built {
            index::build::check_unique(&self.shared, collection, index)?;
        }
        let _ddl = self.shared.ddl.lock();
        let idents: Vec<Ident> = built.iter().map(|index| index.id.0).collect();
        let now = self.catalog();
        let complete = now.by_ident(collection.id.0).is_some_and(|now| {
            let built = now.secondary().filter(|index| idents.contains(&index.id.0));
            built.filter(|index| index.ready.is_some()).count() == idents.len()
        });
        if complete {
            // Somebody who took the build over was faster.
            return Ok(self.last_op_time());
        }
        let command = index_command("commitIndexBuild", &collection.ns, built);
        self.shared.commit_definition(collection.id.0, command, None, &[], |now, at| {
            for index in built {
                index::build::check_unique(&self.shared, now, index)?;
            }
            change::completed(now, &idents, at)
        })
    }

    /// Waits for indexes that another caller is building.
    fn await_ready(
        &self,
        ns: &Namespace,
        names: &[String],
        interrupted: &mut Interrupted<'_>,
    ) -> Result<(), Error> {
        let mut changes = self.shared.catalog_changes.lock();
        loop {
            let catalog = self.catalog();
            let building = catalog.get(ns).is_some_and(|collection| {
                names.iter().any(|name| collection.index(name).is_some_and(|index| index.ready.is_none()))
            });
            if !building {
                return Ok(());
            }
            self.shared.check_open()?;
            interrupted()?;
            self.shared.catalog_changed.wait_for(&mut changes, LOOK_AGAIN);
        }
    }

    /// Drops an index.
    ///
    /// # Errors
    /// [`Error::IndexNotFound`]; the index on `_id` cannot go.
    pub fn drop_index(&self, ns: &Namespace, name: &str) -> Result<OpTime, Error> {
        let _ddl = self.shared.ddl.lock();
        let collection = self.existing(ns)?;
        let not_found = || Error::IndexNotFound { ns: ns.clone(), name: name.to_owned() };
        let index = collection.index(name).ok_or_else(not_found)?;
        if index.is_id() {
            return Err(Error::IndexSpec {
                code: Code::InvalidOptions,
                message: "cannot drop _id index".to_owned(),
            });
        }
        let ident = index.id.0;
        let command = rawdoc! { "dropIndexes": ns.collection(), "index": name };
        self.shared.commit_definition(collection.id.0, command, None, &[ident], |now, _| {
            Ok(change::without(now, &[ident]))
        })
    }

    /// Hides an index from the planner, or shows it again.
    ///
    /// # Errors
    /// [`Error::IndexNotFound`]; the index on `_id` cannot be hidden.
    pub fn set_index_hidden(&self, ns: &Namespace, name: &str, hidden: bool) -> Result<OpTime, Error> {
        let _ddl = self.shared.ddl.lock();
        let collection = self.existing(ns)?;
        let not_found = || Error::IndexNotFound { ns: ns.clone(), name: name.to_owned() };
        let index = collection.index(name).ok_or_else(not_found)?;
        if index.is_id() {
            return Err(Error::IndexSpec {
                code: Code::BadValue,
                message: "can't hide _id index".to_owned(),
            });
        }
        let command = rawdoc! { "collMod": ns.collection(), "index": { "name": name, "hidden": hidden } };
        let value = hidden.then_some(bson::RawBson::Boolean(true));
        self.change_index(&collection, index.id.0, command, cstr!("hidden"), value)
    }

    /// Changes after how many seconds documents expire by an index, or makes an index one by which they do.
    ///
    /// # Errors
    /// [`Error::IndexNotFound`]; an index that no time to live is possible with.
    pub fn set_index_expiry(&self, ns: &Namespace, name: &str, seconds: i32) -> Result<OpTime, Error> {
        let _ddl = self.shared.ddl.lock();
        let collection = self.existing(ns)?;
        let not_found = || Error::IndexNotFound { ns: ns.clone(), name: name.to_owned() };
        let index = collection.index(name).ok_or_else(not_found)?;
        let refuse =
            |message: &str| Err(Error::IndexSpec { code: Code::InvalidOptions, message: message.to_owned() });
        if seconds < 0 {
            return Err(index::expiry_out_of_range());
        }
        if index.is_id() {
            return refuse("the _id field does not support TTL indexes");
        }
        if index.pattern.fields.len() > 1 {
            return refuse("TTL indexes are single-field indexes, compound indexes do not support TTL");
        }
        if index.is_wildcard() {
            return refuse("wildcard indexes do not support TTL");
        }
        if collection.capped.is_some() {
            return refuse("TTL indexes are not supported on a capped collection");
        }
        let change = rawdoc! { "name": name, "expireAfterSeconds": seconds };
        let command = rawdoc! { "collMod": ns.collection(), "index": change };
        let value = Some(bson::RawBson::Int32(seconds));
        self.change_index(&collection, index.id.0, command, cstr!("expireAfterSeconds"), value)
    }

    /// Puts another value, or none, under one name of an index's specification.
    fn change_index(
        &self,
        collection: &Collection,
        ident: Ident,
        command: RawDocumentBuf,
        field: &bson::raw::CStr,
        value: Option<bson::RawBson>,
    ) -> Result<OpTime, Error> {
        self.shared.commit_definition(collection.id.0, command, None, &[], |now, _| {
            change::respecified(now, ident, field, value)
        })
    }

    pub(crate) fn existing(&self, ns: &Namespace) -> Result<Arc<Collection>, Error> {
        let found = self.catalog().get(ns).cloned();
        let found = found.ok_or_else(|| Error::NamespaceNotFound { ns: ns.clone() })?;
        if found.order == RecordOrder::Log {
            return Err(Error::Value(types::Fault::new(
                Code::IllegalOperation,
                format!("{ns} is the log of this member: its definition cannot be changed"),
            )));
        }
        Ok(found)
    }
}

pub(crate) fn index_command(name: &str, ns: &Namespace, indexes: &[Arc<Index>]) -> RawDocumentBuf {
    let mut specs = bson::RawArrayBuf::new();
    for index in indexes {
        specs.push(index.spec.clone());
    }
    let mut command = RawDocumentBuf::new();
    if let Ok(name) = <&bson::raw::CStr>::try_from(name) {
        command.append(name, ns.collection());
    }
    command.append(cstr!("indexes"), specs);
    command
}

pub(crate) fn check_options(options: &RawDocument) -> Result<(), Error> {
    for element in options.iter() {
        let (name, value) = element.map_err(|error| Error::InvalidDocument {
            code: Code::InvalidBSON,
            message: error.to_string(),
        })?;
        let off = matches!(value, RawBsonRef::Boolean(false));
        if NOT_YET.contains(&name.as_str()) && !off {
            return Err(Error::NotImplemented(format!("collection option '{}'", name.as_str())));
        }
    }
    Ok(())
}

/// Version 4, variant 1.
fn new_uuid() -> Uuid {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid(bytes)
}

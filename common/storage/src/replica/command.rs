//! Commands of the log that change the catalogue, done as they were on the member that wrote them, at the same time.
//! Collections are known by UUID and indexes by name within one; idents are this member's own.

use super::LogRecord;
use super::group::{Outgoing, bad};
use crate::capped::Capped;
use crate::catalog::Catalog;
use crate::change::{self, Changed, Fresh};
use crate::collection::{Collection, Index};
use crate::keyspace::Ident;
use crate::oplog::record::Local;
use crate::store::Shared;
use crate::{Error, fail};
use bson::raw::cstr;
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Namespace, OpTime, Uuid};

/// A command of the log.
struct Command<'a> {
    at: OpTime,
    db: &'a str,
    uuid: Option<Uuid>,
    name: &'a str,
    o: &'a RawDocument,
}

impl<'a> Command<'a> {
    fn parse(record: &'a LogRecord) -> Result<Command<'a>, Error> {
        let at = record.at;
        let entry = RawDocument::from_bytes(&record.entry).map_err(|error| bad(at, &error.to_string()))?;
        let ns = entry.get_str("ns").map_err(|_| bad(at, "ns"))?;
        let db = ns.strip_suffix(".$cmd").ok_or_else(|| bad(at, "ns"))?;
        let uuid = entry.get("ui").ok().flatten().and_then(Uuid::from_bson);
        let o = entry.get_document("o").map_err(|_| bad(at, "o"))?;
        let first = o.iter().next().and_then(Result::ok).ok_or_else(|| bad(at, "empty command"))?;
        Ok(Command { at, db, uuid, name: first.0.as_str(), o })
    }

    fn ns(&self, field: &str) -> Result<Namespace, Error> {
        let collection = self.o.get_str(field).map_err(|_| bad(self.at, field))?;
        Ok(Namespace::parse(&format!("{}.{collection}", self.db))?)
    }

    fn collection(&self, catalog: &Catalog) -> Result<Arc<Collection>, Error> {
        let found = self.uuid.and_then(|uuid| catalog.by_uuid(uuid)).cloned();
        found.ok_or_else(|| bad(self.at, "there is no such collection"))
    }

    fn specs(&self) -> Result<Vec<RawDocumentBuf>, Error> {
        let list = self.o.get_array("indexes").map_err(|_| bad(self.at, "indexes"))?;
        list.into_iter()
            .map(|spec| match spec {
                Ok(RawBsonRef::Document(spec)) => Ok(spec.to_owned()),
                _ => Err(bad(self.at, "indexes")),
            })
            .collect()
    }

    /// The indexes that the command names.
    fn named(&self, collection: &Collection) -> Result<Vec<Ident>, Error> {
        self.specs()?
            .iter()
            .map(|spec| {
                let name = spec.get_str("name").map_err(|_| bad(self.at, "name"))?;
                self.index(collection, name)
            })
            .collect()
    }

    fn index(&self, collection: &Collection, name: &str) -> Result<Ident, Error> {
        let index = collection.index(name).ok_or_else(|| bad(self.at, "there is no such index"))?;
        Ok(index.id.0)
    }
}

/// What is to be done after the commit.
enum After {
    Nothing,
    Build(Ident, Vec<Ident>),
}

impl Shared {
    /// One command as a commit of its own.
    pub(super) fn apply_command(self: &Arc<Shared>, record: &LogRecord) -> Result<(), Error> {
        let command = Command::parse(record)?;
        let at = command.at;
        let mut out = Outgoing::default();
        let mut local = Local { side: record.side.clone(), ..Local::default() };
        if self.import_time().is_some_and(|imported| at.ts <= imported) {
            // The catalogue was copied later than this.
            out.push(record, &local, self.log.durable_ts());
            return self.commit_applied(out, at);
        }
        if command.name == "commitIndexBuild" {
            let collection = command.collection(&self.catalog.load())?;
            self.await_build(collection.id.0, &command.named(&collection)?)?;
        }
        let mut free = self.ddl.lock();
        let before = *free;
        let (changed, after) = self.changed(&command, &mut free)?;
        let Changed { puts, catalog } = changed;
        for (key, value) in &puts {
            self.versions.put(key, at.ts, value.clone());
        }
        local.puts = puts;
        out.catalog = Some(catalog);
        out.push(record, &local, self.log.durable_ts());
        self.commit_applied(out, at).inspect_err(|_| *free = before)?;
        drop(free);
        fail::point("command-applied");
        match after {
            After::Nothing => Ok(()),
            After::Build(collection, indexes) => self.start_build(collection, indexes),
        }
    }

    fn changed(&self, command: &Command<'_>, free: &mut Ident) -> Result<(Changed, After), Error> {
        let Command { at, o, .. } = *command;
        let ts = at.ts;
        let catalog = Catalog::clone(&self.catalog.load());
        let done = |changed: Changed| Ok((changed, After::Nothing));
        match command.name {
            "create" => {
                let ns = command.ns("create")?;
                let uuid = command.uuid.ok_or_else(|| bad(at, "ui"))?;
                if catalog.get(&ns).is_some() || catalog.by_uuid(uuid).is_some() {
                    return Err(bad(at, "the collection is there already"));
                }
                let given =
                    o.iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "create" | "idIndex"));
                let options: RawDocumentBuf = given.collect();
                let capped = Capped::of(&options)?;
                let fresh = Fresh { ns: &ns, uuid, options: &options, capped, ident: *free };
                *free = fresh.next();
                done(fresh.create(catalog, ts)?)
            }
            "drop" => {
                let collection = command.collection(&catalog)?;
                self.numbers.forget(collection.id.0);
                done(change::drop_collection(catalog, &collection, ts))
            }
            // Its collections have entries of their own.
            "dropDatabase" => done(Changed { puts: Vec::new(), catalog }),
            "renameCollection" => {
                let collection = command.collection(&catalog)?;
                let to = Namespace::parse(o.get_str("to").map_err(|_| bad(at, "to"))?)?;
                let target = match o.get("dropTarget") {
                    Ok(Some(value)) => {
                        let target = Uuid::from_bson(value).and_then(|uuid| catalog.by_uuid(uuid)).cloned();
                        Some(target.ok_or_else(|| bad(at, "there is no such target"))?)
                    }
                    _ => None,
                };
                done(change::rename(catalog, &collection, target.as_deref(), &to, ts)?)
            }
            "startIndexBuild" => {
                let collection = command.collection(&catalog)?;
                let mut fresh = Vec::new();
                for spec in command.specs()? {
                    let predicates = self.options.predicates.as_ref();
                    fresh.push(Arc::new(Index::new(*free, &collection.ns, spec, predicates)?));
                    *free += 1;
                }
                let idents: Vec<Ident> = fresh.iter().map(|index| index.id.0).collect();
                let changed = change::redefine(catalog, collection.id.0, Some(*free), &[], ts, |now, _| {
                    let mut next = now.clone();
                    next.indexes.extend(fresh);
                    Ok(next)
                })?;
                Ok((changed, After::Build(collection.id.0, idents)))
            }
            "commitIndexBuild" => {
                let collection = command.collection(&catalog)?;
                let idents = command.named(&collection)?;
                let changed = change::redefine(catalog, collection.id.0, None, &[], ts, |now, at| {
                    change::completed(now, &idents, at)
                });
                self.builds.forget(&idents);
                done(changed?)
            }
            "abortIndexBuild" | "dropIndexes" => {
                let collection = command.collection(&catalog)?;
                let idents = match command.name {
                    "dropIndexes" => {
                        let name = o.get_str("index").map_err(|_| bad(at, "index"))?;
                        vec![command.index(&collection, name)?]
                    }
                    _ => command.named(&collection)?,
                };
                self.builds.forget(&idents);
                done(change::redefine(catalog, collection.id.0, None, &idents, ts, |now, _| {
                    Ok(change::without(now, &idents))
                })?)
            }
            "collMod" => {
                let collection = command.collection(&catalog)?;
                let spec = o.get_document("index").map_err(|_| bad(at, "index"))?;
                let name = spec.get_str("name").map_err(|_| bad(at, "name"))?;
                let ident = command.index(&collection, name)?;
                let (field, value) = match (spec.get("hidden"), spec.get("expireAfterSeconds")) {
                    (Ok(Some(RawBsonRef::Boolean(hidden))), _) => {
                        (cstr!("hidden"), hidden.then_some(RawBson::Boolean(true)))
                    }
                    (_, Ok(Some(seconds))) => (cstr!("expireAfterSeconds"), Some(RawBson::from(seconds))),
                    _ => return Err(bad(at, "index")),
                };
                done(change::redefine(catalog, collection.id.0, None, &[], ts, |now, _| {
                    change::respecified(now, ident, field, value)
                })?)
            }
            other => Err(bad(at, &format!("unknown command '{other}'"))),
        }
    }
}

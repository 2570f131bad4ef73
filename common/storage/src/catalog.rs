//! Which collections there are, as one immutable value that is swapped whole.
//! The stored form are versioned records like any other; this is what was read from them.

use crate::collection::Collection;
use crate::keyspace::Ident;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use types::{Namespace, Uuid};

/// A snapshot of the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    by_name: BTreeMap<Namespace, Arc<Collection>>,
    by_uuid: HashMap<Uuid, Arc<Collection>>,
    by_ident: HashMap<Ident, Arc<Collection>>,
    /// `local.oplog.rs`: always there, and not among the records of the catalogue.
    log: Option<Arc<Collection>>,
}

impl Catalog {
    /// The collection of that name.
    pub fn get(&self, ns: &Namespace) -> Option<&Arc<Collection>> {
        self.by_name.get(ns).or_else(|| self.log.as_ref().filter(|log| log.ns == *ns))
    }

    /// The collection with that UUID.
    pub fn by_uuid(&self, uuid: Uuid) -> Option<&Arc<Collection>> {
        self.by_uuid.get(&uuid).or_else(|| self.log.as_ref().filter(|log| log.uuid == uuid))
    }

    /// All collections that have records of their own, by name: not the log.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.by_name.values()
    }

    /// The names of the databases that have a collection, sorted.
    pub fn databases(&self) -> Vec<String> {
        let mut names: Vec<String> = self.by_name.keys().map(|ns| ns.db().to_owned()).collect();
        names.dedup();
        names.extend(self.log.iter().map(|log| log.ns.db().to_owned()));
        names.sort();
        names.dedup();
        names
    }

    /// The collections of a database, the log included.
    pub fn collections<'a>(&'a self, db: &'a str) -> impl Iterator<Item = &'a Arc<Collection>> {
        self.by_name.values().chain(&self.log).filter(move |collection| collection.ns.db() == db)
    }

    pub(crate) fn by_ident(&self, ident: Ident) -> Option<&Arc<Collection>> {
        self.by_ident.get(&ident)
    }

    pub(crate) fn set_log(&mut self, log: Collection) {
        self.log = Some(Arc::new(log));
    }

    /// Adds a collection or puts another definition in its place.
    pub(crate) fn put(&mut self, collection: Arc<Collection>) {
        self.remove(collection.id.0);
        self.by_name.insert(collection.ns.clone(), collection.clone());
        self.by_uuid.insert(collection.uuid, collection.clone());
        self.by_ident.insert(collection.id.0, collection);
    }

    pub(crate) fn remove(&mut self, ident: Ident) {
        if let Some(old) = self.by_ident.remove(&ident) {
            // Another collection may have taken the name meanwhile.
            if self.by_name.get(&old.ns).is_some_and(|now| now.id == old.id) {
                self.by_name.remove(&old.ns);
            }
            self.by_uuid.remove(&old.uuid);
        }
    }
}

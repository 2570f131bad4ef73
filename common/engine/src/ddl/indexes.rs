//! Indexes: made and removed. What was asked for and is there already is no error; what is there in another form is.

use super::{acknowledged, check};
use crate::HasEngine;
use crate::PartialFilters;
use crate::write::create_quietly;
use bson::{Document, RawDocument, RawDocumentBuf, cstr};
use command::{Context, CreateIndexes, DropIndexes, IndexSelector, Reply};
use std::time::Instant;
use storage::Collection;
use types::{Code, Fault};
use value::Collation;

/// `createIndexes`.
///
/// # Errors
/// 85 and 86 for conflicts with what is there, 67 past the limit, 11000 for duplicate keys: storage says so.
pub(crate) async fn create_indexes(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &CreateIndexes,
) -> Result<Reply, Fault> {
    check(host, ctx, &request.ns)?;
    for spec in &request.indexes {
        if let Some(filter) = &spec.partial_filter {
            // Before the collection is made for it.
            storage::Predicates::compile(&PartialFilters, filter, None)?;
        }
    }
    let engine = host.engine();
    let found = engine.store().catalog().get(&request.ns).cloned();
    let created = found.is_none();
    let collection = match found {
        Some(collection) => collection,
        None => {
            host.check_creatable(&request.ns)?;
            create_quietly(engine, &request.ns)?
        }
    };
    let specs: Vec<RawDocumentBuf> = request
        .indexes
        .iter()
        // That on `_id` is there; what it has to be storage knows.
        .filter(|spec| !spec.is_id() || spec.collation != Collation::Inherited)
        .map(|spec| spec.spec.clone())
        .collect();
    let (before, after) = match specs.is_empty() {
        true => (collection.indexes.len(), collection.indexes.len()),
        false => {
            let store = engine.store();
            let create = || {
                let mut interrupted = || ctx.check(Instant::now());
                store.create_indexes_unless(&request.ns, &specs, &mut interrupted).map_err(Fault::from)
            };
            let done = engine.long_work(create).await?;
            (done.before, done.after)
        }
    };
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("numIndexesBefore"), before as i32);
    reply.append(cstr!("numIndexesAfter"), after as i32);
    reply.append(cstr!("createdCollectionAutomatically"), created);
    if before == after {
        reply.append(cstr!("note"), "all indexes already exist");
    } else {
        reply.append(cstr!("commitQuorum"), "votingMembers");
    }
    acknowledged(host, ctx, reply).await
}

/// `dropIndexes`.
///
/// # Errors
/// `NamespaceNotFound` (26), `IndexNotFound` (27), `InvalidOptions` (72) for the index on `_id`.
pub(crate) async fn drop_indexes(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &DropIndexes,
) -> Result<Reply, Fault> {
    check(host, ctx, &request.ns)?;
    let store = host.engine().store();
    let Some(collection) = store.catalog().get(&request.ns).cloned() else {
        return Err(Fault::new(Code::NamespaceNotFound, format!("ns not found {}", request.ns)));
    };
    let mut names = selected(&collection, &request.index)?;
    spare_key_index(host, &collection, &request.index, &mut names)?;
    for name in &names {
        match store.drop_index(&request.ns, name) {
            Ok(_) | Err(storage::Error::IndexNotFound { .. }) => {}
            Err(error) => return Err(error.fault()),
        }
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("nIndexesWas"), collection.indexes.len() as i32);
    if matches!(request.index, IndexSelector::All) {
        reply.append(cstr!("msg"), "non-_id indexes dropped for collection");
    }
    acknowledged(host, ctx, reply).await
}

/// Keeps the last index by which documents are found by their shard key: chunks could not be read without it.
///
/// # Errors
/// `CannotDropShardKeyIndex` (303) where it was named.
fn spare_key_index(
    host: &dyn HasEngine,
    collection: &Collection,
    selector: &IndexSelector,
    names: &mut Vec<String>,
) -> Result<(), Fault> {
    let Some(owner) = host.ownership(&collection.ns) else { return Ok(()) };
    let supporting: Vec<&str> = collection
        .indexes
        .iter()
        .filter(|index| !index.sparse && index.partial.is_none() && index.collation().is_none())
        .filter(|index| owner.is_led_by_key(&index.key))
        .map(|index| index.name.as_str())
        .collect();
    let stays = |name: &&str| !names.iter().any(|dropped| dropped == name);
    let Some(first) = supporting.first().filter(|_| !supporting.iter().any(stays)) else {
        return Ok(());
    };
    if matches!(selector, IndexSelector::All) {
        names.retain(|name| name != first);
        return Ok(());
    }
    Err(Fault::new(
        Code::CannotDropShardKeyIndex,
        "Cannot drop the only compatible index for this collection's shard key",
    ))
}

fn selected(collection: &Collection, selector: &IndexSelector) -> Result<Vec<String>, Fault> {
    let refuse_id = |is_id: bool| match is_id {
        true => Err(Fault::new(Code::InvalidOptions, "cannot drop _id index")),
        false => Ok(()),
    };
    match selector {
        IndexSelector::All => Ok(collection
            .indexes
            .iter()
            .filter(|index| !index.is_id())
            .map(|index| index.name.clone())
            .collect()),
        IndexSelector::Names(names) => {
            for name in names {
                let Some(index) = collection.index(name) else {
                    return Err(Fault::new(
                        Code::IndexNotFound,
                        format!("index not found with name [{name}]"),
                    ));
                };
                refuse_id(index.is_id())?;
            }
            Ok(names.clone())
        }
        IndexSelector::Pattern(pattern) => {
            let same: Vec<_> = collection.indexes.iter().filter(|index| equal(&index.key, pattern)).collect();
            match same.as_slice() {
                [] => Err(Fault::new(
                    Code::IndexNotFound,
                    format!("can't find index with key: {}", shell(pattern)),
                )),
                [index] => {
                    refuse_id(index.is_id())?;
                    Ok(vec![index.name.clone()])
                }
                [first, second, ..] => Err(Fault::new(
                    Code::AmbiguousIndexKeyPattern,
                    format!(
                        "{} indexes found for key: {}, identify by name instead. Conflicting indexes: {}, {}",
                        same.len(),
                        shell(pattern),
                        shell(&first.spec),
                        shell(&second.spec)
                    ),
                )),
            }
        }
    }
}

fn equal(a: &RawDocument, b: &RawDocument) -> bool {
    value::order::compare_documents(a, b).is_eq()
}

/// A small document as the shell writes it, for messages.
fn shell(doc: &RawDocument) -> String {
    Document::try_from(doc).map(|doc| doc.to_string()).unwrap_or_default()
}

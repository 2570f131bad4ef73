//! Lists of collections and indexes, as cursors.

use crate::HasEngine;
use crate::cursor::{self, Wish};
use crate::exec::Producer;
use crate::op_context::parse_context;
use bson::{RawDocumentBuf, cstr};
use command::{Context, ListCollections, ListIndexes, Reply};
use query::matcher::Matcher;
use std::collections::VecDeque;
use storage::Collection;
use types::{Code, Fault, Namespace};

/// `listCollections`.
///
/// # Errors
/// Those of the filter.
pub(crate) async fn list_collections(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &ListCollections,
) -> Result<Reply, Fault> {
    let filter = Matcher::parse(&request.filter, &parse_context(ctx, None, None)?)?;
    let mut listed = VecDeque::new();
    for collection in host.engine().store().catalog().collections(&request.db) {
        let whole = describe(collection);
        if !filter.matches(&whole)? {
            continue;
        }
        listed.push_back(if request.name_only { brief(collection) } else { whole });
    }
    let ns = Namespace::command_cursor(&request.db, "listCollections")?;
    let wish = Wish::batches_of(request.batch_size.or(Some(u64::MAX)));
    cursor::open(host.engine(), ctx, &ns, Producer::Documents(listed), wish).await
}

/// `listIndexes`.
///
/// # Errors
/// `NamespaceNotFound` (26).
pub(crate) async fn list_indexes(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &ListIndexes,
) -> Result<Reply, Fault> {
    let catalog = host.engine().store().catalog();
    let Some(collection) = catalog.get(&request.ns) else {
        return Err(Fault::new(Code::NamespaceNotFound, format!("ns does not exist: {}", request.ns)));
    };
    let ready = collection.indexes.iter().filter(|index| index.ready.is_some());
    let listed = ready.map(|index| index.spec.clone()).collect();
    let wish = Wish::batches_of(request.batch_size.or(Some(u64::MAX)));
    cursor::open(host.engine(), ctx, &request.ns, Producer::Documents(listed), wish).await
}

fn brief(collection: &Collection) -> RawDocumentBuf {
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("name"), collection.ns.collection());
    doc.append(cstr!("type"), "collection");
    doc
}

fn describe(collection: &Collection) -> RawDocumentBuf {
    let mut info = RawDocumentBuf::new();
    info.append(cstr!("readOnly"), false);
    info.append(cstr!("uuid"), collection.uuid.to_bson());
    let mut doc = brief(collection);
    doc.append(cstr!("options"), collection.options.clone());
    doc.append(cstr!("info"), info);
    if let Some(index) = collection.indexes.iter().find(|index| index.is_id()) {
        doc.append(cstr!("idIndex"), index.spec.clone());
    }
    doc
}

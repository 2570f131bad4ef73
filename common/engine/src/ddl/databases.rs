//! Databases: listed and removed. A database is there as long as it has a collection.

use super::{acknowledged, check};
use crate::HasEngine;
use crate::op_context::parse_context;
use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use command::{Context, DropDatabase, ListDatabases, Reply};
use query::matcher::Matcher;
use types::{Code, Fault, Namespace};

/// `dropDatabase`.
///
/// # Errors
/// `IllegalOperation` (20) for the server's own databases; what the host or storage refuses.
pub(crate) async fn drop_database(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &DropDatabase,
) -> Result<Reply, Fault> {
    check(host, ctx, &Namespace::collectionless(&request.db)?)?;
    if matches!(request.db.as_str(), "admin" | "config" | "local") {
        return Err(Fault::new(
            Code::IllegalOperation,
            format!("Dropping the '{}' database is prohibited.", request.db),
        ));
    }
    let store = host.engine().store();
    let mut reply = RawDocumentBuf::new();
    if store.catalog().collections(&request.db).next().is_some() {
        store.drop_database(&request.db)?;
        reply.append(cstr!("dropped"), request.db.as_str());
    }
    acknowledged(host, ctx, reply).await
}

/// `listDatabases`.
///
/// # Errors
/// Those of the filter.
pub(crate) fn list_databases(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &ListDatabases,
) -> Result<Reply, Fault> {
    let store = host.engine().store();
    let catalog = store.catalog();
    let filter = Matcher::parse(&request.filter, &parse_context(ctx, None, None)?)?;
    let mut databases = RawArrayBuf::new();
    let mut total = 0_i64;
    for name in catalog.databases() {
        let bytes: u64 = catalog
            .collections(&name)
            .map(|collection| {
                let stats = store.stats(collection);
                stats.bytes + stats.indexes.iter().map(|(_, _, bytes)| bytes).sum::<u64>()
            })
            .sum();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut database = RawDocumentBuf::new();
        database.append(cstr!("name"), name.as_str());
        let mut named = database.clone();
        database.append(cstr!("sizeOnDisk"), bytes);
        database.append(cstr!("empty"), bytes == 0);
        if !filter.matches(&database)? {
            continue;
        }
        total += bytes;
        if !request.name_only {
            named = database;
        }
        databases.push(named);
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("databases"), databases);
    if !request.name_only {
        reply.append(cstr!("totalSize"), total);
        reply.append(cstr!("totalSizeMb"), total / (1024 * 1024));
    }
    Ok(reply.into())
}

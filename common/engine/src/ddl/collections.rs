//! Collections: made, changed, removed.

use super::{acknowledged, check};
use crate::HasEngine;
use bson::{RawDocumentBuf, cstr};
use command::{CollMod, Context, ConvertToCapped, Create, Drop, Hint, RenameCollection, Reply};
use types::{Code, Fault};

/// `create`.
///
/// # Errors
/// `NamespaceExists` (48) and what the host refuses.
pub(crate) async fn create(host: &dyn HasEngine, ctx: &Context, request: &Create) -> Result<Reply, Fault> {
    check(host, ctx, &request.ns)?;
    if request.ns.is_system() && !matches!(request.ns.db(), "admin" | "config" | "local") {
        return Err(Fault::new(Code::InvalidNamespace, format!("Invalid system namespace: {}", request.ns)));
    }
    host.check_creatable(&request.ns)?;
    let options = RawDocumentBuf::try_from(&request.options)
        .map_err(|error| Fault::internal(format!("options do not encode: {error}")))?;
    match host.engine().store().create_collection(&request.ns, request.uuid, &options) {
        Ok(_) => acknowledged(host, ctx, RawDocumentBuf::new()).await,
        Err(storage::Error::NamespaceExists { ns }) => {
            Err(Fault::new(Code::NamespaceExists, format!("Collection already exists. NS: {ns}")))
        }
        Err(error) => Err(error.fault()),
    }
}

/// `drop`. A collection that is not there is as good as removed.
///
/// # Errors
/// What the host or storage refuses.
pub(crate) async fn drop(host: &dyn HasEngine, ctx: &Context, request: &Drop) -> Result<Reply, Fault> {
    check(host, ctx, &request.ns)?;
    let store = host.engine().store();
    let mut reply = RawDocumentBuf::new();
    let Some(collection) = store.catalog().get(&request.ns).cloned() else { return Ok(reply.into()) };
    if request.uuid.is_some_and(|uuid| uuid != collection.uuid) {
        return Err(Fault::new(
            Code::NamespaceNotFound,
            format!("{} is another collection than the one with the UUID that was given", request.ns),
        ));
    }
    match store.drop_collection(&request.ns) {
        Ok(_) => {
            reply.append(cstr!("nIndexesWas"), collection.indexes.len() as i32);
            reply.append(cstr!("ns"), request.ns.as_str());
            acknowledged(host, ctx, reply).await
        }
        Err(storage::Error::NamespaceNotFound { .. }) => Ok(reply.into()),
        Err(error) => Err(error.fault()),
    }
}

/// `renameCollection`.
///
/// # Errors
/// `NamespaceNotFound` (26), `NamespaceExists` (48), `IllegalOperation` (20) for a sharded collection.
pub(crate) async fn rename(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &RenameCollection,
) -> Result<Reply, Fault> {
    check(host, ctx, &request.from)?;
    check(host, ctx, &request.to)?;
    if request.from == request.to {
        return Err(Fault::new(Code::IllegalOperation, "Can't rename a collection to itself"));
    }
    if host.ownership(&request.from).is_some() || host.ownership(&request.to).is_some() {
        return Err(Fault::not_implemented("renameCollection of a sharded collection"));
    }
    match host.engine().store().rename_collection(&request.from, &request.to, request.drop_target) {
        Ok(_) => acknowledged(host, ctx, RawDocumentBuf::new()).await,
        Err(storage::Error::NamespaceNotFound { ns }) => {
            Err(Fault::new(Code::NamespaceNotFound, format!("Source collection {ns} does not exist")))
        }
        Err(storage::Error::NamespaceExists { .. }) => {
            Err(Fault::new(Code::NamespaceExists, "target namespace exists"))
        }
        Err(error) => Err(error.fault()),
    }
}

/// `collMod`: an index is hidden or shown, or documents expire by it after another time.
///
/// # Errors
/// `NamespaceNotFound` (26), `IndexNotFound` (27), and 238 for other changes.
pub(crate) async fn coll_mod(host: &dyn HasEngine, ctx: &Context, request: &CollMod) -> Result<Reply, Fault> {
    check(host, ctx, &request.ns)?;
    let store = host.engine().store();
    let Some(collection) = store.catalog().get(&request.ns).cloned() else {
        return Err(Fault::new(Code::NamespaceNotFound, format!("ns does not exist: {}", request.ns)));
    };
    let mut reply = RawDocumentBuf::new();
    let Some(change) = &request.index else { return acknowledged(host, ctx, reply).await };
    let found = collection.indexes.iter().find(|index| match &change.index {
        Hint::Name(name) => index.name == *name,
        Hint::Pattern(pattern) => value::order::compare_documents(&index.key, pattern).is_eq(),
        Hint::Natural { .. } => false,
    });
    let Some(index) = found else {
        return Err(Fault::new(Code::IndexNotFound, format!("cannot find index for ns {}", request.ns)));
    };
    if let Some(seconds) = change.expire_after_seconds {
        let seconds = i32::try_from(seconds).ok().filter(|seconds| *seconds >= 0).ok_or_else(|| {
            Fault::new(
                Code::InvalidOptions,
                "TTL index 'expireAfterSeconds' option must be within an acceptable range, try a different number",
            )
        })?;
        let before = index.expire_after_seconds();
        if before != Some(i64::from(seconds)) {
            store.set_index_expiry(&request.ns, &index.name, seconds)?;
        }
        if let Some(before) = before {
            reply.append(cstr!("expireAfterSeconds_old"), before);
        }
        reply.append(cstr!("expireAfterSeconds_new"), i64::from(seconds));
    }
    if let Some(hidden) = change.hidden {
        if index.is_id() {
            return Err(Fault::bad_value("can't hide _id index"));
        }
        if hidden != index.hidden {
            store.set_index_hidden(&request.ns, &index.name, hidden)?;
        }
        reply.append(cstr!("hidden_old"), index.hidden);
        reply.append(cstr!("hidden_new"), hidden);
    }
    acknowledged(host, ctx, reply).await
}

/// `convertToCapped`.
///
/// # Errors
/// `NamespaceNotFound` (26), `IllegalOperation` (20) for a sharded collection, 117 where writers are always faster.
pub(crate) async fn convert_to_capped(
    host: &dyn HasEngine,
    ctx: &Context,
    request: &ConvertToCapped,
) -> Result<Reply, Fault> {
    check(host, ctx, &request.ns)?;
    if host.ownership(&request.ns).is_some() {
        return Err(Fault::new(Code::IllegalOperation, "you can't convertToCapped a sharded collection"));
    }
    let engine = host.engine();
    let store = engine.store();
    let convert = || match store.convert_to_capped(&request.ns, request.size) {
        Ok(_) => Ok(()),
        Err(storage::Error::NamespaceNotFound { ns }) => {
            Err(Fault::new(Code::NamespaceNotFound, format!("source collection {ns} does not exist")))
        }
        Err(error) => Err(error.fault()),
    };
    engine.long_work(convert).await?;
    acknowledged(host, ctx, RawDocumentBuf::new()).await
}

//! Collections and indexes: made, listed, changed, removed.

mod collections;
mod databases;
mod indexes;
mod list;

pub(crate) use collections::{coll_mod, convert_to_capped, create, drop, rename};
pub(crate) use databases::{drop_database, list_databases};
pub(crate) use indexes::{create_indexes, drop_indexes};
pub(crate) use list::{list_collections, list_indexes};

use crate::HasEngine;
use crate::op_context::refuse_transaction;
use bson::{RawDocumentBuf, cstr};
use command::{Context, Reply};
use types::{Fault, Namespace};

/// Checks that a change of the catalogue is possible here and now.
fn check(host: &dyn HasEngine, ctx: &Context, ns: &Namespace) -> Result<(), Fault> {
    refuse_transaction(ctx)?;
    host.surroundings().check_writable(ns)
}

/// The reply, once the change is as safe as was asked for.
async fn acknowledged(
    host: &dyn HasEngine,
    ctx: &Context,
    mut reply: RawDocumentBuf,
) -> Result<Reply, Fault> {
    if let Some(error) = crate::write::wait(host, ctx, None).await? {
        reply.append(cstr!("writeConcernError"), error.to_doc());
    }
    Ok(reply.into())
}

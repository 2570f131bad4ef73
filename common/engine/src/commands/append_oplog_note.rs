//! `appendOplogNote`.

use super::on_collection;
use crate::HasEngine;
use bson::{RawDocumentBuf, cstr};
use command::{Access, AppendOplogNote, Reply, Spec};
use std::sync::Arc;
use types::{Code, Fault, Namespace};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "appendOplogNote",
        Access::Write,
        "an entry of the log that changes no document",
        |host: Arc<S>, ctx, request| {
            Box::pin(async move {
                let note = AppendOplogNote::parse(&request, &ctx.envelope)?;
                host.surroundings().check_writable(&Namespace::parse("local.oplog.rs")?)?;
                let store = host.engine().store();
                let mut reply = RawDocumentBuf::new();
                if let Some(reached) = note.max_cluster_time.filter(|max| store.last_op_time().ts >= *max) {
                    return Err(Fault::new(
                        Code::StaleClusterTime,
                        format!(
                            "Requested maxClusterTime {reached} is less or equal to the last entry's time"
                        ),
                    ));
                }
                if let Some(wanted) = note.max_cluster_time {
                    runtime::clock::check_ahead(wanted)?;
                    host.engine().observe(wanted);
                }
                let at = store.noop(&note.data)?;
                if let Some(error) = crate::write::wait(&*host, &ctx, Some(at)).await? {
                    reply.append(cstr!("writeConcernError"), error.to_doc());
                }
                Ok(Reply::from(reply))
            })
        },
    );
    Spec { names_collection: false, admin_only: true, ..spec }
}

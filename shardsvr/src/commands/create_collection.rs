//! `_shardsvrCreateCollection`: makes this shard's part of a collection, with the same UUID and indexes as everywhere.

use super::{fields, internal};
use crate::node::Node;
use bson::{RawBsonRef, RawDocumentBuf};
use command::{Reply, Request, Spec};
use types::{Code, Fault, Uuid};

pub(super) const SPEC: Spec<Node> =
    internal("_shardsvrCreateCollection", "makes this shard's part of a collection", |node, _, request| {
        Box::pin(async move {
            node.member.replication.check_writable()?;
            tokio::task::block_in_place(|| create(&node, &request))?;
            node.settle().await?;
            Ok(Reply::ok())
        })
    });

fn create(node: &Node, request: &Request) -> Result<(), Fault> {
    let fault = |error: storage::Error| error.fault();
    let ns = fields::namespace(request)?;
    let uuid = request
        .body
        .get("uuid")
        .ok()
        .flatten()
        .and_then(Uuid::from_bson)
        .ok_or_else(|| fields::malformed(request, "uuid"))?;
    let options = request.body.get_document("options").map_err(|_| fields::malformed(request, "options"))?;
    let indexes = request.body.get_array("indexes").map_err(|_| fields::malformed(request, "indexes"))?;
    let store = &node.member.store;
    match store.catalog().get(&ns) {
        Some(collection) if collection.uuid == uuid => {}
        Some(collection) => {
            return Err(Fault::new(
                Code::NamespaceExists,
                format!(
                    "{ns} exists on this shard with another UUID ({} instead of {uuid}): drop it on the shard if it is a leftover",
                    collection.uuid
                ),
            ));
        }
        None => drop(store.create_collection(&ns, Some(uuid), options).map_err(fault)?),
    }
    let mut missing: Vec<RawDocumentBuf> = Vec::new();
    for index in indexes {
        let RawBsonRef::Document(spec) =
            index.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?
        else {
            return Err(fields::malformed(request, "index specifications"));
        };
        let name = spec.get_str("name").map_err(|_| fields::malformed(request, "index names"))?;
        let exists = store.catalog().get(&ns).is_some_and(|collection| collection.index(name).is_some());
        if !exists {
            let mut spec = spec.to_owned();
            if spec.get("collation").ok().flatten().is_none() {
                // A stored specification says nothing of the simple one; here that would mean the collection's own.
                spec.append(bson::raw::cstr!("collation"), bson::rawdoc! { "locale": "simple" });
            }
            missing.push(spec);
        }
    }
    if !missing.is_empty() {
        store.create_indexes(&ns, &missing).map_err(fault)?;
    }
    Ok(())
}

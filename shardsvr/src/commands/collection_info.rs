//! `_shardsvrCollectionInfo`: what this shard has of a collection.

use super::{fields, internal};
use crate::node::Node;
use bson::{RawArrayBuf, RawDocumentBuf};
use command::Spec;

pub(super) const SPEC: Spec<Node> =
    internal("_shardsvrCollectionInfo", "what this shard has of a collection", |node, _, request| {
        Box::pin(async move {
            let ns = fields::namespace(&request)?;
            let store = &node.member.store;
            let catalog = store.catalog();
            let Some(collection) = catalog.get(&ns) else {
                return Ok(bson::rawdoc! { "exists": false }.into());
            };
            let indexes: RawArrayBuf = collection.indexes.iter().map(|index| index.spec.clone()).collect();
            let mut info = RawDocumentBuf::new();
            info.append(bson::raw::cstr!("exists"), true);
            info.append(bson::raw::cstr!("uuid"), collection.uuid.to_bson());
            info.append(bson::raw::cstr!("options"), collection.options.clone());
            info.append(
                bson::raw::cstr!("records"),
                i64::try_from(store.stats(collection).records).unwrap_or(i64::MAX),
            );
            info.append(bson::raw::cstr!("indexes"), indexes);
            Ok(info.into())
        })
    });

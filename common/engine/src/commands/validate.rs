//! `validate`: every record decodes and has its `_id` as key, each index has exactly the entries that the records yield and knows of
//! their arrays, and what is counted is there. Storage compares; this tells it.

use super::on_collection;
use crate::HasEngine;
use crate::op_context::Interrupt;
use bson::{Bson, Document, doc};
use command::{Access, Context, Reply, Request, Spec, Validate};
use storage::{Collection, Misfit, Validation};
use types::{Code, Fault};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("validate", Access::Inspect, "checks a collection and its indexes", |host, ctx, request| {
        Box::pin(async move { run(&*host, &ctx, &request).await })
    })
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let request = Validate::parse(request, &ctx.envelope)?;
    let engine = host.engine();
    let Some(collection) = engine.store().catalog().get(&request.ns).cloned() else {
        return Err(Fault::new(
            Code::NamespaceNotFound,
            format!("Collection '{}' does not exist to validate.", request.ns),
        ));
    };
    let mut interrupt = Interrupt::new(ctx);
    let compare =
        || engine.store().validate_unless(&collection, &mut || interrupt.tick()).map_err(Fault::from);
    let found = engine.long_work(compare).await?;
    Reply::try_from(to_doc(&collection, &found))
}

fn to_doc(collection: &Collection, found: &Validation) -> Document {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut keys = Document::new();
    let mut details = Document::new();
    for index in &collection.indexes {
        let own = found.keys_per_index.iter().find(|(name, _)| *name == index.name);
        let (count, valid) = match own {
            Some((_, count)) => (*count, !found.invalid_indexes.contains(&index.name)),
            // The order of the records is this index.
            None if index.is_clustered() => (found.records, found.invalid_records == 0),
            // It is being built.
            None => continue,
        };
        keys.insert(&index.name, number(count));
        details.insert(&index.name, doc! {"valid": valid});
    }
    let misfits = |misfits: &[Misfit]| -> Vec<Bson> {
        let tell = |(index, id): &Misfit| {
            let mut misfit = doc! {"indexName": index};
            if let Some(id) = id.clone().and_then(|id| Bson::try_from(id).ok()) {
                misfit.insert("idKey", doc! {"_id": id});
            }
            Bson::Document(misfit)
        };
        misfits.iter().map(tell).collect()
    };
    doc! {
        "ns": collection.ns.as_str(),
        "uuid": collection.uuid.to_bson(),
        "nInvalidDocuments": number(found.invalid_records),
        "nNonCompliantDocuments": 0_i64,
        "nrecords": number(found.records),
        "nIndexes": collection.indexes.len() as i32,
        "keysPerIndex": keys,
        "indexDetails": details,
        "valid": found.valid(),
        "repaired": false,
        "readTimestamp": bson::Timestamp::from(found.at),
        "warnings": [],
        "errors": &found.errors,
        "extraIndexEntries": misfits(&found.extra_entries),
        "missingIndexEntries": misfits(&found.missing_entries),
        "corruptRecords": [],
    }
}

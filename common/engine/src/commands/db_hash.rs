//! `dbHash`: the MD5 of each collection's documents in order of their keys, and of all of them; members with the same data agree.
//! Collections that no two members need to have alike (`local`, `system.profile`) are left out.

use super::on_collection;
use crate::HasEngine;
use crate::op_context::Interrupt;
use crate::view::View;
use bson::{Document, doc};
use command::{Access, Context, DbHash, Reply, Request, Spec};
use md5::{Digest, Md5};
use std::sync::Arc;
use std::time::Instant;
use storage::{Collection, Direction, Snapshot};
use types::{Fault, Namespace};
use value::interval::KeyRange;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    let spec = on_collection(
        "dbHash",
        Access::Inspect,
        "checksums of the collections of a database",
        |host: Arc<S>, ctx, request| Box::pin(async move { run(&*host, &ctx, &request).await }),
    );
    Spec { names_collection: false, aliases: &["dbhash"], ..spec }
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let request = DbHash::parse(request, &ctx.envelope)?;
    Namespace::check_db(&request.db)?;
    let started = Instant::now();
    let engine = host.engine();
    let snapshot = View::of(host, ctx).await?.snapshot(engine)?;
    let catalog = engine.store().catalog();
    let mut whole = Md5::new();
    let (mut hashes, mut capped, mut uuids) = (Document::new(), Vec::new(), Document::new());
    if request.db != "local" {
        let mut collections: Vec<&Arc<Collection>> = catalog.collections(&request.db).collect();
        collections.sort_by(|one, other| one.ns.collection().cmp(other.ns.collection()));
        for collection in collections {
            let name = collection.ns.collection();
            let asked =
                request.collections.is_empty() || request.collections.iter().any(|asked| asked == name);
            if !asked || name == "system.profile" || name.starts_with("tmp.mr.") {
                continue;
            }
            let hash = engine.long_work(|| hash(&snapshot, collection, &mut Interrupt::new(ctx))).await?;
            whole.update(hash.as_bytes());
            hashes.insert(name, hash);
            if collection.capped.is_some() {
                capped.push(name.to_owned());
            }
            uuids.insert(name, collection.uuid.to_bson());
        }
    }
    Reply::try_from(doc! {
        "host": host.identity().host,
        "collections": hashes,
        "capped": capped,
        "uuids": uuids,
        "md5": hex(&whole.finalize()),
        "timeMillis": i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
    })
}

fn hash(
    snapshot: &Snapshot,
    collection: &Collection,
    interrupt: &mut Interrupt<'_>,
) -> Result<String, Fault> {
    let mut md5 = Md5::new();
    for record in snapshot.scan(collection, &KeyRange::all(), Direction::Forward) {
        interrupt.tick()?;
        let (_, doc) = record?;
        md5.update(doc.as_bytes());
    }
    Ok(hex(&md5.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

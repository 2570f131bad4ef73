//! What a findOne by `_id` costs in this crate. Prints; asserts only what any build must manage.

mod host;

use bson::doc;
use host::Host;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_find_by_id_is_cheap() {
    let host = Host::new();
    host.fill((0..1000).map(|n| doc! {"_id": n, "text": "x".repeat(1000)})).await;
    let rounds = 20_000;
    let call = host.prepare(doc! {"find": "c", "filter": {"_id": 500}, "limit": 1});
    let started = Instant::now();
    for _ in 0..rounds {
        call.run_raw(&host).await;
    }
    let each = started.elapsed() / rounds;
    println!("findOne by _id: {each:?}");
    assert!(each.as_micros() < 1000, "{each:?}");
}

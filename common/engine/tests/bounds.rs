//! Everything has an end: batches, sorts, operations that are killed or out of time.

mod host;

use bson::{Document, doc};
use host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_end_a_batch() {
    let host = Host::new();
    let text = "x".repeat(1024 * 1024);
    for chunk in 0..4 {
        host.fill((0..9).map(|n| doc! {"_id": chunk * 9 + n, "n": n, "text": text.clone()})).await;
    }
    for find in [doc! {"find": "c"}, doc! {"find": "c", "sort": {"n": 1}}] {
        let first = host.run(find).await;
        let cursor = first.get_document("cursor").unwrap();
        assert_eq!(cursor.get_array("firstBatch").unwrap().len(), 15);
        let id = cursor.get_i64("id").unwrap();
        let next = host.run(doc! {"getMore": id, "collection": "c"}).await;
        assert_eq!(next.get_document("cursor").unwrap().get_array("nextBatch").unwrap().len(), 15);
        let last = host.run(doc! {"getMore": id, "collection": "c"}).await;
        let cursor = last.get_document("cursor").unwrap();
        assert_eq!((cursor.get_array("nextBatch").unwrap().len(), cursor.get_i64("id").unwrap()), (6, 0));
    }
    let pipeline = doc! {"aggregate": "c", "pipeline": [{"$addFields": {"z": 1}}], "cursor": {}};
    assert_eq!(host.all(pipeline).await.len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_has_a_memory_limit() {
    let host = Host::new();
    let text = "x".repeat(1024 * 1024);
    for chunk in 0..12 {
        host.fill((0..9).map(|n| doc! {"_id": chunk * 9 + n, "n": n, "text": text.clone()})).await;
    }
    assert_eq!(host.code(doc! {"find": "c", "sort": {"n": 1}}).await, 292);
    assert_eq!(host.all(doc! {"find": "c", "sort": {"n": 1}, "limit": 3}).await.len(), 3);
    assert_eq!(
        host.all(doc! {"find": "c", "sort": {"_id": 1}, "limit": 100, "projection": {"n": 1}}).await.len(),
        100
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_stop() {
    let host = Host::new();
    host.fill((0..2000).map(|n| doc! {"_id": n})).await;
    let rows: [Document; 6] = [
        doc! {"find": "c", "filter": {"a": 1}},
        doc! {"count": "c", "query": {"a": 1}},
        doc! {"distinct": "c", "key": "a"},
        doc! {"aggregate": "c", "pipeline": [{"$group": {"_id": "$a"}}], "cursor": {}},
        doc! {"update": "c", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 1}}, "multi": true}]},
        doc! {"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 1}]},
    ];
    for command in rows {
        let killed = host.prepare(command.clone());
        killed.kill();
        assert_eq!(killed.run(&host).await.unwrap_err().code.number(), 11601, "{command}");
        let mut late = host.prepare(command.clone());
        late.expire();
        assert_eq!(late.run(&host).await.unwrap_err().code.number(), 50, "{command}");
        host.run(command).await;
    }
}

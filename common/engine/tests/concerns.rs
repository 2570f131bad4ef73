//! Read and write concerns against a set of several members, of which a fake tells what a majority has.

#![allow(clippy::unwrap_used)]

mod host;

use bson::{Bson, Document, Timestamp, doc};
use host::{Host, ids};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{Code, Fault, OpTime};

async fn insert(host: &Arc<Host>, id: i32) {
    host.run(doc! {"insert": "c", "documents": [{"_id": id, "a": id}], "writeConcern": {"w": 1}}).await;
}

fn numbers(range: std::ops::Range<i32>) -> Vec<Bson> {
    range.map(Bson::Int32).collect()
}

#[tokio::test]
async fn a_majority_read_sees_what_a_majority_has() {
    let host = Host::in_set();
    for id in 0..3 {
        insert(&host, id).await;
    }
    host.settle();
    for id in 3..5 {
        insert(&host, id).await;
    }
    for (level, count) in
        [("local", 5), ("available", 5), ("majority", 3), ("linearizable", 3), ("snapshot", 3)]
    {
        let concern = doc! {"level": level};
        let found = host.all(doc! {"find": "c", "readConcern": concern.clone()}).await;
        assert_eq!(ids(&found), numbers(0..count), "find {level}");
        let found = host.all(doc! {"find": "c", "filter": {"_id": 4}, "readConcern": concern.clone()}).await;
        assert_eq!(found.len(), usize::from(count == 5), "find by id {level}");
        let found = host
            .all(doc! {"aggregate": "c", "pipeline": [{"$match": {}}], "cursor": {}, "readConcern": concern.clone()})
            .await;
        assert_eq!(ids(&found), numbers(0..count), "aggregate {level}");
        let reply = host.run(doc! {"distinct": "c", "key": "a", "readConcern": concern.clone()}).await;
        assert_eq!(reply.get_array("values").unwrap(), &numbers(0..count), "distinct {level}");
        let reply = host.run(doc! {"count": "c", "query": {"a": {"$gte": 0}}, "readConcern": concern}).await;
        assert_eq!(reply.get_i32("n").unwrap(), count, "count {level}");
    }
}

#[tokio::test]
async fn a_cursor_goes_on_where_its_concern_says() {
    let host = Host::in_set();
    for id in 0..4 {
        insert(&host, id).await;
    }
    let then = host.settle();
    let open = async |concern: Document| -> (i64, Document) {
        let reply = host.run(doc! {"find": "c", "batchSize": 2, "readConcern": concern}).await;
        let cursor = reply.get_document("cursor").unwrap().clone();
        (cursor.get_i64("id").unwrap(), cursor)
    };
    let (majority, _) = open(doc! {"level": "majority"}).await;
    let (snapshot, first) = open(doc! {"level": "snapshot"}).await;
    let at = Timestamp::from(then);
    assert_eq!(first.get_timestamp("atClusterTime").unwrap(), at);
    let (exact, first) = open(doc! {"level": "snapshot", "atClusterTime": at}).await;
    assert_eq!(first.get_timestamp("atClusterTime").unwrap(), at);
    insert(&host, 4).await;
    host.run(doc! {"delete": "c", "deletes": [{"q": {"_id": 3}, "limit": 1}]}).await;
    host.settle();
    insert(&host, 5).await;
    let rest = async |id: i64| -> Document {
        let reply = host.run(doc! {"getMore": id, "collection": "c"}).await;
        reply.get_document("cursor").unwrap().clone()
    };
    let batch = |cursor: &Document| -> Vec<Bson> {
        let batch = cursor.get_array("nextBatch").unwrap();
        batch.iter().map(|doc| doc.as_document().unwrap().get("_id").unwrap().clone()).collect()
    };
    assert_eq!(batch(&rest(majority).await), [Bson::Int32(2), Bson::Int32(4)]);
    let more = rest(snapshot).await;
    assert_eq!((batch(&more), more.get_timestamp("atClusterTime").unwrap()), (numbers(2..4), at));
    assert_eq!(batch(&rest(exact).await), numbers(2..4));
}

#[tokio::test]
async fn snapshots_of_other_times_are_refused() {
    let host = Host::in_set();
    insert(&host, 0).await;
    let then = host.settle();
    let find = |collection: &str, at: types::Timestamp| doc! {"find": collection, "readConcern": {"level": "snapshot", "atClusterTime": Timestamp::from(at)}};
    assert_eq!(host.all(find("c", then)).await.len(), 1);
    host.run(doc! {"create": "later"}).await;
    assert_eq!(host.code(find("later", then)).await, Code::SnapshotUnavailable.number());
    assert_eq!(host.all(find("nowhere", then)).await.len(), 0);
    let future = types::Timestamp::new(then.seconds() + 1000, 1);
    assert_eq!(host.code(find("c", future)).await, Code::SnapshotUnavailable.number());
}

#[tokio::test]
async fn write_concerns_are_waited_for_and_told() {
    let host = Host::in_set();
    insert(&host, 0).await;
    assert_eq!(host.fake().asked.lock().len(), 0, "w: 1 without a journal waits for nobody");
    let insert = |id: i32, concern: Option<Document>| {
        let mut body = doc! {"insert": "c", "documents": [{"_id": id}]};
        body.extend(concern.map(|concern| ("writeConcern".to_owned(), Bson::Document(concern))));
        body
    };
    assert_eq!(host.run(insert(1, None)).await, doc! {"n": 1});
    let (at, concern) = host.fake().asked.lock().pop().unwrap();
    assert_eq!((at, concern), (store_time(&host), types::WriteConcern::default()));
    let late = command::WriteConcernError {
        code: Code::WriteConcernFailed,
        message: "waiting for replication timed out".to_owned(),
        info: None,
    };
    *host.fake().answer.lock() = Ok(Some(late));
    assert_eq!(
        host.run(insert(2, Some(doc! {"w": 3, "wtimeout": 50}))).await,
        doc! {
            "n": 1,
            "writeConcernError": {
                "code": 64,
                "codeName": "WriteConcernFailed",
                "errmsg": "waiting for replication timed out",
                "errInfo": {
                    "wtimeout": true,
                    "writeConcern": {"w": 3, "wtimeout": 50_i64, "provenance": "clientSupplied"},
                },
            },
        }
    );
    // A primary that is deposed while it waits: the write is there, and the client learns what may become of it.
    *host.fake().answer.lock() = Err(Fault::new(Code::PrimarySteppedDown, "stepped down"));
    let reply = host.run(insert(3, None)).await;
    let error = reply.get_document("writeConcernError").unwrap();
    assert_eq!((reply.get_i32("n").unwrap(), error.get_i32("code").unwrap()), (1, 189));
    let info = error.get_document("errInfo").unwrap().get_document("writeConcern").unwrap();
    assert_eq!(info.get_str("provenance").unwrap(), "implicitDefault");
    assert_eq!(host.all(doc! {"find": "c"}).await.len(), 4, "all writes stay");
    host.fake().writable.store(false, Ordering::Relaxed);
    assert_eq!(host.code(insert(4, None)).await, Code::NotWritablePrimary.number());
    assert_eq!(host.code(doc! {"create": "x"}).await, Code::NotWritablePrimary.number());
    assert_eq!(
        host.code(doc! {"setDefaultRWConcern": 1, "defaultReadConcern": {"level": "local"}, "$db": "admin"})
            .await,
        Code::NotWritablePrimary.number()
    );
}

fn store_time(host: &Host) -> OpTime {
    engine::HasEngine::engine(host).store().last_op_time()
}

#[tokio::test]
async fn defaults_hold_where_a_client_names_no_concern() {
    let host = Host::in_set();
    insert(&host, 0).await;
    host.settle();
    insert(&host, 1).await;
    let get = || host.run(doc! {"getDefaultRWConcern": 1, "$db": "admin"});
    let reply = get().await;
    assert_eq!(reply.get_str("defaultWriteConcernSource").unwrap(), "implicit");
    assert_eq!(reply.get_document("defaultWriteConcern").unwrap(), &doc! {"w": "majority", "wtimeout": 0});
    assert_eq!(reply.get_document("defaultReadConcern").unwrap(), &doc! {"level": "local"});
    let set = |fields: Document| {
        let mut body = doc! {"setDefaultRWConcern": 1};
        body.extend(fields);
        body.insert("$db", "admin");
        body
    };
    let reply = host
        .run(set(doc! {"defaultReadConcern": {"level": "majority"}, "defaultWriteConcern": {"w": 2, "wtimeout": 9}}))
        .await;
    assert_eq!(reply.get_str("defaultWriteConcernSource").unwrap(), "global");
    assert_eq!(reply.get_document("defaultReadConcern").unwrap(), &doc! {"level": "majority"});
    assert!(reply.contains_key("updateOpTime") && reply.contains_key("localUpdateWallClockTime"));
    assert_eq!(host.all(doc! {"find": "c"}).await.len(), 1);
    assert_eq!(host.all(doc! {"find": "c", "readConcern": {"level": "local"}}).await.len(), 2);
    host.fake().asked.lock().clear();
    host.run(doc! {"insert": "c", "documents": [{"_id": 2}]}).await;
    assert_eq!(host.fake().asked.lock().pop().unwrap().1.w, types::W::Count(2));
    // They are a document that can be read, and changed, like any other.
    let stored =
        host.all(doc! {"find": "settings", "$db": "config", "readConcern": {"level": "local"}}).await;
    assert_eq!(stored.first().unwrap().get_str("_id").unwrap(), "ReadWriteConcernDefaults");
    assert_eq!(host.code(set(doc! {"defaultWriteConcern": {}})).await, Code::IllegalOperation.number());
    let reply = host.run(set(doc! {"defaultReadConcern": {}})).await;
    assert_eq!(reply.get_str("defaultReadConcernSource").unwrap(), "implicit");
    host.run(doc! {
        "update": "settings", "$db": "config",
        "updates": [{"q": {"_id": "ReadWriteConcernDefaults"}, "u": {"$set": {"defaultWriteConcern": {"w": 1}}}}],
    })
    .await;
    assert_eq!(get().await.get_document("defaultWriteConcern").unwrap(), &doc! {"w": 1, "wtimeout": 0});
}

#[tokio::test]
async fn the_same_documents_have_the_same_hash() {
    let (one, other) = (Host::new(), Host::new());
    for host in [&one, &other] {
        host.fill((0..10).map(|id| doc! {"_id": id})).await;
        host.run(doc! {"create": "e", "capped": true, "size": 1000}).await;
    }
    let hash = async |host: &Arc<Host>| host.run(doc! {"dbHash": 1}).await;
    let (a, b) = (hash(&one).await, hash(&other).await);
    assert_eq!(a.get("collections"), b.get("collections"));
    assert_eq!((a.get("md5"), a.get_array("capped").unwrap()), (b.get("md5"), &vec![Bson::from("e")]));
    other.run(doc! {"update": "c", "updates": [{"q": {"_id": 4}, "u": {"$set": {"x": 1}}}]}).await;
    let c = hash(&other).await;
    let collections = |hash: &Document| hash.get_document("collections").unwrap().clone();
    assert_ne!(collections(&a).get("c"), collections(&c).get("c"));
    assert_eq!(collections(&a).get("e"), collections(&c).get("e"));
    assert_ne!(a.get("md5"), c.get("md5"));
}

#[tokio::test]
async fn what_is_not_stored_can_be_read_all_the_same() {
    let host = Host::new();
    let found = host.all(doc! {"find": "system.replset", "$db": "local"}).await;
    assert_eq!(found, [doc! {"_id": "rs", "version": 3}]);
    let pipeline = vec![doc! {"$match": {}}, doc! {"$group": {"_id": 1, "n": {"$sum": 1}}}];
    let counted = host
        .all(doc! {"aggregate": "system.replset", "pipeline": pipeline, "cursor": {}, "$db": "local"})
        .await;
    assert_eq!(counted, [doc! {"_id": 1, "n": 1}]);
    let none = host.all(doc! {"find": "system.replset", "filter": {"version": 4}, "$db": "local"}).await;
    assert_eq!(none.len(), 0);
}

#[tokio::test]
async fn a_note_goes_into_the_log() {
    let host = Host::in_set();
    let before = store_time(&host);
    host.run(doc! {"appendOplogNote": 1, "data": {"msg": "x"}, "$db": "admin"}).await;
    let after = store_time(&host);
    assert!(after > before);
    let reached =
        doc! {"appendOplogNote": 1, "data": {}, "maxClusterTime": Timestamp::from(after.ts), "$db": "admin"};
    assert_eq!(host.code(reached).await, Code::StaleClusterTime.number());
    let later = types::Timestamp::new(after.ts.seconds() + 5, 1);
    host.run(
        doc! {"appendOplogNote": 1, "data": {}, "maxClusterTime": Timestamp::from(later), "$db": "admin"},
    )
    .await;
    host.fake().writable.store(false, Ordering::Relaxed);
    let note = doc! {"appendOplogNote": 1, "data": {}, "$db": "admin"};
    assert_eq!(host.code(note).await, Code::NotWritablePrimary.number());
}

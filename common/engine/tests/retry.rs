//! Retryable writes: a repeated statement is answered and not executed, also with many at the same time.

mod host;

use bson::{Bson, Document, doc};
use host::Host;

fn session(mut command: Document, number: i64) -> Document {
    let id = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] };
    command.insert("lsid", doc! {"id": id});
    command.insert("txnNumber", number);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_executed_once() {
    let host = Host::new();
    let insert = session(doc! {"insert": "c", "documents": [{"_id": 1, "n": 0}, {"_id": 2}]}, 1);
    assert_eq!(host.run(insert.clone()).await, doc! {"n": 2});
    assert_eq!(host.run(insert.clone()).await, doc! {"n": 2, "retriedStmtIds": [0, 1]});
    let more = session(doc! {"insert": "c", "documents": [{"_id": 1, "n": 0}, {"_id": 2}, {"_id": 3}]}, 1);
    assert_eq!(host.run(more).await, doc! {"n": 3, "retriedStmtIds": [0, 1]});
    let update = session(doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}, 2);
    assert_eq!(host.run(update.clone()).await, doc! {"n": 1, "nModified": 1});
    assert_eq!(host.run(update).await, doc! {"n": 1, "nModified": 1, "retriedStmtIds": [0]});
    let upsert = session(
        doc! {"update": "c", "updates": [{"q": {"_id": 8}, "u": {"$inc": {"n": 1}}, "upsert": true}]},
        3,
    );
    let upserted = doc! {"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": 8}]};
    assert_eq!(host.run(upsert.clone()).await, upserted);
    let mut again = upserted;
    again.insert("retriedStmtIds", vec![0]);
    assert_eq!(host.run(upsert).await, again);
    let modify = session(
        doc! {"findAndModify": "c", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}, "new": true},
        4,
    );
    let answer = doc! {"lastErrorObject": {"n": 1, "updatedExisting": true}, "value": {"_id": 1, "n": 2}};
    assert_eq!(host.run(modify.clone()).await, answer);
    let mut again = answer;
    again.insert("retriedStmtId", 0);
    assert_eq!(host.run(modify).await, again);
    let delete = session(doc! {"delete": "c", "deletes": [{"q": {}, "limit": 1}]}, 5);
    assert_eq!(host.run(delete.clone()).await, doc! {"n": 1});
    assert_eq!(host.run(delete).await, doc! {"n": 1, "retriedStmtIds": [0]});
    assert_eq!(host.run(doc! {"count": "c"}).await, doc! {"n": 3});
    assert_eq!(host.code(insert).await, 225);
    let multi =
        session(doc! {"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "multi": true}]}, 6);
    assert_eq!(host.code(multi).await, 72);
    let mut transaction = session(doc! {"insert": "c", "documents": [{}]}, 7);
    transaction.insert("autocommit", false);
    transaction.insert("startTransaction", true);
    assert_eq!(host.code(transaction).await, 263);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repeats_at_the_same_time_count_once() {
    let host = Host::new();
    host.fill([doc! {"_id": 1, "n": 0}]).await;
    for number in 1..20 {
        let update =
            session(doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}, number);
        let replies = futures::future::join_all((0..8).map(|_| host.run(update.clone()))).await;
        let retried = replies.iter().filter(|reply| reply.contains_key("retriedStmtIds")).count();
        assert_eq!(retried, 7);
    }
    assert_eq!(host.all(doc! {"find": "c"}).await, [doc! {"_id": 1, "n": 19}]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_increments_are_all_there() {
    let host = Host::new();
    host.fill([doc! {"_id": 1, "n": 0}]).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let host = host.clone();
        running.spawn(async move {
            for _ in 0..50 {
                host.run(
                    doc! {"update": "c", "updates": [{"q": {"n": {"$gte": 0}}, "u": {"$inc": {"n": 1}}}]},
                )
                .await;
            }
        });
    }
    running.join_all().await;
    assert_eq!(host.all(doc! {"find": "c"}).await[0].get("n"), Some(&Bson::Int32(400)));
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_known_after_a_restart() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let insert =
        session(doc! {"insert": "c", "documents": [{"_id": 1}], "writeConcern": {"w": 1, "j": true}}, 1);
    let update = session(doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}, 2);
    let host = Host::open(dir.clone(), storage::EngineKind::Sled, None);
    host.run(insert.clone()).await;
    host.run(update.clone()).await;
    drop(host);
    let host = Host::open(dir, storage::EngineKind::Sled, None);
    assert_eq!(host.run(update).await, doc! {"n": 1, "nModified": 1, "retriedStmtIds": [0]});
    assert_eq!(host.code(insert).await, 225);
    assert_eq!(host.all(doc! {"find": "c"}).await, [doc! {"_id": 1, "n": 1}]);
}

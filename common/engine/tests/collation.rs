//! Collations through the commands: whatever index a query goes by, it finds what a scan finds; the collection's own collation counts
//! where a command names none; plans use an index for strings under its own collation only.

mod host;

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use host::{Host, ids, sorted};
use query::sort::Sort;
use value::{Collation, Collator};

/// A small generator: the test needs variety, not quality.
struct Draw(u64);

impl Draw {
    fn next(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % bound) as usize
    }

    fn word(&mut self) -> &'static str {
        ["a", "A", "\u{e1}", "b", "B", "ab", "a b", "a-b", "10", "9", "", "\u{df}", "ss", "z", "\u{e4}"]
            [self.next(15)]
    }

    fn value(&mut self) -> Bson {
        match self.next(10) {
            0 => Bson::Null,
            1 => Bson::Int32(self.next(3) as i32),
            2 => bson!({"x": self.word()}),
            3 => bson!([self.word(), self.word()]),
            _ => bson!(self.word()),
        }
    }

    fn document(&mut self, id: i32) -> Document {
        let mut doc = doc! {"_id": id};
        // Two arrays side by side cannot be indexed: only `a` may be one.
        doc.insert("a", self.value());
        let b = self.value();
        doc.insert("b", if matches!(b, Bson::Array(_)) { Bson::Null } else { b });
        doc
    }

    fn condition(&mut self) -> Document {
        let path = ["a", "b", "a.x"][self.next(3)];
        let value = self.value();
        let operator = match self.next(10) {
            0 => doc! {"$gt": value},
            1 => doc! {"$gte": value},
            2 => doc! {"$lt": value},
            3 => doc! {"$lte": value},
            4 => doc! {"$in": [value, self.value(), self.value()]},
            5 => doc! {"$ne": value},
            6 => doc! {"$nin": [value, self.value()]},
            7 => doc! {"$gt": self.word(), "$lt": self.word()},
            8 => doc! {"$regex": (["^a", "b$", "^B"][self.next(3)])},
            _ => return doc! {path: value},
        };
        doc! {path: operator}
    }

    fn filter(&mut self) -> Document {
        let conditions: Vec<Document> = (0..=self.next(2)).map(|_| self.condition()).collect();
        match self.next(4) {
            0 => doc! {"$or": conditions},
            _ => doc! {"$and": conditions},
        }
    }
}

fn collations() -> Vec<Document> {
    vec![
        doc! {"locale": "simple"},
        doc! {"locale": "en", "strength": 1},
        doc! {"locale": "en", "strength": 2},
        doc! {"locale": "de", "strength": 3, "caseFirst": "upper"},
        doc! {"locale": "sv", "numericOrdering": true},
        doc! {"locale": "en", "alternate": "shifted"},
    ]
}

#[allow(clippy::unwrap_used)]
fn collator(doc: &Document) -> Option<Collator> {
    Collation::parse(&RawDocumentBuf::try_from(doc).unwrap(), "collation").unwrap().over(None)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plan_finds_the_same() {
    for (default, seed) in [(None, 1), (Some(doc! {"locale": "en", "strength": 2}), 2)] {
        let mut draw = Draw(seed);
        let host = Host::new();
        let mut create = doc! {"create": "c"};
        if let Some(default) = &default {
            create.insert("collation", default.clone());
        }
        host.run(create).await;
        host.fill((0..120).map(|id| draw.document(id))).await;
        let mut indexes = Vec::new();
        let mut names = vec!["_id_".to_owned()];
        for (at, collation) in collations().into_iter().enumerate() {
            for (name, key) in [("a", doc! {"a": 1}), ("b", doc! {"b": -1, "a": 1}), ("x", doc! {"a.x": 1})] {
                names.push(format!("{name}{at}"));
                indexes
                    .push(doc! {"key": key, "name": format!("{name}{at}"), "collation": collation.clone()});
            }
            names.push(format!("p{at}"));
            indexes.push(doc! {
                "key": {"b": 1}, "name": format!("p{at}"), "collation": collation,
                "partialFilterExpression": {"a": {"$gte": "A"}},
            });
        }
        host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
        for round in 0..120 {
            let (filter, asked) = (draw.filter(), collations().swap_remove(draw.next(6)));
            let what = format!("default {default:?} round {round}: {filter} under {asked}");
            let find = doc! {"find": "c", "filter": filter.clone(), "collation": asked.clone()};
            let with = |name: &str, value: Bson| {
                let mut command = find.clone();
                command.insert(name, value);
                command
            };
            let wanted = sorted(ids(&host.all(with("hint", bson!({"$natural": 1}))).await));
            assert_eq!(sorted(ids(&host.all(with("batchSize", bson!(7))).await)), wanted, "{what}");
            let count = doc! {"count": "c", "query": filter.clone(), "collation": asked.clone()};
            assert_eq!(host.run(count).await, doc! {"n": wanted.len() as i32}, "{what}");
            for name in &names {
                let hinted = match host.try_run(with("hint", bson!(name.as_str()))).await {
                    // A partial index that may lack some.
                    Err(fault) if name.starts_with('p') => {
                        assert_eq!(fault.code, types::Code::NoQueryExecutionPlans, "{what}");
                        continue;
                    }
                    _ => host.all(with("hint", bson!(name.as_str()))).await,
                };
                assert_eq!(sorted(ids(&hinted)), wanted, "{what} by {name}");
            }
            let pattern = [doc! {"a": 1}, doc! {"b": -1}, doc! {"b": -1, "a": 1}, doc! {"b": 1, "_id": 1}]
                [draw.next(4)]
            .clone();
            let by =
                Sort::parse(&RawDocumentBuf::try_from(&pattern).unwrap()).unwrap().under(collator(&asked));
            let ordered = host.all(with("sort", Bson::Document(pattern.clone()))).await;
            assert_eq!(sorted(ids(&ordered)), wanted, "{what} sorted by {pattern}");
            let keys: Vec<Vec<u8>> =
                ordered.iter().map(|doc| by.key(&RawDocumentBuf::try_from(doc).unwrap()).unwrap()).collect();
            assert!(keys.is_sorted(), "{what} sorted by {pattern}");
        }
        let validation = host.run(doc! {"validate": "c", "full": true}).await;
        assert_eq!(validation.get_bool("valid").ok(), Some(true), "{validation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collection_says_how_strings_compare() {
    let host = Host::new();
    let collation = doc! {"locale": "en", "strength": 2};
    host.run(doc! {"create": "c", "collation": collation.clone()}).await;
    let listed = host.all(doc! {"listCollections": 1}).await;
    let shown = listed[0].get_document("options").unwrap().get_document("collation").unwrap();
    assert_eq!((shown.get_i32("strength").ok(), shown.get_str("version").ok()), (Some(2), Some("57.1")));
    assert_eq!(shown.get_bool("caseLevel").ok(), Some(false));
    host.fill(["a", "B", "\u{e1}"].iter().map(|id| doc! {"_id": *id, "s": *id})).await;
    let indexes = host.all(doc! {"listIndexes": "c"}).await;
    assert_eq!(indexes[0].get_document("collation").unwrap(), shown);
    let insert = doc! {"insert": "c", "documents": [{"_id": "A"}]};
    let error = &host.run(insert).await.get_array("writeErrors").unwrap()[0].clone();
    assert_eq!(error.as_document().unwrap().get_i32("code").ok(), Some(11000));

    let found = async |command: Document| ids(&host.all(command).await);
    let simple = doc! {"locale": "simple"};
    assert_eq!(found(doc! {"find": "c", "filter": {"_id": "b"}}).await, [bson!("B")]);
    assert_eq!(found(doc! {"find": "c", "filter": {"s": "b"}}).await, [bson!("B")]);
    for path in ["_id", "s"] {
        let filter = doc! {path: "b"};
        assert!(found(doc! {"find": "c", "filter": filter, "collation": simple.clone()}).await.is_empty());
    }
    assert_eq!(
        found(doc! {"find": "c", "filter": {"_id": "B"}, "collation": simple.clone()}).await,
        [bson!("B")]
    );
    let accents = doc! {"locale": "en", "strength": 1};
    let both = found(doc! {"find": "c", "filter": {"_id": "A"}, "collation": accents.clone()}).await;
    assert_eq!(both, [bson!("a"), bson!("\u{e1}")]);
    assert_eq!(
        found(doc! {"find": "c", "sort": {"_id": -1}}).await,
        [bson!("B"), bson!("\u{e1}"), bson!("a")]
    );
    let by_bytes = doc! {"find": "c", "sort": {"_id": 1}, "collation": simple.clone()};
    assert_eq!(found(by_bytes).await, [bson!("B"), bson!("a"), bson!("\u{e1}")]);
    let range = doc! {"find": "c", "filter": {"_id": {"$gte": "A", "$lt": "b"}}};
    assert_eq!(found(range).await, [bson!("a"), bson!("\u{e1}")]);

    let distinct = host.run(doc! {"distinct": "c", "key": "s", "collation": accents}).await;
    assert_eq!(distinct.get_array("values").unwrap().len(), 2);
    let grouped = host.all(doc! {
        "aggregate": "c", "cursor": {}, "pipeline": [{"$match": {"s": "b"}}, {"$project": {"same": {"$eq": ["$s", "b"]}}}],
    });
    assert_eq!(grouped.await, [doc! {"_id": "B", "same": true}]);

    let update = doc! {"update": "c", "updates": [
        {"q": {"_id": "b"}, "u": {"$set": {"n": 1}}},
        {"q": {"_id": "b"}, "u": {"$set": {"n": 2}}, "collation": simple.clone()},
        {"q": {"s": "A"}, "u": {"$set": {"n": 3}}, "multi": true},
        {"q": {"_id": "A"}, "u": {"$set": {"n": 4}}, "upsert": true},
    ]};
    let reply = host.run(update).await;
    assert_eq!((reply.get_i32("n").ok(), reply.get_i32("nModified").ok()), (Some(3), Some(3)), "{reply}");
    assert!(!reply.contains_key("upserted"));
    let modified = host
        .run(doc! {"findAndModify": "c", "query": {"_id": "b"}, "remove": true, "collation": simple.clone()});
    assert_eq!(modified.await.get("value"), Some(&Bson::Null));
    let delete = doc! {"delete": "c", "deletes": [
        {"q": {"_id": "b"}, "limit": 1, "collation": simple}, {"q": {"_id": "b"}, "limit": 1}, {"q": {"s": "A"}, "limit": 0},
    ]};
    assert_eq!(host.run(delete).await.get_i32("n").ok(), Some(2));
    assert_eq!(found(doc! {"find": "c"}).await, [bson!("\u{e1}")]);
    assert_eq!(
        host.code(doc! {"createIndexes": "c", "indexes": [{"key": {"h": "hashed"}, "name": "h"}]}).await,
        238
    );
    let hashed = doc! {"key": {"h": "hashed"}, "name": "h", "collation": {"locale": "simple"}};
    host.run(doc! {"createIndexes": "c", "indexes": [hashed]}).await;
    assert_eq!(host.code(doc! {"create": "d", "collation": {}}).await, 2);
    assert_eq!(host.code(doc! {"create": "d", "collation": {"locale": "xx"}}).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_which_index_serves_strings() {
    let host = Host::new();
    host.fill((0..20).map(|id| doc! {"_id": id, "s": format!("s{id}"), "n": id})).await;
    let collation = doc! {"locale": "en", "strength": 2};
    let index = |key: Document, name: &str| doc! {"key": key, "name": name, "collation": collation.clone()};
    let indexes = vec![index(doc! {"s": 1}, "s"), index(doc! {"n": 1, "s": 1}, "ns")];
    host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
    let planner = async |find: Document| {
        let reply = host.run(doc! {"explain": find, "verbosity": "queryPlanner"}).await;
        reply.get_document("queryPlanner").unwrap().clone()
    };
    let scan = |planner: &Document| {
        let winning = planner.get_document("winningPlan").unwrap();
        winning.get_document("inputStage").ok().map(|scan| {
            assert_eq!(scan.get_document("collation").unwrap().get_i32("strength").ok(), Some(2));
            (scan.get_str("indexName").unwrap().to_owned(), scan.get_document("indexBounds").unwrap().clone())
        })
    };
    let told = planner(doc! {"find": "c", "filter": {"s": "S1"}, "collation": collation.clone()}).await;
    assert_eq!(told.get_document("collation").unwrap().get_i32("strength").ok(), Some(2));
    let (name, bounds) = scan(&told).unwrap();
    assert_eq!(name, "s");
    let shown = bounds.get_array("s").unwrap()[0].as_str().unwrap().to_owned();
    assert!(shown.starts_with("[CollationKey(0x"), "{shown}");
    let told = planner(doc! {"find": "c", "filter": {"s": "S1"}}).await;
    assert!(scan(&told).is_none() && !told.contains_key("collation"), "{told}");
    let told = planner(doc! {"find": "c", "filter": {"n": 3, "s": "s3"}}).await;
    let (name, bounds) = scan(&told).unwrap();
    assert_eq!((name.as_str(), bounds), ("ns", doc! {"n": ["[3, 3]"], "s": ["[MinKey, MaxKey]"]}));
    // The order of an index is that of its collation.
    let sorted = |collation: Document| planner(doc! {"find": "c", "sort": {"s": 1}, "collation": collation});
    assert!(scan(&sorted(collation.clone()).await).is_some());
    let in_memory = sorted(doc! {"locale": "en"}).await;
    assert_eq!(in_memory.get_document("winningPlan").unwrap().get_str("stage").ok(), Some("SORT"));
    // Indexes on one pattern are told apart by collation: a hint by pattern takes the one that serves.
    host.run(doc! {"createIndexes": "c", "indexes": [{"key": {"s": 1}, "name": "simple"}]}).await;
    let hinted =
        planner(doc! {"find": "c", "filter": {"s": "S1"}, "collation": collation, "hint": {"s": 1}}).await;
    assert_eq!(scan(&hinted).unwrap().0, "s");
}

//! Whatever index a query goes by, it finds what a scan of the whole collection finds, in an order that is right.
//! Documents and queries are drawn by a fixed seed; a failing round prints its query.
#![allow(clippy::unwrap_used)]

mod host;

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use host::{Host, ids, sorted};
use query::sort::Sort;

/// A small generator: the test needs variety, not quality.
struct Draw(u64);

impl Draw {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    fn value(&mut self) -> Bson {
        match self.next(14) {
            12 => bson!([{"0": self.next(3) as i32}, self.next(6) as i32]),
            13 => match self.next(3) {
                0 => bson!({"0": self.next(6) as i32}),
                1 => bson!([[self.next(6) as i32], self.next(6) as i32]),
                _ => bson!([self.next(6) as i32, {"0": self.next(6) as i32}]),
            },
            0 => Bson::Null,
            1 => bson!([self.next(6) as i32, self.next(6) as i32]),
            2 => bson!([]),
            3 => Bson::Double(self.next(6) as f64),
            4 => Bson::Double(self.next(12) as f64 / 2.0),
            5 => Bson::String(format!("s{}", self.next(3))),
            6 => bson!({"x": self.next(3) as i32}),
            7 => bson!([{"x": self.next(3) as i32}, {"x": self.next(3) as i32}]),
            _ => Bson::Int32(self.next(6) as i32),
        }
    }

    fn path(&mut self) -> &'static str {
        ["a", "b", "c", "a.x", "a.0", "a.1", "a.0.x"][self.next(7) as usize]
    }

    fn document(&mut self, id: i32) -> Document {
        let mut doc = doc! {"_id": id};
        // Two arrays side by side cannot be indexed: only `a` may be one.
        if self.next(5) > 0 {
            doc.insert("a", self.value());
        }
        for name in ["b", "c"] {
            if self.next(5) > 0 {
                let value = self.value();
                doc.insert(name, if matches!(value, Bson::Array(_)) { Bson::Null } else { value });
            }
        }
        doc
    }

    fn condition(&mut self) -> Document {
        let path = self.path();
        let value = self.value();
        let operator = match self.next(12) {
            0 => doc! {"$gt": value},
            1 => doc! {"$gte": value},
            2 => doc! {"$lt": value},
            3 => doc! {"$lte": value},
            4 => doc! {"$in": [value, self.value(), self.value()]},
            5 => doc! {"$ne": value},
            6 => doc! {"$exists": self.next(2) == 0},
            7 => doc! {"$gt": self.next(4) as i32, "$lt": self.next(7) as i32},
            8 => doc! {"$nin": [value, self.value()]},
            9 => doc! {"$not": {"$gt": value}},
            10 if self.next(2) == 0 => {
                let name = ["0", "1", "x"][self.next(3) as usize];
                return doc! {"a": {"$elemMatch": {name: self.next(6) as i32}}};
            }
            10 => return doc! {"_id": {"$gt": self.next(200) as i32}},
            _ => return doc! {path: value},
        };
        doc! {path: operator}
    }

    fn filter(&mut self) -> Document {
        let conditions: Vec<Document> = (0..=self.next(3)).map(|_| self.condition()).collect();
        match self.next(4) {
            0 => doc! {"$or": conditions},
            _ => doc! {"$and": conditions},
        }
    }

    fn sort(&mut self) -> Document {
        let mut sort = Document::new();
        for _ in 0..=self.next(2) {
            sort.insert(self.path(), if self.next(2) == 0 { 1 } else { -1 });
        }
        if self.next(3) == 0 {
            sort.insert("_id", if self.next(2) == 0 { 1 } else { -1 });
        }
        sort
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plan_finds_the_same() {
    agree(false, 500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plan_of_a_capped_collection_finds_the_same() {
    agree(true, 250).await;
}

async fn agree(is_capped: bool, rounds: u32) {
    let seed = 20_260_101;
    let mut draw = Draw(seed);
    let host = Host::new();
    if is_capped {
        host.run(doc! {"create": "c", "capped": true, "size": 1 << 20}).await;
    }
    // Not in the order of their ids.
    host.fill((0..250).map(|id| draw.document(id * 97 % 250))).await;
    let indexes = bson!([
        {"key": {"a": 1}, "name": "a"}, {"key": {"b": -1}, "name": "b"}, {"key": {"b": 1, "c": -1}, "name": "bc"},
        {"key": {"c": 1}, "name": "sparse", "sparse": true}, {"key": {"a.x": 1, "b": 1}, "name": "axb"},
        {"key": {"c": "hashed"}, "name": "h"}, {"key": {"a.0": 1, "b": 1}, "name": "a0b"}, {"key": {"a.1": -1}, "name": "a1"},
        {"key": {"a.0.x": 1}, "name": "a0x"},
    ]);
    host.run(doc! {"createIndexes": "c", "indexes": indexes}).await;
    for round in 0..rounds {
        let filter = draw.filter();
        let scan = host.all(doc! {"find": "c", "filter": filter.clone(), "hint": {"$natural": 1}}).await;
        let found = host.all(doc! {"find": "c", "filter": filter.clone(), "batchSize": 3}).await;
        let wanted = sorted(ids(&scan));
        assert_eq!(sorted(ids(&found)), wanted, "seed {seed} round {round}: {filter}");
        let count = host.run(doc! {"count": "c", "query": filter.clone()}).await;
        assert_eq!(count, doc! {"n": wanted.len() as i32}, "seed {seed} round {round}: count {filter}");
        for index in ["a", "b", "bc", "axb", "a0b", "a1", "a0x", "_id_"] {
            let found = host.all(doc! {"find": "c", "filter": filter.clone(), "hint": index}).await;
            assert_eq!(sorted(ids(&found)), wanted, "seed {seed} round {round}: {filter} by {index}");
        }
        let pattern = draw.sort();
        let by = Sort::parse(&RawDocumentBuf::try_from(&pattern).unwrap()).unwrap();
        let command = doc! {"find": "c", "filter": filter.clone(), "sort": pattern.clone(), "batchSize": 5};
        let ordered = match host.try_run(command.clone()).await {
            // Two arrays in one document: no order is defined.
            Err(fault) if fault.code == types::Code::BadValue => continue,
            _ => host.all(command).await,
        };
        assert_eq!(sorted(ids(&ordered)), wanted, "seed {seed} round {round}: {filter} sorted {pattern}");
        let keys: Vec<Vec<u8>> =
            ordered.iter().map(|doc| by.key(&RawDocumentBuf::try_from(doc).unwrap()).unwrap()).collect();
        assert!(keys.is_sorted(), "seed {seed} round {round}: {filter} sorted {pattern}");
    }
}

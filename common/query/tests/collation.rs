//! The query language under collations: filters, sorts, groups, expressions and updates see strings as the collation does.

#![allow(clippy::unwrap_used)]

use bson::{Document, RawDocumentBuf, bson, doc};
use query::bounds::{self, KeyPattern};
use query::context::ParseContext;
use query::matcher::{Matcher, implies};
use query::pipeline::{Pipeline, Run, split};
use query::sort::Sort;
use query::update::{Modification, Update, UpdateSpec};
use value::{Collation, Collator};

fn raw(doc: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(doc).unwrap()
}

fn collator(doc: Document) -> Collator {
    match Collation::parse(&raw(&doc), "collation").unwrap() {
        Collation::By(collator) => collator,
        other => panic!("{other:?}"),
    }
}

fn context(collation: &Option<Collator>) -> ParseContext {
    ParseContext::at(0).with_collation(collation.clone())
}

fn caseless() -> Option<Collator> {
    Some(collator(doc! {"locale": "en", "strength": 2}))
}

#[test]
fn filters() {
    let rows: &[(Document, Document, bool)] = &[
        (doc! {"a": "X"}, doc! {"a": "x"}, true),
        (doc! {"a": "\u{e9}"}, doc! {"a": "e"}, false),
        (doc! {"a": ["q", "X"]}, doc! {"a": "x"}, true),
        (doc! {"a": {"b": "X"}}, doc! {"a": {"b": "x"}}, true),
        (doc! {"a": {"B": "x"}}, doc! {"a": {"b": "x"}}, false),
        (doc! {"a": [["X"]]}, doc! {"a": ["x"]}, true),
        (doc! {"a": "B"}, doc! {"a": {"$gt": "a"}}, true),
        (doc! {"a": "B"}, doc! {"a": {"$lte": "b"}}, true),
        (doc! {"a": "B"}, doc! {"a": {"$lt": "b"}}, false),
        (doc! {"a": "B"}, doc! {"a": {"$in": ["a", "b"]}}, true),
        (doc! {"a": "B"}, doc! {"a": {"$nin": ["a", "b"]}}, false),
        (doc! {"a": "B"}, doc! {"a": {"$ne": "b"}}, false),
        (doc! {"a": ["B", "c"]}, doc! {"a": {"$all": ["b", "C"]}}, true),
        (doc! {"a": [{"b": "X", "c": 1}]}, doc! {"a": {"$elemMatch": {"b": "x", "c": 1}}}, true),
        (doc! {"a": ["X", "y"]}, doc! {"a": {"$elemMatch": {"$gte": "x", "$lt": "Y"}}}, true),
        (doc! {"a": "B"}, doc! {"$or": [{"a": "x"}, {"a": "b"}]}, true),
        (doc! {"a": "B"}, doc! {"a": {"$regex": "b"}}, false),
        (doc! {"a": "B"}, doc! {"a": {"$not": {"$eq": "b"}}}, false),
        (doc! {"a": "B", "b": "b"}, doc! {"$expr": {"$eq": ["$a", "$b"]}}, true),
        (doc! {"a": "B", "b": "b"}, doc! {"$expr": {"$lt": ["$a", "$b"]}}, false),
        (doc! {"a": 5}, doc! {"a": 5}, true),
        (doc! {"a": "5"}, doc! {"a": 5}, false),
    ];
    for (doc, filter, wanted) in rows {
        let matcher = Matcher::parse(&raw(filter), &context(&caseless())).unwrap();
        assert_eq!(matcher.matches(&raw(doc)).unwrap(), *wanted, "{filter} on {doc}");
    }
    let positional = Matcher::parse(&raw(&doc! {"a": "x"}), &context(&caseless())).unwrap();
    let position = positional.matches_with_position(&raw(&doc! {"a": ["q", "X"]})).unwrap().unwrap();
    assert_eq!(position.index, Some(1));
}

#[test]
fn implications_need_the_same_collation() {
    let (none, caseless) = (None, caseless());
    let strict = Some(collator(doc! {"locale": "en"}));
    let of = |filter: Document, collation: &Option<Collator>| {
        Matcher::parse(&raw(&filter), &context(collation)).unwrap()
    };
    let text = |collation: &Option<Collator>| of(doc! {"a": "x"}, collation);
    let above = |collation: &Option<Collator>| of(doc! {"a": {"$gt": "w"}}, collation);
    assert!(implies(&text(&caseless), &of(doc! {"a": "X"}, &caseless)));
    assert!(implies(&text(&caseless), &above(&caseless)));
    assert!(!implies(&text(&caseless), &above(&strict)) && !implies(&text(&none), &above(&strict)));
    assert!(!implies(&text(&strict), &of(doc! {"a": {"$in": ["x", "y"]}}, &caseless)));
    assert!(implies(&text(&strict), &of(doc! {"a": {"$in": ["x", "y"]}}, &strict)));
    assert!(implies(&of(doc! {"a": 5}, &strict), &of(doc! {"a": {"$gt": 3}}, &caseless)));
}

#[test]
fn bounds_hold_keys_of_the_same_collation_only() {
    let english = Some(collator(doc! {"locale": "en"}));
    let pattern = KeyPattern::parse(&raw(&doc! {"a": 1})).unwrap();
    let rows = [
        // Constrained under the same collation, and under another one.
        (doc! {"a": "x"}, true, false),
        (doc! {"a": {"$gt": "x"}}, true, false),
        (doc! {"a": {"$in": [1, "x"]}}, true, false),
        (doc! {"a": {"b": "x"}}, true, false),
        (doc! {"a": 5}, true, true),
        (doc! {"a": {"$lt": {"b": 5}}}, true, true),
        (doc! {"a": {"$in": [1, 2]}}, true, true),
        (doc! {"a": {"$type": "string"}}, true, true),
        (doc! {"a": {"$regex": "^x"}}, true, true),
    ];
    for (filter, same, other) in rows {
        for (query, key, wanted) in [
            (caseless(), caseless(), same),
            (None, None, same),
            (caseless(), None, other),
            (None, caseless(), other),
            (caseless(), english.clone(), other),
        ] {
            let matcher = Matcher::parse(&raw(&filter), &context(&query)).unwrap();
            let found = bounds::bounds(&matcher, &pattern.clone().under(key.clone()), false);
            assert_eq!(found.fields[0].constrained, wanted, "{filter} under {query:?}, keys under {key:?}");
            // What the bounds leave out does not match.
            let ranges = bounds::key_ranges(&found, &pattern);
            for value in
                [bson!("x"), bson!("X"), bson!(5), bson!({"b": "X"}), bson!({"b": 4}), bson!("\u{e9}")]
            {
                let doc = raw(&doc! {"a": value.clone()});
                let mut bytes = Vec::new();
                value::key::encode_bson_under(&mut bytes, &value, false, key.as_ref());
                let inside = ranges.iter().any(|range| range.contains(&bytes));
                let matches = matcher.matches(&doc).unwrap();
                assert!(inside || !matches, "{filter} loses {value} under {query:?}, keys under {key:?}");
                assert!(!found.exact || inside == matches, "{filter} on {value}: not exact");
            }
        }
    }
}

#[test]
fn sorts() {
    let sort = |spec: Document, collation: &Option<Collator>, words: &[&str]| {
        let sort = Sort::parse(&raw(&spec)).unwrap().under(collation.clone());
        let mut words: Vec<&str> = words.to_vec();
        words.sort_by_key(|word| sort.key(&raw(&doc! {"a": *word})).unwrap());
        words.join(" ")
    };
    let words = ["b", "A", "a", "B", "10", "9"];
    assert_eq!(sort(doc! {"a": 1}, &None, &words), "10 9 A B a b");
    assert_eq!(sort(doc! {"a": 1}, &caseless(), &words), "10 9 A a b B");
    assert_eq!(sort(doc! {"a": -1}, &caseless(), &words), "b B A a 9 10");
    let numeric = Some(collator(doc! {"locale": "en", "numericOrdering": true}));
    assert_eq!(sort(doc! {"a": 1}, &numeric, &words), "9 10 a A b B");
    let swedish = Some(collator(doc! {"locale": "sv"}));
    assert_eq!(sort(doc! {"a": 1}, &swedish, &["\u{f6}", "z", "o"]), "o z \u{f6}");
}

fn run(stages: &[Document], collation: &Option<Collator>, documents: &[Document]) -> Vec<Document> {
    let pipeline = Pipeline::parse(&stages.iter().map(raw).collect::<Vec<_>>(), &context(collation)).unwrap();
    let mut run = Run::new(&pipeline, 1 << 20);
    documents.iter().for_each(|doc| run.push(&raw(doc)).unwrap());
    drain(run)
}

fn drain(mut run: Run) -> Vec<Document> {
    run.finish().unwrap();
    let mut found = Vec::new();
    while let Some(doc) = run.pop().unwrap() {
        found.push(Document::try_from(&*doc).unwrap());
    }
    found
}

#[test]
fn groups_and_accumulators() {
    let documents: Vec<Document> = ["a", "B", "A", "b", "c"]
        .iter()
        .enumerate()
        .map(|(at, s)| doc! {"_id": at as i32, "s": *s})
        .collect();
    let group = doc! {"$group": {"_id": "$s", "n": {"$sum": 1}, "ids": {"$push": "$_id"}}};
    let sorted = doc! {"$sort": {"_id": 1}};
    let wanted = vec![
        doc! {"_id": "a", "n": 2, "ids": [0, 2]},
        doc! {"_id": "B", "n": 2, "ids": [1, 3]},
        doc! {"_id": "c", "n": 1, "ids": [4]},
    ];
    assert_eq!(run(&[group.clone(), sorted.clone()], &caseless(), &documents), wanted);
    assert_eq!(run(&[group.clone(), sorted.clone()], &None, &documents).len(), 5);
    // Dealt over two shards and merged it is the same.
    let stages = [group, sorted];
    let whole = Pipeline::parse(&stages.iter().map(raw).collect::<Vec<_>>(), &context(&caseless())).unwrap();
    let halves = split(&whole).unwrap();
    let mut merge = Run::new(&halves.router, 1 << 20);
    for half in [&documents[..2], &documents[2..]] {
        let shard = Pipeline::parse(&halves.shard, &context(&caseless())).unwrap();
        let mut part = Run::new(&shard, 1 << 20);
        half.iter().for_each(|doc| part.push(&raw(doc)).unwrap());
        part.finish().unwrap();
        while let Some(doc) = part.pop().unwrap() {
            merge.push_owned(doc).unwrap();
        }
    }
    assert_eq!(drain(merge), wanted);
    let all = doc! {"$group": {
        "_id": null, "least": {"$min": "$s"}, "most": {"$max": "$s"}, "set": {"$addToSet": "$s"},
        "two": {"$minN": {"input": "$s", "n": 2}},
        "top": {"$top": {"sortBy": {"s": -1, "_id": 1}, "output": "$_id"}},
    }};
    let found = run(&[all], &caseless(), &documents);
    let wanted = doc! {
        "_id": null, "least": "a", "most": "c", "set": ["a", "B", "c"], "two": ["a", "A"], "top": 4,
    };
    assert_eq!(found, [wanted]);
}

#[test]
fn expressions() {
    let rows = [
        (bson!({"$eq": ["a", "A"]}), bson!(true)),
        (bson!({"$ne": ["a", "A"]}), bson!(false)),
        (bson!({"$cmp": ["a", "A"]}), bson!(0)),
        (bson!({"$gt": ["b", "A"]}), bson!(true)),
        (bson!({"$in": ["a", ["x", "A"]]}), bson!(true)),
        (bson!({"$indexOfArray": [["x", "A"], "a"]}), bson!(1)),
        (bson!({"$setUnion": [["a", "b"], ["A"]]}), bson!(["a", "b"])),
        (bson!({"$setIntersection": [["a", "b"], ["A"]]}), bson!(["a"])),
        (bson!({"$setDifference": [["a", "b"], ["A"]]}), bson!(["b"])),
        (bson!({"$setEquals": [["a"], ["A", "a"]]}), bson!(true)),
        (bson!({"$setIsSubset": [["a"], ["A", "B"]]}), bson!(true)),
        (bson!({"$max": ["a", "B"]}), bson!("B")),
        (bson!({"$min": ["b", "A", "a"]}), bson!("A")),
        (bson!({"$maxN": {"n": 1, "input": ["b", "A"]}}), bson!(["b"])),
        (bson!({"$sortArray": {"input": ["b", "A", "a"], "sortBy": 1}}), bson!(["A", "a", "b"])),
        (bson!({"$let": {"vars": {"x": "A"}, "in": {"$eq": ["$$x", "a"]}}}), bson!(true)),
        (
            bson!({"$switch": {"branches": [{"case": {"$eq": ["$s", "q"]}, "then": 1}], "default": 0}}),
            bson!(1),
        ),
        (bson!({"$concat": ["a", "A"]}), bson!("aA")),
    ];
    for (expression, wanted) in rows {
        let found =
            run(&[doc! {"$project": {"_id": 0, "v": expression.clone()}}], &caseless(), &[doc! {"s": "Q"}]);
        assert_eq!(found, [doc! {"v": wanted}], "{expression}");
    }
}

#[test]
fn updates() {
    let rows = [
        (doc! {"$addToSet": {"a": "X"}}, doc! {"a": ["x"]}, doc! {"a": ["x"]}),
        (doc! {"$addToSet": {"a": {"$each": ["y", "Y"]}}}, doc! {"a": ["x"]}, doc! {"a": ["x", "y"]}),
        (doc! {"$pull": {"a": "X"}}, doc! {"a": ["x", "y"]}, doc! {"a": ["y"]}),
        (doc! {"$pull": {"a": {"$gte": "X"}}}, doc! {"a": ["x", "w"]}, doc! {"a": ["w"]}),
        (doc! {"$pull": {"a": {"b": "X"}}}, doc! {"a": [{"b": "x"}]}, doc! {"a": []}),
        (doc! {"$pullAll": {"a": ["X"]}}, doc! {"a": ["x", "y"]}, doc! {"a": ["y"]}),
        (doc! {"$max": {"a": "B"}}, doc! {"a": "a"}, doc! {"a": "B"}),
        (doc! {"$max": {"a": "B"}}, doc! {"a": "b"}, doc! {"a": "b"}),
        (doc! {"$min": {"a": "B"}}, doc! {"a": "c"}, doc! {"a": "B"}),
        (
            doc! {"$push": {"a": {"$each": ["B"], "$sort": 1}}},
            doc! {"a": ["c", "a"]},
            doc! {"a": ["a", "B", "c"]},
        ),
        (doc! {"$set": {"a.$[e]": 1}}, doc! {"a": ["X", "y"]}, doc! {"a": [1, "y"]}),
        (doc! {"$set": {"a": "X"}}, doc! {"a": "x"}, doc! {"a": "X"}),
    ];
    for (update, before, after) in rows {
        let filters = match update.to_string().contains("$[e]") {
            true => vec![raw(&doc! {"e": "x"}).into()],
            false => Vec::new(),
        };
        let modification = Modification::Document(raw(&update).into());
        let parsed = Update::parse(UpdateSpec::new(&modification, &filters), &context(&caseless())).unwrap();
        let outcome = parsed.apply(&raw(&before), None, false).unwrap();
        assert_eq!(Document::try_from(&*outcome.doc).unwrap(), after, "{update} of {before}");
        assert_eq!(outcome.modified, before != after, "{update} of {before}");
    }
}

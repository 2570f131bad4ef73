//! Whole loads against a fake server that keeps records.

use super::*;
use crate::args::{Args as CommandLine, Command};
use crate::link::fake::{Answer, Fake};
use bson::Document;
use clap::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Store {
    keys: BTreeSet<String>,
    commands: BTreeMap<String, u64>,
}

fn serve(store: &Mutex<Store>, command: &Document) -> Document {
    let mut store = store.lock().unwrap();
    let name = command.keys().next().unwrap().clone();
    *store.commands.entry(name.clone()).or_default() += 1;
    match name.as_str() {
        "insert" => {
            for document in command.get_array("documents").unwrap() {
                let key = document.as_document().unwrap().get_str("_id").unwrap();
                assert!(store.keys.insert(key.to_owned()), "{key} twice");
            }
            doc! { "n": command.get_array("documents").unwrap().len() as i32, "ok": 1.0 }
        }
        "update" => {
            let update = command.get_array("updates").unwrap()[0].as_document().unwrap();
            let key = update.get_document("q").unwrap().get_str("_id").unwrap();
            doc! { "n": i32::from(store.keys.contains(key)), "nModified": 1, "ok": 1.0 }
        }
        "find" => {
            let filter = command.get_document("filter").cloned().unwrap_or_default();
            let batch: Vec<Document> = match filter.get("_id") {
                Some(bson::Bson::String(key)) => {
                    store.keys.get(key).map(|key| doc! { "_id": key }).into_iter().collect()
                }
                Some(bson::Bson::Document(range)) => {
                    let from = range.get_str("$gte").unwrap().to_owned();
                    let limit = command.get_i32("limit").unwrap() as usize;
                    store.keys.range(from..).take(limit).map(|key| doc! { "_id": key }).collect()
                }
                _ => store.keys.iter().map(|key| doc! { "_id": key }).collect(),
            };
            doc! { "cursor": { "firstBatch": batch, "id": 0_i64, "ns": "ycsb.usertable" }, "ok": 1.0 }
        }
        _ => doc! { "ok": 1.0 },
    }
}

fn fake() -> (Fake, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let server = Arc::clone(&store);
    (Fake::start(move |command| Answer::Reply(serve(&server, command))), store)
}

fn options(line: &str) -> Options {
    match CommandLine::try_parse_from(line.split(' ')).unwrap().command {
        Command::Load(options) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn workloads_load_and_run() {
    for workload in ["a", "b", "c", "d", "e", "f"] {
        let (fake, store) = fake();
        let line = format!(
            "shoal load --workload {workload} --records 300 --ops 1000 --threads 3 --shard --drop --field-bytes 5 --uri {}",
            fake.uri()
        );
        let options = options(&line);
        run(&options).unwrap();
        let store = store.lock().unwrap();
        let count = |name: &str| store.commands.get(name).copied().unwrap_or(0);
        assert_eq!((count("drop"), count("shardCollection")), (1, 1));
        let inserted = count("insert") - 300;
        let total = count("find") + inserted + if workload == "f" { 0 } else { count("update") };
        assert_eq!(total, 1000, "{workload}: {:?}", store.commands);
        assert_eq!(store.keys.len() as u64, 300 + inserted);
    }
}

#[test]
fn reads_find_what_was_loaded() {
    let (fake, _) = fake();
    for workload in ["c", "d"] {
        let line = format!(
            "shoal load --workload {workload} --records 200 --ops 500 --threads 2 --batch 7 --drop --uri {}",
            fake.uri()
        );
        let mut options = options(&line);
        // The fake does not drop: the second workload reads what the first one loaded.
        if workload == "d" {
            options.phase = Phase::Run;
        }
        let shape = Shape {
            ns: options.ns.clone(),
            fields: 1,
            field_bytes: 8,
            concern: WriteConcernFlags::default(),
        };
        if options.phase != Phase::Run {
            assert_eq!(load_phase(&options, &shape).unwrap().measured.failed(), 0);
        }
        let outcome = run_phase(&options, &shape).unwrap();
        assert_eq!((outcome.measured.failed(), outcome.measured.not_found), (0, 0), "{workload}");
        assert_eq!(outcome.measured.succeeded(), 500);
    }
}

#[test]
fn probes_find_sampled_keys() {
    let (fake, store) = fake();
    store.lock().unwrap().keys.extend(["a", "b", "c"].map(str::to_owned));
    for line in ["--op findone --keys sample --threads 2", "--op ping", "--op findone --keys sample --json"] {
        let line = format!("shoal probe {line} --ops 200 --uri {}", fake.uri());
        let Command::Probe(options) = CommandLine::try_parse_from(line.split(' ')).unwrap().command else {
            panic!()
        };
        probe::run(&options).unwrap();
    }
    assert!(store.lock().unwrap().commands["find"] >= 400);
    let empty = Fake::start(|_| {
        Answer::Reply(doc! { "cursor": { "firstBatch": [], "id": 0_i64, "ns": "a.b" }, "ok": 1 })
    });
    let line = format!("shoal probe --uri {}", empty.uri());
    let Command::Probe(options) = CommandLine::try_parse_from(line.split(' ')).unwrap().command else {
        panic!()
    };
    assert!(probe::run(&options).unwrap_err().to_string().contains("has a field _id"));
}

#[test]
fn failures_are_counted_by_cause() {
    let fake = Fake::start(|command| match command.contains_key("insert") {
        true => {
            Answer::Reply(doc! { "ok": 0.0, "code": 10107, "codeName": "NotWritablePrimary", "errmsg": "no" })
        }
        false => Answer::Reply(doc! { "ok": 1.0 }),
    });
    let line = format!("shoal load --workload c --phase load --records 20 --threads 2 --uri {}", fake.uri());
    assert!(run(&options(&line)).unwrap_err().to_string().contains("20 operations failed"));
    let line = format!("shoal load --workload c --target-ops 1000 --ops 50 --phase run --uri {}", fake.uri());
    let outcome = run_phase(
        &options(&line),
        &Shape {
            ns: Namespace::parse("a.b").unwrap(),
            fields: 1,
            field_bytes: 1,
            concern: WriteConcernFlags::default(),
        },
    )
    .unwrap();
    assert_eq!(outcome.measured.not_found, 50);
    assert!(outcome.seconds >= 0.04, "50 operations at 1000 a second: {}", outcome.seconds);
}

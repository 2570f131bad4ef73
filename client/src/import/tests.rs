//! Whole imports against a fake server that stores, refuses, and breaks.

use super::*;
use crate::args::{Args as CommandLine, Command};
use crate::link::fake::{Answer, Fake};
use bson::{Bson, Document};
use clap::Parser;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server that executes retryable inserts once, as sessions demand.
#[derive(Default)]
struct Stored {
    documents: BTreeMap<String, Document>,
    executed: HashSet<String>,
}

impl Stored {
    fn insert(&mut self, command: &Document) -> Document {
        let statement = format!("{:?} {:?}", command.get("lsid"), command.get("txnNumber"));
        let documents = command.get_array("documents").unwrap();
        let is_new = self.executed.insert(statement);
        let mut errors = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let document = document.as_document().unwrap();
            let id = document.get("_id").unwrap().to_string();
            if is_new && self.documents.insert(id, document.clone()).is_some() {
                errors.push(
                    bson::doc! { "index": index as i32, "code": 11000, "errmsg": "E11000 duplicate key" },
                );
            }
        }
        let mut reply = bson::doc! { "n": (documents.len() - errors.len()) as i32, "ok": 1.0 };
        if !errors.is_empty() {
            reply.insert("writeErrors", errors);
        }
        reply
    }
}

fn options(line: &str) -> Options {
    match CommandLine::try_parse_from(line.split(' ')).unwrap().command {
        Command::Import(options) => options,
        other => panic!("{other:?}"),
    }
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_format_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<String> =
        (0..2_500).map(|number| format!(r#"{{"n": {number}, "s": "x{number}"}}"#)).collect();
    let array = file(&dir, "a.json", &format!("[{}]", rows.join(",\n")));
    let lines = file(&dir, "a.jsonl", &rows.join("\n"));
    let csv: String = (0..2_500).map(|number| format!("{number},x{number}\n")).collect();
    let csv = file(&dir, "a.csv", &format!("n,s\n{csv}"));
    for path in [array, lines, csv] {
        let stored = Arc::new(Mutex::new(Stored::default()));
        let server = Arc::clone(&stored);
        let fake = Fake::start(move |command| {
            assert_eq!(command.get_str("insert").unwrap(), "c.d");
            assert_eq!(
                command.get_document("writeConcern").unwrap(),
                &bson::doc! { "w": "majority", "j": true }
            );
            Answer::Reply(lock(&server).insert(command))
        });
        let acked = dir.path().join("acked");
        let line = format!(
            "shoal import {path} --ns b.c.d --infer --batch 100 --w majority --j --acked-log {} --uri {}",
            acked.display(),
            fake.uri()
        );
        run(&options(&line)).unwrap();
        let stored = lock(&stored);
        let mut numbers: Vec<i32> = stored.documents.values().map(|one| one.get_i32("n").unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..2_500).collect::<Vec<_>>(), "{path}");
        let acked = std::fs::read_to_string(&acked).unwrap();
        let acked: HashSet<String> = acked
            .lines()
            .map(|line| {
                Bson::try_from(serde_json::from_str::<serde_json::Value>(line).unwrap()).unwrap().to_string()
            })
            .collect();
        assert_eq!(acked, stored.documents.keys().cloned().collect());
    }
}

#[test]
fn a_broken_connection_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..1_000).map(|number| format!("{{\"n\": {number}}}\n")).collect();
    let path = file(&dir, "a.jsonl", &rows);
    let stored = Arc::new(Mutex::new(Stored::default()));
    let server = Arc::clone(&stored);
    let requests = AtomicU32::new(0);
    let fake = Fake::start(move |command| match requests.fetch_add(1, Ordering::Relaxed) % 3 {
        // Lost before it was executed, and lost after.
        0 => Answer::Close,
        1 => {
            lock(&server).insert(command);
            Answer::Close
        }
        _ => Answer::Reply(lock(&server).insert(command)),
    });
    run(&options(&format!("shoal import {path} --ns b.c --batch 100 --threads 2 --uri {}", fake.uri())))
        .unwrap();
    assert_eq!(lock(&stored).documents.len(), 1_000);
}

#[test]
fn what_fails_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.jsonl", "{\"_id\": 1}\n{\"_id\": 1}\nbroken\n{\"_id\": 2}\n");
    let stored = Arc::new(Mutex::new(Stored::default()));
    let server = Arc::clone(&stored);
    let fake = Fake::start(move |command| Answer::Reply(lock(&server).insert(command)));
    let failure = run(&options(&format!("shoal import {path} --ns b.c --uri {}", fake.uri()))).unwrap_err();
    assert!(failure.to_string().contains("2 records were not imported"), "{failure}");
    assert_eq!(lock(&stored).documents.len(), 2);

    let refusing = Fake::start(|_| {
        Answer::Reply(
            bson::doc! { "ok": 0.0, "code": 13, "codeName": "Unauthorized", "errmsg": "not allowed" },
        )
    });
    let failure =
        run(&options(&format!("shoal import {path} --ns b.c --uri {}", refusing.uri()))).unwrap_err();
    assert!(failure.to_string().contains("4 records"), "{failure}");

    let closing = Fake::start(|_| Answer::Close);
    let line = format!("shoal import {path} --ns b.c --retry-seconds 0 --uri {}", closing.uri());
    let failure = run(&options(&line)).unwrap_err();
    assert!(failure.to_string().contains("ended early"), "{failure}");
    let line = format!("shoal import /nonexistent --ns b.c --uri {}", closing.uri());
    assert!(run(&options(&line)).unwrap_err().to_string().contains("cannot read"));
}

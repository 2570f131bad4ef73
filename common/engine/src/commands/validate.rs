//! `validate`: every record decodes, has its `_id` as key, and each index has exactly the entries that the records yield.

use super::on_collection;
use crate::HasEngine;
use crate::op_context::Interrupt;
use bson::{Document, doc};
use command::{Access, Context, Reply, Request, Spec, Validate};
use std::collections::HashSet;
use std::sync::Arc;
use storage::{Collection, Direction, Index, RecordOrder, Snapshot};
use types::{Code, Fault, limits};
use value::interval::KeyRange;

/// Errors that are told one by one.
const TOLD_MAX: usize = 100;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("validate", Access::Inspect, "checks a collection and its indexes", |host, ctx, request| {
        Box::pin(async move { run(&*host, &ctx, &request).await })
    })
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let request = Validate::parse(request, &ctx.envelope)?;
    let engine = host.engine();
    let Some(collection) = engine.store().catalog().get(&request.ns).cloned() else {
        return Err(Fault::new(
            Code::NamespaceNotFound,
            format!("Collection '{}' does not exist to validate.", request.ns),
        ));
    };
    let snapshot = engine.store().snapshot();
    let report = engine.long_work(|| Report::of(&snapshot, &collection, &mut Interrupt::new(ctx))).await?;
    Reply::try_from(report.to_doc(&collection))
}

#[derive(Default)]
struct Report {
    records: u64,
    invalid: u64,
    keys: Vec<(String, u64, bool)>,
    errors: Vec<String>,
}

impl Report {
    fn of(
        snapshot: &Snapshot,
        collection: &Arc<Collection>,
        interrupt: &mut Interrupt<'_>,
    ) -> Result<Report, Fault> {
        let mut report = Report::default();
        for record in snapshot.scan(collection, &KeyRange::all(), Direction::Forward) {
            interrupt.tick()?;
            let (key, doc) = record?;
            report.records += 1;
            let problem = match value::validate::document(doc.as_bytes(), limits::BSON_DEPTH_MAX) {
                Err(fault) => Some(fault.message),
                Ok(()) if collection.order != RecordOrder::Id => None,
                Ok(()) => match doc.get("_id") {
                    Ok(Some(id)) if collection.record_key(id) == key => None,
                    _ => Some("the record is not stored under its _id".to_owned()),
                },
            };
            if let Some(problem) = problem {
                report.invalid += 1;
                report.tell(format!("record {}: {problem}", report.records));
            }
        }
        for index in &collection.indexes {
            if index.is_clustered() {
                report.keys.push((index.name.clone(), report.records, report.invalid == 0));
            } else if index.usable_at(snapshot.timestamp()) {
                report.index(snapshot, collection, index, interrupt)?;
            }
        }
        Ok(report)
    }

    /// Every entry belongs to a record that yields it, and every record's entries are there.
    fn index(
        &mut self,
        snapshot: &Snapshot,
        collection: &Arc<Collection>,
        index: &Index,
        interrupt: &mut Interrupt<'_>,
    ) -> Result<(), Fault> {
        let told = self.errors.len();
        let (mut found, mut wrong) = (0_u64, 0_u64);
        for entry in snapshot.scan_index(index, &KeyRange::all(), Direction::Forward)? {
            interrupt.tick()?;
            let (key, record_key) = entry?;
            found += 1;
            let belongs = match snapshot.get(collection, &record_key)? {
                Some(doc) => index.keys(&doc)?.iter().any(|yielded| key == yielded.as_slice()),
                None => false,
            };
            if !belongs {
                wrong += 1;
                self.tell(format!("index {}: entry {found} belongs to no record", index.name));
            }
        }
        let mut wanted = 0_u64;
        for record in snapshot.scan(collection, &KeyRange::all(), Direction::Forward) {
            interrupt.tick()?;
            let keys: HashSet<Vec<u8>> = index.keys(&record?.1)?.into_iter().collect();
            wanted += keys.len() as u64;
        }
        if found - wrong != wanted {
            self.tell(format!(
                "index {}: {} entries are missing",
                index.name,
                wanted.abs_diff(found - wrong)
            ));
        }
        self.keys.push((index.name.clone(), found, self.errors.len() == told));
        Ok(())
    }

    fn tell(&mut self, error: String) {
        if self.errors.len() < TOLD_MAX {
            self.errors.push(error);
        }
    }

    fn to_doc(&self, collection: &Collection) -> Document {
        let mut keys = Document::new();
        let mut details = Document::new();
        for (name, count, valid) in &self.keys {
            keys.insert(name, i64::try_from(*count).unwrap_or(i64::MAX));
            details.insert(name, doc! {"valid": *valid});
        }
        let valid = self.errors.is_empty();
        doc! {
            "ns": collection.ns.as_str(),
            "uuid": collection.uuid.to_bson(),
            "nInvalidDocuments": self.invalid as i64,
            "nNonCompliantDocuments": 0_i64,
            "nrecords": self.records as i64,
            "nIndexes": collection.indexes.len() as i32,
            "keysPerIndex": keys,
            "indexDetails": details,
            "valid": valid,
            "repaired": false,
            "readTimestamp": bson::Timestamp::from(collection.version),
            "warnings": [],
            "errors": &self.errors,
            "extraIndexEntries": [],
            "missingIndexEntries": [],
            "corruptRecords": [],
        }
    }
}

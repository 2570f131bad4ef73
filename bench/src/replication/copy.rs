//! A new member copies everything, beside what the disk writes in one stream.

use super::{COLLECTION, DB};
use crate::Result;
use crate::connection::Connection;
use crate::process::Watch;
use crate::report::{Report, Target};
use crate::router::documents::document;
use crate::set::Set;
use bson::{Bson, Document, RawDocumentBuf, doc};
use std::fs;
use std::io::Write;
use std::time::Instant;

/// What is there to be copied at least, in bytes of documents.
const BYTES: u64 = 400 * 1024 * 1024;
const BATCH: i64 = 1_000;
const FIRST_ID: i64 = 2_000_000_000;
/// What the disk writes for comparison.
const DISK_BYTES: usize = 512 * 1024 * 1024;
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn measure(set: &mut Set, report: &mut Report) -> Result<()> {
    let mut primary = Connection::open(&set.primary()?)?;
    let size = RawDocumentBuf::try_from(&document(FIRST_ID))?.as_bytes().len() as u64;
    let mut next = FIRST_ID;
    while bytes(&mut primary)? < BYTES {
        for _ in 0..10 {
            let documents: Vec<Document> = (next..next + BATCH).map(document).collect();
            let insert = doc! { "insert": COLLECTION, "documents": documents, "ordered": false, "writeConcern": { "w": 1 } };
            primary.run(DB, insert)?;
            next += BATCH;
        }
    }
    let copied = bytes(&mut primary)?;
    let disk = disk_speed(report)?;
    let nth = set.add_process()?;
    let watch = Watch::start(&set.pids())?;
    let begin = Instant::now();
    set.add_member(nth)?;
    set.wait_until_well(nth)?;
    let seconds = begin.elapsed().as_secs_f64();
    let used = watch.stop()?;
    let host = set.members.get(nth).map(|member| member.host.clone()).ok_or("no such member")?;
    let here = count(&mut primary)?;
    let there = count(&mut Connection::open(&host)?)?;
    if here != there {
        return Err(format!("the new member has {there} documents instead of {here}").into());
    }
    let target = (0.7 * disk).min(100.0);
    report
        .add(
            "initial sync, MB of documents per second",
            copied as f64 / MIB / seconds,
            " MB/s",
            Target::AtLeast(target),
        )
        .others(used.others)
        .note(format!(
            "{:.0} MB in {seconds:.1} s, {size} bytes each; CPU of the new member {:.1} s; on disk {:.0} MB",
            copied as f64 / MIB,
            used.each.get(nth).copied().unwrap_or_default() as f64 / 1e6,
            set.data_bytes(nth)? as f64 / MIB
        ));
    Ok(())
}

fn number(reply: &Document, name: &str) -> u64 {
    match reply.get(name) {
        Some(Bson::Int32(number)) => u64::try_from(*number).unwrap_or_default(),
        Some(Bson::Int64(number)) => u64::try_from(*number).unwrap_or_default(),
        Some(Bson::Double(number)) => *number as u64,
        _ => 0,
    }
}

fn bytes(connection: &mut Connection) -> Result<u64> {
    // Before the first insert there is no collection.
    let stats = connection.run(DB, doc! { "collStats": COLLECTION });
    Ok(stats.map(|stats| number(&stats, "size")).unwrap_or_default())
}

fn count(connection: &mut Connection) -> Result<u64> {
    let command = doc! { "count": COLLECTION, "$readPreference": { "mode": "secondaryPreferred" } };
    Ok(number(&connection.run(DB, command)?, "n"))
}

/// MB per second that one stream of writes with a sync at its end gets.
fn disk_speed(report: &mut Report) -> Result<f64> {
    let path = std::env::temp_dir().join(format!("shoal-bench-{}.disk", std::process::id()));
    let mut file = fs::File::create(&path)?;
    let chunk: Vec<u8> =
        (0..1024 * 1024_u32).map(|nth| nth.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let begin = Instant::now();
    for _ in 0..DISK_BYTES / chunk.len() {
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    let speed = DISK_BYTES as f64 / MIB / begin.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    report.add("disk, sequential write and sync", speed, " MB/s", Target::None);
    Ok(speed)
}

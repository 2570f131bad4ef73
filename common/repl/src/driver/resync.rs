//! Initial sync: throw away what is here, copy the ranges of all collections beside each other, each as it is at some time after the
//! beginning, then apply the log from the beginning on. A record is skipped where the copy is newer, so the ranges need not be of one time,
//! and a range goes on after its last key when the stream breaks. Only when the log has passed the newest of those times is it data.

use super::fetch;
use super::plane::{Source, Work};
use crate::convert;
use crate::core::event::{Event, Verdict};
use crate::data::{KeyRange, Piece};
use crate::status::CopyStatus;
use bson::RawDocumentBuf;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proto::replication as pb;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use types::{Code, Fault, OpTime, Timestamp};

/// Ranges that are copied beside each other.
const RANGES_AT_A_TIME: usize = 4;
/// Ranges that the source is asked to make of a collection.
const PARTS: u32 = 8;
const BEGIN_TIMEOUT: Duration = Duration::from_secs(60);
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// A range that broke off so often in turn, without a record between, is given up, and the whole with it.
const ATTEMPTS_MAX: u32 = 5;
const RETRY_WAIT: Duration = Duration::from_millis(200);

pub(super) async fn run(work: &Work, source: &Source) {
    tracing::info!(
        source = source.host,
        "initial sync begins: the data here is replaced by that of the source"
    );
    let started = Instant::now();
    *work.shared.copy.lock() = Some(CopyStatus::begun(&source.host));
    let outcome = work.until_ended(copy(work, source)).await;
    match outcome {
        None => tracing::info!(source = source.host, "initial sync ended before it was done"),
        Some(Ok(last)) => {
            *work.shared.copy.lock() = None;
            work.shared.counters.copies.fetch_add(1, Ordering::Relaxed);
            tracing::info!(source = source.host, %last, millis = started.elapsed().as_millis() as u64, "initial sync is done");
            work.tell(Event::Resynced { last }).await;
        }
        Some(Err(Stop::Source(fault))) => {
            tracing::warn!(source = source.host, %fault, "initial sync failed, it begins again");
            if let Some(copy) = &mut *work.shared.copy.lock() {
                copy.failures += 1;
                copy.last_failure = Some(fault.message.clone());
            }
            work.tell(Event::StreamLost { source: source.id }).await;
        }
        Some(Err(Stop::Own(fault))) => work.fail(fault).await,
    }
}

/// Why it did not come to its end.
enum Stop {
    Source(Fault),
    /// Storage failed: the process ends.
    Own(Fault),
}

async fn copy(work: &Work, source: &Source) -> Result<OpTime, Stop> {
    let shared = &work.shared;
    if shared.data.last() == OpTime::default() && !shared.data.is_importing() {
        // Nothing is here, and maybe the source still has its log from the first entry on: then that is all.
        let none = OpTime::default();
        let ((verdict, end), stream) = fetch::open(work, source, none).await.map_err(Stop::Source)?;
        if matches!(verdict, Verdict::Found) {
            return catch_up(work, source, stream, none, end.ts).await;
        }
    }
    let begin = begin(work, source).await.map_err(Stop::Source)?;
    let data = shared.data.clone();
    let (last, catalog) = (begin.last, begin.catalog);
    // Not to be broken off in the middle: the job ends only between such steps.
    work.step(move || {
        data.begin_import(last)?;
        data.import_catalog(&catalog)
    })
    .await
    .map_err(Stop::Own)?;
    let newest = AtomicU64::new(begin.at.0);
    if let Some(copy) = &mut *shared.copy.lock() {
        copy.ranges = begin.ranges.len() as u64;
        copy.bytes_expected = begin.bytes;
        copy.begin = begin.last;
    }
    let mut ranges = begin.ranges.iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < RANGES_AT_A_TIME
            && let Some(range) = ranges.next()
        {
            running.push(copy_range(work, source, range, &newest));
        }
        match running.next().await {
            None => break,
            Some(outcome) => outcome?,
        }
        if let Some(copy) = &mut *shared.copy.lock() {
            copy.ranges_done += 1;
        }
    }
    drop(running);
    let until = Timestamp(newest.load(Ordering::Acquire));
    if let Some(copy) = &mut *shared.copy.lock() {
        copy.until = until;
    }
    let ((verdict, _), stream) = fetch::open(work, source, begin.last).await.map_err(Stop::Source)?;
    if !matches!(verdict, Verdict::Found) {
        let text = format!("the log of {} no longer has where the copy began", source.host);
        return Err(Stop::Source(Fault::new(Code::RemoteOplogStale, text)));
    }
    let last = catch_up(work, source, stream, begin.last, until).await?;
    let data = shared.data.clone();
    work.step(move || data.finish_import(last)).await.map_err(Stop::Own)?;
    Ok(last)
}

struct Begin {
    last: OpTime,
    at: Timestamp,
    catalog: Vec<RawDocumentBuf>,
    ranges: Vec<KeyRange>,
    bytes: u64,
}

async fn begin(work: &Work, source: &Source) -> Result<Begin, Fault> {
    let shared = &work.shared;
    let peer = shared.peers.get(&source.host)?;
    let mut client = peer.replication();
    let request = pb::BeginCopyRequest {
        sender: Some(convert::sender_to_proto(&shared.sender(&source.host))),
        parts: PARTS,
    };
    let reply = peer.unary(BEGIN_TIMEOUT, client.begin_copy(request)).await?;
    let entry = |bytes: Bytes| {
        RawDocumentBuf::from_bytes(bytes.into())
            .map_err(|error| Fault::new(Code::ProtocolError, format!("malformed catalogue: {error}")))
    };
    Ok(Begin {
        last: convert::op_time(reply.last)?,
        at: Timestamp(reply.at),
        catalog: reply.catalog.into_iter().map(entry).collect::<Result<_, _>>()?,
        ranges: reply
            .ranges
            .into_iter()
            .map(|range| convert::range(Some(range)))
            .collect::<Result<_, _>>()?,
        bytes: reply.bytes,
    })
}

async fn copy_range(work: &Work, source: &Source, range: &KeyRange, newest: &AtomicU64) -> Result<(), Stop> {
    let mut after = Bytes::new();
    let mut attempts = 0;
    loop {
        let before = after.clone();
        match copy_rest(work, source, range, &mut after, newest).await {
            Ok(()) => return Ok(()),
            // Dropped meanwhile, which the log tells too.
            Err(Stop::Source(fault)) if fault.code == Code::NamespaceNotFound => return Ok(()),
            Err(Stop::Source(fault)) => {
                attempts = if after == before { attempts + 1 } else { 1 };
                if attempts >= ATTEMPTS_MAX {
                    return Err(Stop::Source(fault));
                }
                tracing::debug!(source = source.host, %fault, attempts, "range broken off");
                tokio::time::sleep(RETRY_WAIT).await;
            }
            Err(own) => return Err(own),
        }
    }
}

async fn copy_rest(
    work: &Work,
    source: &Source,
    range: &KeyRange,
    after: &mut Bytes,
    newest: &AtomicU64,
) -> Result<(), Stop> {
    let shared = &work.shared;
    let peer = shared.peers.get(&source.host).map_err(Stop::Source)?;
    let mut client = peer.replication();
    let request = pb::CopyRangeRequest {
        sender: Some(convert::sender_to_proto(&shared.sender(&source.host))),
        range: Some(convert::range_to_proto(range)),
        after: after.clone(),
    };
    let mut pieces = peer.unary(BEGIN_TIMEOUT, client.copy_range(request)).await.map_err(Stop::Source)?;
    loop {
        let late =
            |_| Stop::Source(Fault::new(Code::HostUnreachable, format!("{} does not answer", source.host)));
        let piece = tokio::time::timeout(PIECE_TIMEOUT, pieces.message()).await.map_err(late)?;
        let piece =
            piece.map_err(|status| Stop::Source(rpc::convert::status_to_fault(&source.host, &status)))?;
        let Some(piece) = piece else { return Ok(()) };
        let records: Vec<(Bytes, Bytes)> =
            piece.records.into_iter().map(|record| (record.key, record.document)).collect();
        let Some((last, _)) = records.last().cloned() else { continue };
        let bytes: usize = records.iter().map(|(key, document)| key.len() + document.len()).sum();
        let count = records.len() as u64;
        let piece = Piece { at: Timestamp(piece.at), records };
        newest.fetch_max(piece.at.0, Ordering::AcqRel);
        let (data, uuid) = (shared.data.clone(), range.uuid);
        work.step(move || data.import_records(uuid, &piece)).await.map_err(Stop::Own)?;
        *after = last;
        if let Some(copy) = &mut *shared.copy.lock() {
            copy.records += count;
            copy.bytes += bytes as u64;
        }
    }
}

/// Applies the source's log from the beginning until it is past everything that was copied.
async fn catch_up(
    work: &Work,
    source: &Source,
    mut stream: fetch::Batches,
    from: OpTime,
    until: Timestamp,
) -> Result<OpTime, Stop> {
    let mut last = from;
    while last.ts < until {
        let group = fetch::next_group(&source.host, &mut stream, last).await.map_err(Stop::Source)?;
        let lost = || Fault::new(Code::HostUnreachable, format!("{} ended its stream", source.host));
        let group = group.ok_or_else(|| Stop::Source(lost()))?;
        if group.records.is_empty() {
            continue;
        }
        last = fetch::apply(work, group.records).await.map_err(Stop::Own)?;
        if let Some(copy) = &mut *work.shared.copy.lock() {
            copy.applied = last;
        }
    }
    work.shared.data.sync_to(last).await.map_err(Stop::Own)?;
    Ok(last)
}

//! Initial sync: throw away what is here, copy the ranges of all collections beside each other, each as it is at some time after the
//! beginning, then apply the log from the beginning on, which is kept beside meanwhile ([`super::spool`]). A record is skipped where the copy is newer, so the ranges need not be of one
//! time. Only when the log has passed the newest of those times is it data. Which ranges are there is noted on disk: a crash, or the loss
//! of the source, costs the ranges that were under way, if another source's log still has the beginning.

use super::fetch;
use super::plane::{Source, Work};
use super::spool::{self, Spool};
use crate::convert;
use crate::core::event::{Event, Verdict};
use crate::data::{Import, KeyRange, Piece};
use crate::status::CopyStatus;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proto::replication as pb;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use types::{Code, Fault, OpTime, Timestamp};

/// Ranges that are copied beside each other.
const RANGES_AT_A_TIME: usize = 4;
/// Ranges that the source is asked to make of a collection.
const PARTS: u32 = 8;
/// A log that is whole, and no longer than this, is the data: a new set begins so.
const WHOLE_LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
const BEGIN_TIMEOUT: Duration = Duration::from_secs(60);
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// A range that broke off so often in turn, without a record between, is given up, and the source with it.
const ATTEMPTS_MAX: u32 = 5;
const RETRY_WAIT: Duration = Duration::from_millis(200);

pub(super) async fn run(work: &Work, source: &Source) {
    let started = runtime::clock::now();
    CopyStatus::begin(&work.shared, &source.host);
    match work.until_ended(copy(work, source)).await {
        None => tracing::info!(source = source.host, "initial sync ended before it was done"),
        Some(Ok(last)) => {
            *work.shared.copy.lock() = None;
            work.shared.counters.copies.fetch_add(1, Ordering::Relaxed);
            let millis = u64::try_from((runtime::clock::now() - started).as_millis()).unwrap_or(u64::MAX);
            tracing::info!(source = source.host, %last, millis, "initial sync is done");
            work.tell(Event::Resynced { last }).await;
        }
        Some(Err(Stop::Source(fault))) => {
            tracing::warn!(source = source.host, %fault, "initial sync broken off, it goes on later");
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
    let data = work.shared.data.clone();
    let import = match data.importing() {
        Some(import) if import.has_catalog => {
            let after = open_spool(work, import.from)
                .await
                .map_or(data.last(), |spool| spool.last().max(data.last()));
            let opened = fetch::open(work, source, after).await.map_err(Stop::Source)?;
            if matches!(opened.verdict, Verdict::Found) {
                tracing::info!(source = source.host, "initial sync goes on where it was");
                Some(import)
            } else {
                None
            }
        }
        Some(_) => None,
        None if data.last() == OpTime::default() => {
            let opened = fetch::open(work, source, OpTime::default()).await.map_err(Stop::Source)?;
            if matches!(opened.verdict, Verdict::Found) && opened.log_bytes <= WHOLE_LOG_BYTES_MAX {
                tracing::info!(source = source.host, "initial sync by the whole log");
                return catch_up(work, source, opened.stream, OpTime::default(), opened.at.ts).await;
            }
            None
        }
        None => None,
    };
    let import = match import {
        Some(import) => import,
        None => begin(work, source).await?,
    };
    match open_spool(work, import.from).await {
        Some(spool) => {
            let beside = async {
                if data.last() == import.from {
                    copy_ranges(work, source, &import).await?;
                }
                apply_spool(work, &spool, import.from).await
            };
            tokio::select! {
                done = beside => done?,
                () = spool::follow(work, source, &spool) => {}
            }
            // What came while the last group was applied.
            apply_spool(work, &spool, import.from).await?;
        }
        None if data.last() == import.from => copy_ranges(work, source, &import).await?,
        None => {}
    }
    // Whatever the ranges' times were, storage knows the newest.
    let until = data.importing().map_or(import.newest, |import| import.newest);
    work.shared.note_copy(|copy| copy.until = until);
    let after = data.last();
    let opened = fetch::open(work, source, after).await.map_err(Stop::Source)?;
    if !matches!(opened.verdict, Verdict::Found) {
        let text = format!("the log of {} does not have where the copy began", source.host);
        return Err(Stop::Source(Fault::new(Code::RemoteOplogStale, text)));
    }
    let last = catch_up(work, source, opened.stream, after, until).await?;
    work.step(move || {
        data.finish_import(last)?;
        spool::remove(&data.spool_path());
        Ok(())
    })
    .await
    .map_err(Stop::Own)?;
    Ok(last)
}

/// The file that keeps the log beside the copy; `None` if it cannot be used, and the copy goes on without it.
async fn open_spool(work: &Work, from: OpTime) -> Option<Arc<Spool>> {
    let path = work.shared.data.spool_path();
    let opened =
        work.step(move || Spool::open(&path, from).map_err(|error| Fault::internal(error.to_string())));
    match opened.await {
        Ok(spool) => Some(Arc::new(spool)),
        Err(fault) => {
            tracing::warn!(%fault, "the log cannot be kept beside the copy");
            None
        }
    }
}

/// Applies what was kept of the log while the ranges were copied.
async fn apply_spool(work: &Work, spool: &Arc<Spool>, from: OpTime) -> Result<(), Stop> {
    let mut reader = match spool.reader(from) {
        Ok(reader) => reader,
        Err(error) => {
            tracing::warn!(%error, "what was kept of the log cannot be read");
            return Ok(());
        }
    };
    loop {
        let (own, after) = (spool.clone(), work.shared.data.last());
        let read = work.step(move || {
            let records = own.group(&mut reader, after);
            Ok((reader, records))
        });
        let records;
        (reader, records) = read.await.map_err(Stop::Own)?;
        if records.is_empty() {
            return Ok(());
        }
        let applied = fetch::apply(work, records).await.map_err(Stop::Own)?;
        work.shared.note_copy(|copy| copy.applied = applied);
    }
}

/// Throws the data away and takes over the source's catalogue.
async fn begin(work: &Work, source: &Source) -> Result<Import, Stop> {
    tracing::info!(
        source = source.host,
        "initial sync begins: what is here is replaced by the source's data"
    );
    let shared = &work.shared;
    let begin = ask_to_begin(work, source).await.map_err(Stop::Source)?;
    shared.note_copy(|copy| copy.bytes_expected = begin.bytes);
    let data = shared.data.clone();
    let import = work.step(move || {
        data.begin_import(begin.last)?;
        data.import_catalog(begin.at, &begin.catalog)?;
        data.set_import_progress(note(&begin.ranges))?;
        data.importing().ok_or_else(|| Fault::internal("the copy that was begun is not there"))
    });
    import.await.map_err(Stop::Own)
}

struct Begin {
    last: OpTime,
    at: Timestamp,
    catalog: Vec<RawDocumentBuf>,
    ranges: Vec<KeyRange>,
    bytes: u64,
}

async fn ask_to_begin(work: &Work, source: &Source) -> Result<Begin, Fault> {
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

/// The ranges that are still to be copied, for the control file.
fn note(ranges: &[KeyRange]) -> RawDocumentBuf {
    let mut list = bson::RawArrayBuf::new();
    for range in ranges {
        let bytes = prost::Message::encode_to_vec(&convert::range_to_proto(range));
        list.push(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes });
    }
    bson::rawdoc! { "ranges": list }
}

fn noted(progress: &RawDocument) -> Result<Vec<KeyRange>, Fault> {
    let damaged = || Fault::internal("the note of the ranges to be copied cannot be read");
    let list = progress.get_array("ranges").map_err(|_| damaged())?;
    let each = list.into_iter().map(|range| match range {
        Ok(RawBsonRef::Binary(range)) => {
            let range = <pb::KeyRange as prost::Message>::decode(range.bytes).map_err(|_| damaged())?;
            convert::range(Some(range))
        }
        _ => Err(damaged()),
    });
    each.collect()
}

async fn copy_ranges(work: &Work, source: &Source, import: &Import) -> Result<(), Stop> {
    let shared = &work.shared;
    let ranges = noted(&import.progress).map_err(Stop::Own)?;
    shared.note_copy(|copy| {
        copy.begin = import.from;
        copy.ranges = ranges.len() as u64;
    });
    let mut left = ranges.clone();
    let mut waiting = ranges.into_iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < RANGES_AT_A_TIME
            && let Some(range) = waiting.next()
        {
            running.push(copy_range(work, source, range));
        }
        let Some(outcome) = running.next().await else { return Ok(()) };
        let done = outcome?;
        left.retain(|range| *range != done);
        let (data, note) = (shared.data.clone(), note(&left));
        work.step(move || data.set_import_progress(note)).await.map_err(Stop::Own)?;
        shared.note_copy(|copy| copy.ranges_done += 1);
    }
}

async fn copy_range(work: &Work, source: &Source, range: KeyRange) -> Result<KeyRange, Stop> {
    let mut after = Bytes::new();
    let mut attempts = 0;
    loop {
        let before = after.clone();
        match copy_rest(work, source, &range, &mut after).await {
            Ok(()) => return Ok(range),
            // Dropped meanwhile, which the log tells too.
            Err(Stop::Source(fault)) if fault.code == Code::NamespaceNotFound => return Ok(range),
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

async fn copy_rest(work: &Work, source: &Source, range: &KeyRange, after: &mut Bytes) -> Result<(), Stop> {
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
        let (data, uuid) = (shared.data.clone(), range.uuid);
        work.step(move || data.import_records(uuid, &piece)).await.map_err(Stop::Own)?;
        *after = last;
        shared.note_copy(|copy| {
            copy.records += count;
            copy.bytes += bytes as u64;
        });
    }
}

/// Applies the source's log until it is past everything that was copied.
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
        work.shared.note_copy(|copy| copy.applied = last);
    }
    work.shared.data.sync_to(last).await.map_err(Stop::Own)?;
    Ok(last)
}

//! Pulls the log from a source and applies it, in groups. The log is synced behind it, while the next group is applied.
//! Before the first entry of a term is written, the core has heard of that term; whether entries may be written is the core's word.

use super::plane::{Source, Work};
use crate::applied::AppliedOps;
use crate::convert;
use crate::core::event::{Event, Verdict};
use crate::data::LogRecord;
use futures::FutureExt;
use proto::replication as pb;
use std::sync::atomic::Ordering;
use std::time::Duration;
use types::{Fault, OpTime};

/// A source that has not said by then whether it has our last entry is not to be had.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Records that are applied together, so that readers see them together and threads have something to share.
const GROUP_COUNT_MAX: usize = 5000;
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) async fn run(work: &Work, source: &Source) {
    let after = work.shared.data.last();
    let opened = work.until_ended(open(work, source, after)).await;
    let mut stream = match opened {
        None => return,
        Some(Ok(Opened { verdict, stream, .. })) => {
            if !work.ask(Event::StreamOpened { source: source.id, verdict }).await {
                return;
            }
            stream
        }
        Some(Err(fault)) => {
            tracing::debug!(source = source.host, %fault, "source cannot be pulled from");
            work.tell(Event::StreamOpened { source: source.id, verdict: Verdict::Failed }).await;
            return;
        }
    };
    match pull(work, source, &mut stream, after).await {
        Ok(()) => {}
        Err(End::Source(fault)) => {
            if let Some(fault) = fault {
                tracing::debug!(source = source.host, %fault, "source lost");
            }
            work.tell(Event::StreamLost { source: source.id }).await;
        }
        Err(End::Own(fault)) => work.fail(fault).await,
    }
}

/// Why pulling ended by itself.
enum End {
    Source(Option<Fault>),
    /// The log here cannot be written: the process ends.
    Own(Fault),
}

pub(super) type Batches = tonic::Streaming<pb::PullBatch>;

/// A stream, and what its source found.
pub(super) struct Opened {
    pub(super) verdict: Verdict,
    /// The place that the verdict names; of [`Verdict::Found`] the end of the log.
    pub(super) at: OpTime,
    pub(super) log_bytes: u64,
    pub(super) stream: Batches,
}

/// Opens a stream and reads the verdict.
pub(super) async fn open(work: &Work, source: &Source, after: OpTime) -> Result<Opened, Fault> {
    let shared = &work.shared;
    let peer = shared.peers.get(&source.host)?;
    let mut client = peer.replication();
    let request = pb::PullRequest {
        sender: Some(convert::sender_to_proto(&shared.sender(&source.host))),
        after: convert::op_time_to_proto(after),
    };
    let mut stream = peer.unary(OPEN_TIMEOUT, client.pull(request)).await?;
    let first = tokio::time::timeout(OPEN_TIMEOUT, stream.message()).await;
    let first = first.map_err(|_| unanswered(&source.host))?;
    let first = first.map_err(|status| rpc::convert::status_to_fault(&source.host, &status))?;
    let found = first.and_then(|first| first.verdict).ok_or_else(|| unanswered(&source.host))?;
    let (verdict, at) = convert::verdict(&found)?;
    Ok(Opened { verdict, at, log_bytes: found.log_bytes, stream })
}

fn unanswered(host: &str) -> Fault {
    Fault::new(types::Code::HostUnreachable, format!("{host} does not answer"))
}

/// Records and what the source says of itself after them.
pub(super) struct Group {
    pub(super) records: Vec<LogRecord>,
    pub(super) term: i64,
    pub(super) commit_point: OpTime,
}

/// The next records; several messages if they are there already.
pub(super) async fn next_group(
    host: &str,
    stream: &mut Batches,
    after: OpTime,
) -> Result<Option<Group>, Fault> {
    let status = |status: tonic::Status| rpc::convert::status_to_fault(host, &status);
    let mut group = Group { records: Vec::new(), term: 0, commit_point: OpTime::default() };
    let mut bytes = 0;
    let mut last = after;
    let mut next = stream.message().await.map_err(status)?;
    loop {
        let Some(batch) = next else {
            // What came before the end is taken; the end comes again.
            return Ok(if group.records.is_empty() { None } else { Some(group) });
        };
        group.term = batch.term;
        group.commit_point = convert::op_time(batch.commit_point)?;
        let records = convert::records(batch.records, last)?;
        bytes += records.iter().map(|record| record.entry.len() + record.side.len()).sum::<usize>();
        last = records.last().map_or(last, |record| record.at);
        group.records.extend(records);
        if bytes >= GROUP_BYTES_MAX || group.records.len() >= GROUP_COUNT_MAX {
            return Ok(Some(group));
        }
        match stream.message().now_or_never() {
            Some(Ok(more @ Some(_))) => next = more,
            Some(Err(error)) if group.records.is_empty() => return Err(status(error)),
            // The error, like the end, comes again.
            _ => return Ok(Some(group)),
        }
    }
}

async fn pull(work: &Work, source: &Source, stream: &mut Batches, after: OpTime) -> Result<(), End> {
    let mut last = after;
    // The verdict came with the source's word, but the core has to hear of each term before an entry of it is written.
    let mut term = None;
    loop {
        let group = match work.until_ended(next_group(&source.host, stream, last)).await {
            None => return Ok(()),
            Some(Ok(Some(group))) => group,
            Some(Ok(None)) => return Err(End::Source(None)),
            Some(Err(fault)) => return Err(End::Source(Some(fault))),
        };
        if !group.records.is_empty() && term != Some(group.term) {
            let heard =
                Event::StreamMeta { source: source.id, term: group.term, commit_point: OpTime::default() };
            if !work.ask(heard).await {
                return Ok(());
            }
            term = Some(group.term);
        }
        let Group { records, term, commit_point } = group;
        if !records.is_empty() {
            match apply_when_due(work, records).await.map_err(End::Own)? {
                Some(applied) => last = applied,
                None => return Ok(()),
            }
        }
        work.tell(Event::StreamMeta { source: source.id, term, commit_point }).await;
    }
}

/// Applies records, each not before its delay is over; `None` when the job was ended before all were.
async fn apply_when_due(work: &Work, mut records: Vec<LogRecord>) -> Result<Option<OpTime>, Fault> {
    let view = work.shared.view.load_full();
    let delay = view.own().map_or(0, |own| own.secondary_delay_seconds);
    loop {
        let rest = if delay == 0 {
            Vec::new()
        } else {
            let due = runtime::clock::now_millis() / 1000 - delay;
            let count = records.partition_point(|record| i64::from(record.at.ts.seconds()) <= due);
            records.split_off(count)
        };
        // Who holds it back may do so for long; a job that is ended meanwhile has written nothing.
        let Some(turn) = work.until_ended(work.shared.applying.acquire()).await else { return Ok(None) };
        if work.token.is_cancelled() {
            return Ok(None);
        }
        let mut last = None;
        if !records.is_empty() {
            let applied = apply(work, records).await?;
            // It counts once it is synced, and that goes on while the next group is applied.
            work.shared.data.ask_for_sync(applied);
            last = Some(applied);
        }
        drop(turn);
        if rest.is_empty() {
            return Ok(last);
        }
        records = rest;
        if work.until_ended(tokio::time::sleep(Duration::from_millis(500))).await.is_none() {
            return Ok(None);
        }
    }
}

/// Applies records as one group, not yet synced.
pub(super) async fn apply(work: &Work, records: Vec<LogRecord>) -> Result<OpTime, Fault> {
    let counters = &work.shared.counters;
    let bytes: usize = records.iter().map(|record| record.entry.len() + record.side.len()).sum();
    counters.batches_applied.fetch_add(1, Ordering::Relaxed);
    counters.records_applied.fetch_add(records.len() as u64, Ordering::Relaxed);
    counters.bytes_applied.fetch_add(bytes as u64, Ordering::Relaxed);
    let shared = work.shared.clone();
    let is_brief = shared.data.is_brief(&records);
    let step = move || {
        let mut ops = AppliedOps::default();
        for record in &records {
            ops.add(&record.entry);
        }
        let last = shared.data.apply(&records)?;
        shared.applied.count(ops);
        Ok(last)
    };
    if is_brief { step() } else { work.step(step).await }
}

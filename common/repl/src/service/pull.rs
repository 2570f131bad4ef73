//! The log, for a member that pulls it.

use crate::convert;
use crate::core::event::Verdict;
use crate::data::{Located, Records};
use crate::shared::{Shared, off_thread};
use proto::replication as pb;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tonic::Status;
use types::{Fault, OpTime};

/// Bytes of records in one message; one record may be larger.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCH_COUNT_MAX: usize = 2000;
/// Messages on their way beyond what the transport takes.
const OUTBOX_COUNT_MAX: usize = 4;
/// A commit point with nothing else to say waits so long for more.
const COMMIT_POINT_WAIT: Duration = Duration::from_millis(2);
/// While the other one has not synced what it was sent, new records wait so long.
const SYNC_WAIT: Duration = Duration::from_millis(2);

type Answer = Result<pb::PullBatch, Status>;

pub(super) async fn open(
    shared: &Arc<Shared>,
    request: pb::PullRequest,
) -> Result<mpsc::Receiver<Answer>, Fault> {
    let sender = shared.admit(request.sender)?;
    let after = convert::op_time(request.after)?;
    // Before anything is looked up: what is cut later ends the stream.
    let mut streams = shared.streams.subscribe();
    streams.take();
    shared.check_has_data()?;
    let data = shared.data.clone();
    let (verdict, last, records) = off_thread(move || {
        let last = data.last();
        let (verdict, records) = match data.locate(after)? {
            Located::Found => (Verdict::Found, Some(data.records_after(after)?)),
            Located::NotThere { last } => (Verdict::Diverged { last }, None),
            Located::TooOld { first } => (Verdict::TooOld { first }, None),
        };
        Ok((verdict, last, records))
    })
    .await?;
    let (outbox, batches) = mpsc::channel(OUTBOX_COUNT_MAX);
    let first = pb::PullBatch {
        verdict: convert::verdict_to_proto(verdict, last, shared.data.log_bytes()),
        records: Vec::new(),
        term: shared.view.load().term,
        commit_point: convert::op_time_to_proto(OpTime::default()),
    };
    outbox.try_send(Ok(first)).ok(); // there is room
    if let Some(records) = records {
        let own = shared.clone();
        let synced = shared.reports.watch(&sender.host);
        shared.tasks.spawn("log-stream", async move {
            let stop = own.tasks.token();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                // Before the log is cut.
                _ = streams.changed() => {}
                () = outbox.closed() => {}
                outcome = stream(&own, records, synced, &outbox) => if let Err(fault) = outcome {
                    tracing::debug!(host = sender.host, %fault, "stream of the log ended");
                    outbox.send(Err(rpc::convert::fault_to_status(&fault))).await.ok(); // it left
                }
            }
        });
    }
    Ok(batches)
}

async fn stream(
    shared: &Shared,
    mut records: Box<dyn Records>,
    mut synced: watch::Receiver<OpTime>,
    outbox: &mpsc::Sender<Answer>,
) -> Result<(), Fault> {
    let mut visible = shared.data.visible();
    let mut commit = shared.commit.subscribe();
    let mut streams = shared.streams.subscribe();
    let epoch = streams.take();
    let mut told = OpTime::default();
    let mut seen = None;
    let mut is_full = true;
    loop {
        // By its value: a change that comes while a commit point is waited with must not be taken for one that was read.
        let now = visible.take();
        let is_new = seen.replace(now) != Some(now);
        // Read before the records: it is then about a log that had them, or the cursor finds out.
        let commit_point = commit.take();
        let term = shared.view.load().term;
        let mut batch = Vec::new();
        if is_new && is_full {
            (records, batch, is_full) = off_thread(move || read(records)).await?;
        } else if is_new {
            // Written a moment ago: in memory, and soon read.
            (records, batch, is_full) = read(records)?;
        }
        let sent = batch.last().and_then(|record| convert::op_time(record.at).ok());
        if shared.streams.get() != epoch {
            return Ok(());
        }
        if !batch.is_empty() || commit_point != told {
            told = commit_point;
            let batch = pb::PullBatch {
                verdict: None,
                records: batch,
                term,
                commit_point: convert::op_time_to_proto(commit_point),
            };
            shared.counters.batches_sent.fetch_add(1, Ordering::Relaxed);
            if outbox.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        if is_full {
            seen = None;
            continue;
        }
        if let Some(sent) = sent {
            // What is written while the other one syncs goes to it as one group.
            tokio::time::timeout(SYNC_WAIT, synced.wait_for(|synced| *synced >= sent)).await.ok();
        }
        tokio::select! {
            biased;
            changed = visible.changed() => if changed.is_err() {
                return Ok(());
            },
            changed = commit.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                // It often comes with the next entries.
                tokio::time::timeout(COMMIT_POINT_WAIT, visible.changed()).await.ok();
            }
        }
    }
}

type Read = (Box<dyn Records>, Vec<pb::LogRecord>, bool);

/// What is there, up to the bounds; whether there may be more.
fn read(mut records: Box<dyn Records>) -> Result<Read, Fault> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES_MAX && batch.len() < BATCH_COUNT_MAX {
        let Some(record) = records.next()? else { return Ok((records, batch, false)) };
        bytes += record.entry.len() + record.side.len();
        batch.push(convert::record_to_proto(record));
    }
    Ok((records, batch, true))
}

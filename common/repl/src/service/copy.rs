//! The data, for a member that has none: a beginning, then the ranges, each at a time of its own after the beginning.

use crate::convert;
use crate::shared::{Shared, off_thread};
use bytes::Bytes;
use proto::replication as pb;
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;
use types::Fault;

const OUTBOX_COUNT_MAX: usize = 2;
const PARTS_COUNT_MAX: u32 = 64;

pub(super) async fn begin(
    shared: &Shared,
    request: pb::BeginCopyRequest,
) -> Result<pb::BeginCopyReply, Fault> {
    shared.admit(request.sender)?;
    shared.check_has_data()?;
    let parts = request.parts.clamp(1, PARTS_COUNT_MAX) as usize;
    let data = shared.data.clone();
    let export = off_thread(move || data.export(parts)).await?;
    Ok(pb::BeginCopyReply {
        last: convert::op_time_to_proto(export.last),
        at: export.at.0,
        catalog: export.catalog.into_iter().map(|entry| Bytes::from(entry.into_bytes())).collect(),
        ranges: export.ranges.iter().map(convert::range_to_proto).collect(),
        bytes: export.bytes,
    })
}

type Answer = Result<pb::CopyBatch, Status>;

pub(super) async fn range(
    shared: &Arc<Shared>,
    request: pb::CopyRangeRequest,
) -> Result<mpsc::Receiver<Answer>, Fault> {
    let sender = shared.admit(request.sender)?;
    shared.check_has_data()?;
    let mut streams = shared.streams.subscribe();
    streams.take();
    let range = convert::range(request.range)?;
    let after = (!request.after.is_empty()).then_some(request.after);
    let data = shared.data.clone();
    let mut pieces = off_thread(move || data.export_range(&range, after.as_ref())).await?;
    let (outbox, batches) = mpsc::channel(OUTBOX_COUNT_MAX);
    let stop = shared.tasks.token();
    shared.tasks.spawn("range-stream", async move {
        let send = async {
            loop {
                let piece;
                (pieces, piece) = off_thread(move || {
                    let piece = pieces.next()?;
                    Ok((pieces, piece))
                })
                .await?;
                let Some(piece) = piece else { return Ok(()) };
                let records = piece.records.into_iter().map(|(key, document)| pb::Record { key, document });
                let batch = pb::CopyBatch { at: piece.at.0, records: records.collect() };
                if outbox.send(Ok(batch)).await.is_err() {
                    return Ok(());
                }
            }
        };
        let outcome: Result<(), Fault> = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = streams.changed() => Err(Fault::new(types::Code::InterruptedDueToReplStateChange, "the data is thrown away")),
            outcome = send => outcome,
        };
        if let Err(fault) = outcome {
            tracing::debug!(host = sender.host, %fault, "copy of a range broken off");
            outbox.send(Err(rpc::convert::fault_to_status(&fault))).await.ok(); // it left
        }
    });
    Ok(batches)
}

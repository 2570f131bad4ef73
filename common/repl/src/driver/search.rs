//! The search for the last entry that two logs have: pieces of both, latest first, until they meet.

use super::plane::{Source, Work};
use crate::convert;
use crate::core::event::Event;
use crate::core::rollback::{Search, Step};
use proto::replication as pb;
use std::time::Duration;
use types::{Fault, OpTime};

/// Places in one piece.
const PIECE_COUNT: usize = 1000;
const PIECE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn run(work: &Work, source: &Source) {
    let event = match work.until_ended(find(work, source)).await {
        None => return,
        Some(Ok(found)) => Event::CommonPoint { source: source.id, found },
        Some(Err(fault)) => {
            tracing::warn!(source = source.host, %fault, "search for the common point broken off");
            Event::StreamLost { source: source.id }
        }
    };
    work.tell(event).await;
}

async fn find(work: &Work, source: &Source) -> Result<Option<OpTime>, Fault> {
    let mut search = Search::new();
    loop {
        match search.step() {
            Step::Ours { before } => {
                let data = work.shared.data.clone();
                let piece = work.step(move || data.op_times_before(before, PIECE_COUNT)).await?;
                search.give_ours(&piece);
            }
            Step::Theirs { before } => search.give_theirs(&ask(work, source, before).await?),
            Step::Found(at) => return Ok(Some(at)),
            Step::Nothing => return Ok(None),
        }
    }
}

async fn ask(work: &Work, source: &Source, before: Option<OpTime>) -> Result<Vec<OpTime>, Fault> {
    let shared = &work.shared;
    let peer = shared.peers.get(&source.host)?;
    let mut client = peer.replication();
    let request = pb::OpTimesRequest {
        sender: Some(convert::sender_to_proto(&shared.sender(&source.host))),
        before: before.and_then(convert::op_time_to_proto),
        limit: PIECE_COUNT as u32,
    };
    let reply = peer.unary(PIECE_TIMEOUT, client.op_times(request)).await?;
    convert::op_times(reply.op_times, before)
}

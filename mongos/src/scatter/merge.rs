//! One cursor over several shards' cursors: sorted (k-way, by the shards' sort keys) or in any order, then skip, limit, and the
//! router's half of a pipeline. Documents stay raw bytes unless the pipeline looks at them.

use crate::node::Node;
use crate::shards::Heard;
use bson::{RawBsonRef, RawDocumentBuf};
use command::{Context, CursorBatch, CursorReply, Request};
use futures::future::join_all;
use query::pipeline::Run;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::{Code, Fault, Namespace, SessionId, ShardId};
use value::SharedDoc;

/// The field that shards append for the merge, and the router takes off again.
const SORT_KEY: &str = "$sortKey";
/// What stands around the key's bytes: type, name and NUL, length, subtype.
const SORT_KEY_OVERHEAD: usize = 1 + SORT_KEY.len() + 1 + 4 + 1;

/// One shard's part of a cursor.
#[derive(Debug)]
pub struct Remote {
    shard: ShardId,
    /// The member that holds the cursor.
    host: Arc<str>,
    /// 0 once exhausted.
    cursor_id: i64,
    /// Fetched, not yet given to the client.
    buffer: VecDeque<SharedDoc>,
}

impl Remote {
    /// From the reply that opened the cursor on the shard.
    ///
    /// # Errors
    /// `FailedToParse` (9) for a malformed reply.
    pub fn open(shard: ShardId, heard: Heard) -> Result<Remote, Fault> {
        let batch = CursorBatch::parse(&SharedDoc::from(heard.reply.doc))?;
        Ok(Remote { shard, host: heard.host, cursor_id: batch.id, buffer: batch.documents.into() })
    }

    /// A cursor that is open on a member of the shard and has nothing fetched.
    pub fn idle(shard: ShardId, host: Arc<str>, cursor_id: i64) -> Remote {
        Remote { shard, host, cursor_id, buffer: VecDeque::new() }
    }

    fn is_exhausted(&self) -> bool {
        self.cursor_id == 0 && self.buffer.is_empty()
    }
}

/// A router's cursor.
pub struct MergedCursor {
    ns: Namespace,
    /// The namespace that the shards know the cursors by.
    remote_ns: Namespace,
    session: Option<SessionId>,
    remotes: Vec<Remote>,
    sorted: bool,
    skip: u64,
    /// Documents that may still be given out; `None` is unbounded.
    left: Option<u64>,
    run: Option<Run>,
    /// The router's half has seen all input.
    finished: bool,
    /// An output of the router's half that is not given out yet.
    peeked: Option<RawDocumentBuf>,
    /// The router's half has given out everything.
    drained: bool,
    /// Hand the client's batch size on to the one shard, whose batches are passed on as they are.
    passing: bool,
    /// The shard's cursor stays open at its end: an empty batch is an answer.
    tailing: bool,
    /// Where an unsorted merge goes on.
    next: usize,
}

impl MergedCursor {
    /// A cursor over the shards' cursors.
    pub fn new(ns: Namespace, session: Option<SessionId>, remotes: Vec<Remote>) -> MergedCursor {
        MergedCursor {
            remote_ns: ns.clone(),
            ns,
            session,
            remotes,
            sorted: false,
            skip: 0,
            left: None,
            run: None,
            finished: false,
            peeked: None,
            drained: false,
            passing: false,
            tailing: false,
            next: 0,
        }
    }

    /// The shards' documents come in order, each with its sort key at the end.
    #[must_use]
    pub fn sorted(mut self, sorted: bool) -> MergedCursor {
        self.sorted = sorted;
        self
    }

    /// Gives out at most `limit` documents after passing over `skip`.
    #[must_use]
    pub fn window(mut self, skip: u64, limit: Option<u64>) -> MergedCursor {
        self.skip = skip;
        self.left = limit;
        self
    }

    /// Feeds everything through the router's half of a pipeline.
    #[must_use]
    pub fn through(mut self, run: Run) -> MergedCursor {
        self.run = Some(run);
        self
    }

    /// One shard's cursor, whose batches are passed on: the client's batch size goes to the shard.
    #[must_use]
    pub fn passing_batches(mut self) -> MergedCursor {
        self.passing = true;
        self
    }

    /// One shard's tailable cursor.
    #[must_use]
    pub fn tailing(mut self, tailing: bool) -> MergedCursor {
        self.tailing = tailing;
        self
    }

    /// Whether it is a tailable cursor: the time of its getMore is for waiting, which the shard does.
    pub fn is_tailing(&self) -> bool {
        self.tailing
    }

    /// The namespace that clients know the cursor by.
    pub fn ns(&self) -> &Namespace {
        &self.ns
    }

    /// The session that opened it.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Whether nothing more will come.
    pub fn is_exhausted(&self) -> bool {
        self.left == Some(0)
            || match &self.run {
                Some(_) => self.drained && self.peeked.is_none(),
                None => self.remotes.iter().all(Remote::is_exhausted),
            }
    }

    /// The shards' cursors that are still open: shard, member, id.
    pub fn open_remotes(&self) -> Vec<(ShardId, Arc<str>, i64)> {
        self.remotes
            .iter()
            .filter(|remote| remote.cursor_id != 0)
            .map(|remote| (remote.shard.clone(), remote.host.clone(), remote.cursor_id))
            .collect()
    }

    /// Fills `reply` with at most `count` documents; `None` is as many as fit.
    ///
    /// # Errors
    /// The first shard's fault, a deadline, or what the pipeline's stages say.
    pub async fn fill(
        &mut self,
        node: &Node,
        ctx: &Context,
        reply: &mut CursorReply,
        count: Option<usize>,
    ) -> Result<(), Fault> {
        let wanted = count.unwrap_or(usize::MAX);
        while reply.len() < wanted && !self.is_exhausted() {
            if self.run.is_some() {
                self.peek(node, ctx).await?;
                let Some(doc) = self.peeked.take() else { break };
                if !reply.push(&doc) {
                    self.peeked = Some(doc);
                    break;
                }
            } else {
                let batch = count.filter(|_| self.passing).map(|count| count - reply.len());
                let Some((place, doc)) = self.next_document(node, ctx, batch).await? else { break };
                let pushed =
                    if self.sorted { reply.push(&without_sort_key(&doc)?) } else { reply.push(&doc) };
                if !pushed {
                    if let Some(remote) = self.remotes.get_mut(place) {
                        remote.buffer.push_front(doc);
                    }
                    break;
                }
            }
            if let Some(left) = &mut self.left {
                *left -= 1;
            }
            // A passed-on batch is one batch of the shard: an empty buffer ends it.
            if self.passing && self.remotes.iter().all(|remote| remote.buffer.is_empty()) {
                break;
            }
        }
        // Whether the end is reached is known only by looking for one document more.
        if self.run.is_some() && reply.len() >= wanted && wanted > 0 {
            self.peek(node, ctx).await?;
        }
        Ok(())
    }

    /// Makes the next output of the router's half ready, or finds that there is none.
    async fn peek(&mut self, node: &Node, ctx: &Context) -> Result<(), Fault> {
        while self.peeked.is_none() && !self.drained {
            let Some(run) = &mut self.run else { return Ok(()) };
            if let Some(doc) = run.pop()? {
                self.peeked = Some(doc);
                return Ok(());
            }
            if self.finished {
                self.drained = true;
                return Ok(());
            }
            let wants_more = run.wants_more();
            let input = if wants_more { self.next_document(node, ctx, None).await? } else { None };
            let Some(run) = &mut self.run else { return Ok(()) };
            match input {
                Some((_, doc)) if self.sorted => run.push_owned(without_sort_key(&doc)?)?,
                Some((_, doc)) => run.push(&doc)?,
                None => {
                    run.finish()?;
                    self.finished = true;
                }
            }
        }
        Ok(())
    }

    /// The next document of the shards after skipping, with the place of the remote that it came from.
    async fn next_document(
        &mut self,
        node: &Node,
        ctx: &Context,
        batch: Option<usize>,
    ) -> Result<Option<(usize, SharedDoc)>, Fault> {
        loop {
            let Some(place) = self.next_place(node, ctx, batch).await? else { return Ok(None) };
            let Some(doc) = self.remotes.get_mut(place).and_then(|remote| remote.buffer.pop_front()) else {
                return Ok(None);
            };
            if self.skip == 0 {
                return Ok(Some((place, doc)));
            }
            self.skip -= 1;
        }
    }

    /// The remote whose first buffered document is the next one; fetches where that cannot be told yet.
    async fn next_place(
        &mut self,
        node: &Node,
        ctx: &Context,
        batch: Option<usize>,
    ) -> Result<Option<usize>, Fault> {
        if self.sorted {
            while self.remotes.iter().any(|remote| remote.buffer.is_empty() && remote.cursor_id != 0) {
                self.fetch(node, ctx, batch).await?;
            }
            let mut best: Option<(usize, &[u8])> = None;
            for (place, remote) in self.remotes.iter().enumerate() {
                let Some(doc) = remote.buffer.front() else { continue };
                let key = sort_key(doc)?;
                if best.is_none_or(|(_, least)| key < least) {
                    best = Some((place, key));
                }
            }
            return Ok(best.map(|(place, _)| place));
        }
        loop {
            let count = self.remotes.len();
            let found = (0..count)
                .map(|step| (self.next + step) % count)
                .find(|place| self.remotes.get(*place).is_some_and(|remote| !remote.buffer.is_empty()));
            if let Some(place) = found {
                self.next = place;
                return Ok(Some(place));
            }
            if self.remotes.iter().all(|remote| remote.cursor_id == 0) {
                return Ok(None);
            }
            self.fetch(node, ctx, batch).await?;
            if self.tailing && self.remotes.iter().all(|remote| remote.buffer.is_empty()) {
                return Ok(None);
            }
        }
    }

    /// Asks every shard whose buffer is empty for its next batch, at the same time.
    async fn fetch(&mut self, node: &Node, ctx: &Context, batch: Option<usize>) -> Result<(), Fault> {
        ctx.check(Instant::now())?;
        let (ns, session) = (self.remote_ns.clone(), self.session);
        let wait = ctx.envelope.max_time.filter(|_| self.tailing);
        let empty =
            self.remotes.iter_mut().filter(|remote| remote.buffer.is_empty() && remote.cursor_id != 0);
        let outcomes = join_all(empty.map(|remote| {
            let request = get_more(&ns, remote.cursor_id, session, batch, wait);
            async move {
                // A batch that got lost is lost for good: the shard's cursor has moved on.
                let reply = match node.ask_member(ctx, &remote.shard, &remote.host, &request).await {
                    Ok(reply) => reply,
                    Err(fault) => {
                        remote.cursor_id = 0;
                        return Err(fault);
                    }
                };
                let batch = CursorBatch::parse(&SharedDoc::from(reply.doc))?;
                remote.cursor_id = batch.id;
                remote.buffer = batch.documents.into();
                Ok(())
            }
        }))
        .await;
        outcomes.into_iter().collect()
    }
}

/// `getMore` as a shard gets it. Without a batch size the shard fills its reply, and the router keeps the rest.
fn get_more(
    ns: &Namespace,
    cursor_id: i64,
    session: Option<SessionId>,
    batch: Option<usize>,
    wait: Option<Duration>,
) -> Request {
    let mut body = bson::rawdoc! { "getMore": cursor_id, "collection": ns.collection(), "$db": ns.db() };
    if let Some(batch) = batch.and_then(|batch| i64::try_from(batch).ok()) {
        body.append(bson::raw::cstr!("batchSize"), batch);
    }
    if let Some(wait) = wait {
        body.append(bson::raw::cstr!("maxTimeMS"), i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    }
    if let Some(session) = session {
        body.append(bson::raw::cstr!("lsid"), bson::rawdoc! { "id": session.0.to_bson() });
    }
    Request::from_body(body)
}

/// The bytes of `$sortKey`, the document's last field.
fn sort_key(doc: &SharedDoc) -> Result<&[u8], Fault> {
    let malformed = || Fault::new(Code::ProtocolError, "a shard sent a document without its sort key");
    // The last field: found from the front, since BSON cannot be read from the back.
    let mut key = None;
    for element in doc.iter() {
        let (name, value) = element.map_err(|_| malformed())?;
        key = (name.as_str() == SORT_KEY).then_some(value);
    }
    match key {
        Some(RawBsonRef::Binary(binary)) => Ok(binary.bytes),
        _ => Err(malformed()),
    }
}

/// The document without its last field, `$sortKey`.
fn without_sort_key(doc: &SharedDoc) -> Result<RawDocumentBuf, Fault> {
    let length = doc.as_bytes().len() - (sort_key(doc)?.len() + SORT_KEY_OVERHEAD);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(doc.as_bytes().get(4..length - 1).unwrap_or_default());
    bytes.push(0);
    RawDocumentBuf::from_bytes(bytes).map_err(|error| Fault::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sort_key_comes_off() {
        let key = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2, 3] };
        let doc = SharedDoc::from(bson::rawdoc! { "a": 1, "b": "x", "$sortKey": key });
        assert_eq!(sort_key(&doc).unwrap(), [1, 2, 3]);
        assert_eq!(without_sort_key(&doc).unwrap(), bson::rawdoc! { "a": 1, "b": "x" });
        assert!(sort_key(&SharedDoc::from(bson::rawdoc! { "$sortKey": 1, "b": 1 })).is_err());
    }
}

//! What the statements of a session's newest transaction number came to, so that a repeated one is answered, not executed.
//!
//! One document of `config.transactions` per session, written in the same commit as the write itself: either both are there
//! after a crash, or neither. Two executions of one statement at the same time collide on that document, and the loser finds
//! the outcome of the winner when it tries again. Shape (`v: 1`):
//! `{_id: {id: UUID}, v: 1, txnNum, lastWriteDate, stmts: [{s, e, n?, m?, u?, r?}]}`: statements `s..=e` came to the same:
//! `n` matched, `m` modified, `u` the upserted `_id` in an array of one, `r` the whole reply (findAndModify).

use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use types::{Code, Fault, SessionId, TxnNumber};
use value::SharedDoc;

/// The version of the stored shape.
const VERSION: i32 = 1;

/// What one statement came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Recorded {
    pub(crate) n: u64,
    pub(crate) n_modified: u64,
    pub(crate) upserted: Option<RawBson>,
    /// The reply of a findAndModify.
    pub(crate) reply: Option<RawDocumentBuf>,
    /// It changed a document. Not stored: asked for at the commit only.
    pub(crate) wrote: bool,
}

impl Recorded {
    /// One document inserted or removed.
    pub(crate) fn one() -> Recorded {
        Recorded { n: 1, wrote: true, ..Recorded::default() }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Range {
    first: i32,
    last: i32,
    recorded: Recorded,
}

/// The history of one session's newest transaction number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    session: SessionId,
    txn_number: TxnNumber,
    ranges: Vec<Range>,
}

impl History {
    /// The history that a statement of `txn_number` goes by: the stored one if it has that number, an empty one if it is older.
    ///
    /// # Errors
    /// `TransactionTooOld` (225) where the session has gone on to a later number.
    pub(crate) fn open(
        session: SessionId,
        txn_number: TxnNumber,
        stored: Option<&RawDocument>,
    ) -> Result<History, Fault> {
        let fresh = || History { session, txn_number, ranges: Vec::new() };
        let Some(stored) = stored else { return Ok(fresh()) };
        let history = History::read(session, stored)?;
        match history.txn_number.cmp(&txn_number) {
            std::cmp::Ordering::Equal => Ok(history),
            std::cmp::Ordering::Less => Ok(fresh()),
            std::cmp::Ordering::Greater => Err(Fault::new(
                Code::TransactionTooOld,
                format!(
                    "Retryable write with txnNumber {txn_number} is prohibited on session {} because a newer retryable \
                     write with txnNumber {} has already started on this session.",
                    session.0, history.txn_number
                ),
            )),
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    pub(crate) fn txn_number(&self) -> TxnNumber {
        self.txn_number
    }

    /// What the statement came to, if it was executed.
    pub(crate) fn find(&self, statement: i32) -> Option<&Recorded> {
        self.ranges
            .iter()
            .find(|range| (range.first..=range.last).contains(&statement))
            .map(|range| &range.recorded)
    }

    /// Adds an executed statement.
    pub(crate) fn record(&mut self, statement: i32, recorded: Recorded) {
        let recorded = Recorded { wrote: false, ..recorded };
        if let Some(last) = self.ranges.last_mut()
            && last.last.checked_add(1) == Some(statement)
            && last.recorded == recorded
        {
            last.last = statement;
            return;
        }
        self.ranges.push(Range { first: statement, last: statement, recorded });
    }

    /// The `_id` of the session's document.
    pub(crate) fn id(session: SessionId) -> RawDocumentBuf {
        let mut id = RawDocumentBuf::new();
        id.append(cstr!("id"), session.0.to_bson());
        id
    }

    /// The document that is stored.
    pub(crate) fn to_doc(&self, now_millis: i64) -> RawDocumentBuf {
        let mut statements = RawArrayBuf::new();
        for Range { first, last, recorded } in &self.ranges {
            let mut range = RawDocumentBuf::new();
            range.append(cstr!("s"), *first);
            range.append(cstr!("e"), *last);
            if recorded.n != 0 {
                range.append(cstr!("n"), recorded.n as i64);
            }
            if recorded.n_modified != 0 {
                range.append(cstr!("m"), recorded.n_modified as i64);
            }
            if let Some(id) = &recorded.upserted {
                let mut one = RawArrayBuf::new();
                one.push(id.clone());
                range.append(cstr!("u"), one);
            }
            if let Some(reply) = &recorded.reply {
                range.append(cstr!("r"), reply.clone());
            }
            statements.push(range);
        }
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("_id"), History::id(self.session));
        doc.append(cstr!("v"), VERSION);
        doc.append(cstr!("txnNum"), self.txn_number);
        doc.append(cstr!("lastWriteDate"), bson::DateTime::from_millis(now_millis));
        doc.append(cstr!("stmts"), statements);
        doc
    }

    fn read(session: SessionId, stored: &RawDocument) -> Result<History, Fault> {
        let broken = |error: bson::error::Error| {
            Fault::internal(format!("config.transactions of session {} does not read: {error}", session.0))
        };
        let version = stored.get_i32("v").map_err(broken)?;
        if version != VERSION {
            return Err(Fault::internal(format!(
                "config.transactions has version {version}, known is {VERSION}"
            )));
        }
        let txn_number = stored.get_i64("txnNum").map_err(broken)?;
        let mut ranges = Vec::new();
        for range in stored.get_array("stmts").map_err(broken)? {
            let RawBsonRef::Document(range) = range.map_err(broken)? else {
                return Err(Fault::internal("config.transactions has a statement that is no document"));
            };
            let count = |name: &str| -> Result<u64, Fault> {
                match range.get(name).map_err(broken)? {
                    Some(RawBsonRef::Int64(count)) => Ok(count.unsigned_abs()),
                    _ => Ok(0),
                }
            };
            let upserted = match range.get("u").map_err(broken)? {
                Some(RawBsonRef::Array(one)) => one.get(0).map_err(broken)?.map(RawBson::from),
                _ => None,
            };
            let reply = match range.get("r").map_err(broken)? {
                Some(RawBsonRef::Document(reply)) => Some(reply.to_owned()),
                _ => None,
            };
            ranges.push(Range {
                first: range.get_i32("s").map_err(broken)?,
                last: range.get_i32("e").map_err(broken)?,
                recorded: Recorded { n: count("n")?, n_modified: count("m")?, upserted, reply, wrote: false },
            });
        }
        Ok(History { session, txn_number, ranges })
    }
}

/// The session and transaction number of a retryable write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Retryable {
    pub(crate) session: SessionId,
    pub(crate) txn_number: TxnNumber,
}

impl Retryable {
    /// From the envelope; `None` for a plain write.
    pub(crate) fn of(ctx: &command::Context) -> Option<Retryable> {
        let envelope = &ctx.envelope;
        Some(Retryable { session: envelope.session?, txn_number: envelope.txn_number? })
    }

    /// The record key of the session's document.
    pub(crate) fn record_key(&self) -> Vec<u8> {
        let id = History::id(self.session);
        let mut key = Vec::with_capacity(32);
        value::key::encode(&mut key, RawBsonRef::Document(&id), false);
        key
    }

    /// The history as it is stored.
    pub(crate) fn history(&self, stored: Option<&SharedDoc>) -> Result<History, Fault> {
        History::open(self.session, self.txn_number, stored.map(|doc| &**doc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Uuid;

    #[test]
    fn a_history_reads_back_and_merges_equal_neighbours() {
        let session = SessionId(Uuid([7; 16]));
        let mut history = History::open(session, 3, None).unwrap();
        let plain = Recorded { n: 1, ..Recorded::default() };
        let upsert = Recorded { n: 1, upserted: Some(RawBson::Int32(5)), ..Recorded::default() };
        let mut reply = RawDocumentBuf::new();
        reply.append(cstr!("value"), 1);
        let image = Recorded { reply: Some(reply), ..Recorded::default() };
        for statement in 0..1000 {
            history.record(statement, plain.clone());
        }
        history.record(1000, upsert.clone());
        history.record(1002, image.clone());
        assert_eq!(history.ranges.len(), 3);
        let stored = history.to_doc(0);
        assert_eq!(History::open(session, 3, Some(&stored)), Ok(history.clone()));
        for (statement, expected) in [
            (0, Some(&plain)),
            (999, Some(&plain)),
            (1000, Some(&upsert)),
            (1001, None),
            (1002, Some(&image)),
        ] {
            assert_eq!(history.find(statement), expected, "{statement}");
        }
        let next = History::open(session, 4, Some(&stored)).unwrap();
        assert!(next.ranges.is_empty());
        assert_eq!(History::open(session, 2, Some(&stored)).unwrap_err().code, Code::TransactionTooOld);
    }
}

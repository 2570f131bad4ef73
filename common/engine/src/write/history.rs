//! What the statements of a session's newest transaction number came to, so that a repeated one is answered, not executed.
//!
//! Documents of `config.transactions`, written in the same commit as the write itself: either both are there after a crash, or
//! neither. Two executions of one statement at the same time collide on their document, and the loser finds the outcome of the
//! winner when it tries again. A session has a document for each [`PAGE_STATEMENTS`] statements, so that a commit writes little
//! however many statements the transaction number has. Shape (`v: 1`):
//! `{_id: {id: UUID, page?: int}, v: 1, txnNum, lastWriteDate, stmts: [{b, n?, m?, u?, r?}]}`: the statements whose bits are set in
//! `b` came to the same: `n` matched, `m` modified, `u` the upserted `_id` in an array of one, `r` the whole reply (findAndModify).
//! The page of the first statements has no `page` and says which transaction number is the session's newest; other pages with
//! another number are leftovers and mean nothing.

use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use types::{Code, Fault, SessionId, TxnNumber};
use value::SharedDoc;

/// Where histories are kept.
pub(crate) const HISTORIES: &str = "config.transactions";
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

/// Statements in one document.
const PAGE_STATEMENTS: i32 = 512;
const PAGE_BYTES: usize = PAGE_STATEMENTS as usize / 8;

/// Statements of one page, as bits.
#[derive(Debug, Clone, PartialEq)]
struct Statements([u8; PAGE_BYTES]);

impl Statements {
    fn none() -> Statements {
        Statements([0; PAGE_BYTES])
    }

    fn place(statement: i32) -> (usize, u8) {
        let offset = statement.rem_euclid(PAGE_STATEMENTS) as usize;
        (offset / 8, 1 << (offset % 8))
    }

    fn add(&mut self, statement: i32) {
        let (byte, bit) = Statements::place(statement);
        if let Some(byte) = self.0.get_mut(byte) {
            *byte |= bit;
        }
    }

    fn has(&self, statement: i32) -> bool {
        let (byte, bit) = Statements::place(statement);
        self.0.get(byte).is_some_and(|byte| byte & bit != 0)
    }

    /// Without the zeros at the end.
    fn to_bson(&self) -> bson::Binary {
        let length = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = self.0.get(..length).unwrap_or_default().to_vec();
        bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Statements> {
        let mut statements = Statements::none();
        statements.0.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(statements)
    }
}

/// One page of the history of a session's newest transaction number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    session: SessionId,
    page: i32,
    txn_number: TxnNumber,
    outcomes: Vec<(Recorded, Statements)>,
}

/// The page that a statement is on.
pub(crate) fn page_of(statement: i32) -> i32 {
    statement.div_euclid(PAGE_STATEMENTS)
}

impl History {
    /// The page that statements of `txn_number` go by: the stored one if it has that number, an empty one if it is older.
    ///
    /// # Errors
    /// `TransactionTooOld` (225) where the session has gone on to a later number.
    pub(crate) fn open(
        session: SessionId,
        page: i32,
        txn_number: TxnNumber,
        stored: Option<&RawDocument>,
    ) -> Result<History, Fault> {
        let fresh = || History { session, page, txn_number, outcomes: Vec::new() };
        let Some(stored) = stored else { return Ok(fresh()) };
        let history = History::read(session, page, stored)?;
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

    /// What the statement came to, if it was executed.
    pub(crate) fn find(&self, statement: i32) -> Option<&Recorded> {
        self.outcomes.iter().find(|(_, statements)| statements.has(statement)).map(|(recorded, _)| recorded)
    }

    /// Adds an executed statement of this page.
    pub(crate) fn record(&mut self, statement: i32, recorded: Recorded) {
        let recorded = Recorded { wrote: false, ..recorded };
        let place = match self.outcomes.iter().position(|(same, _)| *same == recorded) {
            Some(place) => place,
            None => {
                self.outcomes.push((recorded, Statements::none()));
                self.outcomes.len() - 1
            }
        };
        if let Some((_, statements)) = self.outcomes.get_mut(place) {
            statements.add(statement);
        }
    }

    /// The `_id` of a page.
    pub(crate) fn id(session: SessionId, page: i32) -> RawDocumentBuf {
        let mut id = RawDocumentBuf::new();
        id.append(cstr!("id"), session.0.to_bson());
        if page != 0 {
            id.append(cstr!("page"), page);
        }
        id
    }

    /// The document that is stored.
    pub(crate) fn to_doc(&self, now_millis: i64) -> RawDocumentBuf {
        let mut outcomes = RawArrayBuf::new();
        for (recorded, statements) in &self.outcomes {
            let mut outcome = RawDocumentBuf::new();
            outcome.append(cstr!("b"), statements.to_bson());
            if recorded.n != 0 {
                outcome.append(cstr!("n"), recorded.n as i64);
            }
            if recorded.n_modified != 0 {
                outcome.append(cstr!("m"), recorded.n_modified as i64);
            }
            if let Some(id) = &recorded.upserted {
                let mut one = RawArrayBuf::new();
                one.push(id.clone());
                outcome.append(cstr!("u"), one);
            }
            if let Some(reply) = &recorded.reply {
                outcome.append(cstr!("r"), reply.clone());
            }
            outcomes.push(outcome);
        }
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("_id"), History::id(self.session, self.page));
        doc.append(cstr!("v"), VERSION);
        doc.append(cstr!("txnNum"), self.txn_number);
        doc.append(cstr!("lastWriteDate"), bson::DateTime::from_millis(now_millis));
        doc.append(cstr!("stmts"), outcomes);
        doc
    }

    fn read(session: SessionId, page: i32, stored: &RawDocument) -> Result<History, Fault> {
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
        let mut outcomes = Vec::new();
        for outcome in stored.get_array("stmts").map_err(broken)? {
            let RawBsonRef::Document(outcome) = outcome.map_err(broken)? else {
                return Err(Fault::internal("config.transactions has an outcome that is no document"));
            };
            let count = |name: &str| -> Result<u64, Fault> {
                match outcome.get(name).map_err(broken)? {
                    Some(RawBsonRef::Int64(count)) => Ok(count.unsigned_abs()),
                    _ => Ok(0),
                }
            };
            let upserted = match outcome.get("u").map_err(broken)? {
                Some(RawBsonRef::Array(one)) => one.get(0).map_err(broken)?.map(RawBson::from),
                _ => None,
            };
            let reply = match outcome.get("r").map_err(broken)? {
                Some(RawBsonRef::Document(reply)) => Some(reply.to_owned()),
                _ => None,
            };
            let bits = outcome.get_binary("b").map_err(broken)?;
            let statements = Statements::from_bytes(bits.bytes)
                .ok_or_else(|| Fault::internal("config.transactions has a page that is too long"))?;
            let recorded =
                Recorded { n: count("n")?, n_modified: count("m")?, upserted, reply, wrote: false };
            outcomes.push((recorded, statements));
        }
        Ok(History { session, page, txn_number, outcomes })
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

    /// The record key of a page.
    pub(crate) fn record_key(&self, page: i32) -> Vec<u8> {
        let id = History::id(self.session, page);
        let mut key = Vec::with_capacity(32);
        value::key::encode(&mut key, RawBsonRef::Document(&id), false);
        key
    }

    /// A page as it is stored.
    pub(crate) fn history(&self, page: i32, stored: Option<&SharedDoc>) -> Result<History, Fault> {
        History::open(self.session, page, self.txn_number, stored.map(|doc| &**doc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Uuid;

    #[test]
    fn a_page_reads_back_and_stays_small() {
        let session = SessionId(Uuid([7; 16]));
        let mut history = History::open(session, 1, 3, None).unwrap();
        let plain = Recorded { n: 1, ..Recorded::default() };
        let upsert = Recorded { n: 1, upserted: Some(RawBson::Int32(5)), ..Recorded::default() };
        let mut reply = RawDocumentBuf::new();
        reply.append(cstr!("value"), 1);
        let image = Recorded { reply: Some(reply), ..Recorded::default() };
        // Every other statement, as where two shards share a batch.
        for statement in (512..1000).step_by(2) {
            history.record(statement, plain.clone());
        }
        history.record(1001, upsert.clone());
        history.record(1003, image.clone());
        let stored = history.to_doc(0);
        assert!(stored.as_bytes().len() < 600, "{}", stored.as_bytes().len());
        assert_eq!(History::open(session, 1, 3, Some(&stored)), Ok(history.clone()));
        for (statement, expected) in [
            (512, Some(&plain)),
            (513, None),
            (998, Some(&plain)),
            (1001, Some(&upsert)),
            (1002, None),
            (1003, Some(&image)),
        ] {
            assert_eq!(history.find(statement), expected, "{statement}");
        }
        let next = History::open(session, 1, 4, Some(&stored)).unwrap();
        assert!(next.outcomes.is_empty());
        assert_eq!(History::open(session, 1, 2, Some(&stored)).unwrap_err().code, Code::TransactionTooOld);
    }

    #[test]
    fn statements_have_their_pages() {
        for (statement, page) in [(0, 0), (511, 0), (512, 1), (99_999, 195)] {
            assert_eq!(page_of(statement), page, "{statement}");
        }
    }
}

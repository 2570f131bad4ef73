//! What a numbered statement came to on this member, for routers that must know before they choose a shard for a repeated one.

use super::history::{HISTORIES, Retryable, page_of};
use crate::Engine;
use bson::RawDocumentBuf;
use command::{Upserted, WriteOutcome};
use types::{Fault, Namespace, SessionId, TxnNumber};

/// The reply that the statement was answered with: a findAndModify's own, else that of a write command with this one statement.
/// `None` where it was not executed here.
///
/// # Errors
/// `TransactionTooOld` (225) where the session has gone on, or what storage says.
pub fn statement_outcome(
    engine: &Engine,
    session: SessionId,
    txn_number: TxnNumber,
    statement: i32,
) -> Result<Option<RawDocumentBuf>, Fault> {
    let catalog = engine.store().catalog();
    let Some(collection) = catalog.get(&Namespace::parse(HISTORIES)?) else { return Ok(None) };
    let retryable = Retryable { session, txn_number };
    let snapshot = engine.store().snapshot();
    let open = |page: i32| {
        let stored = snapshot.get(collection, &retryable.record_key(page)).map_err(|error| error.fault())?;
        retryable.history(page, stored.as_ref())
    };
    // The first page tells whether the session has gone on.
    let first = open(0)?;
    let history = if page_of(statement) == 0 { first } else { open(page_of(statement))? };
    let Some(recorded) = history.find(statement) else { return Ok(None) };
    if let Some(reply) = &recorded.reply {
        return Ok(Some(reply.clone()));
    }
    let outcome = WriteOutcome {
        n: recorded.n,
        n_modified: Some(recorded.n_modified),
        upserted: recorded.upserted.iter().map(|id| Upserted { index: 0, id: id.clone() }).collect(),
        retried_statements: vec![statement],
        ..WriteOutcome::default()
    };
    Ok(Some(outcome.to_reply().doc))
}

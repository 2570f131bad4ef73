//! What the member keeps beside its log: two facts in storage's control file. A change here is a change of the format.

use crate::convert;
use crate::core::Restored;
use crate::core::config::SetConfig;
use crate::core::effect::Persistent;
use crate::data::Data;
use bson::{RawBson, RawDocument, RawDocumentBuf, rawdoc};
use std::sync::Arc;
use types::{Fault, OpTime, Timestamp};

/// Term, vote and floor.
const PERSISTENT: &str = "repl.persistent";
/// The configuration.
const CONFIG: &str = "repl.config";

pub(crate) fn store_persistent(data: &dyn Data, persistent: Persistent) -> Result<(), Fault> {
    let mut doc = rawdoc! {
        "term": persistent.term,
        "floor": { "ts": bson::Timestamp::from(persistent.floor.ts), "t": persistent.floor.term },
    };
    if let Some(candidate) = persistent.voted_for {
        doc.append(bson::raw::cstr!("votedFor"), candidate);
    }
    data.put_fact(PERSISTENT, RawBson::Document(doc))
}

pub(crate) fn store_config(data: &dyn Data, config: &SetConfig) -> Result<(), Fault> {
    let bytes = convert::config_to_bytes(config)?;
    let doc = RawDocumentBuf::from_bytes(bytes).map_err(|error| Fault::internal(error.to_string()))?;
    data.put_fact(CONFIG, RawBson::Document(doc))
}

/// What the process finds when it starts.
pub(crate) fn restore(data: &dyn Data) -> Result<Restored, Fault> {
    let damaged = |what: &str| Fault::internal(format!("the control file's {what} cannot be read"));
    let persistent = match data.fact(PERSISTENT) {
        None => Persistent::default(),
        Some(RawBson::Document(doc)) => persistent(&doc).ok_or_else(|| damaged(PERSISTENT))?,
        Some(_) => return Err(damaged(PERSISTENT)),
    };
    let config = match data.fact(CONFIG) {
        None => None,
        Some(RawBson::Document(doc)) => Some(Arc::new(convert::config(doc.as_bytes())?)),
        Some(_) => return Err(damaged(CONFIG)),
    };
    let mut persistent = persistent;
    let last = if data.importing().is_some() { OpTime::default() } else { data.last() };
    // Whoever has an entry of a term has heard of it.
    if last.term > persistent.term {
        persistent = Persistent { term: last.term, voted_for: None, ..persistent };
    }
    Ok(Restored { persistent, config, last })
}

fn persistent(doc: &RawDocument) -> Option<Persistent> {
    let floor = doc.get_document("floor").ok()?;
    let voted_for = match doc.get("votedFor").ok()? {
        None => None,
        Some(candidate) => Some(candidate.as_i32()?),
    };
    Some(Persistent {
        term: doc.get_i64("term").ok()?,
        voted_for,
        floor: OpTime {
            ts: Timestamp::from(floor.get_timestamp("ts").ok()?),
            term: floor.get_i64("t").ok()?,
        },
    })
}

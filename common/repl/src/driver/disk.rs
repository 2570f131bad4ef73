//! What the member keeps beside its log: two facts in storage's control file. A change here is a change of the format.

use crate::convert;
use crate::core::Restored;
use crate::core::config::SetConfig;
use crate::core::effect::Persistent;
use crate::data::Data;
use bson::{RawBson, RawDocument, RawDocumentBuf, rawdoc};
use std::path::Path;
use std::sync::Arc;
use types::{Fault, OpTime, Timestamp};

/// Term, vote and floor.
const PERSISTENT: &str = "repl.persistent";
/// The configuration.
const CONFIG: &str = "repl.config";

pub(crate) fn store_persistent(data: &dyn Data, persistent: Persistent) -> Result<(), Fault> {
    data.put_fact(PERSISTENT, RawBson::Document(fact_of(persistent)))
}

fn fact_of(persistent: Persistent) -> RawDocumentBuf {
    let mut doc = rawdoc! {
        "term": persistent.term,
        "floor": { "ts": bson::Timestamp::from(persistent.floor.ts), "t": persistent.floor.term },
    };
    if let Some(candidate) = persistent.voted_for {
        doc.append(bson::raw::cstr!("votedFor"), candidate);
    }
    doc
}

pub(crate) fn store_config(data: &dyn Data, config: &SetConfig) -> Result<(), Fault> {
    let bytes = convert::config_to_bytes(config)?;
    let doc = RawDocumentBuf::from_bytes(bytes).map_err(|error| Fault::internal(error.to_string()))?;
    data.put_fact(CONFIG, RawBson::Document(doc))
}

/// Term, vote and floor, and the configuration, out of the facts.
fn read(fact: impl Fn(&str) -> Option<RawBson>) -> Result<(Persistent, Option<Arc<SetConfig>>), Fault> {
    let damaged = |what: &str| Fault::internal(format!("the control file's {what} cannot be read"));
    let persistent = match fact(PERSISTENT) {
        None => Persistent::default(),
        Some(RawBson::Document(doc)) => persistent(&doc).ok_or_else(|| damaged(PERSISTENT))?,
        Some(_) => return Err(damaged(PERSISTENT)),
    };
    let config = match fact(CONFIG) {
        None => None,
        Some(RawBson::Document(doc)) => Some(Arc::new(convert::config(doc.as_bytes())?)),
        Some(_) => return Err(damaged(CONFIG)),
    };
    Ok((persistent, config))
}

/// What the process finds when it starts.
pub(crate) fn restore(data: &dyn Data) -> Result<Restored, Fault> {
    let (mut persistent, config) = read(|name| data.fact(name))?;
    let last = if data.importing().is_some() { OpTime::default() } else { data.last() };
    // Whoever has an entry of a term has heard of it.
    if last.term > persistent.term {
        persistent = Persistent { term: last.term, voted_for: None, ..persistent };
    }
    Ok(Restored { persistent, config, last })
}

/// After a store did not open: puts it aside, so that this member copies the data of others, if it is damaged and there are others.
///
/// # Errors
/// If the disk fails.
pub fn make_room(dir: &Path, why: &storage::Error) -> Result<bool, storage::Error> {
    use storage::Error;
    if !matches!(why, Error::Corrupt { .. } | Error::Base(_) | Error::Damaged(_)) {
        return Ok(false);
    }
    let Ok(control) = storage::read_control(dir) else { return Ok(false) };
    let Ok((mut persistent, Some(config))) = read(|name| control.get(name)) else { return Ok(false) };
    if config.members.iter().filter(|member| member.holds_data()).count() < 2 {
        return Ok(false);
    }
    // It may have helped to acknowledge anything up to the end of its term: it votes for nobody who is not past that.
    persistent.floor = persistent.floor.max(OpTime { ts: Timestamp::MAX, term: persistent.term });
    let aside = storage::set_aside(dir, [(PERSISTENT, RawBson::Document(fact_of(persistent)))])?;
    tracing::error!(
        reason = %why,
        kept = %aside.display(),
        "the store is damaged and was put aside; this member copies the data of another one"
    );
    Ok(true)
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

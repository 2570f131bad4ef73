//! The one error that leaves a server.

use super::{Code, Label};
use crate::{DatabaseVersion, Namespace, ShardId, ShardVersion};
use bson::{Document, RawDocument, RawDocumentBuf};

/// What was stale, as a value: the router acts on it and never reads the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleRoute {
    /// The collection's version differs. `wanted` is `None` where the shard does not know it yet.
    Collection { ns: Namespace, received: ShardVersion, wanted: Option<ShardVersion>, shard: ShardId },
    /// The database's version or home shard differs.
    Database { db: String, received: DatabaseVersion, wanted: Option<DatabaseVersion> },
}

/// A client-visible error: code, sentence, labels and further fields of the reply.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    pub code: Code,
    /// One sentence; says what to do next where there is something to do.
    pub message: String,
    pub labels: Vec<Label>,
    /// Fields that are added to the error reply, such as `keyPattern` and `keyValue` of a duplicate key.
    pub extra: Option<Box<RawDocumentBuf>>,
    /// Set when the error is about a stale routing table.
    pub stale: Option<Box<StaleRoute>>,
}

impl Fault {
    /// An error with a code and a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), labels: Vec::new(), extra: None, stale: None }
    }

    /// Error 2, the general complaint about a value.
    pub fn bad_value(message: impl Into<String>) -> Fault {
        Fault::new(Code::BadValue, message)
    }

    /// Error 238 for something that MongoDB has and this server has not; `what` is its name.
    pub fn not_implemented(what: impl std::fmt::Display) -> Fault {
        Fault::new(Code::NotImplemented, format!("{what} is not implemented by this server"))
    }

    /// Error 1: an invariant of ours broke while one request was served.
    pub fn internal(message: impl Into<String>) -> Fault {
        Fault::new(Code::InternalError, message)
    }

    /// The same error with a label more.
    #[must_use]
    pub fn with_label(mut self, label: Label) -> Fault {
        if !self.labels.contains(&label) {
            self.labels.push(label);
        }
        self
    }

    /// The same error with further reply fields.
    #[must_use]
    pub fn with_extra(mut self, extra: RawDocumentBuf) -> Fault {
        self.extra = Some(Box::new(extra));
        self
    }

    /// The same error with its message prefixed by `context` and a colon.
    #[must_use]
    pub fn context(mut self, context: impl std::fmt::Display) -> Fault {
        self.message = format!("{context} :: caused by :: {}", self.message);
        self
    }

    /// The error for a routing table that the shard found stale.
    pub fn stale(stale: StaleRoute) -> Fault {
        let (code, message) = match &stale {
            StaleRoute::Collection { ns, received, wanted, shard } => (
                Code::StaleConfig,
                match wanted {
                    Some(wanted) => format!("{ns}: routed with {received}, shard {shard} has {wanted}"),
                    None => {
                        format!("{ns}: routed with {received}, shard {shard} does not know its version yet")
                    }
                },
            ),
            StaleRoute::Database { db, received, wanted } => (
                Code::StaleDbVersion,
                match wanted {
                    Some(wanted) => format!("{db}: routed with {received}, shard has {wanted}"),
                    None => format!("{db}: routed with {received}, unknown on this shard"),
                },
            ),
        };
        Fault { stale: Some(Box::new(stale)), ..Fault::new(code, message) }
    }

    /// The error reply: `{ok: 0, errmsg, code, codeName, errorLabels?, …extra}`.
    pub fn to_reply(&self) -> Document {
        let mut reply = bson::doc! {
            "ok": 0.0,
            "errmsg": &self.message,
            "code": self.code.number(),
            "codeName": self.code.name().into_owned(),
        };
        if !self.labels.is_empty() {
            reply.insert("errorLabels", self.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>());
        }
        if let Some(extra) = self.extra.as_deref().and_then(|extra| Document::try_from(extra.as_ref()).ok()) {
            reply.extend(extra);
        }
        reply
    }

    /// Reads an `{ok: 0, …}` reply of another server back. `None` if the reply is not an error.
    pub fn from_reply(reply: &RawDocument) -> Option<Fault> {
        let ok = match reply.get("ok").ok().flatten() {
            Some(bson::RawBsonRef::Double(ok)) => ok,
            Some(bson::RawBsonRef::Int32(ok)) => f64::from(ok),
            Some(bson::RawBsonRef::Int64(ok)) => ok as f64,
            Some(bson::RawBsonRef::Boolean(ok)) => f64::from(u8::from(ok)),
            _ => 0.0,
        };
        if ok != 0.0 {
            return None;
        }
        let number = reply.get_i32("code").unwrap_or(Code::UnknownError.number());
        let mut fault =
            Fault::new(Code::from_number(number), reply.get_str("errmsg").unwrap_or("error without errmsg"));
        if let Ok(labels) = reply.get_array("errorLabels") {
            let names = labels.into_iter().flatten().filter_map(|label| label.as_str());
            fault.labels = names.filter_map(Label::from_str_exact).collect();
        }
        let mut extra = RawDocumentBuf::new();
        for (name, value) in reply.iter().flatten() {
            if !matches!(
                name.as_str(),
                "ok" | "errmsg" | "code" | "codeName" | "errorLabels" | "$clusterTime" | "operationTime"
            ) {
                extra.append(name, value);
            }
        }
        if extra.iter().next().is_some() {
            fault.extra = Some(Box::new(extra));
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_reads_back() {
        let extra = RawDocumentBuf::try_from(&bson::doc! {"keyPattern": {"_id": 1}}).unwrap();
        let fault =
            Fault::new(Code::DuplicateKey, "E11000").with_label(Label::RetryableWriteError).with_extra(extra);
        let reply = RawDocumentBuf::try_from(&fault.to_reply()).unwrap();
        assert_eq!(Fault::from_reply(&reply), Some(fault));
        let fine = RawDocumentBuf::try_from(&bson::doc! {"ok": 1.0}).unwrap();
        assert_eq!(Fault::from_reply(&fine), None);
    }
}

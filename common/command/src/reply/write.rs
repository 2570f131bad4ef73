//! What a batch of writes came to. Shards build it, the router reads it back, maps the positions and merges.

use crate::Reply;
use bson::raw::cstr;
use bson::{RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// The outcome of an insert, update or delete.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WriteOutcome {
    /// Documents inserted, matched (updates; upserts included) or removed.
    pub n: u64,
    /// Documents that an update changed; `None` for inserts and deletes.
    pub n_modified: Option<u64>,
    pub upserted: Vec<Upserted>,
    /// By position.
    pub errors: Vec<WriteError>,
    pub write_concern_error: Option<WriteConcernError>,
    /// Statements that had been executed before and were answered from history.
    pub retried_statements: Vec<i32>,
}

/// A document that an update statement inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct Upserted {
    /// The statement's position in its batch.
    pub index: usize,
    pub id: RawBson,
}

/// A statement that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteError {
    /// The statement's position in its batch.
    pub index: usize,
    /// `extra` carries `keyPattern`, `keyValue`, `errInfo`.
    pub fault: Fault,
}

/// The write happened here but did not become as safe as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteConcernError {
    pub code: Code,
    pub message: String,
    /// `errInfo`.
    pub info: Option<bson::RawDocumentBuf>,
}

impl WriteOutcome {
    /// `{n, nModified?, upserted?, writeErrors?, writeConcernError?, retriedStmtIds?}`.
    pub fn to_reply(&self) -> Reply {
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("n"), number(self.n));
        if let Some(modified) = self.n_modified {
            doc.append(cstr!("nModified"), number(modified));
        }
        if !self.upserted.is_empty() {
            let upserted: RawArrayBuf = self.upserted.iter().map(Upserted::to_doc).collect();
            doc.append(cstr!("upserted"), upserted);
        }
        if !self.errors.is_empty() {
            let errors: RawArrayBuf = self.errors.iter().map(WriteError::to_doc).collect();
            doc.append(cstr!("writeErrors"), errors);
        }
        if let Some(error) = &self.write_concern_error {
            doc.append(cstr!("writeConcernError"), error.to_doc());
        }
        if !self.retried_statements.is_empty() {
            let retried: RawArrayBuf = self.retried_statements.iter().copied().collect();
            doc.append(cstr!("retriedStmtIds"), retried);
        }
        doc.into()
    }

    /// Reads the reply of another server; one with `ok: 0` is that fault.
    ///
    /// # Errors
    /// The reply's own error, or `FailedToParse` (9) where it has another shape.
    pub fn from_reply(reply: &RawDocument) -> Result<WriteOutcome, Fault> {
        if matches!(reply.get("ok"), Ok(Some(_)))
            && let Some(fault) = Fault::from_reply(reply)
        {
            return Err(fault);
        }
        let mut outcome = WriteOutcome::default();
        for element in reply.iter() {
            let (name, value) = element.map_err(invalid)?;
            match (name.as_str(), value) {
                ("n", value) => outcome.n = count(value)?,
                ("nModified", value) => outcome.n_modified = Some(count(value)?),
                ("upserted", RawBsonRef::Array(list)) => outcome.upserted = each(list, Upserted::from_doc)?,
                ("writeErrors", RawBsonRef::Array(list)) => {
                    outcome.errors = each(list, WriteError::from_doc)?
                }
                ("writeConcernError", RawBsonRef::Document(doc)) => {
                    outcome.write_concern_error = Some(WriteConcernError::from_doc(doc));
                }
                ("retriedStmtIds", RawBsonRef::Array(list)) => {
                    for id in list {
                        match id.map_err(invalid)? {
                            RawBsonRef::Int32(id) => outcome.retried_statements.push(id),
                            _ => return Err(shape("retriedStmtIds")),
                        }
                    }
                }
                ("upserted" | "writeErrors" | "writeConcernError" | "retriedStmtIds", _) => {
                    return Err(shape(name.as_str()));
                }
                _ => {}
            }
        }
        Ok(outcome)
    }

    /// Adds the outcome of a part of the batch; `positions[i]` is the place in the whole batch of the part's statement `i`.
    /// Call [`WriteOutcome::sort`] once when all parts are in.
    pub fn merge(&mut self, part: WriteOutcome, positions: &[usize]) {
        let place = |index: usize| positions.get(index).copied().unwrap_or(index);
        self.n += part.n;
        if let Some(modified) = part.n_modified {
            *self.n_modified.get_or_insert(0) += modified;
        }
        self.upserted
            .extend(part.upserted.into_iter().map(|one| Upserted { index: place(one.index), ..one }));
        self.errors.extend(part.errors.into_iter().map(|one| WriteError { index: place(one.index), ..one }));
        self.retried_statements.extend(part.retried_statements);
        if self.write_concern_error.is_none() {
            self.write_concern_error = part.write_concern_error;
        }
    }

    /// Brings errors and upserts into the order of the statements.
    pub fn sort(&mut self) {
        self.errors.sort_by_key(|error| error.index);
        self.upserted.sort_by_key(|upserted| upserted.index);
        self.retried_statements.sort_unstable();
    }

    /// The first error about a stale routing table, for a router that will refresh and send the statement again.
    pub fn stale_error(&self) -> Option<&WriteError> {
        self.errors.iter().find(|error| error.fault.code.is_stale_route())
    }
}

impl Upserted {
    pub fn to_doc(&self) -> RawDocumentBuf {
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("index"), index_value(self.index));
        doc.append(cstr!("_id"), self.id.as_raw_bson_ref());
        doc
    }

    fn from_doc(doc: &RawDocument) -> Result<Upserted, Fault> {
        let id = doc.get("_id").map_err(invalid)?.ok_or_else(|| shape("upserted._id"))?;
        Ok(Upserted { index: index(doc, "upserted.index")?, id: id.into() })
    }
}

impl WriteError {
    /// `{index, code, codeName, errmsg, …extra}`.
    pub fn to_doc(&self) -> RawDocumentBuf {
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("index"), index_value(self.index));
        doc.append(cstr!("code"), self.fault.code.number());
        doc.append(cstr!("codeName"), &*self.fault.code.name());
        for (name, value) in self.fault.extra.iter().flat_map(|extra| extra.iter().flatten()) {
            doc.append(name, value);
        }
        doc.append(cstr!("errmsg"), self.fault.message.as_str());
        doc
    }

    fn from_doc(doc: &RawDocument) -> Result<WriteError, Fault> {
        let code = doc.get_i32("code").map_err(|_| shape("writeErrors.code"))?;
        let message = doc.get_str("errmsg").unwrap_or("");
        let mut fault = Fault::new(Code::from_number(code), message);
        let mut extra = RawDocumentBuf::new();
        for element in doc.iter() {
            let (name, value) = element.map_err(invalid)?;
            if !matches!(name.as_str(), "index" | "code" | "codeName" | "errmsg") {
                extra.append(name, value);
            }
        }
        if extra.as_bytes().len() > 5 {
            fault = fault.with_extra(extra);
        }
        Ok(WriteError { index: index(doc, "writeErrors.index")?, fault })
    }
}

impl WriteConcernError {
    pub fn to_doc(&self) -> RawDocumentBuf {
        let mut doc = RawDocumentBuf::new();
        doc.append(cstr!("code"), self.code.number());
        doc.append(cstr!("codeName"), &*self.code.name());
        doc.append(cstr!("errmsg"), self.message.as_str());
        if let Some(info) = &self.info {
            doc.append(cstr!("errInfo"), info.as_ref());
        }
        doc
    }

    fn from_doc(doc: &RawDocument) -> WriteConcernError {
        WriteConcernError {
            code: Code::from_number(doc.get_i32("code").unwrap_or(Code::UnknownError.number())),
            message: doc.get_str("errmsg").unwrap_or("").to_owned(),
            info: doc.get_document("errInfo").ok().map(RawDocument::to_owned),
        }
    }
}

/// As MongoDB: 32 bits where they suffice.
fn number(count: u64) -> RawBson {
    i32::try_from(count)
        .map_or_else(|_| RawBson::Int64(i64::try_from(count).unwrap_or(i64::MAX)), RawBson::Int32)
}

fn index_value(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn index(doc: &RawDocument, what: &str) -> Result<usize, Fault> {
    match doc.get("index").map_err(invalid)? {
        Some(value) => usize::try_from(count(value)?).map_err(|_| shape(what)),
        None => Err(shape(what)),
    }
}

fn count(value: RawBsonRef<'_>) -> Result<u64, Fault> {
    match value {
        RawBsonRef::Int32(number) => u64::try_from(number).map_err(|_| shape("count")),
        RawBsonRef::Int64(number) => u64::try_from(number).map_err(|_| shape("count")),
        RawBsonRef::Double(number) if number >= 0.0 => Ok(number as u64),
        _ => Err(shape("count")),
    }
}

fn each<T>(list: &RawArray, read: impl Fn(&RawDocument) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let mut out = Vec::new();
    for element in list {
        match element.map_err(invalid)? {
            RawBsonRef::Document(doc) => out.push(read(doc)?),
            _ => return Err(shape("list")),
        }
    }
    Ok(out)
}

fn invalid(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, error.to_string())
}

fn shape(what: &str) -> Fault {
    Fault::new(Code::FailedToParse, format!("write reply with a bad '{what}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn a_reply_reads_back() {
        let duplicate = Fault::new(Code::DuplicateKey, "E11000 duplicate key")
            .with_extra(rawdoc! {"keyPattern": {"_id": 1}, "keyValue": {"_id": 5}});
        let outcome = WriteOutcome {
            n: 3,
            n_modified: Some(2),
            upserted: vec![Upserted { index: 1, id: RawBson::Int32(9) }],
            errors: vec![WriteError { index: 2, fault: duplicate }],
            write_concern_error: Some(WriteConcernError {
                code: Code::WriteConcernFailed,
                message: "waiting for replication timed out".into(),
                info: Some(rawdoc! {"wtimeout": true}),
            }),
            retried_statements: vec![0],
        };
        let reply = outcome.to_reply();
        assert_eq!(WriteOutcome::from_reply(&reply.doc).unwrap(), outcome);
        assert_eq!(reply.doc.get_i32("n").unwrap(), 3);
        let refused = rawdoc! {"ok": 0.0, "code": 13388, "errmsg": "stale"};
        assert_eq!(WriteOutcome::from_reply(&refused).unwrap_err().code, Code::StaleConfig);
        assert_eq!(WriteOutcome::from_reply(&rawdoc! {"n": "x"}).unwrap_err().code, Code::FailedToParse);
    }

    #[test]
    fn parts_merge_by_position() {
        let part = |n, index| WriteOutcome {
            n,
            n_modified: Some(n),
            errors: vec![WriteError { index, fault: Fault::bad_value("no") }],
            ..WriteOutcome::default()
        };
        let mut whole = WriteOutcome::default();
        whole.merge(part(2, 1), &[1, 4]);
        whole.merge(part(1, 0), &[0]);
        whole.sort();
        assert_eq!((whole.n, whole.n_modified), (3, Some(3)));
        assert_eq!(whole.errors.iter().map(|error| error.index).collect::<Vec<_>>(), [0, 4]);
    }
}

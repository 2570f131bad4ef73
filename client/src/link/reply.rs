//! Reads what matters of a reply from its raw bytes: whether it succeeded, which statements failed, the first batch.

use super::ServerError;
use bson::{RawBsonRef, RawDocument};

/// Fails when the command as a whole failed. Errors of single statements are not looked at: see [`WriteReply`].
pub(crate) fn check(reply: &RawDocument) -> Result<(), ServerError> {
    for element in reply.iter() {
        let (name, value) = element.map_err(malformed)?;
        if name.as_str() == "ok" {
            return match number(value) {
                Some(1) => Ok(()),
                _ => Err(server_error(reply)),
            };
        }
    }
    Err(ServerError {
        code: 22,
        code_name: "InvalidBSON".to_owned(),
        message: "the reply has no field 'ok'".to_owned(),
        labels: Vec::new(),
    })
}

/// The outcome of a write command whose `ok` is 1.
#[derive(Debug, Default)]
pub(crate) struct WriteReply {
    /// Documents inserted, matched or deleted.
    pub(crate) n: i64,
    /// Failed statements: index, error.
    pub(crate) write_errors: Vec<(usize, ServerError)>,
    /// The write was done, but not as settled as was asked.
    pub(crate) concern_error: Option<ServerError>,
}

impl WriteReply {
    /// Reads the reply. The common case, no errors, does not allocate.
    pub(crate) fn read(reply: &RawDocument) -> Result<WriteReply, ServerError> {
        let mut read = WriteReply::default();
        for element in reply.iter() {
            let (name, value) = element.map_err(malformed)?;
            match (name.as_str(), value) {
                ("n", value) => read.n = number(value).unwrap_or(0),
                ("writeErrors", RawBsonRef::Array(errors)) => {
                    for error in errors {
                        if let RawBsonRef::Document(error) = error.map_err(malformed)? {
                            let index = error.get("index").ok().flatten().and_then(number).unwrap_or(-1);
                            read.write_errors
                                .push((usize::try_from(index).unwrap_or(usize::MAX), server_error(error)));
                        }
                    }
                }
                ("writeConcernError", RawBsonRef::Document(error)) => {
                    let mut error = server_error(error);
                    error.labels.extend(labels(reply));
                    read.concern_error = Some(error);
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

/// The documents of `cursor.firstBatch`, counted without being read.
pub(crate) fn first_batch(reply: &RawDocument) -> usize {
    reply
        .get_document("cursor")
        .ok()
        .and_then(|cursor| cursor.get_array("firstBatch").ok())
        .map_or(0, |batch| batch.into_iter().count())
}

fn server_error(document: &RawDocument) -> ServerError {
    let text = |name| document.get_str(name).ok().map(str::to_owned);
    ServerError {
        code: document
            .get("code")
            .ok()
            .flatten()
            .and_then(number)
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or(0),
        code_name: text("codeName").unwrap_or_default(),
        message: text("errmsg").unwrap_or_else(|| "the server gave no reason".to_owned()),
        labels: labels(document),
    }
}

fn labels(document: &RawDocument) -> Vec<String> {
    let Ok(labels) = document.get_array("errorLabels") else { return Vec::new() };
    labels.into_iter().filter_map(|label| label.ok()?.as_str().map(str::to_owned)).collect()
}

fn malformed(error: bson::error::Error) -> ServerError {
    ServerError {
        code: 22,
        code_name: "InvalidBSON".to_owned(),
        message: format!("the reply is not valid BSON: {error}"),
        labels: Vec::new(),
    }
}

fn number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) => Some(number as i64),
        RawBsonRef::Boolean(yes) => Some(i64::from(yes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, RawDocumentBuf, doc};

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::from_bytes(document.to_vec().unwrap()).unwrap()
    }

    #[test]
    fn success_and_failure() {
        for good in [doc! { "ok": 1 }, doc! { "n": 3, "ok": 1.0 }, doc! { "ok": true }] {
            assert!(check(&raw(&good)).is_ok(), "{good}");
        }
        let reply = doc! { "ok": 0.0, "errmsg": "no", "code": 59, "codeName": "CommandNotFound", "errorLabels": ["L"] };
        let error = check(&raw(&reply)).unwrap_err();
        assert_eq!((error.code, error.cause().as_str(), error.labels.len()), (59, "CommandNotFound", 1));
        assert_eq!(error.to_string(), "no (CommandNotFound 59)");
        assert!(check(&raw(&doc! { "n": 1 })).is_err());
    }

    #[test]
    fn statements_that_failed() {
        let reply = doc! {
            "n": 2, "ok": 1,
            "writeErrors": [{ "index": 1, "code": 11000, "errmsg": "E11000" }],
            "writeConcernError": { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting" },
            "errorLabels": ["RetryableWriteError"],
        };
        let read = WriteReply::read(&raw(&reply)).unwrap();
        assert_eq!(read.n, 2);
        assert_eq!(read.write_errors[0].0, 1);
        assert_eq!(read.write_errors[0].1.cause(), "DuplicateKey");
        assert!(read.concern_error.unwrap().is_retryable());
    }

    #[test]
    fn batches_are_counted() {
        let reply =
            doc! { "cursor": { "firstBatch": [{ "a": 1 }, { "a": 2 }], "id": 0_i64, "ns": "a.b" }, "ok": 1 };
        assert_eq!(first_batch(&raw(&reply)), 2);
        assert_eq!(first_batch(&raw(&doc! { "ok": 1 })), 0);
    }
}

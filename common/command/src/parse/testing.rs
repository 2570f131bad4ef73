//! What the tests of the typed requests share.

use crate::{Envelope, Request};
use bson::{Document, RawDocumentBuf};
use types::Fault;

/// A request of that body.
pub(crate) fn request(body: Document) -> Request {
    Request::from_body(RawDocumentBuf::try_from(&body).unwrap())
}

/// The envelope of a command on database `d`.
pub(crate) fn envelope() -> Envelope {
    Envelope { db: "d".to_owned(), ..Envelope::default() }
}

/// Each body must fail with the code and, where one is given, the message.
pub(crate) fn check_faults(parse: impl Fn(Document) -> Result<(), Fault>, rows: &[(Document, i32, &str)]) {
    for (body, code, message) in rows {
        let fault = parse(body.clone()).expect_err(&format!("{body} must be refused"));
        assert_eq!(fault.code.number(), *code, "{body}: {fault}");
        if !message.is_empty() {
            assert_eq!(fault.message, *message, "{body}");
        }
    }
}

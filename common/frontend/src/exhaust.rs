//! Streaming hello: one request, a reply at each change of the topology and at the end of each wait.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use value::SharedDoc;

/// Whether a command is one of the spellings of hello.
pub(crate) fn is_hello(name: &str) -> bool {
    matches!(name, "hello" | "isMaster" | "ismaster")
}

/// Whether a hello asks to wait for a change, which is what makes streaming sensible.
pub(crate) fn awaits(body: &RawDocument) -> bool {
    matches!(body.get("topologyVersion"), Ok(Some(RawBsonRef::Document(_))))
        && matches!(body.get("maxAwaitTimeMS"), Ok(Some(_)))
}

/// The request that the server puts to itself after `reply`: the same, waiting for the version to pass that of the reply.
/// `None` if the reply has no version.
pub(crate) fn next_request(body: &RawDocument, reply: &RawDocument) -> Option<SharedDoc> {
    let version = reply.get("topologyVersion").ok()??;
    let mut next = RawDocumentBuf::new();
    for element in body.iter() {
        let (name, value) = element.ok()?;
        match name.as_str() {
            "topologyVersion" => next.append(name, version),
            // Sent once a connection; a second time is an error.
            "client" => {}
            _ => next.append(name, value),
        }
    }
    Some(SharedDoc::from(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    #[test]
    fn the_next_request_waits_from_the_reply() {
        let raw = |doc: Document| RawDocumentBuf::try_from(&doc).unwrap();
        let body =
            raw(doc! {"hello": 1, "topologyVersion": {"counter": 1_i64}, "client": {}, "maxAwaitTimeMS": 10});
        assert!(awaits(&body));
        let next = next_request(&body, &raw(doc! {"topologyVersion": {"counter": 2_i64}})).unwrap();
        assert_eq!(
            Document::try_from(&*next).unwrap(),
            doc! {"hello": 1, "topologyVersion": {"counter": 2_i64}, "maxAwaitTimeMS": 10}
        );
        assert_eq!(next_request(&body, &raw(doc! {})), None);
    }
}

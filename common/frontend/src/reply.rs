//! The last fields of every reply: `ok`, and the times where the server gossips.

use crate::{Gossip, Host};
use bson::{RawDocument, RawDocumentBuf};
use types::{Fault, Timestamp};

/// Type bytes and names of the fields that are appended, as they stand in BSON.
const OK: &[u8] = b"\x01ok\0";
const CLUSTER_TIME: &[u8] = b"\x03$clusterTime\0";
const OPERATION_TIME: &[u8] = b"\x11operationTime\0";

/// `{clusterTime, signature: {hash: 20 zero bytes, keyId: 0}}` with the time left out; nobody signs while there is no login.
const CLUSTER_TIME_HEAD: &[u8] = b"\x58\0\0\0\x11clusterTime\0";
const CLUSTER_TIME_TAIL: &[u8] = b"\x03signature\0\x33\0\0\0\x05hash\0\x14\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x12keyId\0\0\0\0\0\0\0\0\0\0\0";

/// Adds `ok: 1` and the times to the answer of a command. An answer that was another server's reply has its own replaced.
pub fn finish(doc: RawDocumentBuf, gossip: Option<Gossip>) -> RawDocumentBuf {
    let forwarded = doc.iter_elements().flatten().any(|element| is_last_field(element.key().as_str()));
    append(if forwarded { strip(&doc) } else { doc }, Some(1.0), gossip)
}

/// A reply of another server without `ok` and its times: the answer of the command itself.
pub fn strip(reply: &RawDocument) -> RawDocumentBuf {
    let bytes = reply.as_bytes();
    let mut kept = vec![0; 4];
    let mut start = 4;
    let mut skip = false;
    // An element's bytes start one before its name, with its type, and end where the next one's do.
    for element in reply.iter_elements().flatten() {
        let name = element.key().as_str();
        let at = (name.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize).wrapping_sub(1);
        if !skip {
            kept.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        }
        start = at;
        skip = is_last_field(name);
    }
    if !skip {
        kept.extend_from_slice(bytes.get(start..bytes.len() - 1).unwrap_or_default());
    }
    seal(kept)
}

/// The times in another server's reply.
pub fn times(reply: &RawDocument) -> Option<Gossip> {
    let time = |ts: bson::Timestamp| Timestamp::from(ts);
    let cluster_time =
        reply.get_document("$clusterTime").ok()?.get_timestamp("clusterTime").ok().map(time)?;
    let operation_time = reply.get_timestamp("operationTime").ok().map(time)?;
    Some(Gossip { cluster_time, operation_time })
}

fn is_last_field(name: &str) -> bool {
    matches!(name, "ok" | "$clusterTime" | "operationTime")
}

/// The reply for an error, with the times.
pub fn fault<S: Host>(host: &S, fault: &Fault) -> RawDocumentBuf {
    let doc = RawDocumentBuf::try_from(&fault.to_reply()).unwrap_or_default();
    append(doc, None, host.gossip())
}

/// Whether a reply says `ok: 1`.
pub(crate) fn is_ok(doc: &RawDocument) -> bool {
    matches!(doc.get("ok"), Ok(Some(bson::RawBsonRef::Double(ok))) if ok == 1.0)
}

fn append(doc: RawDocumentBuf, ok: Option<f64>, gossip: Option<Gossip>) -> RawDocumentBuf {
    // Appended by hand: this runs for every command, and the nested document would cost three allocations.
    let mut bytes = doc.into_bytes();
    bytes.pop();
    if let Some(ok) = ok {
        bytes.extend_from_slice(OK);
        bytes.extend_from_slice(&ok.to_le_bytes());
    }
    if let Some(gossip) = gossip {
        bytes.extend_from_slice(CLUSTER_TIME);
        bytes.extend_from_slice(CLUSTER_TIME_HEAD);
        bytes.extend_from_slice(&gossip.cluster_time.0.to_le_bytes());
        bytes.extend_from_slice(CLUSTER_TIME_TAIL);
        bytes.extend_from_slice(OPERATION_TIME);
        bytes.extend_from_slice(&gossip.operation_time.0.to_le_bytes());
    }
    seal(bytes)
}

/// A document of these elements, which stand behind four bytes for its length.
fn seal(mut bytes: Vec<u8>) -> RawDocumentBuf {
    bytes.push(0);
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    if let Some(place) = bytes.first_chunk_mut::<4>() {
        *place = length.to_le_bytes();
    }
    RawDocumentBuf::from_bytes(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Binary, Document, doc, spec::BinarySubtype};

    #[test]
    fn appended_bytes_are_the_document_they_stand_for() {
        let cluster_time = Timestamp::new(1_700_000_000, 5);
        let operation_time = Timestamp::new(1_700_000_000, 4);
        let reply = RawDocumentBuf::try_from(&doc! {"n": 1}).unwrap();
        let done = finish(reply.clone(), Some(Gossip { cluster_time, operation_time }));
        let hash = Binary { subtype: BinarySubtype::Generic, bytes: vec![0; 20] };
        let expected = doc! {
            "n": 1,
            "ok": 1.0,
            "$clusterTime": {
                "clusterTime": bson::Timestamp::from(cluster_time),
                "signature": { "hash": hash, "keyId": 0_i64 },
            },
            "operationTime": bson::Timestamp::from(operation_time),
        };
        assert_eq!(Document::try_from(done.as_ref()).unwrap(), expected);
        assert_eq!(done, RawDocumentBuf::try_from(&expected).unwrap());
        assert!(is_ok(&finish(reply, None)));
    }

    #[test]
    fn replies_of_other_servers_are_answers_again() {
        let raw = |doc: Document| RawDocumentBuf::try_from(&doc).unwrap();
        for (answer, tail) in [
            (doc! {}, doc! {}),
            (doc! {"n": 1, "cursor": {"ok": 5}}, doc! {}),
            (doc! {"n": 1}, doc! {"after": "x"}),
        ] {
            let gossip = Gossip { cluster_time: Timestamp::new(9, 1), operation_time: Timestamp::new(8, 1) };
            let mut reply = Document::try_from(&finish(raw(answer.clone()), Some(gossip))).unwrap();
            reply.extend(tail.clone());
            let mut expected = answer;
            expected.extend(tail);
            let reply = raw(reply);
            assert_eq!(strip(&reply), raw(expected.clone()));
            assert_eq!(times(&reply), Some(gossip));
            assert_eq!(finish(reply, None), finish(raw(expected), None));
        }
    }
}

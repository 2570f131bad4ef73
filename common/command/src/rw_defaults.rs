//! The concerns that hold where a client names none: as they are stored, told, and put into a command on its way to a shard.

use crate::{Access, Envelope, Reply, Request, Spec};
use bson::{Bson, DateTime, Document, RawBsonRef, RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use types::{Fault, ReadConcern, ReadConcernLevel, Timestamp, W, WriteConcern};

/// What an administrator set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RwDefaults {
    pub read: Option<ReadConcernLevel>,
    pub write: Option<WriteConcern>,
    /// When they were set: cluster time and wall clock.
    pub updated: Option<(Timestamp, DateTime)>,
}

impl RwDefaults {
    /// Reads the stored document, or what a reply tells to be set.
    ///
    /// # Errors
    /// Those of the concerns in it.
    pub fn parse(doc: &RawDocument) -> Result<RwDefaults, Fault> {
        let mut defaults = RwDefaults::default();
        let is_implicit = |name: &str| doc.get_str(name).is_ok_and(|source| source == "implicit");
        if let Ok(concern) = doc.get_document("defaultReadConcern")
            && !is_implicit("defaultReadConcernSource")
        {
            defaults.read = types::ReadConcern::parse(concern)?.level;
        }
        if let Ok(concern) = doc.get_document("defaultWriteConcern")
            && !is_implicit("defaultWriteConcernSource")
        {
            defaults.write = Some(WriteConcern::parse(concern)?);
        }
        if let (Ok(time), Ok(date)) =
            (doc.get_timestamp("updateOpTime"), doc.get_datetime("updateWallClockTime"))
        {
            defaults.updated = Some((time.into(), date));
        }
        Ok(defaults)
    }

    /// The fields of the stored document, and of the replies.
    pub fn to_document(&self) -> Document {
        let mut out = Document::new();
        if let Some(level) = self.read {
            out.insert("defaultReadConcern", doc! { "level": level.as_str() });
        }
        if let Some(concern) = &self.write {
            out.insert("defaultWriteConcern", write_concern_document(concern));
        }
        if let Some((time, date)) = self.updated {
            out.insert("updateOpTime", bson::Timestamp::from(time));
            out.insert("updateWallClockTime", date);
        }
        out
    }

    /// The reply of getDefaultRWConcern and setDefaultRWConcern; `implicit` is what holds where nobody set a write concern.
    pub fn to_reply(&self, implicit: &WriteConcern, loaded_millis: i64) -> Document {
        let write = self.write.as_ref().unwrap_or(implicit);
        let source = |is_set: bool| if is_set { "global" } else { "implicit" };
        let mut reply = doc! {
            "defaultReadConcern": { "level": self.read.unwrap_or_default().as_str() },
            "defaultWriteConcern": write_concern_document(write),
        };
        if let Some((time, date)) = self.updated {
            reply.insert("updateOpTime", bson::Timestamp::from(time));
            reply.insert("updateWallClockTime", date);
        }
        reply.insert("defaultWriteConcernSource", source(self.write.is_some()));
        reply.insert("defaultReadConcernSource", source(self.read.is_some()));
        reply.insert("localUpdateWallClockTime", DateTime::from_millis(loaded_millis));
        reply
    }
}

fn write_concern_document(concern: &WriteConcern) -> Document {
    let raw = concern.to_doc();
    // What we encoded ourselves decodes.
    let mut doc = Document::try_from(raw.as_ref()).unwrap_or_default();
    if let Some(Bson::Int64(millis)) = doc.get("wtimeout").cloned()
        && let Ok(millis) = i32::try_from(millis)
    {
        doc.insert("wtimeout", millis);
    }
    doc
}

impl RwDefaults {
    /// Writes the defaults into a command that takes concerns and names none, and into its envelope.
    pub fn apply<S>(&self, spec: &Spec<S>, envelope: &mut Envelope, request: &mut Request) {
        if envelope.in_transaction() {
            return;
        }
        let is_read = matches!(spec.name, "find" | "aggregate" | "count" | "distinct");
        if is_read
            && envelope.read_concern.level.is_none()
            && let Some(level) = self.read
        {
            envelope.read_concern = ReadConcern { level: Some(level), ..envelope.read_concern };
            let mut concern = rawdoc! { "level": level.as_str() };
            if let Some(after) = envelope.read_concern.after_cluster_time {
                concern.append(cstr!("afterClusterTime"), bson::Timestamp::from(after));
            }
            concern.append(cstr!("provenance"), CUSTOM);
            put(request, cstr!("readConcern"), concern);
        }
        let is_open = envelope.write_concern.as_ref().is_none_or(|concern| concern.w == W::Default);
        if spec.access == Access::Write
            && is_open
            && let Some(default) = &self.write
        {
            let concern =
                envelope.write_concern.as_ref().map_or(default.clone(), |concern| concern.or(default));
            let mut doc = concern.to_doc();
            doc.append(cstr!("provenance"), CUSTOM);
            envelope.write_concern = Some(concern);
            envelope.write_concern_is_default = true;
            put(request, cstr!("writeConcern"), doc);
        }
    }
}

/// Makes a read of several shards one read: a snapshot whose time nobody chose yet gets `now`, on all of them. Whether it did.
pub fn pin_snapshot(envelope: &mut Envelope, request: &mut Request, now: Timestamp) -> bool {
    let concern = envelope.read_concern;
    if concern.level != Some(ReadConcernLevel::Snapshot)
        || concern.at_cluster_time.is_some()
        || envelope.in_transaction()
    {
        return false;
    }
    let at = concern.after_cluster_time.map_or(now, |after| after.max(now));
    envelope.read_concern = ReadConcern { at_cluster_time: Some(at), after_cluster_time: None, ..concern };
    let time = bson::Timestamp::from(at);
    put(request, cstr!("readConcern"), rawdoc! { "level": "snapshot", "atClusterTime": time });
    // The shards take no time for known that they have not heard of.
    let signature = rawdoc! {
        "hash": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 20] },
        "keyId": 0_i64,
    };
    put(request, cstr!("$clusterTime"), rawdoc! { "clusterTime": time, "signature": signature });
    true
}

/// Tells in a reply at which time it was read, where it does not say so itself.
pub fn tell_snapshot(reply: &mut Reply, at: Timestamp) {
    let name = cstr!("atClusterTime");
    let time = bson::Timestamp::from(at);
    let Ok(Some(RawBsonRef::Document(cursor))) = reply.doc.get("cursor") else {
        if matches!(reply.doc.get(name), Ok(None)) {
            reply.doc.append(name, time);
        }
        return;
    };
    if !matches!(cursor.get(name), Ok(None)) {
        return;
    }
    let mut told = cursor.to_owned();
    told.append(name, time);
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("cursor"), told);
    for (field, value) in reply.doc.iter().flatten().filter(|(field, _)| *field != cstr!("cursor")) {
        doc.append(field, value);
    }
    reply.doc = doc;
}

/// `provenance` of a concern that an administrator set for all.
const CUSTOM: &str = "customDefault";

/// Sets a field of the command's body; the first field stays the first.
fn put(request: &mut Request, name: &bson::raw::CStr, value: RawDocumentBuf) {
    let mut body = RawDocumentBuf::new();
    for (field, old) in request.body.iter().flatten().filter(|(field, _)| *field != name) {
        body.append(field, old);
    }
    body.append(name, value);
    request.body = body.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_go_where_no_concern_is_named() {
        let defaults = RwDefaults {
            read: Some(ReadConcernLevel::Majority),
            write: Some(WriteConcern { w: types::W::Count(2), ..WriteConcern::default() }),
            updated: None,
        };
        let missing = crate::missing::<()>(&["find", "insert", "ping"]);
        let specs: Vec<Spec<()>> = missing
            .map(|spec| Spec {
                access: if spec.name == "insert" { Access::Write } else { Access::Read },
                ..spec
            })
            .collect();
        for (body, read, write) in [
            (doc! {"find": "c"}, Some("majority"), None),
            (doc! {"find": "c", "readConcern": {"level": "local"}}, Some("local"), None),
            (
                doc! {"find": "c", "readConcern": {"afterClusterTime": bson::Timestamp {time: 1, increment: 1}}},
                Some("majority"),
                None,
            ),
            (doc! {"insert": "c"}, None, Some(Bson::from(2))),
            (doc! {"insert": "c", "writeConcern": {"w": 1}}, None, Some(Bson::from(1))),
            (doc! {"insert": "c", "writeConcern": {"j": true}}, None, Some(Bson::from(2))),
            (doc! {"insert": "c", "writeConcern": {}}, None, Some(Bson::from(2))),
            (doc! {"ping": 1}, None, None),
        ] {
            let mut body = body;
            body.insert("$db", "d");
            let mut request = Request::from_body(RawDocumentBuf::try_from(&body).unwrap());
            let mut envelope = Envelope::parse(&request.body).unwrap();
            let name = request.name().to_owned();
            let spec = specs.iter().find(|spec| spec.name == name).unwrap();
            defaults.apply(spec, &mut envelope, &mut request);
            let reparsed = Envelope::parse(&request.body).unwrap();
            assert_eq!(envelope, reparsed, "{body}");
            assert_eq!(request.name(), name);
            let told = Document::try_from(&*request.body).unwrap();
            let level = |doc: &Document| {
                doc.get_document("readConcern").ok().map(|c| c.get_str("level").unwrap().to_owned())
            };
            assert_eq!(level(&told).as_deref(), read, "{told}");
            assert_eq!(told.get_document("writeConcern").ok().map(|c| c.get("w").unwrap().clone()), write);
        }
    }

    #[test]
    fn a_snapshot_gets_one_time_for_all() {
        let now = Timestamp::new(9, 1);
        let time = |seconds| bson::Timestamp { time: seconds, increment: 1 };
        for (concern, expected) in [
            (doc! {"level": "snapshot"}, Some(now)),
            (doc! {"level": "snapshot", "afterClusterTime": time(5)}, Some(now)),
            (doc! {"level": "snapshot", "afterClusterTime": time(50)}, Some(Timestamp::new(50, 1))),
            (doc! {"level": "snapshot", "atClusterTime": time(5)}, None),
            (doc! {"level": "majority"}, None),
        ] {
            let body = doc! {"find": "c", "readConcern": concern.clone(), "$db": "d"};
            let mut request = Request::from_body(RawDocumentBuf::try_from(&body).unwrap());
            let mut envelope = Envelope::parse(&request.body).unwrap();
            let pinned = pin_snapshot(&mut envelope, &mut request, now);
            assert_eq!(pinned, expected.is_some(), "{concern}");
            let reparsed = Envelope::parse(&request.body).unwrap();
            assert_eq!(reparsed.read_concern, envelope.read_concern);
            if pinned {
                assert_eq!(reparsed.read_concern.at_cluster_time, expected);
                assert_eq!(reparsed.cluster_time, expected);
            }
        }
        for (reply, told) in [
            (
                doc! {"cursor": {"firstBatch": [], "id": 0_i64}, "x": 1},
                doc! {"cursor": {"firstBatch": [], "id": 0_i64, "atClusterTime": time(9)}, "x": 1},
            ),
            (doc! {"values": []}, doc! {"values": [], "atClusterTime": time(9)}),
            (doc! {"cursor": {"atClusterTime": time(9)}}, doc! {"cursor": {"atClusterTime": time(9)}}),
        ] {
            let mut reply = Reply::try_from(reply).unwrap();
            tell_snapshot(&mut reply, now);
            assert_eq!(Document::try_from(&*reply.doc).unwrap(), told);
        }
    }

    #[test]
    fn what_is_told_reads_back() {
        let updated = Some((Timestamp::new(5, 1), DateTime::from_millis(7)));
        let defaults = RwDefaults { read: None, write: Some(WriteConcern::default()), updated };
        let raw = |doc: &Document| RawDocumentBuf::try_from(doc).unwrap();
        assert_eq!(RwDefaults::parse(&raw(&defaults.to_document())), Ok(defaults.clone()));
        let reply = defaults.to_reply(&WriteConcern::default(), 9);
        assert_eq!(RwDefaults::parse(&raw(&reply)), Ok(defaults));
        let nothing = RwDefaults::default().to_reply(&WriteConcern::default(), 9);
        assert_eq!(RwDefaults::parse(&raw(&nothing)), Ok(RwDefaults::default()));
    }
}

//! Generated messages ↔ shared types.

use bytes::Bytes;
use command::{Request, Routing, Sequence};
use proto::cluster as pb;
use sharding::documents::{CollectionEntry, chunk_from_document};
use sharding::{ChunkMap, CollectionRouting, DatabaseRouting};
use types::{
    Code, DatabaseVersion, Fault, Generation, Label, Namespace, ShardId, ShardVersion, StaleRoute, Timestamp,
    Uuid,
};
use value::SharedDoc;

/// A message of a peer that does not make sense.
fn malformed(what: &str) -> Fault {
    Fault::new(Code::ProtocolError, format!("malformed message between servers: {what}"))
}

/// A document out of a message.
///
/// # Errors
/// `ProtocolError` where the bytes are no document.
pub fn document(bytes: Bytes, what: &str) -> Result<SharedDoc, Fault> {
    SharedDoc::new(bytes).map_err(|_| malformed(what))
}

/// A document that may be absent: no bytes.
///
/// # Errors
/// As [`document`].
pub fn optional_document(bytes: Bytes, what: &str) -> Result<Option<SharedDoc>, Fault> {
    if bytes.is_empty() { Ok(None) } else { document(bytes, what).map(Some) }
}

/// A shard version for the wire.
pub fn shard_version_to_proto(version: ShardVersion) -> pb::ShardVersion {
    match version {
        ShardVersion::Unsharded => pb::ShardVersion { unsharded: true, ..pb::ShardVersion::default() },
        ShardVersion::Chunks { generation, major, minor } => pb::ShardVersion {
            unsharded: false,
            epoch: Bytes::copy_from_slice(&generation.epoch.bytes()),
            timestamp: generation.timestamp.0,
            major,
            minor,
        },
    }
}

/// A shard version from the wire.
///
/// # Errors
/// `ProtocolError` for an epoch of a wrong length.
pub fn shard_version(version: &pb::ShardVersion) -> Result<ShardVersion, Fault> {
    if version.unsharded {
        return Ok(ShardVersion::Unsharded);
    }
    let epoch: [u8; 12] = version.epoch.as_ref().try_into().map_err(|_| malformed("epoch"))?;
    let generation =
        Generation { epoch: bson::oid::ObjectId::from_bytes(epoch), timestamp: Timestamp(version.timestamp) };
    Ok(ShardVersion::Chunks { generation, major: version.major, minor: version.minor })
}

/// A database version for the wire.
pub fn database_version_to_proto(version: DatabaseVersion) -> pb::DatabaseVersion {
    pb::DatabaseVersion {
        uuid: Bytes::copy_from_slice(&version.uuid.0),
        timestamp: version.timestamp.0,
        last_mod: version.last_mod,
    }
}

/// A database version from the wire.
///
/// # Errors
/// `ProtocolError` for a UUID of a wrong length.
pub fn database_version(version: &pb::DatabaseVersion) -> Result<DatabaseVersion, Fault> {
    let uuid: [u8; 16] = version.uuid.as_ref().try_into().map_err(|_| malformed("database uuid"))?;
    Ok(DatabaseVersion {
        uuid: Uuid(uuid),
        timestamp: Timestamp(version.timestamp),
        last_mod: version.last_mod,
    })
}

/// How a request was routed, for the wire.
pub fn routing_to_proto(routing: &Routing) -> pb::Routing {
    pb::Routing {
        shard_version: routing.shard_version.map(shard_version_to_proto),
        database_version: routing.database_version.map(database_version_to_proto),
        with_sort_key: routing.with_sort_key,
    }
}

/// How a request was routed, from the wire.
///
/// # Errors
/// `ProtocolError` for malformed versions.
pub fn routing(routing: &pb::Routing) -> Result<Routing, Fault> {
    Ok(Routing {
        shard_version: routing.shard_version.as_ref().map(shard_version).transpose()?,
        database_version: routing.database_version.as_ref().map(database_version).transpose()?,
        with_sort_key: routing.with_sort_key,
    })
}

/// A command for the wire; the documents' bytes are shared, not copied.
pub fn request_to_proto(id: u64, request: &Request, routing: Option<&Routing>) -> pb::Operation {
    let sequence = |sequence: &Sequence| pb::Sequence {
        name: sequence.name.clone(),
        documents: sequence.documents.iter().map(|doc| doc.bytes().clone()).collect(),
    };
    pb::Operation {
        id,
        body: request.body.bytes().clone(),
        sequences: request.sequences.iter().map(sequence).collect(),
        routing: routing.map(routing_to_proto),
        deadline_ms: 0,
        traceparent: String::new(),
    }
}

/// A command from the wire.
///
/// # Errors
/// `ProtocolError` where bytes are no documents. Peers checked them deeply when they came from a client.
pub fn request(body: Bytes, sequences: Vec<pb::Sequence>) -> Result<Request, Fault> {
    let sequence = |sequence: pb::Sequence| {
        let documents = sequence.documents.into_iter().map(|bytes| document(bytes, "sequence document"));
        Ok(Sequence { name: sequence.name, documents: documents.collect::<Result<_, Fault>>()? })
    };
    Ok(Request {
        body: document(body, "command")?,
        sequences: sequences.into_iter().map(sequence).collect::<Result<_, Fault>>()?,
    })
}

/// A fault for the wire.
pub fn fault_to_proto(fault: &Fault) -> pb::Fault {
    let stale = fault.stale.as_deref().map(|stale| match stale {
        StaleRoute::Collection { ns, received, wanted, shard } => {
            pb::fault::Stale::StaleCollection(pb::StaleCollection {
                ns: ns.to_string(),
                received: Some(shard_version_to_proto(*received)),
                wanted: wanted.map(shard_version_to_proto),
                shard: shard.to_string(),
            })
        }
        StaleRoute::Database { db, received, wanted } => pb::fault::Stale::StaleDatabase(pb::StaleDatabase {
            db: db.clone(),
            received: Some(database_version_to_proto(*received)),
            wanted: wanted.map(database_version_to_proto),
        }),
    });
    pb::Fault {
        code: fault.code.number(),
        message: fault.message.clone(),
        labels: fault.labels.iter().map(|label| label.as_str().to_owned()).collect(),
        extra: fault
            .extra
            .as_deref()
            .map(|extra| Bytes::copy_from_slice(extra.as_bytes()))
            .unwrap_or_default(),
        stale,
    }
}

/// A fault from the wire. What does not decode in its details is left out: the error itself matters more.
pub fn fault(fault: pb::Fault) -> Fault {
    let stale = fault.stale.and_then(|stale| match stale {
        pb::fault::Stale::StaleCollection(stale) => Some(StaleRoute::Collection {
            ns: Namespace::parse(&stale.ns).ok()?,
            received: shard_version(&stale.received?).ok()?,
            wanted: stale.wanted.as_ref().and_then(|wanted| shard_version(wanted).ok()),
            shard: ShardId::new(&stale.shard),
        }),
        pb::fault::Stale::StaleDatabase(stale) => Some(StaleRoute::Database {
            db: stale.db,
            received: database_version(&stale.received?).ok()?,
            wanted: stale.wanted.as_ref().and_then(|wanted| database_version(wanted).ok()),
        }),
    });
    let extra = bson::RawDocumentBuf::from_bytes(fault.extra.to_vec()).ok().map(Box::new);
    Fault {
        code: Code::from_number(fault.code),
        message: fault.message,
        labels: fault.labels.iter().filter_map(|label| Label::from_str_exact(label)).collect(),
        extra,
        stale: stale.map(Box::new),
    }
}

/// A failed gRPC call as a fault: the peer's own fault where it sent one, else `HostUnreachable` with what happened.
pub fn status_to_fault(host: &str, status: &tonic::Status) -> Fault {
    if !status.details().is_empty()
        && let Ok(sent) = <pb::Fault as prost::Message>::decode(status.details())
    {
        return fault(sent);
    }
    let code = match status.code() {
        tonic::Code::DeadlineExceeded => Code::ExceededTimeLimit,
        tonic::Code::Unimplemented => Code::CommandNotFound,
        tonic::Code::ResourceExhausted => Code::ResourceExhausted,
        tonic::Code::Internal | tonic::Code::DataLoss => Code::InternalError,
        _ => Code::HostUnreachable,
    };
    Fault::new(code, format!("{host} cannot be reached: {}", root_cause(status)))
}

/// A fault as the status of a unary call.
pub fn fault_to_status(fault: &Fault) -> tonic::Status {
    let details = prost::Message::encode_to_vec(&fault_to_proto(fault));
    tonic::Status::with_details(tonic::Code::FailedPrecondition, fault.message.clone(), details.into())
}

/// The innermost sentence: "Connection refused" says more than "transport error".
fn root_cause(status: &tonic::Status) -> String {
    let mut source = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

/// What the config server says of a namespace.
#[derive(Debug, Clone, Default)]
pub struct NamespaceRouting {
    /// `None` if there is no such database.
    pub database: Option<DatabaseRouting>,
    /// `None` if the collection is not sharded.
    pub collection: Option<CollectionRouting>,
}

/// Reads the config server's documents of a namespace.
///
/// # Errors
/// `ProtocolError` for bytes that are no documents, and what the documents lack.
pub fn routing_reply(reply: &pb::RoutingReply) -> Result<NamespaceRouting, Fault> {
    let owned = |bytes: &Bytes, what: &str| -> Result<bson::Document, Fault> {
        bson::Document::try_from(&*document(bytes.clone(), what)?).map_err(|_| malformed(what))
    };
    if reply.database.is_empty() {
        return Ok(NamespaceRouting::default());
    }
    let database = Some(DatabaseRouting::from_document(&owned(&reply.database, "database")?)?);
    if reply.collection.is_empty() {
        return Ok(NamespaceRouting { database, collection: None });
    }
    let entry = CollectionEntry::from_document(&owned(&reply.collection, "collection")?)?;
    let chunks = reply.chunks.iter().map(|chunk| {
        let (_, chunk) = chunk_from_document(&entry.key, &owned(chunk, "chunk")?)?;
        Ok(chunk)
    });
    let chunks = ChunkMap::new(&entry.key, chunks.collect::<Result<Vec<_>, Fault>>()?)?;
    Ok(NamespaceRouting { database, collection: Some(entry.routing(chunks)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_cross_whole() {
        let generation =
            Generation { epoch: bson::oid::ObjectId::from_bytes([7; 12]), timestamp: Timestamp(9) };
        let sent = Fault::stale(StaleRoute::Collection {
            ns: Namespace::parse("a.b").unwrap(),
            received: ShardVersion::Unsharded,
            wanted: Some(ShardVersion::Chunks { generation, major: 3, minor: 1 }),
            shard: ShardId::new("s0"),
        })
        .with_label(Label::RetryableWriteError)
        .with_extra(bson::RawDocumentBuf::try_from(&bson::doc! {"x": 1}).unwrap());
        assert_eq!(fault(fault_to_proto(&sent)), sent);
        assert_eq!(status_to_fault("h", &fault_to_status(&sent)), sent);
    }
}

//! What is asked of shards, typed.

use crate::metadata::Metadata;
use bson::{Bson, Document, RawBsonRef, doc};
use rpc::SetAddress;
use sharding::documents::ShardEntry;
use std::time::Duration;
use types::{Code, Fault, Namespace, Uuid};

/// Default port of shards, for connection strings that leave it out.
pub(super) const SHARD_PORT: u16 = 27018;
/// How long a shard may take for a step.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// A collection on one shard.
#[derive(Debug, Clone, Default)]
pub(super) struct CollectionInfo {
    pub(super) uuid: Option<Uuid>,
    pub(super) options: Document,
    pub(super) records: i64,
    pub(super) indexes: Vec<Document>,
}

impl CollectionInfo {
    /// Reads `{exists, uuid, options, records, indexes}`; `None` where there is none.
    fn parse(reply: &Document) -> Result<Option<CollectionInfo>, Fault> {
        let bad =
            |what: &str| Fault::new(Code::ProtocolError, format!("a shard's answer lacks {what}: {reply}"));
        if !reply.get_bool("exists").map_err(|_| bad("exists"))? {
            return Ok(None);
        }
        let records = match reply.get("records") {
            Some(Bson::Int64(records)) => *records,
            Some(Bson::Int32(records)) => i64::from(*records),
            _ => return Err(bad("records")),
        };
        let indexes = reply.get_array("indexes").map_err(|_| bad("indexes"))?;
        let indexes = indexes.iter().map(|index| index.as_document().cloned().ok_or_else(|| bad("indexes")));
        Ok(Some(CollectionInfo {
            uuid: Some(uuid(reply.get("uuid")).ok_or_else(|| bad("uuid"))?),
            options: reply.get_document("options").cloned().unwrap_or_default(),
            records,
            indexes: indexes.collect::<Result<_, _>>()?,
        }))
    }
}

fn uuid(value: Option<&Bson>) -> Option<Uuid> {
    match value? {
        Bson::Binary(binary) => {
            let raw = bson::RawBinaryRef { subtype: binary.subtype, bytes: &binary.bytes };
            Uuid::from_bson(RawBsonRef::Binary(raw))
        }
        _ => None,
    }
}

impl Metadata {
    /// Runs a command on a shard, in `admin` unless it says otherwise. It is sent again where the first try may have been lost.
    pub(super) async fn ask(&self, shard: &ShardEntry, body: Document) -> Result<Document, Fault> {
        self.ask_with(shard, body, true).await
    }

    /// As [`Metadata::ask`], but sent only once.
    pub(super) async fn ask_once(&self, shard: &ShardEntry, body: Document) -> Result<Document, Fault> {
        self.ask_with(shard, body, false).await
    }

    async fn ask_with(
        &self,
        shard: &ShardEntry,
        mut body: Document,
        repeatable: bool,
    ) -> Result<Document, Fault> {
        let address = SetAddress::parse(&shard.host, SHARD_PORT)?;
        if !body.contains_key("$db") {
            body.insert("$db", "admin");
        }
        let name = body.keys().next().cloned().unwrap_or_default();
        // A shard that has heard of a later primary of this set refuses what an earlier one still asks for. What clients may ask
        // too, reads of a median, changes nothing and has no such field.
        if name.starts_with("_shardsvr") {
            body.insert("configTerm", self.term());
        }
        self.check_primary()?;
        match self.calls.call(&address, body, STEP_TIMEOUT, repeatable).await {
            Ok(reply) => Ok(reply),
            Err(fault) if fault.code == Code::HostUnreachable => {
                let message =
                    format!("shard {} ({}) does not answer: {}", shard.id, shard.host, fault.message);
                Err(Fault { message, ..fault })
            }
            Err(fault) => Err(fault.context(format!("{name} on shard {}", shard.id))),
        }
    }

    /// The collection as one shard has it; `None` if it has none.
    pub(super) async fn collection_info(
        &self,
        shard: &ShardEntry,
        ns: &Namespace,
    ) -> Result<Option<CollectionInfo>, Fault> {
        CollectionInfo::parse(&self.ask(shard, doc! { "_shardsvrCollectionInfo": ns.as_str() }).await?)
    }

    /// Makes a collection and its indexes on a shard, as far as they are missing.
    pub(super) async fn create_on(
        &self,
        shard: &ShardEntry,
        ns: &Namespace,
        info: &CollectionInfo,
    ) -> Result<(), Fault> {
        let mut body = doc! { "_shardsvrCreateCollection": ns.as_str() };
        body.insert("uuid", info.uuid.map(Uuid::to_bson));
        body.insert("options", info.options.clone());
        body.insert("indexes", info.indexes.clone());
        self.ask(shard, body).await.map(drop)
    }

    /// Drops a collection on a shard, if it is there.
    pub(super) async fn drop_on(&self, shard: &ShardEntry, ns: &Namespace) -> Result<(), Fault> {
        self.ask(shard, doc! { "_shardsvrDropCollection": ns.as_str() }).await.map(drop)
    }
}

//! Who this shard is in its cluster: told once by the config server at `addShard`, kept in `admin.system.version`.

use bson::{Document, RawDocument, doc};
use rpc::SetAddress;
use types::{Code, Fault, ShardId};

/// Default port of config servers, for connection strings that leave it out.
const CONFIG_PORT: u16 = 27019;

/// The shard's name, its cluster and the config server of that cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub shard: ShardId,
    pub cluster: bson::oid::ObjectId,
    pub config: SetAddress,
}

/// Why this shard cannot take the identity that it is given.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("this server is already shard {shard} of cluster {cluster}")]
    Taken { shard: ShardId, cluster: bson::oid::ObjectId },
}

impl IdentityError {
    /// The client-visible error.
    pub fn fault(&self) -> Fault {
        match self {
            IdentityError::Taken { .. } => Fault::new(Code::IllegalOperation, self.to_string()),
        }
    }
}

impl Identity {
    /// Reads `{shardName, clusterId, configsvrConnectionString}`.
    ///
    /// # Errors
    /// `FailedToParse` (9) for what is missing or malformed.
    pub fn parse(doc: &RawDocument) -> Result<Identity, Fault> {
        let text = |name: &str| {
            doc.get_str(name)
                .map_err(|_| Fault::new(Code::FailedToParse, format!("shard identity lacks {name}")))
        };
        let cluster = doc
            .get_object_id("clusterId")
            .map_err(|_| Fault::new(Code::FailedToParse, "shard identity lacks clusterId"))?;
        Ok(Identity {
            shard: ShardId::new(text("shardName")?),
            cluster,
            config: SetAddress::parse(text("configsvrConnectionString")?, CONFIG_PORT)?,
        })
    }

    /// The document in `admin.system.version`, in MongoDB's shape.
    pub fn to_document(&self) -> Document {
        doc! {
            "_id": "shardIdentity",
            "clusterId": self.cluster,
            "shardName": self.shard.as_str(),
            "configsvrConnectionString": self.config.to_string(),
        }
    }

    /// Whether `other` may replace this identity: only the same one, whose config server may have moved.
    ///
    /// # Errors
    /// [`IdentityError::Taken`].
    pub fn check_same(&self, other: &Identity) -> Result<(), IdentityError> {
        if self.shard == other.shard && self.cluster == other.cluster {
            Ok(())
        } else {
            Err(IdentityError::Taken { shard: self.shard.clone(), cluster: self.cluster })
        }
    }
}

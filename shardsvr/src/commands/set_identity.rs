//! `_shardsvrSetIdentity`: the config server tells this shard its name and cluster.

use super::{fields, internal};
use crate::node::Node;
use crate::ownership::Identity;
use command::{Reply, Spec};

pub(super) const SPEC: Spec<Node> =
    internal("_shardsvrSetIdentity", "joins this server to a cluster", |node, _, request| {
        Box::pin(async move {
            node.member.replication.check_writable()?;
            let identity = Identity::parse(fields::document(&request)?)?;
            node.join(&identity).await?;
            tracing::info!(shard = %identity.shard, cluster = %identity.cluster, "joined the cluster");
            Ok(Reply::ok())
        })
    });

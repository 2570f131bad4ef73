//! Asks other processes who they are, before a configuration is made that names them.

use crate::convert;
use crate::core::config::{ConfigId, SetConfig};
use crate::replication::Replication;
use crate::shared::Shared;
use bson::oid::ObjectId;
use futures::future::join_all;
use proto::replication as pb;
use std::time::Duration;
use types::Fault;

const TIMEOUT: Duration = Duration::from_secs(2);

/// What a process says of itself.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) instance: u64,
    pub(super) set: String,
    pub(super) replica_set_id: Option<ObjectId>,
    pub(super) config: ConfigId,
    pub(super) has_data: bool,
    pub(super) configsvr: bool,
}

/// Asks all of a configuration's members at the same time; in their order.
pub(super) async fn all(replication: &Replication, config: &SetConfig) -> Vec<Result<Answer, Fault>> {
    let shared = &replication.shared;
    join_all(config.members.iter().map(|member| ask(shared, &member.host))).await
}

async fn ask(shared: &Shared, host: &str) -> Result<Answer, Fault> {
    let peer = shared.peers.get(host)?;
    let mut client = peer.replication();
    let sender = Some(convert::sender_to_proto(&shared.sender(host)));
    let reply = peer.unary(TIMEOUT, client.probe(pb::ProbeRequest { sender })).await?;
    Ok(Answer {
        instance: reply.instance,
        set: reply.set,
        replica_set_id: convert::object_id(&reply.replica_set_id)?,
        config: convert::config_id(reply.config)?,
        has_data: reply.has_data,
        configsvr: reply.configsvr,
    })
}

/// The name by which a configuration means this process, as the answers tell.
pub(super) fn own_name(
    replication: &Replication,
    config: &SetConfig,
    answers: &[Result<Answer, Fault>],
) -> Option<String> {
    let own = replication.shared.instance;
    let is_own = |answer: &Result<Answer, Fault>| answer.as_ref().is_ok_and(|answer| answer.instance == own);
    let found = config.members.iter().zip(answers).find(|(_, answer)| is_own(answer));
    // A process that cannot reach itself may know its name all the same.
    let named = || config.members.iter().find(|member| member.host == replication.identity().host);
    found.map(|(member, _)| member).or_else(named).map(|member| member.host.clone())
}

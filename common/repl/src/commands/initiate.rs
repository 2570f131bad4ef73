//! `replSetInitiate`: the first configuration. Everybody it names must answer, be of this set, and have neither data nor configuration.

use super::probe::{self, Answer};
use crate::core::Command;
use crate::core::config::SetConfig;
use crate::replication::Replication;
use bson::RawDocument;
use bson::oid::ObjectId;
use std::sync::Arc;
use std::time::Duration;
use types::{Code, Fault};

/// How long the command waits for the set's first primary.
const OFFICE_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn run(replication: &Replication, config: Option<&RawDocument>) -> Result<(), Fault> {
    let view = replication.view();
    if view.config.is_some() {
        return Err(Fault::new(Code::AlreadyInitialized, "already initialized"));
    }
    let identity = replication.identity();
    let config = match config {
        Some(config) if !config.is_empty() => SetConfig::parse(config, ObjectId::new())?,
        _ => SetConfig::single(&identity.set_name, &identity.host, identity.configsvr, ObjectId::new()),
    };
    if config.name != identity.set_name {
        return Err(Fault::new(
            Code::InvalidReplicaSetConfig,
            format!(
                "Attempting to initiate a replica set with name {}, but command line reports {}; rejecting",
                config.name, identity.set_name
            ),
        ));
    }
    // The first configuration has the first number, and a forced one's mark means nothing here.
    let mut config = SetConfig { configsvr: identity.configsvr, version: 1, term: 0, ..config };
    for member in &mut config.members {
        member.newly_added = false;
    }
    let is_alone = config.members.len() == 1 && config.members[0].host == identity.host;
    let own = if is_alone {
        Some(identity.host.clone())
    } else {
        let answers = probe::all(replication, &config).await;
        let own = probe::own_name(replication, &config, &answers);
        check_others(replication, &config, &answers, own.as_deref())?;
        own
    };
    let own = own.ok_or_else(|| {
        Fault::new(
            Code::NodeNotFound,
            format!(
                "No host described in new configuration for replica set {} maps to this node ({})",
                config.name, identity.host
            ),
        )
    })?;
    check_self(&config, &own)?;
    replication.command_as(Command::Initiate { config: Arc::new(config) }, Some(own)).await
}

fn check_self(config: &SetConfig, own: &str) -> Result<(), Fault> {
    let is_electable = config.members.iter().any(|member| member.host == own && member.is_electable());
    if is_electable {
        return Ok(());
    }
    Err(Fault::new(
        Code::NodeNotElectable,
        format!(
            "This node, {own}, is not electable under the new configuration for replica set {}",
            config.name
        ),
    ))
}

fn check_others(
    replication: &Replication,
    config: &SetConfig,
    answers: &[Result<Answer, Fault>],
    own: Option<&str>,
) -> Result<(), Fault> {
    let identity = replication.identity();
    let mut failed = Vec::new();
    for (member, answer) in config.members.iter().zip(answers) {
        let host = &member.host;
        if Some(host.as_str()) == own {
            continue;
        }
        match answer {
            Err(fault) => failed.push(format!("{host} failed with {}", fault.message)),
            Ok(answer) if answer.set != identity.set_name => {
                return Err(Fault::new(
                    Code::InvalidReplicaSetConfig,
                    format!("{host} is of replica set {}, not {}", answer.set, identity.set_name),
                ));
            }
            Ok(answer) if answer.configsvr != identity.configsvr => {
                return Err(Fault::new(
                    Code::InvalidReplicaSetConfig,
                    format!("{host} and this member are not both config servers, or both not"),
                ));
            }
            Ok(answer)
                if answer.replica_set_id.is_some()
                    || answer.config != crate::core::config::ConfigId::NONE =>
            {
                return Err(Fault::new(Code::AlreadyInitialized, format!("{host} is initialized already")));
            }
            Ok(answer) if answer.has_data => {
                return Err(Fault::new(
                    Code::CannotInitializeNodeWithData,
                    format!("'{host}' has data already, cannot initiate set."),
                ));
            }
            Ok(_) => {}
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        Code::NodeNotFound,
        format!(
            "replSetInitiate quorum check failed because not all proposed set members responded affirmatively: {}",
            failed.join(", ")
        ),
    ))
}

/// Waits until this set has a primary, for a while; whether it is this member.
pub(super) async fn await_office(replication: &Replication) -> bool {
    let mut topology = replication.topology();
    let governed = async {
        loop {
            topology.borrow_and_update();
            let view = replication.view();
            if view.accepts_writes {
                return true;
            }
            if view.primary.is_some() && view.primary != view.me || topology.changed().await.is_err() {
                return false;
            }
        }
    };
    tokio::time::timeout(OFFICE_WAIT, governed).await.unwrap_or(false)
}

//! `replSetReconfig`: another configuration. A majority of its voters must answer and be of this set, unless it is forced.

use super::probe;
use crate::core::Command;
use crate::core::config::SetConfig;
use crate::replication::Replication;
use bson::RawDocument;
use std::sync::Arc;
use types::{Code, Fault};

pub(super) async fn run(replication: &Replication, config: &RawDocument, force: bool) -> Result<(), Fault> {
    let view = replication.view();
    let Some(old) = view.config.clone() else {
        return Err(Fault::new(Code::NotYetInitialized, "no replset config has been received"));
    };
    if !force {
        replication.check_writable().map_err(|_| {
            Fault::new(
                Code::NotWritablePrimary,
                "New config cannot be installed on a node that is not primary: not primary so can't reconfig; try force",
            )
        })?;
    }
    let mut config = SetConfig::parse(config, old.replica_set_id)?;
    // What `rs.conf()` of an old shell leaves out is as it was.
    config.configsvr = old.configsvr;
    let answers = probe::all(replication, &config).await;
    let own = probe::own_name(replication, &config, &answers);
    if !force {
        check_quorum(replication, &config, &old, &answers, own.as_deref())?;
    }
    replication.command_as(Command::Reconfig { config: Arc::new(config), force }, own).await
}

fn check_quorum(
    replication: &Replication,
    config: &SetConfig,
    old: &SetConfig,
    answers: &[Result<probe::Answer, Fault>],
    own: Option<&str>,
) -> Result<(), Fault> {
    let set = &replication.identity().set_name;
    let (mut well, mut failed, mut electable) = (Vec::new(), Vec::new(), false);
    for (member, answer) in config.members.iter().zip(answers) {
        let host = &member.host;
        let outcome = match answer {
            _ if Some(host.as_str()) == own => Ok(()),
            Err(fault) => Err(fault.message.clone()),
            Ok(answer) if answer.set != *set => Err(format!("it is of replica set {}", answer.set)),
            Ok(answer) if answer.replica_set_id.is_some_and(|id| id != old.replica_set_id) => {
                return Err(Fault::new(
                    Code::NewReplicaSetConfigurationIncompatible,
                    format!(
                        "Our replica set ID did not match that of our request target, replSetId: {:?}, requestTarget: {host}",
                        answer.replica_set_id
                    ),
                ));
            }
            Ok(_) => Ok(()),
        };
        match outcome {
            Ok(()) => {
                electable |= member.votes > 0 && member.priority > 0.0 && !member.arbiter_only;
                if member.votes > 0 {
                    well.push(host.as_str());
                }
            }
            Err(why) => failed.push(format!("{host} failed with {why}")),
        }
    }
    let voters = config.members.iter().filter(|member| member.votes > 0).count();
    let required = voters / 2 + 1;
    let failed = failed.join(", ");
    if well.len() < required {
        return Err(Fault::new(
            Code::NodeNotFound,
            format!(
                "Quorum check failed because not enough voting nodes responded; required {required} but only the following {} voting nodes responded: {}; the following nodes did not respond affirmatively: {failed}",
                well.len(),
                well.join(", ")
            ),
        ));
    }
    if !electable {
        return Err(Fault::new(
            Code::NodeNotFound,
            format!(
                "Quorum check failed because no electable nodes responded; at least one required for config; the following nodes did not respond affirmatively: {failed}"
            ),
        ));
    }
    Ok(())
}

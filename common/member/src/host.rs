//! A member as the front end shows it.

use crate::Member;
use bson::{Document, doc};
use frontend::{Gossip, Hello, LastWrite, MemberHello, Role};
use types::OpTime;

/// What hello says.
pub fn hello(member: &Member) -> Hello {
    let Some(state) = member.replication.state() else {
        return Hello { role: Role::Uninitiated, read_only: false };
    };
    let config = &state.config;
    let own_host = &member.replication.identity().host;
    let own = config.members.iter().find(|other| other.host == *own_host).or(config.members.first());
    let me = own.map_or_else(|| own_host.clone(), |own| own.host.clone());
    let (applied, durable) = (member.store.last_op_time(), member.store.durable_op_time());
    let date_millis = |at: OpTime| i64::from(at.ts.seconds()) * 1000;
    let hosts_where = |which: &dyn Fn(&repl::MemberConfig) -> bool| -> Vec<String> {
        config
            .members
            .iter()
            .filter(|member| !member.hidden && which(member))
            .map(|member| member.host.clone())
            .collect()
    };
    Hello {
        role: Role::Member(Box::new(MemberHello {
            set_name: config.name.clone(),
            set_version: i32::try_from(config.version).unwrap_or(i32::MAX),
            hosts: hosts_where(&|member| !member.arbiter_only && member.priority > 0.0),
            passives: hosts_where(&|member| !member.arbiter_only && member.priority == 0.0),
            arbiters: hosts_where(&|member| member.arbiter_only),
            primary: Some(me.clone()),
            me,
            writable_primary: true,
            configsvr: config.configsvr,
            secondary: false,
            arbiter_only: false,
            passive: false,
            hidden: false,
            tags: own.map(|own| own.tags.clone()).unwrap_or_default(),
            election_id: Some(state.election_id),
            last_write: Some(LastWrite {
                op_time: applied,
                date_millis: date_millis(applied),
                majority_op_time: durable,
                majority_date_millis: date_millis(durable),
            }),
        })),
        read_only: false,
    }
}

/// The times for replies; none before the set is initiated.
pub fn gossip(member: &Member) -> Option<Gossip> {
    member.replication.state()?;
    let operation_time = member.store.last_op_time().ts;
    Some(Gossip { cluster_time: member.clock.latest().max(operation_time), operation_time })
}

/// Adds a member's sections to serverStatus.
pub fn server_status(member: &Member, status: &mut Document) {
    frontend::commands::server_status::add_cursors(status, member.engine.cursors());
    let stats = member.store.metrics();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    status.insert(
        "storageEngine",
        doc! { "name": "shoal", "persistent": true, "supportsCommittedReads": true },
    );
    status.insert(
        "shoalStorage",
        doc! {
            "versions": { "bytes": count(stats.versions_bytes as u64), "count": count(stats.versions_count as u64) },
            "base": { "bytes": count(stats.base_bytes) },
            "oplog": {
                "bytes": count(stats.oplog_bytes),
                "syncs": count(stats.syncs),
                "syncMicros": count(stats.sync_nanos / 1_000),
                "waits": count(stats.sync_waits),
            },
            "checkpoint": {
                "count": count(stats.checkpoints),
                "millis": count(stats.checkpoint_millis),
                "time": bson::Timestamp::from(stats.checkpoint),
            },
            "snapshots": { "pinned": count(stats.pinned_snapshots as u64) },
            "throttled": count(stats.throttled),
        },
    );
    if let Some(state) = member.replication.state() {
        status.insert(
            "repl",
            doc! {
                "setName": &state.config.name,
                "setVersion": i32::try_from(state.config.version).unwrap_or(i32::MAX),
                "isWritablePrimary": true,
                "secondary": false,
                "hosts": state.config.members.iter().map(|member| member.host.as_str()).collect::<Vec<_>>(),
                "me": &member.replication.identity().host,
                "electionId": state.election_id,
            },
        );
    }
}

/// The file system that holds the data; `None` where the system does not say.
pub fn disk(dir: &std::path::Path) -> Option<engine::Disk> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let total = stat.f_blocks * stat.f_frsize;
    Some(engine::Disk { used: total.saturating_sub(stat.f_bfree * stat.f_frsize), total })
}

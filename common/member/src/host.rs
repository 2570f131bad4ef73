//! A member as the front end shows it.

use crate::Member;
use bson::{Document, doc};
use frontend::{Gossip, Hello, LastWrite, MemberHello, Role};
use storage::StoreStats;
use types::{OpTime, Timestamp};

/// What hello says.
pub fn hello(member: &Member) -> Hello {
    let view = member.replication.view();
    let Some(config) = &view.config else { return Hello { role: Role::Uninitiated, read_only: false } };
    let own = view.own();
    let me = own.map_or_else(|| member.replication.identity().host.clone(), |own| own.host.clone());
    let hosts_where = |which: &dyn Fn(&repl::MemberConfig) -> bool| -> Vec<String> {
        config
            .members
            .iter()
            .filter(|member| !member.hidden && which(member))
            .map(|member| member.host.clone())
            .collect()
    };
    let arbiter_only = own.is_some_and(|own| own.arbiter_only);
    // A primary that only pauses writes is not writable; drivers look for another one meanwhile.
    let writable_primary = view.accepts_writes;
    Hello {
        role: Role::Member(Box::new(MemberHello {
            set_name: config.name.clone(),
            set_version: i32::try_from(config.version).unwrap_or(i32::MAX),
            hosts: hosts_where(&|member| !member.arbiter_only && member.priority > 0.0),
            passives: hosts_where(&|member| !member.arbiter_only && member.priority == 0.0),
            arbiters: hosts_where(&|member| member.arbiter_only),
            primary: view.primary_host().map(str::to_owned),
            me,
            writable_primary,
            configsvr: config.configsvr,
            secondary: view.is_secondary(),
            arbiter_only,
            passive: own.is_some_and(|own| !own.arbiter_only && own.priority == 0.0),
            hidden: own.is_some_and(|own| own.hidden),
            delay_seconds: own.map_or(0, |own| own.secondary_delay_seconds),
            tags: own.map(|own| own.tags.clone()).unwrap_or_default(),
            election_id: view.election_id.filter(|_| writable_primary),
            last_write: (!arbiter_only).then(|| last_write(member)),
        })),
        read_only: false,
    }
}

fn last_write(member: &Member) -> LastWrite {
    let (applied, settled) = (member.store.last_op_time(), member.replication.commit_point());
    let date_millis = |at: OpTime| i64::from(at.ts.seconds()) * 1000;
    LastWrite {
        op_time: applied,
        date_millis: date_millis(applied),
        majority_op_time: settled,
        majority_date_millis: date_millis(settled),
    }
}

/// The times for replies; none before the set is initiated.
pub fn gossip(member: &Member) -> Option<Gossip> {
    let newest = member.store.last_op_time().ts;
    times(member, newest, newest)
}

/// The times for replies that have only what a majority has.
pub fn gossip_settled(member: &Member) -> Option<Gossip> {
    times(member, member.store.last_op_time().ts, member.replication.commit_point().ts)
}

fn times(member: &Member, newest: Timestamp, operation_time: Timestamp) -> Option<Gossip> {
    let cluster_time = member.clock.latest().max(newest);
    // Nothing has a time before the first entry of the log.
    (newest != Timestamp::ZERO).then_some(Gossip { cluster_time, operation_time })
}

/// The connection string of this member's set, without arbiters; `None` before it is initiated.
pub fn own_address(replication: &repl::Replication) -> Option<rpc::SetAddress> {
    let view = replication.view();
    let config = view.config.as_ref()?;
    let with_data = config.members.iter().filter(|member| member.holds_data() && !member.hidden);
    Some(rpc::SetAddress {
        name: config.name.clone(),
        hosts: with_data.map(|member| member.host.clone()).collect(),
    })
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What the store says of itself.
pub(crate) fn storage(stats: &StoreStats) -> Document {
    let mut snapshots = doc! {
        "pinned": count(stats.pinned_snapshots as u64),
        "floor": bson::Timestamp::from(stats.floor),
        "expired": count(stats.snapshots_expired),
    };
    if let Some(oldest) = stats.oldest_pinned {
        snapshots.insert("oldestPinned", bson::Timestamp::from(oldest));
    }
    doc! {
        "versions": { "bytes": count(stats.versions_bytes as u64), "count": count(stats.versions_count as u64) },
        "base": { "bytes": count(stats.base_bytes) },
        "oplog": {
            "bytes": count(stats.oplog_bytes),
            "syncs": count(stats.syncs),
            "syncMicros": count(stats.sync_nanos / 1_000),
            "waits": count(stats.sync_waits),
            "durable": bson::Timestamp::from(stats.durable),
        },
        "checkpoint": {
            "count": count(stats.checkpoints),
            "urgent": count(stats.checkpoints_urgent),
            "millis": count(stats.checkpoint_millis),
            "time": bson::Timestamp::from(stats.checkpoint),
        },
        "snapshots": snapshots,
        "spill": {
            "versions": count(stats.spilled_versions),
            "bytes": count(stats.spilled_bytes),
            "totalBytes": count(stats.spilled_total_bytes),
        },
        "throttled": count(stats.throttled),
        "throttledMicros": count(stats.throttled_micros),
        "writeConflicts": count(stats.write_conflicts),
    }
}

/// Adds a member's sections to serverStatus.
pub fn server_status(member: &Member, status: &mut Document) {
    frontend::commands::server_status::add_cursors(status, member.engine.cursors());
    status.insert(
        "storageEngine",
        doc! { "name": "shoal", "persistent": true, "supportsCommittedReads": true },
    );
    let applied = member.replication.applied_ops();
    status.insert(
        "opcountersRepl",
        doc! {
            "insert": count(applied.insert),
            "query": 0_i64,
            "update": count(applied.update),
            "delete": count(applied.delete),
            "getmore": 0_i64,
            "command": count(applied.command),
        },
    );
    status.insert("shoalReplication", member.replication.metrics());
    status.insert("shoalStorage", storage(&member.store.metrics()));
    let Role::Member(hello) = hello(member).role else { return };
    let mut repl = doc! {
        "topologyVersion": {
            "processId": member.front.process_id,
            "counter": i64::try_from(*member.replication.topology().borrow()).unwrap_or(i64::MAX),
        },
        "hosts": &hello.hosts,
        "setName": &hello.set_name,
        "setVersion": hello.set_version,
        "isWritablePrimary": hello.writable_primary,
        "secondary": hello.secondary,
    };
    for (name, list) in [("passives", &hello.passives), ("arbiters", &hello.arbiters)] {
        if !list.is_empty() {
            repl.insert(name, list);
        }
    }
    for (name, on) in
        [("arbiterOnly", hello.arbiter_only), ("passive", hello.passive), ("hidden", hello.hidden)]
    {
        if on {
            repl.insert(name, true);
        }
    }
    if let Some(primary) = &hello.primary {
        repl.insert("primary", primary);
    }
    repl.insert("me", &hello.me);
    if let Some(id) = hello.election_id {
        repl.insert("electionId", id);
    }
    if let Some(write) = &hello.last_write {
        repl.insert("lastWrite", write.to_document());
    }
    status.insert("repl", repl);
}

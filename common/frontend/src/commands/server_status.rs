//! `serverStatus`: what the process has done and what it uses.

use super::fields;
use super::host_info::number_after;
use crate::{Front, Host};
use bson::{DateTime, Document, doc};
use command::{Access, Context, Reply, Request, Spec};
use session::{CursorInfo, Cursors};
use std::sync::atomic::Ordering;
use types::{Fault, limits};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "serverStatus",
        aliases: &[],
        access: Access::Inspect,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "counters and state of the process; a section is left out with {section: 0}",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let mut unwanted = Vec::new();
    fields::each(request, |name, value| {
        // Sections are switched by number, boolean, or a document of options; only what is off matters.
        if fields::flag(value) == Some(false) {
            unwanted.push(name);
        }
        Ok(())
    })?;
    let front = host.front();
    let counters = &front.counters;
    let uptime = front.started.elapsed();
    let mut status = doc! {
        "host": &front.options.host,
        "version": limits::SERVER_VERSION,
        "process": front.options.process,
        "pid": i64::from(std::process::id()),
        "uptime": uptime.as_secs() as f64,
        "uptimeMillis": long(u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX)),
        "uptimeEstimate": long(uptime.as_secs()),
        "localTime": DateTime::from_millis(runtime::clock::now_millis()),
        "asserts": {
            "regular": long(counters.panics.get()),
            "warning": 0_i64,
            "msg": 0_i64,
            "user": long(counters.faults.get()),
            "badInput": long(counters.bad_input.get()),
            "tripwire": 0_i64,
            "rollovers": 0_i64,
        },
        "connections": connections(front),
        "network": {
            "bytesIn": long(counters.bytes_in.get()),
            "bytesOut": long(counters.bytes_out.get()),
            "numRequests": long(counters.requests.get()),
            "acceptFailures": long(counters.accept_failures.get()),
        },
        "opLatencies": latencies(front),
        "opcounters": {
            "insert": long(counters.op_insert.get()),
            "query": long(counters.op_query.get()),
            "update": long(counters.op_update.get()),
            "delete": long(counters.op_delete.get()),
            "getmore": long(counters.op_getmore.get()),
            "command": long(counters.op_command.get()),
        },
        "mem": memory(),
        "metrics": { "commands": commands(front) },
    };
    host.server_status(&mut status);
    for name in unwanted {
        status.remove(name);
    }
    Reply::try_from(status)
}

/// Adds `metrics.cursor`, for servers that have cursors.
pub fn add_cursors<T>(status: &mut Document, cursors: &Cursors<T>) {
    let list = cursors.list();
    let count_of = |which: fn(&CursorInfo) -> bool| list.iter().filter(|cursor| which(cursor)).count() as u64;
    let section = doc! {
        "timedOut": long(cursors.timed_out()),
        "totalOpened": long(cursors.opened()),
        "open": {
            "noTimeout": long(count_of(|cursor| cursor.no_timeout)),
            "pinned": long(count_of(|cursor| cursor.in_use)),
            "total": long(list.len() as u64),
        },
    };
    if let Ok(metrics) = status.get_document_mut("metrics") {
        metrics.insert("cursor", section);
    }
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn connections(front: &Front) -> Document {
    let current = front.connection_count() as u64;
    let max = front.connections_max.load(Ordering::Relaxed);
    doc! {
        "current": fields::count(long(current)),
        "available": fields::count(long(max.saturating_sub(current))),
        "totalCreated": fields::count(long(front.counters.connections_created.get())),
        "rejected": fields::count(long(front.counters.connections_rejected.get())),
        "active": fields::count(long(front.operations.count() as u64)),
    }
}

fn memory() -> Document {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    doc! {
        "bits": 64,
        "resident": fields::count(number_after(&status, "VmRSS:") / 1024),
        "virtual": fields::count(number_after(&status, "VmSize:") / 1024),
        "supported": true,
    }
}

fn latencies(front: &Front) -> Document {
    let mut sums = [("reads", 0_u64, 0_u64), ("writes", 0, 0), ("commands", 0, 0)];
    for listed in front.catalogue().iter() {
        let [reads, writes, others] = &mut sums;
        let sum = match listed.access {
            Access::Read => reads,
            Access::Write => writes,
            // An awaitable hello waits on purpose; it would drown the rest.
            Access::Handshake => continue,
            _ => others,
        };
        sum.1 += listed.counters.latency.sum_micros();
        sum.2 += listed.counters.total.get();
    }
    sums.into_iter()
        .map(|(name, latency, ops)| {
            (name.to_owned(), doc! { "latency": long(latency), "ops": long(ops) }.into())
        })
        .collect()
}

fn commands(front: &Front) -> Document {
    let mut all = Document::new();
    all.insert("<UNKNOWN>", long(front.counters.unknown_commands.get()));
    for listed in front.catalogue().iter() {
        let counters = &listed.counters;
        let total = counters.total.get();
        let mut doc = doc! { "failed": long(counters.failed.get()), "total": long(total) };
        if total > 0 {
            doc.insert("p50Micros", long(counters.latency.quantile_micros(0.5)));
            doc.insert("p99Micros", long(counters.latency.quantile_micros(0.99)));
        }
        all.insert(listed.name, doc);
    }
    all
}

//! The one path from a request to its answer, for both doors.

use crate::counters::Counters;
use crate::operations::Operation;
use crate::registry::{Entry, Registry};
use crate::{Host, read_concern, reply};
use bson::RawBsonRef;
use command::{Access, Client, Context, Envelope, Reply, Request, Routing};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tracing::Instrument;
use types::{Code, Fault, Label, ReadConcernLevel};

/// A request and where it came from.
#[derive(Debug)]
pub struct Call {
    pub client: Arc<Client>,
    pub request: Request,
    /// How a router routed it; absent for drivers.
    pub routing: Option<Arc<Routing>>,
    /// The router's deadline; the earlier of this and `maxTimeMS` holds.
    pub deadline: Option<Instant>,
    /// Set by whoever notices that nobody waits for the answer any more.
    pub killed: Arc<AtomicBool>,
}

impl Call {
    /// A driver's request.
    pub fn new(client: Arc<Client>, request: Request) -> Call {
        Call { client, request, routing: None, deadline: None, killed: Arc::default() }
    }
}

/// Runs a command: envelope, look-up, checks, deadline, span, counters; the answer carries `ok` and the times,
/// unless a peer asked.
///
/// Not cancel-safe as such: dropping the future drops the command's own future. Set `killed` and wait instead.
///
/// # Errors
/// `CommandNotFound` (59), `Unauthorized` (13), what the envelope and the host refuse, and what the command answers.
/// A panic of the command is `InternalError` (1).
pub async fn dispatch<S: Host>(host: &Arc<S>, registry: &Registry<S>, call: Call) -> Result<Reply, Fault> {
    let counters = &host.front().counters;
    counters.requests.increment();
    let started = Instant::now();
    let Some(entry) = registry.entry(call.request.name()) else {
        counters.faults.increment();
        return Err(not_found(counters, &call.request));
    };
    let is_internal = call.client.internal;
    let result = run(host, entry, call, started).await;
    let own = &entry.listed.counters;
    own.total.increment();
    own.latency.record(started.elapsed());
    match result {
        // A peer gets the times beside the reply, and finishes it for its own client.
        Ok((answer, _)) if is_internal => Ok(answer),
        Ok((answer, is_settled)) => {
            let gossip = if is_settled { host.gossip_settled() } else { host.gossip() };
            Ok(Reply { doc: reply::finish(answer.doc, gossip) })
        }
        Err(fault) => {
            own.failed.increment();
            counters.faults.increment();
            Err(if is_internal { fault } else { with_topology(host.as_ref(), fault) })
        }
    }
}

/// The answer, and whether it is of what a majority has, so that its time is an older one.
async fn run<S: Host>(
    host: &Arc<S>,
    entry: &Entry<S>,
    call: Call,
    started: Instant,
) -> Result<(Reply, bool), Fault> {
    let Call { client, mut request, routing, deadline, killed } = call;
    let spec = &entry.spec;
    let mut envelope = Envelope::parse(&request.body)?;
    if let Some(defaults) = host.defaults().filter(|_| !client.internal) {
        defaults.apply(spec, &mut envelope, &mut request);
    }
    let envelope = Arc::new(envelope);
    check(entry, &client, &envelope)?;
    read_concern::check(spec, &envelope)?;
    if let Some(cluster_time) = envelope.cluster_time {
        host.observe(cluster_time)?;
    }
    let front = host.front();
    front.counters.count_operation(spec.name, statements(&request));

    let own = envelope.max_time.map(|bound| started + bound);
    let deadline = match (own, deadline) {
        (Some(own), Some(router)) => Some(own.min(router)),
        (own, router) => own.or(router),
    };
    let operation_id = front.operations.next_id();
    let ctx = Context { client, envelope, operation_id, deadline, killed, routing };
    let _running = front.operations.enter(Operation {
        id: operation_id,
        name: spec.name,
        names_collection: spec.names_collection,
        client: Arc::clone(&ctx.client),
        envelope: Arc::clone(&ctx.envelope),
        body: request.body.clone(),
        started,
        killed: Arc::clone(&ctx.killed),
        access: spec.access,
        deposed: false,
    });
    let repeatable =
        spec.access == Access::Write && ctx.envelope.txn_number.is_some() && !ctx.envelope.in_transaction();
    let span = tracing::debug_span!(
        target: runtime::telemetry::OPERATIONS,
        "command",
        name = spec.name,
        db = %ctx.envelope.db,
        operation_id,
    );
    let is_settled = spec.access == Access::Read
        && matches!(
            ctx.envelope.read_concern.level,
            Some(ReadConcernLevel::Majority | ReadConcernLevel::Snapshot)
        );
    let retryable_after = |fault: Fault| {
        // Who killed it decides what the client is to do next.
        let fault = match fault.code == Code::Interrupted && front.operations.is_deposed(operation_id) {
            true => Fault::new(
                Code::InterruptedDueToReplStateChange,
                "operation was interrupted: this member plays another part in its set now",
            ),
            false => fault,
        };
        if repeatable { label(fault) } else { fault }
    };
    let command = async {
        let _writing = match spec.access {
            Access::Write | Access::Admin if spec.name != "setParameter" => {
                Some(front.write_lock.enter(deadline, &ctx.killed).await?)
            }
            _ => None,
        };
        let _admitted = match host.admit(spec, &ctx, &request) {
            Some(admission) => admission.await?,
            None => None,
        };
        (spec.run)(Arc::clone(host), ctx, request).await
    };
    // A panic costs one client one answer; what must not go on after a panic (a commit, the log) ends the process by itself.
    match AssertUnwindSafe(command.instrument(span)).catch_unwind().await {
        Ok(Ok(reply)) if repeatable => Ok((label_write_concern_error(reply), false)),
        Ok(result) => result.map(|reply| (reply, is_settled)).map_err(retryable_after),
        Err(panic) => {
            front.counters.panics.increment();
            let why = panic_message(panic.as_ref());
            tracing::error!(command = spec.name, operation_id, why, "command panicked");
            Err(Fault::internal(format!(
                "{} failed by an error of this server; see its log, operation {operation_id}",
                spec.name
            )))
        }
    }
}

/// Adds `topologyVersion` to an error that tells the driver that this server is not what it took it for.
fn with_topology<S: Host>(host: &S, fault: Fault) -> Fault {
    if !fault.code.is_state_change() {
        return fault;
    }
    let mut extra = fault.extra.as_deref().cloned().unwrap_or_default();
    if matches!(extra.get("topologyVersion"), Ok(None)) {
        let counter = i64::try_from(*host.topology().borrow()).unwrap_or(i64::MAX);
        let version = bson::rawdoc! { "processId": host.front().process_id, "counter": counter };
        extra.append(bson::cstr!("topologyVersion"), version);
    }
    fault.with_extra(extra)
}

/// Marks a reply whose write concern failed in a way after which the driver may send the same numbered statement once more.
fn label_write_concern_error(mut reply: Reply) -> Reply {
    let code = match reply.doc.get("writeConcernError") {
        Ok(Some(RawBsonRef::Document(error))) => error.get_i32("code").map(Code::from_number).ok(),
        _ => None,
    };
    if code.is_some_and(Code::is_retryable) && matches!(reply.doc.get("errorLabels"), Ok(None)) {
        let labels: bson::RawArrayBuf = [Label::RetryableWriteError.as_str()].into_iter().collect();
        reply.doc.append(bson::cstr!("errorLabels"), labels);
    }
    reply
}

fn check<S>(entry: &Entry<S>, client: &Client, envelope: &Envelope) -> Result<(), Fault> {
    let spec = &entry.spec;
    if spec.internal_only && !client.internal {
        return Err(Fault::new(
            Code::Unauthorized,
            format!("not authorized on {} to execute command {}", envelope.db, spec.name),
        ));
    }
    if spec.admin_only && envelope.db != "admin" {
        return Err(Fault::new(
            Code::Unauthorized,
            format!("{} may only be run against the admin database.", spec.name),
        ));
    }
    if envelope.api_strict {
        if envelope.api_version.is_none() {
            return Err(Fault::new(
                Code::APIVersionError,
                "Provided apiStrict and/or apiDeprecationErrors without passing apiVersion",
            ));
        }
        if API_VERSION_1.binary_search(&spec.name).is_err() {
            return Err(Fault::new(
                Code::APIStrictError,
                format!("Provided apiStrict:true, but the command {} is not in API Version 1", spec.name),
            ));
        }
    }
    if spec.access == Access::Missing {
        return Err(Fault::not_implemented(spec.name));
    }
    Ok(())
}

/// The commands of the stable API, sorted.
const API_VERSION_1: &[&str] = &[
    "abortTransaction",
    "aggregate",
    "authenticate",
    "bulkWrite",
    "collMod",
    "commitTransaction",
    "count",
    "create",
    "createIndexes",
    "delete",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "endSessions",
    "explain",
    "find",
    "findAndModify",
    "getMore",
    "hello",
    "insert",
    "killCursors",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "ping",
    "refreshSessions",
    "saslContinue",
    "saslStart",
    "update",
];

fn not_found(counters: &Counters, request: &Request) -> Fault {
    counters.unknown_commands.increment();
    // A request without a usable `$db` is wrong in a more basic way.
    match Envelope::parse(&request.body) {
        Err(fault) if matches!(fault.code, Code::Location(40571) | Code::InvalidNamespace) => fault,
        _ => Fault::new(Code::CommandNotFound, format!("no such command: '{}'", request.name())),
    }
}

/// The statements of a write command, for `opcounters`.
fn statements(request: &Request) -> u64 {
    let name = match request.name() {
        "insert" => "documents",
        "update" => "updates",
        "delete" => "deletes",
        _ => return 1,
    };
    if let Some(documents) = request.sequence(name) {
        return documents.len() as u64;
    }
    match request.body.get(name) {
        Ok(Some(RawBsonRef::Array(array))) => array.into_iter().count() as u64,
        _ => 1,
    }
}

/// Marks an error after which a driver may send the same numbered statement once more.
fn label(fault: Fault) -> Fault {
    if fault.code.is_retryable() { fault.with_label(Label::RetryableWriteError) } else { fault }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

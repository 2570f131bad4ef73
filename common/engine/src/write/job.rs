//! What all statements of one write command share, and the end of such a command: waiting until the write is safe enough.

use super::attempt::{Failure, create_quietly};
use super::history::Retryable;
use crate::op_context::{parse_context, refuse_transaction};
use crate::{DocumentFilter, Engine, HasEngine};
use bson::cstr;
use command::{Context, WriteConcernError, WriteOutcome};
use query::context::ParseContext;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::Collection;
use types::{Code, Fault, Namespace, OpTime, W, WriteConcern};
use value::{Collation, SharedDoc};

/// One namespace of one write command.
pub(crate) struct Job<'a> {
    pub(crate) host: &'a dyn HasEngine,
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) ctx: &'a Context,
    pub(crate) ns: Namespace,
    pub(crate) owner: Option<Arc<dyn DocumentFilter>>,
    pub(crate) retry: Option<Retryable>,
    pub(crate) parse: ParseContext,
    /// The time of the last commit of this command.
    pub(crate) last_commit: Option<OpTime>,
}

impl<'a> Job<'a> {
    /// Checks that writes to the namespace are possible at all.
    ///
    /// # Errors
    /// `NotWritablePrimary`, `InvalidNamespace` (73) for system namespaces, 263 in a transaction.
    pub(crate) fn new(
        host: &'a dyn HasEngine,
        ctx: &'a Context,
        ns: &Namespace,
        let_vars: Option<&SharedDoc>,
    ) -> Result<Job<'a>, Fault> {
        refuse_transaction(ctx)?;
        host.surroundings().check_writable(ns)?;
        if ns.is_system()
            && !matches!(ns.db(), "admin" | "config" | "local")
            && ns.collection() != "system.js"
        {
            return Err(Fault::new(Code::InvalidNamespace, format!("cannot write to '{ns}'")));
        }
        Ok(Job {
            host,
            engine: host.engine(),
            ctx,
            ns: ns.clone(),
            owner: host.ownership(ns),
            retry: Retryable::of(ctx),
            parse: parse_context(ctx, let_vars, None)?,
            last_commit: None,
        })
    }

    /// Sets how strings compare from here on: as the statement says, or else the collection.
    pub(crate) fn collate(&mut self, asked: &Collation) {
        let collection = self.collection();
        let inherited = collection.as_ref().and_then(|collection| collection.collation.as_ref());
        self.parse.collation = asked.over(inherited);
    }

    /// The collection as it is now.
    pub(crate) fn collection(&self) -> Option<Arc<Collection>> {
        self.engine.store().catalog().get(&self.ns).cloned()
    }

    /// The collection, made if it is not there.
    pub(crate) fn collection_or_create(&self) -> Result<Arc<Collection>, Failure> {
        if let Some(collection) = self.collection() {
            return Ok(collection);
        }
        self.host.check_creatable(&self.ns)?;
        Ok(create_quietly(self.engine, &self.ns)?)
    }

    /// Remembers a commit, for the wait at the end.
    pub(crate) fn committed(&mut self, at: Option<OpTime>) {
        self.last_commit = at.or(self.last_commit);
    }

    /// What ends the whole command. `NotWritablePrimary` tells a router that nothing was done and that it may send the command to the next
    /// primary; where a part of it was committed before, the error is one that does not say so.
    pub(crate) fn ended_by(&self, fault: Fault) -> Fault {
        match fault.code {
            Code::NotWritablePrimary if self.last_commit.is_some() => {
                Fault { code: Code::InterruptedDueToReplStateChange, ..fault }
            }
            _ => fault,
        }
    }

    /// Refuses what a retryable write must not be.
    ///
    /// # Errors
    /// `InvalidOptions` (72).
    pub(crate) fn refuse_retryable_multi(&self) -> Result<(), Fault> {
        match self.retry {
            Some(_) => Err(Fault::new(
                Code::InvalidOptions,
                "Cannot use (or request) retryable writes with multi=true or limit=0",
            )),
            None => Ok(()),
        }
    }

    /// Refuses a new form of a document that this shard would not own.
    pub(crate) fn check_owned(&self, new: &bson::RawDocument) -> Result<(), Fault> {
        if self.owner.as_ref().is_some_and(|owner| !owner.owns(new)) {
            return Err(Fault::new(
                Code::IllegalOperation,
                "the update would move the document to another shard; updates of the shard key across shards are not implemented by this server",
            ));
        }
        Ok(())
    }

    /// Waits until what was written is as safe as was asked for.
    ///
    /// # Errors
    /// A failure of storage. What merely could not be satisfied is a value.
    pub(crate) async fn acknowledge(&self) -> Result<Option<WriteConcernError>, Fault> {
        wait(self.host, self.ctx, self.last_commit).await
    }
}

/// The write concern that a command goes by, with what the client left open filled in, and who chose it.
pub fn concern_of<'a>(host: &dyn HasEngine, ctx: &'a Context) -> (Cow<'a, WriteConcern>, &'static str) {
    let given = ctx.envelope.write_concern.as_ref();
    if let Some(concern) = given.filter(|concern| concern.w != W::Default) {
        let provenance =
            if ctx.envelope.write_concern_is_default { "customDefault" } else { "clientSupplied" };
        return (Cow::Borrowed(concern), provenance);
    }
    let set = if ctx.client.internal { None } else { host.engine().defaults().write_concern() };
    let provenance = if set.is_some() { "customDefault" } else { "implicitDefault" };
    let default = set.unwrap_or_else(|| host.surroundings().implicit_write_concern());
    (Cow::Owned(given.map_or(default.clone(), |given| given.or(&default))), provenance)
}

/// Waits for a commit, or for the newest one where this command made none.
pub(crate) async fn wait(
    host: &dyn HasEngine,
    ctx: &Context,
    commit: Option<OpTime>,
) -> Result<Option<WriteConcernError>, Fault> {
    let (concern, provenance) = concern_of(host, ctx);
    let concern = &*concern;
    if matches!(concern.w, W::Count(0 | 1)) && !concern.needs_journal() {
        return Ok(None);
    }
    let commit = commit.unwrap_or_else(|| host.engine().store().last_op_time());
    let outcome = tokio::select! {
        biased;
        outcome = host.surroundings().acknowledge(commit, concern, ctx.deadline) => outcome,
        () = killed(ctx) => Err(Fault::new(Code::Interrupted, "operation was interrupted")),
    };
    let mut error = match outcome {
        Ok(None) => return Ok(None),
        Ok(Some(error)) => error,
        // The write is there, and may stay or not: the client is told so beside what was written.
        Err(fault) if fault.code.is_not_primary() || fault.code.is_interruption() => {
            WriteConcernError { code: fault.code, message: fault.message, info: None }
        }
        Err(fault) => return Err(fault),
    };
    let mut info = error.info.take().unwrap_or_default();
    if error.code == Code::WriteConcernFailed && !has(&info, "wtimeout") {
        info.append(cstr!("wtimeout"), true);
    }
    if !has(&info, "writeConcern") {
        let mut doc = concern.to_doc();
        doc.append(cstr!("provenance"), provenance);
        info.append(cstr!("writeConcern"), doc);
    }
    error.info = Some(info);
    Ok(Some(error))
}

fn has(doc: &bson::RawDocument, name: &str) -> bool {
    matches!(doc.get(name), Ok(Some(_)))
}

/// How often a wait looks whether its operation was killed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Ends when the operation is killed.
async fn killed(ctx: &Context) {
    while !ctx.killed.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Appends an error; whether the batch must stop.
pub(crate) fn failed(outcome: &mut WriteOutcome, index: usize, fault: Fault, ordered: bool) -> bool {
    outcome.errors.push(command::WriteError { index, fault });
    ordered
}

/// Whether a fault of one statement ends the whole command: nothing after it could fare better, or the router must hear of it.
pub(crate) fn concerns_command(fault: &Fault) -> bool {
    fault.code.is_not_primary()
        || fault.code.is_stale_route()
        || fault.stale.is_some()
        || matches!(
            fault.code,
            Code::TransactionTooOld
                | Code::MaxTimeMSExpired
                | Code::Interrupted
                | Code::InterruptedAtShutdown
                | Code::ShutdownInProgress
                | Code::InternalError
                | Code::CannotImplicitlyCreateCollection
        )
}

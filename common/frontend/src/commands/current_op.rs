//! `currentOp`: the operations that run now. The aggregation stage `$currentOp` takes its documents from here too.

use super::fields;
use crate::operations::Operation;
use crate::{Front, Host};
use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use command::{Access, Client, Context, Reply, Request, Spec};
use std::sync::atomic::Ordering;
use types::{Code, Fault};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "currentOp",
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "the operations that run now",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let mut idle = false;
    let mut equal = Vec::new();
    fields::each(request, |name, value| match name {
        "$all" => {
            idle = fields::flag(value).ok_or_else(|| fields::wrong_type(request, name, "bool"))?;
            Ok(())
        }
        // Everybody is the same user while there is no login, and nothing is cut short.
        "$ownOps" | "$truncateOps" => Ok(()),
        name => {
            if name.starts_with('$') || is_operator(value) {
                return Err(Fault::not_implemented(format!("a currentOp filter with operators ({name})")));
            }
            equal.push((name, value));
            Ok(())
        }
    })?;
    let mut in_progress = Vec::new();
    for operation in documents(host.front(), idle) {
        if matches(&operation, &equal)? {
            in_progress.push(Bson::Document(operation));
        }
    }
    let mut reply = doc! { "inprog": in_progress };
    if host.front().write_lock.is_locked() {
        reply.insert("fsyncLock", true);
        reply.insert("info", "use db.fsyncUnlock() to terminate the fsync write/snapshot lock");
    }
    Reply::try_from(reply)
}

fn is_operator(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Document(doc) => {
            doc.iter_elements().flatten().any(|element| element.key().as_str().starts_with('$'))
        }
        RawBsonRef::RegularExpression(_) => true,
        _ => false,
    }
}

fn matches(operation: &Document, equal: &[(&str, RawBsonRef<'_>)]) -> Result<bool, Fault> {
    if equal.is_empty() {
        return Ok(true);
    }
    let raw: RawDocumentBuf = fields::raw(operation)?;
    Ok(equal.iter().all(|(path, wanted)| {
        value::path::get(&raw, path)
            .is_some_and(|found| value::order::compare(found, *wanted) == std::cmp::Ordering::Equal)
    }))
}

/// What the aggregation stage `$currentOp` may be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageOptions {
    /// Also connections that run nothing.
    pub idle: bool,
    /// On a router: its own operations, not those of the shards.
    pub local: bool,
}

impl StageOptions {
    /// Reads the stage.
    ///
    /// # Errors
    /// `FailedToParse` (9); `NotImplemented` (238) for `idleCursors`.
    pub fn parse(spec: &RawDocument) -> Result<StageOptions, Fault> {
        let mut options = StageOptions::default();
        for element in spec.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            let name = name.as_str();
            let flag = value.as_bool().ok_or_else(|| {
                Fault::new(
                    Code::FailedToParse,
                    format!("The '{name}' parameter of the $currentOp stage must be a boolean value"),
                )
            })?;
            match name {
                "idleConnections" => options.idle = flag,
                "localOps" => options.local = flag,
                // Everybody is the same user while there is no login, nothing is cut short, no session holds anything while it is
                // idle, and there is one router to ask.
                "allUsers" | "truncateOps" | "idleSessions" | "targetAllNodes" | "backtrace" => {}
                "idleCursors" if !flag => {}
                "idleCursors" => return Err(Fault::not_implemented("$currentOp with idleCursors")),
                other => {
                    return Err(Fault::new(
                        Code::FailedToParse,
                        format!("Unrecognized option '{other}' in $currentOp stage."),
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// The documents of a `$currentOp` stage about this process.
///
/// # Errors
/// If one cannot be written down.
pub fn raw_documents(front: &Front, idle: bool) -> Result<Vec<RawDocumentBuf>, Fault> {
    documents(front, idle).iter().map(fields::raw).collect()
}

/// One document per running operation and, with `idle`, one per connection that runs none.
pub fn documents(front: &Front, idle: bool) -> Vec<Document> {
    let operations = front.operations.list();
    let mut busy: Vec<i64> = operations.iter().map(|operation| operation.client.connection_id).collect();
    busy.sort_unstable();
    let mut all: Vec<Document> = operations.iter().map(|operation| running(front, operation)).collect();
    if idle {
        for client in front.connections() {
            if busy.binary_search(&client.connection_id).is_err() {
                let mut doc = connection(front, &client);
                doc.insert("active", false);
                all.push(doc);
            }
        }
    }
    all
}

fn connection(front: &Front, client: &Client) -> Document {
    let now = bson::DateTime::from_millis(runtime::clock::now_millis());
    let mut doc = doc! {
        "type": "op",
        "host": &front.options.host,
        "desc": format!("{}{}", if client.internal { "peer" } else { "conn" }, client.connection_id),
        "connectionId": fields::count(client.connection_id),
        "client": client.remote.to_string(),
        "currentOpTime": now.try_to_rfc3339_string().unwrap_or_default(),
    };
    if let Some(metadata) = client.metadata.get().and_then(|raw| Document::try_from(raw.as_ref()).ok()) {
        if let Ok(name) =
            metadata.get_document("application").and_then(|application| application.get_str("name"))
        {
            doc.insert("appName", name);
        }
        doc.insert("clientMetadata", metadata);
    }
    doc
}

fn running(front: &Front, operation: &Operation) -> Document {
    let elapsed = operation.started.elapsed();
    let mut doc = connection(front, &operation.client);
    doc.extend(doc! {
        "active": true,
        "opid": fields::count(operation.id),
        "secs_running": i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX),
        "microsecs_running": i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX),
        "op": match operation.name {
            "insert" => "insert",
            "update" => "update",
            "delete" => "remove",
            "find" => "query",
            "getMore" => "getmore",
            _ => "command",
        },
        "ns": namespace(operation),
        // A command with text that is not UTF-8 is shown without its arguments.
        "command": Document::try_from(&*operation.body).unwrap_or_else(|_| doc! { operation.name: 1 }),
    });
    if let Some(session) = operation.envelope.session {
        doc.insert("lsid", doc! { "id": session.0.to_bson() });
    }
    if operation.killed.load(Ordering::Relaxed) {
        doc.insert("killPending", true);
    }
    doc
}

fn namespace(operation: &Operation) -> String {
    let collection = match operation.body.iter().next() {
        Some(Ok((_, RawBsonRef::String(name)))) if operation.names_collection => name,
        _ => "$cmd",
    };
    format!("{}.{collection}", operation.envelope.db)
}

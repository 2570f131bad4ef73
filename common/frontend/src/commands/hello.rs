//! `hello` and its older spelling `isMaster`: what the server is, its limits, and waiting until that changes.

use super::fields;
use crate::{Hello, Host, MemberHello, Role};
use bson::{DateTime, Document, RawBsonRef, RawDocument, doc};
use command::{Access, Context, Reply, Request, Spec};
use std::sync::Arc;
use std::time::Duration;
use types::{Code, Fault, limits};
use wire::Compressor;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "hello",
        aliases: &[],
        access: Access::Handshake,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "role and limits of this server; waits for a change if asked to",
        run: |host, ctx, request| Box::pin(run(host, ctx, request, false)),
    }
}

pub(super) fn legacy_spec<S: Host>() -> Spec<S> {
    Spec {
        name: "isMaster",
        aliases: &["ismaster"],
        help: "the older spelling of hello",
        run: |host, ctx, request| Box::pin(run(host, ctx, request, true)),
        ..spec()
    }
}

async fn run<S: Host>(host: Arc<S>, ctx: Context, request: Request, legacy: bool) -> Result<Reply, Fault> {
    let asked = Asked::parse(&request)?;
    if let Some(metadata) = asked.metadata {
        remember_client(&ctx, metadata)?;
    }
    if let Some(wait) = asked.wait {
        wait_for_change(host.as_ref(), &wait).await?;
    }
    let counter = *host.topology().borrow();
    let mut reply = role(&host.hello(), legacy);
    let front = host.front();
    reply.extend(doc! {
        "topologyVersion": { "processId": front.process_id, "counter": i64::try_from(counter).unwrap_or(i64::MAX) },
        "maxBsonObjectSize": limits::DOCUMENT_BYTES_MAX as i32,
        "maxMessageSizeBytes": limits::MESSAGE_BYTES_MAX as i32,
        "maxWriteBatchSize": limits::WRITE_BATCH_COUNT_MAX as i32,
        "localTime": DateTime::from_millis(runtime::clock::now_millis()),
        "logicalSessionTimeoutMinutes": limits::SESSION_TIMEOUT_MINUTES,
        "connectionId": fields::count(ctx.client.connection_id),
        "minWireVersion": limits::WIRE_VERSION_MIN,
        "maxWireVersion": limits::WIRE_VERSION_MAX,
    });
    if asked.hello_ok {
        reply.insert("helloOk", true);
    }
    let compression = negotiate(&asked.compression, &front.compressors);
    if !compression.is_empty() {
        reply.insert("compression", compression);
    }
    Reply::try_from(reply)
}

/// What a hello asks for. Fields that we do not know are passed over, as every server does: a driver must always get through.
#[derive(Default)]
struct Asked<'a> {
    metadata: Option<&'a RawDocument>,
    hello_ok: bool,
    compression: Vec<&'a str>,
    wait: Option<Wait>,
}

struct Wait {
    process_id: bson::oid::ObjectId,
    counter: i64,
    bound: Duration,
}

impl<'a> Asked<'a> {
    fn parse(request: &'a Request) -> Result<Asked<'a>, Fault> {
        let mut asked = Asked::default();
        let (mut version, mut bound) = (None, None);
        fields::each(request, |name, value| {
            match (name, value) {
                ("client", RawBsonRef::Document(metadata)) => asked.metadata = Some(metadata),
                ("client", _) => {
                    return Err(Fault::new(
                        Code::TypeMismatch,
                        "The client metadata document must be a document",
                    ));
                }
                ("helloOk", value) => asked.hello_ok = fields::flag(value).unwrap_or(false),
                ("compression", RawBsonRef::Array(names)) => {
                    asked.compression =
                        names.into_iter().flatten().filter_map(|name| name.as_str()).collect();
                }
                ("topologyVersion", RawBsonRef::Document(value)) => version = Some(topology_version(value)?),
                ("maxAwaitTimeMS", value) => bound = Some(await_bound(value)?),
                _ => {}
            }
            Ok(())
        })?;
        asked.wait = match (version, bound) {
            (Some((process_id, counter)), Some(bound)) => Some(Wait { process_id, counter, bound }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Fault::new(
                    Code::Location(31368),
                    "A request with a 'topologyVersion' must include 'maxAwaitTimeMS'",
                ));
            }
            (None, Some(_)) => {
                return Err(Fault::new(
                    Code::Location(31368),
                    "A request with 'maxAwaitTimeMS' must include a 'topologyVersion'",
                ));
            }
        };
        Ok(asked)
    }
}

fn topology_version(value: &RawDocument) -> Result<(bson::oid::ObjectId, i64), Fault> {
    let process_id = value.get_object_id("processId").map_err(|_| {
        Fault::new(
            Code::Location(40414),
            "BSON field 'topologyVersion.processId' is missing but a required field",
        )
    })?;
    let counter = value.get("counter").ok().flatten().and_then(fields::integer).ok_or_else(|| {
        Fault::new(
            Code::Location(40414),
            "BSON field 'topologyVersion.counter' is missing but a required field",
        )
    })?;
    if counter < 0 {
        return Err(Fault::new(Code::Location(31372), "topologyVersion must have a non-negative counter"));
    }
    Ok((process_id, counter))
}

fn await_bound(value: RawBsonRef<'_>) -> Result<Duration, Fault> {
    fields::integer(value)
        .and_then(|millis| u64::try_from(millis).ok())
        .map(Duration::from_millis)
        .ok_or_else(|| Fault::new(Code::Location(31373), "maxAwaitTimeMS must be a non-negative integer"))
}

async fn wait_for_change<S: Host>(host: &S, wait: &Wait) -> Result<(), Fault> {
    if wait.process_id != host.front().process_id {
        return Ok(());
    }
    let mut topology = host.topology();
    let now = i64::try_from(*topology.borrow_and_update()).unwrap_or(i64::MAX);
    if wait.counter > now {
        return Err(Fault::new(
            Code::Location(31382),
            format!(
                "Received a topology version with counter: {} which is greater than the server topology version counter: {now}",
                wait.counter
            ),
        ));
    }
    if wait.counter == now {
        // Both endings are answered alike: with what is so now.
        let changed = topology.changed();
        if matches!(tokio::time::timeout(wait.bound, changed).await, Ok(Err(_))) {
            return Err(Fault::new(Code::ShutdownInProgress, "the server is shutting down"));
        }
    }
    Ok(())
}

/// Keeps the client's description of itself, within its limits.
fn remember_client(ctx: &Context, metadata: &RawDocument) -> Result<(), Fault> {
    let size = metadata.as_bytes().len();
    if size > limits::CLIENT_METADATA_BYTES_MAX {
        return Err(Fault::new(
            Code::ClientMetadataDocumentTooLarge,
            format!(
                "The client metadata document must be less then or equal to {} bytes",
                limits::CLIENT_METADATA_BYTES_MAX
            ),
        ));
    }
    let app_name = metadata.get_document("application").and_then(|application| application.get_str("name"));
    if app_name.is_ok_and(|name| name.len() > limits::APP_NAME_BYTES_MAX) {
        return Err(Fault::new(
            Code::ClientMetadataAppNameTooLarge,
            format!(
                "The 'application.name' field must be less then or equal to {} bytes in the client metadata document",
                limits::APP_NAME_BYTES_MAX
            ),
        ));
    }
    for field in ["driver", "os"] {
        if metadata.get_document(field).is_err() {
            return Err(Fault::new(
                Code::ClientMetadataMissingField,
                format!("Missing required sub-document '{field}' in the client metadata document"),
            ));
        }
    }
    ctx.client.metadata.set(metadata.to_owned()).map_err(|_| {
        Fault::new(
            Code::ClientMetadataCannotBeMutated,
            "The client metadata document may only be sent in the first hello",
        )
    })
}

fn negotiate(asked: &[&str], offered: &[Compressor]) -> Vec<&'static str> {
    asked
        .iter()
        .filter_map(|name| Compressor::from_name(name))
        .filter(|compressor| offered.contains(compressor))
        .map(Compressor::name)
        .collect()
}

fn role(hello: &Hello, legacy: bool) -> Document {
    let primary = if legacy { "ismaster" } else { "isWritablePrimary" };
    let mut reply = match &hello.role {
        Role::Router => doc! { primary: true, "msg": "isdbgrid" },
        Role::Uninitiated => doc! {
            primary: false,
            "secondary": false,
            "info": "Does not have a valid replica set config",
            "isreplicaset": true,
        },
        Role::Member(member) => member_fields(member, primary),
    };
    reply.insert("readOnly", hello.read_only);
    reply
}

fn member_fields(member: &MemberHello, primary: &str) -> Document {
    let mut reply = doc! {
        "hosts": &member.hosts,
        "setName": &member.set_name,
        "setVersion": member.set_version,
        primary: member.writable_primary,
        "secondary": member.secondary,
    };
    for (name, list) in [("passives", &member.passives), ("arbiters", &member.arbiters)] {
        if !list.is_empty() {
            reply.insert(name, list);
        }
    }
    for (name, on) in
        [("arbiterOnly", member.arbiter_only), ("passive", member.passive), ("hidden", member.hidden)]
    {
        if on {
            reply.insert(name, true);
        }
    }
    if member.delay_seconds > 0 {
        reply.insert("secondaryDelaySecs", member.delay_seconds);
    }
    if let Some(host) = &member.primary {
        reply.insert("primary", host);
    }
    if !member.tags.is_empty() {
        reply.insert("tags", member.tags.clone());
    }
    if member.configsvr {
        reply.insert("configsvr", 2);
    }
    reply.insert("me", &member.me);
    if let Some(id) = member.election_id {
        reply.insert("electionId", id);
    }
    if let Some(write) = &member.last_write {
        reply.insert("lastWrite", write.to_document());
    }
    reply
}

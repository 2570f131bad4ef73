//! The commands on sessions: start, refresh, end, kill. What a session holds is the server's; these only name the sessions.

use super::fields;
use crate::Host;
use bson::{RawArray, RawBsonRef, RawDocument, doc};
use command::{Access, Reply, Request, Spec};
use std::sync::Arc;
use types::{Code, Fault, SessionId, Uuid, limits};

/// Sessions in one command, as MongoDB bounds it.
const SESSION_BATCH_COUNT_MAX: usize = 10_000;

fn base<S: Host>(name: &'static str, help: &'static str, run: command::Handler<S>) -> Spec<S> {
    Spec {
        name,
        aliases: &[],
        access: Access::Inspect,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help,
        run,
    }
}

pub(super) fn start_session<S: Host>() -> Spec<S> {
    base("startSession", "a new session", |host, _, request| {
        Box::pin(async move {
            fields::none(&request)?;
            let mut bytes: [u8; 16] = rand::random();
            // Version 4, variant 1: a random UUID.
            bytes[6] = bytes[6] & 0x0F | 0x40;
            bytes[8] = bytes[8] & 0x3F | 0x80;
            let session = SessionId(Uuid(bytes));
            host.refresh_sessions(vec![session]).await?;
            Reply::try_from(doc! {
                "id": { "id": session.0.to_bson() },
                "timeoutMinutes": limits::SESSION_TIMEOUT_MINUTES,
            })
        })
    })
}

pub(super) fn refresh_sessions<S: Host>() -> Spec<S> {
    base("refreshSessions", "keeps sessions alive", |host, _, request| {
        Box::pin(async move {
            let sessions = listed(&request)?;
            host.refresh_sessions(sessions).await?;
            Ok(Reply::ok())
        })
    })
}

pub(super) fn end_sessions<S: Host>() -> Spec<S> {
    base("endSessions", "ends sessions that their client is done with", |host, _, request| {
        Box::pin(end(host, request, false))
    })
}

pub(super) fn kill_sessions<S: Host>() -> Spec<S> {
    base(
        "killSessions",
        "ends sessions and what runs in them; all of them if none is named",
        |host, _, request| Box::pin(end(host, request, true)),
    )
}

pub(super) fn kill_all_sessions<S: Host>() -> Spec<S> {
    base(
        "killAllSessions",
        "ends the sessions of users; all sessions if no user is named",
        |host, _, request| {
            Box::pin(async move {
                fields::none(&request)?;
                if array(&request)?.is_empty() {
                    host.end_all_sessions().await?;
                    return Ok(Reply::ok());
                }
                Err(Fault::not_implemented("killAllSessions by user"))
            })
        },
    )
}

pub(super) fn kill_all_sessions_by_pattern<S: Host>() -> Spec<S> {
    base("killAllSessionsByPattern", "ends the sessions that fit a pattern", |host, _, request| {
        Box::pin(async move {
            fields::none(&request)?;
            let patterns = array(&request)?;
            if patterns.is_empty() {
                host.end_all_sessions().await?;
                return Ok(Reply::ok());
            }
            let mut sessions = Vec::new();
            for pattern in patterns {
                let RawBsonRef::Document(pattern) = pattern.map_err(invalid)? else {
                    return Err(fields::wrong_type(&request, "pattern", "object"));
                };
                match pattern.iter().next() {
                    Some(Ok((name, RawBsonRef::Document(lsid)))) if name.as_str() == "lsid" => {
                        sessions.push(session(lsid)?);
                    }
                    _ => return Err(Fault::not_implemented("killAllSessionsByPattern by user")),
                }
            }
            host.end_sessions(sessions).await?;
            Ok(Reply::ok())
        })
    })
}

async fn end<S: Host>(host: Arc<S>, request: Request, none_is_all: bool) -> Result<Reply, Fault> {
    let sessions = listed(&request)?;
    let killed: Vec<_> = if none_is_all { sessions.clone() } else { Vec::new() };
    for operation in host.front().operations.list() {
        if operation.envelope.session.is_some_and(|session| killed.contains(&session)) {
            host.front().operations.kill(operation.id);
        }
    }
    if sessions.is_empty() && none_is_all {
        host.end_all_sessions().await?;
    } else {
        host.end_sessions(sessions).await?;
    }
    Ok(Reply::ok())
}

/// The sessions that the command's value lists.
fn listed(request: &Request) -> Result<Vec<SessionId>, Fault> {
    fields::none(request)?;
    let mut sessions = Vec::new();
    for element in array(request)? {
        let RawBsonRef::Document(lsid) = element.map_err(invalid)? else {
            return Err(fields::wrong_type(request, request.name(), "object"));
        };
        sessions.push(session(lsid)?);
    }
    if sessions.len() > SESSION_BATCH_COUNT_MAX {
        return Err(Fault::new(
            Code::InvalidLength,
            format!("{} of more than {SESSION_BATCH_COUNT_MAX} sessions", request.name()),
        ));
    }
    Ok(sessions)
}

fn array(request: &Request) -> Result<&RawArray, Fault> {
    match fields::argument(request)? {
        RawBsonRef::Array(array) => Ok(array),
        _ => Err(fields::wrong_type(request, request.name(), "array")),
    }
}

fn session(lsid: &RawDocument) -> Result<SessionId, Fault> {
    let id = lsid.get("id").map_err(invalid)?.ok_or_else(|| {
        Fault::new(
            Code::Location(40414),
            "BSON field 'LogicalSessionFromClient.id' is missing but a required field",
        )
    })?;
    Uuid::from_bson(id).map(SessionId).ok_or_else(|| {
        Fault::new(
            Code::TypeMismatch,
            "BSON field 'LogicalSessionFromClient.id' is the wrong type, expected type 'binData'",
        )
    })
}

fn invalid(error: bson::error::Error) -> Fault {
    Fault::new(Code::InvalidBSON, error.to_string())
}

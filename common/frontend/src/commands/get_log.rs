//! `getLog`: the last log lines.

use super::fields;
use crate::Host;
use bson::{RawBsonRef, doc};
use command::{Access, Context, Reply, Request, Spec};
use types::{Code, Fault};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "getLog",
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "the last log lines: global, startupWarnings, or * for the names",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    let RawBsonRef::String(name) = fields::argument(request)? else {
        return Err(Fault::new(Code::TypeMismatch, "Argument to getLog must be of type String"));
    };
    let front = host.front();
    match name {
        "*" => Reply::try_from(doc! { "names": ["global", "startupWarnings"] }),
        "global" => {
            let lines = front.options.recent.lines();
            Reply::try_from(doc! { "totalLinesWritten": lines.len() as i64, "log": lines })
        }
        "startupWarnings" => {
            let lines: Vec<String> = front
                .options
                .startup_warnings
                .iter()
                .map(|warning| line(front.started_millis, warning))
                .collect();
            Reply::try_from(doc! { "totalLinesWritten": lines.len() as i64, "log": lines })
        }
        other => Err(Fault::new(Code::OperationFailed, format!("No log named {other:?}"))),
    }
}

/// A warning as a log line of the shape that mongosh reads.
fn line(millis: i64, warning: &str) -> String {
    let date = bson::DateTime::from_millis(millis).try_to_rfc3339_string().unwrap_or_default();
    let entry = serde_json::json!({
        "t": { "$date": date }, "s": "W", "c": "CONTROL", "id": 22120, "ctx": "main", "msg": warning,
        "tags": ["startupWarnings"],
    });
    entry.to_string()
}

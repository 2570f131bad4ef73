//! `getParameter`: reads parameters.

use super::fields;
use crate::Host;
use bson::{RawBsonRef, doc};
use command::{Access, Context, Reply, Request, Spec};
use types::{Code, Fault};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "getParameter",
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "values of parameters by name, or of all with *",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let parameters = &host.front().parameters;
    let (mut all, mut details) = (false, false);
    match fields::argument(request)? {
        RawBsonRef::String("*") => all = true,
        RawBsonRef::Document(options) => {
            for element in options {
                let (name, value) =
                    element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
                let on =
                    fields::flag(value).ok_or_else(|| fields::wrong_type(request, name.as_str(), "bool"))?;
                match name.as_str() {
                    "allParameters" => all = on,
                    "showDetails" => details = on,
                    other => return Err(fields::unknown(request, other)),
                }
            }
        }
        _ => {}
    }
    let mut found = Vec::new();
    fields::each(request, |name, _| {
        found.extend(parameters.find(name));
        Ok(())
    })?;
    if all {
        found = parameters.all();
    }
    if found.is_empty() {
        return Err(Fault::new(Code::InvalidOptions, "no option found to get"));
    }
    let mut reply = bson::Document::new();
    for parameter in found {
        let value = (parameter.get)();
        if details {
            let settable = parameter.set.is_some();
            let detail = doc! { "value": value, "settableAtRuntime": settable, "settableAtStartup": false };
            reply.insert(parameter.name, detail);
        } else {
            reply.insert(parameter.name, value);
        }
    }
    Reply::try_from(reply)
}

//! `buildInfo`: version and build of the server.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::{Fault, limits};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "buildInfo",
        aliases: &["buildinfo"],
        access: Access::Handshake,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "version and build of the server",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

/// The version that we present ourselves as, in parts.
const VERSION_ARRAY: [i32; 4] = [8, 0, 0, 0];

fn run<S: Host>(_host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    Reply::try_from(doc! {
        "version": limits::SERVER_VERSION,
        "gitVersion": option_env!("SHOAL_GIT_VERSION").unwrap_or("unknown"),
        "shoalVersion": env!("CARGO_PKG_VERSION"),
        "modules": [],
        "allocator": "jemalloc",
        "javascriptEngine": "none",
        "sysInfo": "deprecated",
        "versionArray": VERSION_ARRAY.to_vec(),
        "buildEnvironment": {
            "distmod": "",
            "distarch": std::env::consts::ARCH,
            "cc": "rustc",
            "target_arch": std::env::consts::ARCH,
            "target_os": std::env::consts::OS,
        },
        "bits": 64,
        "debug": cfg!(debug_assertions),
        "maxBsonObjectSize": limits::DOCUMENT_BYTES_MAX as i32,
        "storageEngines": ["sled"],
    })
}

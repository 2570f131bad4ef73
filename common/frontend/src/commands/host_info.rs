//! `hostInfo`: the machine below the server.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "hostInfo",
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "hardware and operating system",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(_host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory_mb = number_after(&read("/proc/meminfo"), "MemTotal:") / 1024;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let release = read("/etc/os-release");
    let named = |key: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix("="));
        value.unwrap_or_default().trim_matches(QUOTE).to_owned()
    };
    Reply::try_from(doc! {
        "system": {
            "currentTime": bson::DateTime::from_millis(runtime::clock::now_millis()),
            "hostname": read("/proc/sys/kernel/hostname").trim(),
            "cpuAddrSize": 64,
            "memSizeMB": memory_mb,
            "memLimitMB": memory_mb,
            "numCores": cores as i32,
            "cpuArch": std::env::consts::ARCH,
            "numaEnabled": false,
        },
        "os": { "type": "Linux", "name": named("NAME"), "version": named("VERSION_ID") },
        "extra": {
            "kernelVersion": read("/proc/sys/kernel/osrelease").trim(),
        },
    })
}

const QUOTE: char = '"';

/// The number that follows `key` in a file of the kernel.
pub(super) fn number_after(text: &str, key: &str) -> i64 {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

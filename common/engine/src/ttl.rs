//! The task that removes what has expired: for each index with `expireAfterSeconds`, the documents whose date is that long ago.
//! Through the same path as a client's delete, and only where this member takes writes.

use crate::HasEngine;
use crate::write::{Change, Job, Seek, change_all};
use bson::{DateTime, RawDocumentBuf, cstr, rawdoc};
use command::{Client, Context, Envelope, Hint};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::{Collection, Index, RecordOrder};
use types::Fault;
use value::SharedDoc;

/// Where no operator of a client is behind an operation.
const NOBODY: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Its parameter and its figures.
#[derive(Debug)]
pub struct TtlMonitor {
    sleep_secs: AtomicU64,
    enabled: AtomicBool,
    passes: AtomicU64,
    deleted: AtomicU64,
    wake: tokio::sync::Notify,
}

impl Default for TtlMonitor {
    fn default() -> TtlMonitor {
        TtlMonitor {
            sleep_secs: AtomicU64::new(60),
            enabled: AtomicBool::new(true),
            passes: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            wake: tokio::sync::Notify::new(),
        }
    }
}

impl TtlMonitor {
    /// `ttlMonitorSleepSecs`.
    pub fn sleep_secs(&self) -> u64 {
        self.sleep_secs.load(Ordering::Relaxed)
    }

    /// Changes the pause between two passes, at once.
    pub fn set_sleep_secs(&self, seconds: u64) {
        self.sleep_secs.store(seconds.max(1), Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// `ttlMonitorEnabled`.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Whether anything is removed.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// `metrics.ttl.passes`.
    pub fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }

    /// `metrics.ttl.deletedDocuments`.
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Removes what has expired, again and again, until it is dropped or `stopped` ends.
    pub async fn run<S: HasEngine>(host: Arc<S>, stopped: impl Future<Output = ()> + Send) {
        let work = async {
            loop {
                let monitor = host.engine().ttl();
                let pause = Duration::from_secs(monitor.sleep_secs());
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = monitor.wake.notified() => continue,
                }
                if monitor.is_enabled() && !host.surroundings().holds_background_writes() {
                    monitor.pass(&*host).await;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stopped => {}
        }
    }

    /// One pass over all indexes.
    pub async fn pass(&self, host: &dyn HasEngine) {
        let catalog = host.engine().store().catalog();
        for collection in catalog.all().filter(|collection| collection.order == RecordOrder::Id) {
            for index in &collection.indexes {
                let Some(seconds) = index.expire_after_seconds().filter(|_| index.ready.is_some()) else {
                    continue;
                };
                // A member that is no primary gets what the primary removes.
                if host.surroundings().check_writable(&collection.ns).is_err() {
                    continue;
                }
                match expire(host, collection, index, seconds).await {
                    Ok(count) => {
                        self.deleted.fetch_add(count, Ordering::Relaxed);
                    }
                    Err(fault) => {
                        tracing::warn!(ns = %collection.ns, index = index.name, %fault, "expired documents were not removed");
                    }
                }
            }
        }
        self.passes.fetch_add(1, Ordering::Relaxed);
    }
}

async fn expire(
    host: &dyn HasEngine,
    collection: &Arc<Collection>,
    index: &Index,
    seconds: i64,
) -> Result<u64, Fault> {
    let Some(Ok((path, _))) = index.key.iter().next() else { return Ok(0) };
    let last = runtime::clock::now_millis().saturating_sub(seconds.saturating_mul(1000));
    let mut filter = RawDocumentBuf::new();
    let dates = rawdoc! { "$gte": DateTime::from_millis(i64::MIN), "$lte": DateTime::from_millis(last) };
    filter.append(path, dates);
    if let Ok(partial) = index.spec.get_document("partialFilterExpression") {
        let mut both = bson::RawArrayBuf::new();
        both.push(filter);
        both.push(partial.to_owned());
        filter = RawDocumentBuf::new();
        filter.append(cstr!("$and"), both);
    }
    let ctx = context(&collection.ns)?;
    let mut job = Job::new(host, &ctx, &collection.ns, None)?;
    // A hidden index still makes documents expire, though no query may go by it.
    let hint = Hint::Name(index.name.clone());
    let mut seek = Seek::parse(&job, &SharedDoc::from(filter), None, Some(&hint))?.even_hidden();
    let counts = change_all(&mut job, &mut seek, &Change::Delete).await?;
    Ok(counts.changed)
}

/// The surroundings of an operation that no client asked for.
fn context(ns: &types::Namespace) -> Result<Context, Fault> {
    let client =
        Client { connection_id: 0, remote: NOBODY, local: NOBODY, internal: true, metadata: OnceLock::new() };
    let envelope = Envelope::parse(&rawdoc! { "delete": ns.collection(), "$db": ns.db() })?;
    Ok(Context {
        client: Arc::new(client),
        envelope: Arc::new(envelope),
        operation_id: 0,
        deadline: None,
        killed: Arc::new(AtomicBool::new(false)),
        routing: None,
    })
}

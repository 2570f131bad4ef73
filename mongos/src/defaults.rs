//! The concerns of clients that name none, as an administrator set them for the cluster: asked of the config server at the start, again
//! now and then, and at once when it tells of a change.

use crate::node::Node;
use arc_swap::ArcSwapOption;
use bson::{RawDocumentBuf, rawdoc};
use command::{Request, RwDefaults};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use types::Fault;

/// How often the config server is asked where it tells of nothing.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Wait until the next try where it does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What this router knows of them.
#[derive(Debug, Default)]
pub struct Defaults {
    set: ArcSwapOption<RwDefaults>,
    loaded_millis: AtomicI64,
    stale: tokio::sync::Notify,
}

impl Defaults {
    /// What is put into commands; `None` where nobody set any.
    pub fn get(&self) -> Option<Arc<RwDefaults>> {
        self.set.load_full()
    }

    /// When they were asked for last, in milliseconds since 1970.
    pub fn loaded_millis(&self) -> i64 {
        self.loaded_millis.load(Ordering::Relaxed)
    }

    /// The config server has others.
    pub fn changed(&self) {
        self.stale.notify_one();
    }

    fn learn(&self, set: RwDefaults) {
        self.loaded_millis.store(runtime::clock::now_millis(), Ordering::Relaxed);
        self.set.store((set != RwDefaults::default()).then(|| Arc::new(set)));
    }
}

/// Asks the config server now.
///
/// # Errors
/// Its fault, or that it cannot be reached.
pub async fn reload(node: &Node) -> Result<(), Fault> {
    let body: RawDocumentBuf = rawdoc! { "getDefaultRWConcern": 1, "$db": "admin" };
    let deadline = Some(Instant::now() + ANSWER_TIMEOUT);
    let answer = node.shards.config().client.call(&Request::from_body(body), None, deadline, true).await?;
    node.defaults.learn(RwDefaults::parse(&answer.reply.doc)?);
    Ok(())
}

/// Follows the config server's defaults until the process stops.
pub async fn follow(node: Arc<Node>) {
    let stop = node.tasks.token();
    loop {
        let pause = match reload(&node).await {
            Ok(()) => LOOK_EVERY,
            Err(fault) => {
                tracing::debug!(%fault, "default concerns could not be read");
                RETRY_INTERVAL
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = node.defaults.stale.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

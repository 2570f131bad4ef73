//! Keeps the default concerns of this member near what is stored, however that came to be changed: through this member, by
//! replication, by hand.

use engine::HasEngine;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the stored document is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at the stored defaults again and again until stopped.
pub async fn follow_defaults<S: HasEngine>(host: Arc<S>, stop: CancellationToken) {
    loop {
        match host.engine().reload_defaults() {
            Ok(true) => host.defaults_changed(),
            Ok(false) => {}
            Err(fault) => tracing::debug!(%fault, "default concerns could not be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

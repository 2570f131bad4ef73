//! Waiting for somebody to ask the process to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns on SIGTERM or SIGINT, or when the process's own token is cancelled (a task that it cannot do without failed, or `shutdown`).
///
/// # Errors
/// If the signal handlers cannot be installed.
pub async fn requested(token: &CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stop requested"),
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stop requested"),
        () = token.cancelled() => tracing::info!("stop requested"),
    }
    Ok(())
}

//! The thread pool that a process runs on.

use tokio::runtime::{Builder, Runtime};

/// Worker threads beyond the cores, for servers with storage: it may block one on a read from disk while others go on.
pub const SPARE_WORKERS: usize = 2;

/// A multi-threaded runtime for this machine: a worker for each core, and `spare` ones. A spare worker that is not needed still
/// costs the wake-ups by which work is offered to it.
///
/// # Errors
/// If threads cannot be started.
pub fn build(spare: usize) -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Builder::new_multi_thread().worker_threads(cores + spare).thread_name("shoal").enable_all().build()
}

//! The thread pool that a process runs on.

use tokio::runtime::{Builder, Runtime};

/// Worker threads beyond the cores: storage may block one on a read from disk while others go on.
const SPARE_WORKERS: usize = 2;

/// A multi-threaded runtime for this machine.
///
/// # Errors
/// If threads cannot be started.
pub fn build() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores + SPARE_WORKERS)
        .thread_name("shoal")
        .enable_all()
        .build()
}

//! Local clusters: one directory holds the plan (`cluster.json`), data, logs and pid files of its processes.
//! Everything listens on loopback only. Processes outlive the command that started them.

mod bring_up;
pub(crate) mod down;
mod layout;
mod lock;
mod memory;
mod ports;
pub(crate) mod process;
pub(crate) mod status;
mod stop;
mod survey;
pub(crate) mod up;

use clap::Args;
use std::path::PathBuf;

/// Which local cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Directory {
    /// Directory of the cluster: its plan, data and logs
    #[arg(long, default_value = "shoal-data", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

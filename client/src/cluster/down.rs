//! `shoal down`: a clean stop of the whole cluster.

use super::Directory;
use super::layout::Home;
use super::lock::Lock;
use super::stop::{Stopped, stop};
use crate::failure::Failure;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  shoal down --dir ./data\n\nThe data stays; `shoal up --dir ./data` brings it back."
)]
pub(crate) struct Options {
    #[command(flatten)]
    directory: Directory,
    /// Seconds that a server may take for its clean stop before it is killed
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    timeout: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (home, layout) = Home::open(&options.directory.dir)?;
    let _lock = Lock::take(&home)?;
    let outcome = stop(&layout, &home, Duration::from_secs(options.timeout), |_| true)?;
    for (member, stopped) in &outcome {
        match stopped {
            Stopped::Cleanly => say!("stopped {}", member.name),
            Stopped::WasDown => {}
            Stopped::Killed => complain!(
                "warning: {} did not stop within {} s and was killed; unsynced writes that were not acknowledged may be lost",
                member.name,
                options.timeout
            ),
        }
    }
    if outcome.iter().all(|(_, stopped)| *stopped == Stopped::WasDown) {
        say!("the cluster in {} was not running", home.path().display());
    }
    Ok(())
}

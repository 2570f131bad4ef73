//! Room on the disk. Writes are refused while little is left, before a file is hit by it: the log and the base then stay whole,
//! reads go on, and writing goes on by itself once there is room again.

use crate::Error;
use crate::store::Shared;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const MIB: u64 = 1024 * 1024;
/// Commits stop here; what is in memory still finds its way into the base.
const RESERVE_MIN: u64 = 24 * MIB;
const RESERVE_MAX: u64 = 256 * MIB;
/// The base gets nothing more here: engines do not come back from a write that failed.
const LAST_RESERVE: u64 = 16 * MIB;

/// Whether there is room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    full: AtomicBool,
}

/// Free bytes for us and all bytes of the file system; `None` where the system does not say.
fn look(dir: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}

impl Shared {
    /// Looks how much is left. After every sync, and by its interval.
    pub(crate) fn look_for_room(&self) {
        let Some((free, total)) = look(&self.options.dir) else { return };
        let full = free < (total / 16).clamp(RESERVE_MIN, RESERVE_MAX);
        if self.room.full.swap(full, Ordering::AcqRel) != full {
            if full {
                tracing::error!(free, "the disk is almost full: writes are refused until there is room");
            } else {
                tracing::info!(free, "there is room on the disk again");
            }
        }
    }

    /// Before a commit.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        if self.room.full.load(Ordering::Acquire) {
            return Err(self.disk_full());
        }
        Ok(())
    }

    /// Before a round goes to the base.
    pub(crate) fn check_last_room(&self) -> Result<(), Error> {
        match look(&self.options.dir) {
            Some((free, _)) if free < LAST_RESERVE => Err(self.disk_full()),
            _ => Ok(()),
        }
    }

    fn disk_full(&self) -> Error {
        Error::DiskFull { reason: format!("almost no room is left below {}", self.options.dir.display()) }
    }
}

//! `fsync` and `fsyncUnlock`: what was written is on disk; with `lock`, nothing is written until it is unlocked again.

use crate::parse::Body;
use crate::{Envelope, Request};
use std::time::Duration;
use types::Fault;

/// How long the lock is waited for where the client does not say.
const LOCK_TIMEOUT: Duration = Duration::from_secs(90);

/// An `fsync` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fsync {
    pub lock: bool,
    /// Bound of the wait for writes that run.
    pub lock_timeout: Duration,
}

impl Fsync {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<Fsync, Fault> {
        let mut fsync = Fsync { lock: false, lock_timeout: LOCK_TIMEOUT };
        Body::of(request, "fsync").each(|field| {
            match field.name {
                "lock" => fsync.lock = field.flag()?,
                "fsyncLockAcquisitionTimeoutMillis" => {
                    fsync.lock_timeout = Duration::from_millis(field.count()?);
                }
                "async" => field.unset_flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(fsync)
    }
}

/// An `fsyncUnlock` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsyncUnlock;

impl FsyncUnlock {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<FsyncUnlock, Fault> {
        Body::of(request, "fsyncUnlock").no_fields()?;
        Ok(FsyncUnlock)
    }
}

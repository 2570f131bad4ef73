//! One `up` or `down` at a time in a directory. The system releases the lock when its holder ends, however it ends.

use super::layout::Home;
use crate::failure::Failure;
use std::fs::{File, TryLockError};

/// Held as long as the value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says that another command has it.
    pub(crate) fn take(home: &Home) -> Result<Lock, Failure> {
        let path = home.lock_file();
        let failed = |error| Failure::new(format!("cannot lock {}: {error}", path.display()));
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
                "another `shoal up` or `shoal down` is at work in {}",
                home.path().display()
            ))
            .next("wait until it is done, then run the command again")),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let first = Lock::take(&home).unwrap();
        assert!(Lock::take(&home).is_err());
        drop(first);
        Lock::take(&home).unwrap();
    }
}

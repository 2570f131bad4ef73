//! What a damaged base does must not become wrong data or a wait without end: an engine that panics has failed, on whatever thread, and
//! the first damage that anybody meets is told aloud, kept in a file beside the base, and ends the store ([`Health`]). The next start
//! finds the file and does not open the base again.

use super::engine::{BaseIter, Bounds, Engine, Write};
use crate::Error;
use crate::scan::Direction;
use bytes::Bytes;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use types::Timestamp;

/// The file that says why.
const MARK: &str = "damaged";

/// Whether the base can still be believed.
pub(crate) struct Health {
    mark: PathBuf,
    first: OnceLock<String>,
    told: watch::Sender<bool>,
    then: Option<crate::options::OnDamage>,
}

impl Health {
    /// Of the store in that directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it met damage when it ran last.
    pub(crate) fn new(dir: &Path, then: Option<crate::options::OnDamage>) -> Result<Arc<Health>, Error> {
        let mark = dir.join(MARK);
        match fs::read_to_string(&mark) {
            Ok(reason) => Err(Error::Damaged(format!(
                "it met this when it ran last: {}; its files are kept as they are, without {} it is opened all the same",
                reason.trim(),
                mark.display()
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Arc::new(Health { mark, first: OnceLock::new(), told: watch::channel(false).0, then }))
            }
            Err(source) => Err(Error::Io { path: mark, source }),
        }
    }

    /// Something of the base is not as it was written.
    pub(crate) fn report(&self, reason: &str) {
        // An engine may also panic where there is no room; with room it opens again.
        let is_full = reason.contains("No space left") || reason.contains("StorageFull");
        self.end(reason, !is_full);
    }

    /// The first one counts. With `lasts` the base is not opened again as it is.
    fn end(&self, reason: &str, lasts: bool) {
        if self.first.set(reason.to_owned()).is_err() {
            return;
        }
        tracing::error!(reason, lasts, "the store is damaged; it ends here");
        if lasts && let Err(error) = fs::write(&self.mark, reason) {
            tracing::error!(%error, file = %self.mark.display(), "the damage could not be noted");
        }
        self.told.send_replace(true);
        if let Some(then) = &self.then {
            then(reason);
        }
    }

    /// The first damage.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.first.get().map(String::as_str)
    }

    /// Ends with the first damage.
    pub(crate) fn damaged(self: &Arc<Health>) -> impl Future<Output = String> + Send + use<> {
        let (health, mut told) = (self.clone(), self.told.subscribe());
        async move {
            // The sender is here, too.
            told.wait_for(|told| *told).await.ok();
            health.damage().unwrap_or_default().to_owned()
        }
    }
}

/// An engine whose panics are errors, and whose damage is reported.
pub(crate) struct Guarded {
    inner: Arc<dyn Engine>,
    health: Arc<Health>,
}

/// What a panic says.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Runs it; a panic in it is damage.
pub(crate) fn guard<T>(act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        Err(Error::Damaged(format!("the base's engine panicked: {}", message(&*panic))))
    })
}

impl Guarded {
    pub(crate) fn new(inner: Arc<dyn Engine>, health: Arc<Health>) -> Guarded {
        Guarded { inner, health }
    }

    fn run<T>(&self, act: impl FnOnce(&dyn Engine) -> Result<T, Error>) -> Result<T, Error> {
        // What it did after it was found damaged is not to be believed.
        if let Some(reason) = self.health.damage() {
            return Err(Error::Damaged(reason.to_owned()));
        }
        guard(|| act(&*self.inner)).inspect_err(|error| self.report(error))
    }
}

impl Engine for Guarded {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.run(|inner| inner.get(key))
    }

    fn value(&self, key: &[u8]) -> Result<Option<(Timestamp, Bytes)>, Error> {
        self.run(|inner| inner.value(key))
    }

    fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
        let health = self.health.clone();
        let mut inner = match self.run(|inner| Ok(inner.range(bounds, direction))) {
            Ok(inner) => inner,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let mut is_over = false;
        Box::new(std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let next = guard(|| inner.next().transpose()).transpose();
            if let Some(Err(error)) = &next {
                is_over = true;
                report(&health, error);
            }
            next
        }))
    }

    fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.run(|inner| inner.write(writes))
    }

    fn flush(&self) -> Result<(), Error> {
        let flushed = self.run(|inner| inner.flush());
        flushed.map_err(|error| {
            let reason = error.to_string();
            match error {
                Error::Damaged(_) => return error,
                // Also for want of room: what the system had taken already is lost, and a new start would read it all the same.
                Error::Unsynced(_) => self.health.end(&reason, true),
                // No engine goes on after that; where there was no room, a new start does.
                _ => self.health.report(&reason),
            }
            Error::Damaged(reason)
        })
    }

    fn size(&self) -> u64 {
        self.run(|inner| Ok(inner.size())).unwrap_or(0)
    }

    fn cleans_beyond(&self) -> Option<f64> {
        self.inner.cleans_beyond()
    }

    fn checks_reads(&self) -> bool {
        self.inner.checks_reads()
    }

    fn report(&self, error: &Error) {
        report(&self.health, error);
    }
}

fn report(health: &Health, error: &Error) {
    if matches!(error, Error::Damaged(_) | Error::Corrupt { .. }) {
        health.report(&error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use crate::snapshot::join_base;

    #[derive(Default)]
    struct Broken(Memory, parking_lot::Mutex<Option<Error>>);

    impl Engine for Broken {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
            assert!(key != b"panics", "as sled does");
            self.0.get(key)
        }

        fn range(&self, bounds: Bounds, direction: Direction) -> BaseIter {
            let mut inner = self.0.range(bounds, direction);
            Box::new(std::iter::from_fn(move || {
                let next = inner.next();
                assert!(next.is_some(), "the end is damaged");
                next
            }))
        }

        fn write(&self, writes: &[Write]) -> Result<(), Error> {
            self.0.write(writes)
        }

        fn flush(&self) -> Result<(), Error> {
            self.1.lock().take().map_or(Ok(()), Err)
        }

        fn size(&self) -> u64 {
            self.0.size()
        }

        fn cleans_beyond(&self) -> Option<f64> {
            None
        }

        fn checks_reads(&self) -> bool {
            false
        }
    }

    fn open(dir: &Path) -> (Guarded, Arc<Health>) {
        let health = Health::new(dir, None).unwrap();
        let base = Guarded::new(Arc::new(Broken::default()), health.clone());
        let key = Bytes::from_static(b"k");
        let value = Some(join_base(&key, Timestamp(1), b"v"));
        base.write(&[Write { key, value }]).unwrap();
        (base, health)
    }

    /// The first damage ends everything, and the next start finds it.
    fn check(find: impl FnOnce(&Guarded) -> Error) {
        let dir = tempfile::tempdir().unwrap();
        let (base, health) = open(dir.path());
        assert!(base.value(b"k").unwrap().is_some());
        assert_eq!(health.damage(), None);
        assert!(matches!(find(&base), Error::Damaged(_)));
        assert!(health.damage().is_some());
        assert!(base.value(b"k").is_err(), "what is damaged answers nothing");
        assert!(matches!(Health::new(dir.path(), None), Err(Error::Damaged(_))));
        fs::remove_file(dir.path().join(MARK)).unwrap();
        assert!(Health::new(dir.path(), None).is_ok());
    }

    #[test]
    fn damage_ends_the_base_and_is_remembered() {
        check(|base| base.get(b"panics").unwrap_err());
        check(|base| {
            let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
            base.range(all, Direction::Forward).find_map(Result::err).unwrap()
        });
        check(|base| {
            let (key, value) =
                (Bytes::from_static(b"bad"), Some(Bytes::from_static(b"no checksum, no time at all")));
            base.write(&[Write { key, value }]).unwrap();
            base.value(b"bad").unwrap_err()
        });
    }

    #[test]
    fn a_flush_that_failed_is_the_last_one() {
        let full = "No space left on device (os error 28)".to_owned();
        for (error, lasts) in [
            (Error::Unsynced("Input/output error".to_owned()), true),
            (Error::Unsynced(full.clone()), true),
            (Error::Base("Input/output error".to_owned()), true),
            // Nothing was lost: it was never taken.
            (Error::Base(full), false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let health = Health::new(dir.path(), None).unwrap();
            let broken = Broken::default();
            *broken.1.lock() = Some(error);
            let base = Guarded::new(Arc::new(broken), health.clone());
            assert!(matches!(base.flush(), Err(Error::Damaged(_))));
            assert!(health.damage().is_some());
            assert!(base.flush().is_err() && base.write(&[]).is_err() && base.value(b"k").is_err());
            assert_eq!(Health::new(dir.path(), None).is_err(), lasts);
        }
    }
}

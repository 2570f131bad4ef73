//! The writing end of the log: commits append to a buffer in memory, the syncer writes and syncs it for all that wait.
//! A failed write or sync poisons the log for good: what the disk then holds is unknown, so nothing is tried again.

use super::record::{Draft, Record, has_entry};
use super::segment::{Segment, Walk};
use super::sync::Signal;
use crate::Error;
use crate::error::Failure;
use crate::fail;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use types::{OpTime, Timestamp};

/// Commits wait for the disk when this much is not written yet.
const UNWRITTEN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The syncer is called when this much is not written, before its interval is over.
const UNWRITTEN_BYTES_MANY: usize = 2 * 1024 * 1024;

/// The log is held for others up to so many times its size.
const HELD_TIMES_MAX: u64 = 4;
/// A buffer that grew beyond this is not kept for the next commits.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far the log is on disk for certain, or why it never will be.
#[derive(Debug, Clone, Default)]
pub struct Durable {
    pub at: OpTime,
    /// How often the log was cut back since it was opened: what waits for a time of another epoch waits in vain.
    pub epoch: u64,
    pub(crate) failed: Option<Arc<Failure>>,
}

impl Durable {
    /// Why nothing will be on disk any more; `None` while all is well.
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_ref().map(|failure| failure.reason.as_str())
    }
}

/// Figures of the log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogStats {
    pub syncs: u64,
    pub sync_nanos: u64,
    pub written_bytes: u64,
    pub waits: u64,
}

/// A record in [`Buffer`].
#[derive(Debug, Clone, Copy)]
struct Noted {
    at: Timestamp,
    length: usize,
    has_entry: bool,
}

#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    records: Vec<Noted>,
    pub(super) last: OpTime,
    failed: Option<Arc<Failure>>,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) segment: Arc<Segment>,
    pub(super) written: OpTime,
    /// Empty ones to take turns with those of [`Buffer`]: memory that was touched once is not asked for again.
    spare: Vec<u8>,
    spare_records: Vec<Noted>,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(super) dir: PathBuf,
    segment_bytes: u64,
    pub(super) buffer: Mutex<Buffer>,
    room: Condvar,
    pub(super) writer: Mutex<Writer>,
    pub(super) segments: RwLock<Vec<Arc<Segment>>>,
    pub(super) durable: watch::Sender<Durable>,
    pub(super) durable_ts: AtomicU64,
    pub(super) visible: watch::Sender<Timestamp>,
    /// Where the log was cut back, by epoch: 1 first.
    pub(super) cuts: Mutex<Vec<Timestamp>>,
    pub(super) epoch: AtomicU64,
    pub(super) signal: Mutex<Signal>,
    pub(super) wake: Condvar,
    /// Held by whoever syncs a segment until it has said what is synced, or that nothing will be: the system tells of a failure once,
    /// and a sync of the same file beside it or after it may succeed all the same. Taken after [`Log::writer`], never before it.
    pub(super) disk: Mutex<()>,
    /// The place that the log was begun after, while it holds everything since.
    pub(super) start: Mutex<Option<OpTime>>,
    /// Times after which the log is wanted, by number of the wish.
    holds: Mutex<BTreeMap<u64, Timestamp>>,
    /// Told after every sync: those that wait without a future.
    pub(super) synced: Condvar,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    written_bytes: AtomicU64,
    waits: AtomicU64,
    /// Which call fails, with which number of the system; and how often it was tried.
    #[cfg(test)]
    pub(crate) faulty: Mutex<Option<(&'static str, i32)>>,
    #[cfg(test)]
    pub(crate) faults: AtomicU64,
    /// Called between a sync and the word of it.
    #[cfg(test)]
    pub(crate) amid_sync: Mutex<Option<Arc<AmidSync>>>,
}

#[cfg(test)]
pub(crate) struct AmidSync(pub(crate) Box<dyn Fn() + Send + Sync>);

#[cfg(test)]
impl std::fmt::Debug for AmidSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AmidSync")
    }
}

/// The place that a log was begun after, and the number of its first segment.
pub(crate) type Begun = Option<(OpTime, u64)>;

/// What opening found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub log: Log,
    pub last: OpTime,
    /// Bytes of a torn tail that were cut.
    pub cut: u64,
}

impl Log {
    /// Opens the log, checks everything after `from` and hands each record after it to `replay`.
    /// `synced` is what is known to have been on disk; a log that ends before it is damaged.
    pub(crate) fn open(
        dir: &Path,
        segment_bytes: u64,
        from: Timestamp,
        synced: Timestamp,
        begun: Begun,
        replay: &mut dyn FnMut(Record) -> Result<(), Error>,
    ) -> Result<Recovered, Error> {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let mut segments = list(dir)?;
        // Everything before the last segment that starts no later than `from` is not read now.
        let is_begun = |segment: &Arc<Segment>| matches!(segment.first(), Ok(Some(at)) if at <= from);
        let first = segments.iter().rposition(is_begun).unwrap_or(0);
        // A log that was never begun anew has the first segment of all.
        let (start, first_number) = begun.map_or((OpTime::default(), 1), |begun| begun);
        let whole = segments.first().is_none_or(|segment| segment.number == first_number);
        let mut last = start;
        let mut cut = 0;
        let count = segments.len();
        for (index, segment) in segments.iter().enumerate().skip(first) {
            let mut walk = Walk::new(super::segment::HEADER_BYTES);
            loop {
                match walk.next(segment) {
                    Ok(Some((record, offset, length))) => {
                        segment.note(record.at.ts, offset, length as u64, !record.entry.is_empty());
                        last = record.at;
                        if record.at.ts > from {
                            replay(record)?;
                        }
                    }
                    Ok(None) => break,
                    Err(error @ Error::Corrupt { .. }) if index + 1 < count => return Err(error),
                    Err(error @ Error::Corrupt { .. }) => {
                        let offset = walk.offset();
                        if last.ts < synced || claims_synced(segment, offset)? > last.ts {
                            return Err(error);
                        }
                        cut = segment.len() - offset;
                        segment.cut(offset, last.ts)?;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if last.ts < synced {
            let file = segments.last().map_or_else(|| dir.to_owned(), |segment| segment.path.clone());
            let offset = segments.last().map_or(0, |segment| segment.len());
            let reason = format!("the log ends at {}, but was synced up to {synced}", last.ts);
            return Err(Error::Corrupt { file, offset, reason });
        }
        let segment = match segments.last() {
            Some(segment) => segment.clone(),
            None => {
                let segment = Arc::new(Segment::create(dir, 1)?);
                segments.push(segment.clone());
                segment
            }
        };
        let log = Log {
            dir: dir.to_owned(),
            segment_bytes,
            buffer: Mutex::new(Buffer { last, ..Buffer::default() }),
            room: Condvar::new(),
            writer: Mutex::new(Writer {
                segment,
                written: last,
                spare: Vec::new(),
                spare_records: Vec::new(),
            }),
            segments: RwLock::new(segments),
            durable: watch::Sender::new(Durable::default()),
            durable_ts: AtomicU64::new(0),
            visible: watch::Sender::new(last.ts),
            cuts: Mutex::new(Vec::new()),
            epoch: AtomicU64::new(0),
            signal: Mutex::new(Signal::default()),
            wake: Condvar::new(),
            disk: Mutex::new(()),
            start: Mutex::new(whole.then_some(start)),
            holds: Mutex::new(BTreeMap::new()),
            synced: Condvar::new(),
            syncs: AtomicU64::new(0),
            sync_nanos: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            #[cfg(test)]
            faulty: Mutex::new(None),
            #[cfg(test)]
            faults: AtomicU64::new(0),
            #[cfg(test)]
            amid_sync: Mutex::new(None),
        };
        // What was read may still be only in the page cache of a process that was killed.
        log.sync()?;
        Ok(Recovered { log, last, cut })
    }

    /// Waits while too much is unwritten. Before the commit section, never inside it.
    pub(crate) fn wait_for_room(&self) {
        let mut buffer = self.buffer.lock();
        if buffer.bytes.len() < UNWRITTEN_BYTES_MAX {
            return;
        }
        self.hurry(buffer.last.ts);
        self.count_wait();
        while buffer.bytes.len() >= UNWRITTEN_BYTES_MAX && buffer.failed.is_none() {
            self.room.wait_for(&mut buffer, Duration::from_millis(100));
        }
    }

    /// Fails once the log is poisoned.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.buffer.lock().failed {
            Some(reason) => Err(Error::poisoned(reason)),
            None => Ok(()),
        }
    }

    /// Appends a record. Only the commit section does, in the order of times.
    pub(crate) fn append(&self, draft: Draft, at: OpTime) {
        let bytes = draft.finish(at, self.durable_ts());
        let mut buffer = self.buffer.lock();
        assert!(at.ts > buffer.last.ts, "oplog must advance: {} then {at}", buffer.last);
        buffer.records.push(Noted { at: at.ts, length: bytes.len(), has_entry: has_entry(&bytes) });
        let before = buffer.bytes.len();
        buffer.bytes.extend_from_slice(&bytes);
        buffer.last = at;
        self.appended(&buffer, before);
    }

    /// Appends whole records that follow each other in `bytes`, each with its time and length. Only the commit section does.
    pub(crate) fn append_all(&self, bytes: &[u8], records: &[(OpTime, usize)]) {
        let Some((last, _)) = records.last() else { return };
        let mut buffer = self.buffer.lock();
        let first = records.first().map_or(last.ts, |(at, _)| at.ts);
        assert!(first > buffer.last.ts, "oplog must advance: {} then {first}", buffer.last);
        let mut rest = bytes;
        for (at, length) in records {
            let (record, later) = rest.split_at((*length).min(rest.len()));
            buffer.records.push(Noted { at: at.ts, length: *length, has_entry: has_entry(record) });
            rest = later;
        }
        let before = buffer.bytes.len();
        buffer.bytes.extend_from_slice(bytes);
        buffer.last = *last;
        self.appended(&buffer, before);
    }

    /// Calls the syncer when much is not written.
    fn appended(&self, buffer: &Buffer, before: usize) {
        if before < UNWRITTEN_BYTES_MANY && buffer.bytes.len() >= UNWRITTEN_BYTES_MANY {
            self.hurry(buffer.last.ts);
        }
    }

    /// Lets readers see entries up to `at`, once their data is published.
    pub(crate) fn publish(&self, at: Timestamp) {
        self.visible.send_if_modified(|seen| {
            let newer = at > *seen;
            *seen = (*seen).max(at);
            newer
        });
    }

    pub(super) fn visible(&self) -> watch::Receiver<Timestamp> {
        self.visible.subscribe()
    }

    pub(crate) fn last(&self) -> OpTime {
        self.buffer.lock().last
    }

    /// The place that the log was begun after, while it holds everything since.
    pub(crate) fn start(&self) -> Option<OpTime> {
        *self.start.lock()
    }

    /// Keeps what is newer than a time, within reason, until [`Log::let_go`].
    pub(crate) fn hold(&self, after: Timestamp) -> u64 {
        let mut holds = self.holds.lock();
        let number = holds.keys().last().map_or(0, |last| last + 1);
        holds.insert(number, after);
        number
    }

    pub(crate) fn let_go(&self, number: u64) {
        self.holds.lock().remove(&number);
    }

    pub(crate) fn durable_ts(&self) -> Timestamp {
        Timestamp(self.durable_ts.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.subscribe()
    }

    pub(super) fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands what is in the buffer to the operating system.
    pub(crate) fn write_out(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        self.write_locked(&mut writer).inspect_err(|error| self.poison(error))
    }

    pub(super) fn write_locked(&self, writer: &mut Writer) -> Result<(), Error> {
        let (mut bytes, mut noted, last) = {
            let mut buffer = self.buffer.lock();
            if let Some(reason) = &buffer.failed {
                return Err(Error::poisoned(reason));
            }
            if buffer.bytes.is_empty() {
                return Ok(());
            }
            let bytes = std::mem::replace(&mut buffer.bytes, std::mem::take(&mut writer.spare));
            let noted = std::mem::replace(&mut buffer.records, std::mem::take(&mut writer.spare_records));
            self.room.notify_all();
            (bytes, noted, buffer.last)
        };
        self.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut rest = bytes.as_slice();
        let mut records = noted.iter().copied().peekable();
        while !rest.is_empty() {
            let segment = writer.segment.clone();
            let start = segment.len();
            let mut offset = start;
            // Readers walk up to the length, and the index must not be behind it.
            while let Some(record) = records.next_if(|_| offset < self.segment_bytes) {
                segment.note(record.at, offset, record.length as u64, record.has_entry);
                offset += record.length as u64;
            }
            let (now, later) = rest.split_at((offset - start) as usize);
            self.fault("write").map_err(Error::io(&segment.path))?;
            segment.file.write_all_at(now, start).map_err(Error::io(&segment.path))?;
            fail::point("written");
            segment.set_len(offset);
            rest = later;
            if offset >= self.segment_bytes {
                self.roll(writer)?;
            }
        }
        writer.written = last;
        if bytes.capacity() <= SPARE_BYTES_MAX {
            bytes.clear();
            writer.spare = bytes;
        }
        noted.clear();
        writer.spare_records = noted;
        Ok(())
    }

    /// Starts a new segment. The old one is synced first, so only the last one can have a torn tail.
    fn roll(&self, writer: &mut Writer) -> Result<(), Error> {
        fail::point("segment-full");
        {
            let _disk = self.disk.lock();
            self.sync_segment(&writer.segment, &File::sync_all)?;
        }
        writer.segment.keep_entries();
        let segment = Arc::new(Segment::create(&self.dir, writer.segment.number + 1)?);
        fail::point("segment-made");
        self.segments.write().push(segment.clone());
        writer.segment = segment;
        Ok(())
    }

    /// Writes and syncs everything appended so far.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let (segment, written, epoch) = {
            let mut writer = self.writer.lock();
            self.write_locked(&mut writer).inspect_err(|error| self.poison(error))?;
            (writer.segment.clone(), writer.written, self.epoch())
        };
        let _disk = self.disk.lock();
        let start = std::time::Instant::now();
        self.sync_segment(&segment, &File::sync_data)?;
        fail::point("synced");
        #[cfg(test)]
        self.call_amid_sync();
        // A write may have failed meanwhile.
        self.check()?;
        self.sync_nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.durable.send_if_modified(|durable| {
            // Cut back meanwhile: what was synced is gone. Or failed: nothing is durable any more that was not.
            if durable.epoch != epoch || durable.failed.is_some() {
                return false;
            }
            self.durable_ts.fetch_max(written.ts.0, Ordering::AcqRel);
            let newer = written.ts > durable.at.ts;
            if newer {
                durable.at = written;
            }
            newer
        });
        Ok(())
    }

    /// Syncs a segment, unless something failed before. Whoever holds [`Log::disk`] does, and a failure is known before it is let go.
    pub(super) fn sync_segment(
        &self,
        segment: &Segment,
        sync: &dyn Fn(&File) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        self.check()?;
        let synced = self.fault("sync").and_then(|()| sync(&segment.file));
        synced.map_err(Error::io(&segment.path)).inspect_err(|error| self.poison(error))
    }

    #[cfg(test)]
    fn call_amid_sync(&self) {
        let hook = self.amid_sync.lock().clone();
        if let Some(hook) = hook {
            (hook.0)();
        }
    }

    /// From here on nothing is accepted and nobody is told that anything is durable.
    pub(crate) fn poison(&self, error: &Error) {
        let reason = Arc::new(Failure::of(error));
        let mut buffer = self.buffer.lock();
        if buffer.failed.is_none() {
            tracing::error!(%error, "oplog cannot be written: writes are refused until restart");
            buffer.failed = Some(reason.clone());
        }
        self.room.notify_all();
        drop(buffer);
        self.durable.send_if_modified(|durable| {
            let first = durable.failed.is_none();
            durable.failed.get_or_insert(reason);
            first
        });
        self.release_all();
    }

    /// A failure that a test asked for.
    fn fault(&self, _what: &str) -> std::io::Result<()> {
        #[cfg(test)]
        if let Some((what, errno)) = *self.faulty.lock()
            && what == _what
        {
            self.faults.fetch_add(1, Ordering::Relaxed);
            return Err(std::io::Error::from_raw_os_error(errno));
        }
        Ok(())
    }

    pub(crate) fn stats(&self) -> LogStats {
        LogStats {
            syncs: self.syncs.load(Ordering::Relaxed),
            sync_nanos: self.sync_nanos.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.len()).sum()
    }

    /// Rises whenever the log is cut back.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// How many entries there are: what is in memory only is written first. Segments that are complete have it on record; of others what
    /// is not known yet is read, once.
    pub(crate) fn entries(&self) -> Result<u64, Error> {
        self.write_out()?;
        self.segments().iter().map(|segment| segment.entries()).sum()
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    /// Drops the oldest segments beyond `bytes_max` of which nothing is newer than `needed`, which recovery or readers want, nor
    /// than `kept`, which is to be kept by its age.
    pub(crate) fn truncate(&self, bytes_max: u64, needed: Timestamp, kept: Timestamp) -> Result<(), Error> {
        let needed = needed.min(kept);
        let held = self.holds.lock().values().min().copied().unwrap_or(Timestamp::MAX);
        let mut total = self.bytes();
        let mut dropped = false;
        let segments = self.segments();
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if total <= bytes_max {
                break;
            }
            let needed =
                if total > bytes_max.saturating_mul(HELD_TIMES_MAX) { needed } else { needed.min(held) };
            // Read only where the beginning of the next one does not settle it. The last record stays: the log has to say where it ends.
            let old = match next.first()? {
                Some(first) => first <= needed || segment.last()?.is_some_and(|last| last <= needed),
                None => false,
            };
            if !old {
                break;
            }
            total -= segment.len();
            *self.start.lock() = None;
            self.segments.write().retain(|other| other.number != segment.number);
            segment.remove()?;
            fail::point("segment-dropped");
            dropped = true;
        }
        if dropped { crate::control::sync_dir(&self.dir) } else { Ok(()) }
    }
}

/// All segments, oldest first. One whose creation a crash interrupted is removed.
fn list(dir: &Path) -> Result<Vec<Arc<Segment>>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(number) = name.strip_suffix(".log").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            names.push((number, entry.path()));
        }
    }
    names.sort();
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let count = names.len();
    for (index, (number, path)) in names.into_iter().enumerate() {
        if segments.last().is_some_and(|last| last.number + 1 != number) {
            return Err(Error::Corrupt {
                file: path,
                offset: 0,
                reason: "a segment before this one is missing".to_owned(),
            });
        }
        match Segment::open(&path, number)? {
            Some(segment) => segments.push(Arc::new(segment)),
            None if index + 1 == count && index > 0 => fs::remove_file(&path).map_err(Error::io(&path))?,
            None if count == 1 => fs::remove_file(&path).map_err(Error::io(&path))?,
            None => return Err(Error::Corrupt { file: path, offset: 0, reason: "no header".to_owned() }),
        }
    }
    Ok(segments)
}

/// The highest time that any whole record after a bad place says was synced before it.
fn claims_synced(segment: &Segment, bad: u64) -> Result<Timestamp, Error> {
    let rest = segment.read(bad, usize::MAX)?;
    let mut claim = Timestamp::ZERO;
    let mut at = 1;
    while at < rest.len() {
        match Record::parse(&rest.slice(at..)) {
            super::record::Parsed::Record(record, length) => {
                claim = claim.max(record.synced);
                at += length;
            }
            _ => at += 1,
        }
    }
    Ok(claim)
}

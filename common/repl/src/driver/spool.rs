//! The source's log while its data are copied, in a file of this member: a copy may take longer than the source keeps its log. Records
//! stand one behind the other, each with its length and checksum; what a crash tore off is pulled again. Nothing depends on the file:
//! where it cannot be written or read, the copy goes on with the log that the source still has.

use super::fetch;
use super::plane::{Source, Work};
use crate::convert;
use crate::core::event::Verdict;
use crate::data::LogRecord;
use parking_lot::Mutex;
use prost::Message;
use proto::replication as pb;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use types::{Code, Fault, OpTime};

/// With the version of the file.
const MAGIC: &[u8; 8] = b"ShoalSp1";
/// Magic, time and term of the place that the records follow.
const HEADER_BYTES: u64 = 8 + 8 + 8;
/// Length and checksum before each record.
const PREFIX_BYTES: usize = 4 + 4;
/// A record's two parts and what is around them; larger ones are not read.
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Records that are read together.
const GROUP_COUNT_MAX: usize = 5000;
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// After the stream broke.
const RETRY_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct End {
    file: File,
    bytes: u64,
    last: OpTime,
}

/// The file.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    end: Mutex<End>,
}

impl Spool {
    /// The records after `from`: what is there of them already, or none yet.
    pub(super) fn open(path: &Path, from: OpTime) -> io::Result<Spool> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut header = [0; HEADER_BYTES as usize];
        let is_ours = file.read_exact(&mut header).is_ok() && header == header_of(from);
        let (mut bytes, mut last) = (HEADER_BYTES, from);
        if is_ours {
            let mut reader = Reader::over(BufReader::new(&file), from, bytes);
            while let Some(record) = reader.next() {
                last = record.at;
            }
            bytes = reader.offset;
        } else {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header_of(from))?;
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Spool { path: path.to_owned(), end: Mutex::new(End { file, bytes, last }) })
    }

    /// The last record, or the place that they follow.
    pub(super) fn last(&self) -> OpTime {
        self.end.lock().last
    }

    fn append(&self, records: &[LogRecord]) -> io::Result<()> {
        let mut out = Vec::new();
        for record in records {
            let record = convert::record_to_proto(record.clone()).encode_to_vec();
            let length = u32::try_from(record.len()).map_err(io::Error::other)?;
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
            out.extend_from_slice(&record);
        }
        let mut end = self.end.lock();
        end.file.write_all(&out)?;
        end.bytes += out.len() as u64;
        end.last = records.last().map_or(end.last, |record| record.at);
        Ok(())
    }

    /// Reads from the first record on.
    pub(super) fn reader(&self, from: OpTime) -> io::Result<Reader<BufReader<File>>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(HEADER_BYTES))?;
        Ok(Reader::over(BufReader::new(file), from, HEADER_BYTES))
    }

    /// The next records after a place, up to a bound; none at the end.
    pub(super) fn group(&self, reader: &mut Reader<BufReader<File>>, after: OpTime) -> Vec<LogRecord> {
        let until = self.end.lock().bytes;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while reader.offset < until && records.len() < GROUP_COUNT_MAX && bytes < GROUP_BYTES_MAX {
            let Some(record) = reader.next() else { break };
            if record.at > after {
                bytes += record.entry.len() + record.side.len();
                records.push(record);
            }
        }
        records
    }
}

/// Removes the file, if there is one.
pub(crate) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %path.display(), "a file of an initial sync cannot be removed");
        }
        _ => {}
    }
}

fn header_of(from: OpTime) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    let (magic, place) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    let (time, term) = place.split_at_mut(8);
    time.copy_from_slice(&from.ts.0.to_le_bytes());
    term.copy_from_slice(&from.term.to_le_bytes());
    header
}

/// Goes through the records up to the first that is not whole.
pub(super) struct Reader<R> {
    inner: R,
    offset: u64,
    last: OpTime,
}

impl<R: Read> Reader<R> {
    fn over(inner: R, from: OpTime, offset: u64) -> Reader<R> {
        Reader { inner, offset, last: from }
    }

    fn next(&mut self) -> Option<LogRecord> {
        let mut prefix = [0; PREFIX_BYTES];
        self.inner.read_exact(&mut prefix).ok()?;
        let (length, crc) = prefix.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if length > RECORD_BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes).ok()?;
        if crc32c::crc32c(&bytes).to_le_bytes() != *crc {
            return None;
        }
        let record = pb::LogRecord::decode(bytes::Bytes::from(bytes)).ok()?;
        let record = convert::records(vec![record], self.last).ok()?.pop()?;
        self.last = record.at;
        self.offset += (PREFIX_BYTES + length) as u64;
        Some(record)
    }
}

/// Keeps what the source's log gets, until dropped. Never ends: what it cannot keep the source is asked for again later.
pub(super) async fn follow(work: &Work, source: &Source, spool: &Arc<Spool>) {
    loop {
        match follow_once(work, source, spool).await {
            Ok(()) => {}
            Err(fault) if fault.code == Code::HostUnreachable => {
                tracing::debug!(source = source.host, %fault, "log beside the copy broken off");
            }
            Err(fault) => {
                tracing::warn!(source = source.host, %fault, "the log is not kept beside the copy any more");
                return std::future::pending().await;
            }
        }
        tokio::time::sleep(RETRY_WAIT).await;
    }
}

async fn follow_once(work: &Work, source: &Source, spool: &Arc<Spool>) -> Result<(), Fault> {
    let mut last = spool.last();
    let mut opened = fetch::open(work, source, last).await?;
    if !matches!(opened.verdict, Verdict::Found) {
        let text = format!("the log of {} does not have {last}", source.host);
        return Err(Fault::new(Code::RemoteOplogStale, text));
    }
    while let Some(group) = fetch::next_group(&source.host, &mut opened.stream, last).await? {
        let Some(end) = group.records.last().map(|record| record.at) else { continue };
        let own = spool.clone();
        work.step(move || own.append(&group.records).map_err(|error| Fault::internal(error.to_string())))
            .await?;
        last = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use types::Timestamp;

    fn at(ts: u64) -> OpTime {
        OpTime { ts: Timestamp(ts), term: 2 }
    }

    fn records(times: std::ops::Range<u64>) -> Vec<LogRecord> {
        let record = |ts| LogRecord { at: at(ts), entry: vec![7; ts as usize].into(), side: Bytes::new() };
        times.map(record).collect()
    }

    #[test]
    fn what_was_kept_is_there_after_a_crash_but_for_a_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let spool = Spool::open(&path, at(5)).unwrap();
        spool.append(&records(6..20)).unwrap();
        spool.append(&records(20..30)).unwrap();
        assert_eq!(spool.last(), at(29));
        let whole = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(whole - 1).unwrap();
        let spool = Spool::open(&path, at(5)).unwrap();
        assert_eq!(spool.last(), at(28));
        spool.append(&records(29..31)).unwrap();
        let mut reader = spool.reader(at(5)).unwrap();
        assert_eq!(spool.group(&mut reader, at(10)), records(11..31));
        assert_eq!(spool.group(&mut reader, at(10)), Vec::new());
        spool.append(&records(31..33)).unwrap();
        assert_eq!(spool.group(&mut reader, at(10)), records(31..33));
    }

    #[test]
    fn what_was_kept_for_another_copy_is_no_part_of_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        Spool::open(&path, at(5)).unwrap().append(&records(6..20)).unwrap();
        let spool = Spool::open(&path, at(7)).unwrap();
        assert_eq!(spool.last(), at(7));
        assert_eq!(spool.group(&mut spool.reader(at(7)).unwrap(), at(0)), Vec::new());
        remove(&path);
        remove(&path);
        assert!(!path.exists());
    }
}

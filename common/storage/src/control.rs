//! Named facts that must not be lost: checkpoint time, term, vote. One small checksummed file, replaced whole and synced.
//! Layout in FORMAT.md.

use crate::Error;
use bson::raw::CStr;
use bson::{RawBson, RawDocument, RawDocumentBuf};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"SHOALCTL";
/// The format of the whole data directory.
pub(crate) const FORMAT: u32 = 2;
/// Magic, format, length, checksum.
const HEADER_BYTES: usize = 20;

/// The file of facts.
pub struct Control {
    path: PathBuf,
    facts: Mutex<BTreeMap<String, RawBson>>,
}

impl Control {
    /// Reads the file; none means an empty directory.
    pub(crate) fn open(dir: &Path) -> Result<Control, Error> {
        let path = dir.join("control");
        let facts = match fs::read(&path) {
            Ok(bytes) => parse(&path, &bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(Error::Io { path, source }),
        };
        Ok(Control { path, facts: Mutex::new(facts) })
    }

    /// The fact of that name.
    pub fn get(&self, name: &str) -> Option<RawBson> {
        self.facts.lock().get(name).cloned()
    }

    /// Sets a fact. It is on disk when this returns.
    ///
    /// # Errors
    /// If the file cannot be written or synced; what it held before is still there then.
    pub fn put(&self, name: &str, value: impl Into<RawBson>) -> Result<(), Error> {
        self.put_all([(name, value.into())])
    }

    /// Sets several facts at once, all or none.
    ///
    /// # Errors
    /// As [`Control::put`].
    pub fn put_all<'a>(&self, facts: impl IntoIterator<Item = (&'a str, RawBson)>) -> Result<(), Error> {
        self.change(facts, &[])
    }

    /// Sets several facts and removes others at once, all or none.
    ///
    /// # Errors
    /// As [`Control::put`].
    pub fn change<'a>(
        &self,
        facts: impl IntoIterator<Item = (&'a str, RawBson)>,
        gone: &[&str],
    ) -> Result<(), Error> {
        let mut held = self.facts.lock();
        let mut next = held.clone();
        for (name, value) in facts {
            next.insert(name.to_owned(), value);
        }
        for name in gone {
            next.remove(*name);
        }
        let mut doc = RawDocumentBuf::new();
        for (name, value) in &next {
            let name = <&CStr>::try_from(name.as_str()).map_err(|error| Error::Damaged(error.to_string()))?;
            doc.append(name, value.as_raw_bson_ref());
        }
        let body = doc.as_bytes();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
        bytes.extend_from_slice(body);
        replace(&self.path, &bytes)?;
        *held = next;
        Ok(())
    }
}

/// Puts a file in another's place so that after a crash one of both is there, whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh).map_err(Error::io(&fresh))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(&fresh))?;
    crate::fail::point("control-renaming");
    fs::rename(&fresh, path).map_err(Error::io(path))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes creations, renames and removals in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io(dir))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, RawBson>, Error> {
    let damaged = |offset: usize, reason: &str| Error::Corrupt {
        file: path.to_owned(),
        offset: offset as u64,
        reason: reason.to_owned(),
    };
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged(0, "too short"))?;
    let number =
        |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    if header.get(..8) != Some(MAGIC) {
        return Err(damaged(0, "not a control file"));
    }
    let found = number(8).unwrap_or_default();
    if found != FORMAT {
        return Err(Error::Format { found, supported: FORMAT });
    }
    if number(12) != u32::try_from(body.len()).ok() {
        return Err(damaged(12, "length does not fit"));
    }
    if number(16) != Some(crc32c::crc32c(body)) {
        return Err(damaged(16, "checksum does not fit"));
    }
    let doc = RawDocument::from_bytes(body).map_err(|error| damaged(HEADER_BYTES, &error.to_string()))?;
    let mut facts = BTreeMap::new();
    for element in doc.iter() {
        let (name, value) = element.map_err(|error| damaged(HEADER_BYTES, &error.to_string()))?;
        facts.insert(name.as_str().to_owned(), value.into());
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::open(dir.path()).unwrap();
        assert_eq!(control.get("term"), None);
        control.put("term", 7_i64).unwrap();
        control.put("vote", "host:1".to_owned()).unwrap();
        control.put("term", 8_i64).unwrap();
        let again = Control::open(dir.path()).unwrap();
        assert_eq!(again.get("term"), Some(RawBson::Int64(8)));
        assert_eq!(again.get("vote"), Some(RawBson::String("host:1".to_owned())));

        let path = dir.path().join("control");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, &bad).unwrap();
            assert!(Control::open(dir.path()).is_err(), "flip at {at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(Control::open(dir.path()).is_err());
    }
}

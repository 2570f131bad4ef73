//! What was applied of other members' logs, by kind, for `opcountersRepl`.

use bson::{RawBsonRef, RawDocument};
use std::sync::atomic::{AtomicU64, Ordering};

/// Changes since the process started.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    insert: AtomicU64,
    update: AtomicU64,
    delete: AtomicU64,
    command: AtomicU64,
}

/// Changes by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct AppliedOps {
    pub insert: u64,
    pub update: u64,
    pub delete: u64,
    pub command: u64,
}

impl AppliedOps {
    /// Counts an entry; what several changes share counts as these.
    pub(crate) fn add(&mut self, entry: &[u8]) {
        // An entry without anything in it, or with nothing that can be read, is for storage to judge.
        let Ok(entry) = RawDocument::from_bytes(entry) else { return };
        match entry.get_str("op") {
            Ok("i") => self.insert += 1,
            Ok("u") => self.update += 1,
            Ok("d") => self.delete += 1,
            Ok("c") => {
                let parts = entry.get_document("o").ok().and_then(|o| o.get_array("applyOps").ok());
                let Some(parts) = parts else {
                    self.command += 1;
                    return;
                };
                for part in parts {
                    if let Ok(RawBsonRef::Document(part)) = part {
                        self.add(part.as_bytes());
                    }
                }
            }
            _ => {}
        }
    }
}

impl Applied {
    pub(crate) fn count(&self, ops: AppliedOps) {
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        add(&self.insert, ops.insert);
        add(&self.update, ops.update);
        add(&self.delete, ops.delete);
        add(&self.command, ops.command);
    }

    pub(crate) fn get(&self) -> AppliedOps {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AppliedOps {
            insert: get(&self.insert),
            update: get(&self.update),
            delete: get(&self.delete),
            command: get(&self.command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn changes_count_by_kind_and_those_of_one_commit_each() {
        let mut ops = AppliedOps::default();
        for entry in [
            rawdoc! { "op": "i" },
            rawdoc! { "op": "n" },
            rawdoc! { "op": "c", "o": { "create": "c" } },
            rawdoc! { "op": "c", "o": { "applyOps": [{ "op": "i" }, { "op": "u" }, { "op": "u" }, { "op": "d" }] } },
        ] {
            ops.add(entry.as_bytes());
        }
        ops.add(b"");
        assert_eq!(ops, AppliedOps { insert: 2, update: 2, delete: 1, command: 1 });
    }
}

//! What was seen of a run by everybody in it, and what must never be: the checks are made here. All of it lies outside of the simulated
//! processes and outlives them.

use crate::data::LogRecord;
use bson::RawDocument;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use types::OpTime;

/// What a client was promised of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Promise {
    /// A primary has it.
    One,
    /// A primary has it on disk.
    Journal,
    /// A majority has it on disk.
    Majority,
}

/// What a client asked for when it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Level {
    Majority,
    Linearizable,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Which life of which member took writes in which term.
    terms: BTreeMap<i64, (usize, u64)>,
    promised: Vec<(String, OpTime, Promise)>,
    /// Ends of logs as clients read them.
    read: Vec<(Level, OpTime)>,
    blames: Vec<String>,
    trace: DefaultHasher,
    pub(super) is_calm: bool,
    pub(super) counts: Counts,
}

/// What a run was made of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) terms: usize,
    pub(super) majority: usize,
    pub(super) one: usize,
    pub(super) journal: usize,
    pub(super) reads: usize,
    pub(super) refused: usize,
    pub(super) undone: usize,
    pub(super) crashed: usize,
    pub(super) lost: usize,
}

impl Counts {
    pub(super) fn plus(&self, other: &Counts) -> Counts {
        Counts {
            terms: self.terms + other.terms,
            majority: self.majority + other.majority,
            one: self.one + other.one,
            journal: self.journal + other.journal,
            reads: self.reads + other.reads,
            refused: self.refused + other.refused,
            undone: self.undone + other.undone,
            crashed: self.crashed + other.crashed,
            lost: self.lost + other.lost,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Judge(Mutex<Seen>);

impl Judge {
    /// Everything that happens is part of the trace, with its time: two runs of a seed are the same or not.
    pub(super) fn note(&self, what: impl Hash + std::fmt::Debug) {
        let at = turmoil::sim_elapsed();
        if std::env::var_os("SHOAL_TRACE").is_some() {
            println!("{at:?} {what:?}");
        }
        let mut seen = self.0.lock();
        (at, what).hash(&mut seen.trace);
    }

    pub(super) fn trace(&self) -> u64 {
        self.0.lock().trace.finish()
    }

    pub(super) fn blame(&self, what: String) {
        self.0.lock().blames.push(what);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.0.lock().is_calm
    }

    pub(super) fn calm(&self) {
        self.0.lock().is_calm = true;
    }

    /// That life of that member takes writes in that term.
    pub(super) fn opened(&self, term: i64, who: (usize, u64)) {
        self.note((term, who));
        let before = *self.0.lock().terms.entry(term).or_insert(who);
        if before != who {
            self.blame(format!("two primaries in term {term}: {before:?} and {who:?}"));
        }
    }

    pub(super) fn promised(&self, key: String, at: OpTime, promise: Promise) {
        self.note((&key, at, promise));
        let mut seen = self.0.lock();
        match promise {
            Promise::One => seen.counts.one += 1,
            Promise::Journal => seen.counts.journal += 1,
            Promise::Majority => seen.counts.majority += 1,
        }
        seen.promised.push((key, at, promise));
    }

    pub(super) fn refused(&self, code: i32) {
        self.note(code);
        self.0.lock().counts.refused += 1;
    }

    /// The newest writes that a majority has, for a reader that must not miss them.
    pub(super) fn held(&self, count: usize) -> Vec<String> {
        let seen = self.0.lock();
        let held = seen.promised.iter().rev().filter(|(.., promise)| *promise == Promise::Majority);
        held.take(count).map(|(key, ..)| key.clone()).collect()
    }

    /// A client read a log up to there, and missed these that were promised before it asked.
    pub(super) fn read(&self, level: Level, end: OpTime, missed: &[String]) {
        self.note((level, end, missed));
        if level == Level::Linearizable && !missed.is_empty() {
            self.blame(format!("a linearizable read up to {end} missed {missed:?}"));
        }
        let mut seen = self.0.lock();
        seen.counts.reads += 1;
        seen.read.push((level, end));
    }

    /// After everything came to rest. Each member: its log, what rollbacks kept in files, what crashes took.
    pub(super) fn conclude(&self, members: &[[Vec<LogRecord>; 3]]) -> (Vec<String>, Counts) {
        for (one, member) in members.iter().enumerate() {
            self.note((
                one,
                member.each_ref().map(|records| records.iter().map(|record| record.at).collect::<Vec<_>>()),
            ));
        }
        let mut seen = self.0.lock();
        let Seen { promised, read, blames, counts, terms, .. } = &mut *seen;
        let log = &members[0][0];
        for (one, member) in members.iter().enumerate() {
            let parted = member[0].iter().zip(log).position(|(a, b)| (a.at, &a.entry) != (b.at, &b.entry));
            if parted.is_some() || member[0].len() != log.len() {
                blames.push(format!("the logs of members 0 and {one} differ from {parted:?} on"));
            }
        }
        let (kept, at) = (keys(log), log.iter().map(|record| record.at).collect::<BTreeSet<_>>());
        let of_all = |which: usize| -> BTreeSet<String> {
            members.iter().flat_map(|member| keys(&member[which])).collect()
        };
        let (undone, crashed) = (of_all(1), of_all(2));
        for (key, place, promise) in promised.iter() {
            if kept.contains(key) && at.contains(place) {
                continue;
            }
            counts.lost += 1;
            let is_excused = match promise {
                Promise::Majority => false,
                Promise::Journal => undone.contains(key),
                Promise::One => undone.contains(key) || crashed.contains(key),
            };
            if !is_excused {
                blames.push(format!("{key} at {place} was promised ({promise:?}) and is nowhere"));
            }
        }
        for (level, end) in read.iter() {
            if !at.contains(end) {
                blames.push(format!("a {level:?} read saw {end}, which is no more"));
            }
        }
        counts.terms = terms.len();
        counts.undone = undone.len();
        counts.crashed = crashed.len();
        (blames.clone(), *counts)
    }
}

fn keys(records: &[LogRecord]) -> BTreeSet<String> {
    let key = |record: &LogRecord| {
        let entry = RawDocument::from_bytes(&record.entry).ok()?;
        Some(entry.get_str("k").ok()?.to_owned())
    };
    records.iter().filter_map(key).collect()
}

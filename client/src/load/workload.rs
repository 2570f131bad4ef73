//! The six core workloads of YCSB: which operations in which proportion, on keys of which distribution.

use super::distribution::Distribution;
use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::SmallRng;

/// One kind of operation, as YCSB names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Read,
    Update,
    Insert,
    Scan,
    ReadModifyWrite,
    Ping,
}

impl Operation {
    pub(crate) const ALL: [Operation; 6] = [
        Operation::Read,
        Operation::Update,
        Operation::Insert,
        Operation::Scan,
        Operation::ReadModifyWrite,
        Operation::Ping,
    ];

    /// The name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Read => "READ",
            Operation::Update => "UPDATE",
            Operation::Insert => "INSERT",
            Operation::Scan => "SCAN",
            Operation::ReadModifyWrite => "READ-MODIFY-WRITE",
            Operation::Ping => "PING",
        }
    }
}

/// A core workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Update heavy: 50 % reads, 50 % updates, zipfian
    A,
    /// Read mostly: 95 % reads, 5 % updates, zipfian
    B,
    /// Read only, zipfian
    C,
    /// Read latest: 95 % reads of the latest, 5 % inserts
    D,
    /// Short ranges: 95 % scans of 1 to 100 documents, 5 % inserts, zipfian
    E,
    /// Read-modify-write: 50 % reads, 50 % read-modify-writes, zipfian
    F,
}

impl Workload {
    /// The letter.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::A => "a",
            Workload::B => "b",
            Workload::C => "c",
            Workload::D => "d",
            Workload::E => "e",
            Workload::F => "f",
        }
    }

    /// Operations with their share in percent.
    pub(crate) fn mix(self) -> [(Operation, u32); 2] {
        match self {
            Workload::A => [(Operation::Read, 50), (Operation::Update, 50)],
            Workload::B => [(Operation::Read, 95), (Operation::Update, 5)],
            Workload::C => [(Operation::Read, 100), (Operation::Update, 0)],
            Workload::D => [(Operation::Read, 95), (Operation::Insert, 5)],
            Workload::E => [(Operation::Scan, 95), (Operation::Insert, 5)],
            Workload::F => [(Operation::Read, 50), (Operation::ReadModifyWrite, 50)],
        }
    }

    /// Draws the next operation.
    pub(crate) fn draw(self, rng: &mut SmallRng) -> Operation {
        let [(first, share), (second, _)] = self.mix();
        if rng.random_range(0..100) < share { first } else { second }
    }

    /// Which keys, unless the user says otherwise.
    pub(crate) fn distribution(self) -> Distribution {
        match self {
            Workload::D => Distribution::Latest,
            _ => Distribution::Zipfian,
        }
    }

    /// The share of inserts, of 1.
    pub(crate) fn insert_share(self) -> f64 {
        self.mix()
            .into_iter()
            .filter(|(operation, _)| *operation == Operation::Insert)
            .map(|(_, share)| f64::from(share))
            .sum::<f64>()
            / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeMap;

    #[test]
    fn operations_come_in_their_proportion() {
        const DRAWS: u32 = 200_000;
        for workload in Workload::value_variants() {
            assert_eq!(workload.mix().iter().map(|(_, share)| share).sum::<u32>(), 100);
            let mut rng = SmallRng::seed_from_u64(7);
            let mut counts: BTreeMap<Operation, u32> = BTreeMap::new();
            for _ in 0..DRAWS {
                *counts.entry(workload.draw(&mut rng)).or_default() += 1;
            }
            for (operation, share) in workload.mix() {
                let found =
                    f64::from(counts.get(&operation).copied().unwrap_or(0)) / f64::from(DRAWS) * 100.0;
                assert!((found - f64::from(share)).abs() < 0.5, "{workload:?} {operation:?}: {found} %");
            }
        }
        assert_eq!(Workload::E.insert_share(), 0.05);
        assert_eq!(Workload::A.insert_share(), 0.0);
    }
}

//! YCSB's key distributions and key names. The formulas are those of its generators, so that hot keys are as hot here.
//! Zipfian numbers follow "Quickly Generating Billion-Record Synthetic Databases" (Gray et al., SIGMOD 1994).

use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::fmt::Write;

/// YCSB's skew.
const THETA: f64 = 0.99;
/// The scrambled generator draws from this many items and then folds them onto the real ones.
const SCRAMBLED_ITEMS: u64 = 10_000_000_000;
/// zeta(10^10, 0.99), which would take minutes to sum.
const SCRAMBLED_ZETA: f64 = 26.469_028_201_783_02;

/// Which keys are asked for how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// Few keys are hot, spread over the key space
    Zipfian,
    /// All alike
    Uniform,
    /// The most recently inserted are hot
    Latest,
}

impl Distribution {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Distribution::Zipfian => "zipfian",
            Distribution::Uniform => "uniform",
            Distribution::Latest => "latest",
        }
    }
}

/// Draws numbers from 0 up, small ones most often.
#[derive(Debug, Clone)]
pub(crate) struct Zipfian {
    items: u64,
    zeta: f64,
    zeta_items: u64,
    zeta_two: f64,
    alpha: f64,
    eta: f64,
}

impl Zipfian {
    /// Over that many items; takes time in proportion.
    pub(crate) fn new(items: u64) -> Zipfian {
        let items = items.max(1);
        Zipfian::with_zeta(items, zeta(0, items, 0.0))
    }

    fn with_zeta(items: u64, zeta_of_items: f64) -> Zipfian {
        let mut zipfian = Zipfian {
            items,
            zeta: zeta_of_items,
            zeta_items: items,
            zeta_two: zeta(0, 2, 0.0),
            alpha: 1.0 / (1.0 - THETA),
            eta: 0.0,
        };
        zipfian.eta = zipfian.eta();
        zipfian
    }

    fn eta(&self) -> f64 {
        (1.0 - (2.0 / self.items as f64).powf(1.0 - THETA)) / (1.0 - self.zeta_two / self.zeta)
    }

    /// The next number below `items`, which may have grown since the last call.
    pub(crate) fn draw(&mut self, items: u64, rng: &mut SmallRng) -> u64 {
        if items > self.zeta_items {
            self.zeta = zeta(self.zeta_items, items, self.zeta);
            self.zeta_items = items;
            self.eta = self.eta();
        }
        let uniform: f64 = rng.random();
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        (items as f64 * (self.eta * uniform - self.eta + 1.0).powf(self.alpha)) as u64
    }
}

/// The sum of 1/i^theta up to `to`, given the sum up to `from`.
fn zeta(from: u64, to: u64, sum: f64) -> f64 {
    (from..to).fold(sum, |sum, index| sum + 1.0 / ((index + 1) as f64).powf(THETA))
}

/// The 64-bit FNV hash as YCSB computes it: of the eight bytes, absolute value as of a signed number.
pub(crate) fn hash(number: u64) -> u64 {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 1_099_511_628_211;
    let hashed = number
        .to_le_bytes()
        .into_iter()
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hashed.cast_signed().unsigned_abs()
}

/// The key of a record, into a reused string.
pub(crate) fn write_key(number: u64, key: &mut String) {
    key.clear();
    // Writing to a string does not fail.
    write!(key, "user{}", hash(number)).ok();
}

/// Chooses the number of the record that an operation works on.
#[derive(Debug, Clone)]
pub(crate) enum Chooser {
    Uniform { records: u64 },
    Scrambled { zipfian: Zipfian, items: u64 },
    Latest { zipfian: Zipfian },
}

impl Chooser {
    /// `expected_inserts`: how many records the run may add, twice the mean, as YCSB reckons.
    pub(crate) fn new(distribution: Distribution, records: u64, expected_inserts: u64) -> Chooser {
        match distribution {
            Distribution::Uniform => Chooser::Uniform { records },
            Distribution::Zipfian => Chooser::Scrambled {
                zipfian: Zipfian::with_zeta(SCRAMBLED_ITEMS, SCRAMBLED_ZETA),
                items: records + expected_inserts,
            },
            Distribution::Latest => Chooser::Latest { zipfian: Zipfian::new(records) },
        }
    }

    /// Draws a record of those inserted so far; `inserted` is at least 1.
    pub(crate) fn draw(&mut self, inserted: u64, rng: &mut SmallRng) -> u64 {
        loop {
            let number = match self {
                Chooser::Uniform { records } => rng.random_range(0..(*records).max(1)),
                Chooser::Scrambled { zipfian, items } => {
                    hash(zipfian.draw(SCRAMBLED_ITEMS, rng)) % (*items).max(1)
                }
                Chooser::Latest { zipfian } => {
                    let last = inserted.saturating_sub(1);
                    last.saturating_sub(zipfian.draw(last.max(1), rng))
                }
            };
            // A record that is not inserted yet is drawn again, as YCSB does.
            if number < inserted.max(1) {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::HashMap;

    const DRAWS: u32 = 300_000;

    fn frequencies(chooser: &mut Chooser, inserted: u64) -> HashMap<u64, f64> {
        let mut rng = SmallRng::seed_from_u64(11);
        let mut counts: HashMap<u64, f64> = HashMap::new();
        for _ in 0..DRAWS {
            let number = chooser.draw(inserted, &mut rng);
            assert!(number < inserted);
            *counts.entry(number).or_default() += 1.0 / f64::from(DRAWS);
        }
        counts
    }

    fn check(what: &str, found: f64, expected: f64) {
        assert!((found - expected).abs() < expected * 0.06, "{what}: {found}, expected {expected}");
    }

    #[test]
    fn zipfian_is_as_skewed_as_the_law_says() {
        let items = 1_000;
        let sum = zeta(0, items, 0.0);
        let mut zipfian = Zipfian::new(items);
        let mut rng = SmallRng::seed_from_u64(3);
        let mut counts = vec![0.0; items as usize];
        for _ in 0..DRAWS {
            counts[zipfian.draw(items, &mut rng) as usize] += 1.0 / f64::from(DRAWS);
        }
        check("first", counts[0], 1.0 / sum);
        check("second", counts[1], 0.5_f64.powf(THETA) / sum);
        for top in [10, 100, 500] {
            let found: f64 = counts[..top].iter().sum();
            check("top", found, zeta(0, top as u64, 0.0) / sum);
        }
    }

    #[test]
    fn scrambled_hot_keys_lie_where_the_hash_puts_them() {
        let records = 10_000;
        let found = frequencies(&mut Chooser::new(Distribution::Zipfian, records, 0), records);
        let hottest = found.iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        assert_eq!(*hottest.0, hash(0) % records);
        // Its own share, and what the long tail drops on every record.
        assert!((0.037..0.042).contains(hottest.1), "{hottest:?}");
        check("second", found[&(hash(1) % records)], 0.5_f64.powf(THETA) / SCRAMBLED_ZETA);
        assert!(found.len() > 8_000, "the tail covers the key space: {}", found.len());
    }

    #[test]
    fn uniform_is_even() {
        let found = frequencies(&mut Chooser::new(Distribution::Uniform, 10, 0), 10);
        for number in 0..10 {
            check("uniform", found[&number], 0.1);
        }
    }

    #[test]
    fn latest_follows_the_inserts() {
        let mut chooser = Chooser::new(Distribution::Latest, 1_000, 0);
        let found = frequencies(&mut chooser, 1_000);
        let sum = zeta(0, 1_000, 0.0);
        check("newest", found[&999], 1.0 / sum);
        check("before", found[&998], 0.5_f64.powf(THETA) / sum);
        let later = frequencies(&mut chooser, 1_500);
        check("newest after inserts", later[&1_499], 1.0 / zeta(0, 1_500, 0.0));
    }

    #[test]
    fn records_not_inserted_yet_are_not_drawn() {
        let found = frequencies(&mut Chooser::new(Distribution::Zipfian, 100, 1_000), 100);
        assert!(found.keys().all(|number| *number < 100));
        for distribution in Distribution::value_variants() {
            frequencies(&mut Chooser::new(*distribution, 1, 0), 1);
        }
    }

    #[test]
    fn keys_are_those_of_ycsb() {
        let mut key = String::new();
        // The first keys that YCSB loads.
        for (number, expected) in
            [(0, "user6284781860667377211"), (1, "user8517097267634966620"), (2, "user1820151046732198393")]
        {
            write_key(number, &mut key);
            assert_eq!(key, expected);
        }
    }
}

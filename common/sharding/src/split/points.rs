//! Split points of a chunk from the keys in it, in order. The keys are streamed; only the points are kept.

use crate::Error;
use crate::shard_key::Bound;

/// Chooses a point after each `count` keys. A run of equal keys cannot be cut, so the point moves to the next different key;
/// the first key of a chunk is no point, for nothing would lie below it.
#[derive(Debug)]
pub struct Points {
    count: u64,
    seen: u64,
    last: Vec<u8>,
    points: Vec<Vec<u8>>,
}

/// Points after each `count` keys (at least 1).
pub fn at_counts(count: u64) -> Points {
    Points { count: count.max(1), seen: 0, last: Vec::new(), points: Vec::new() }
}

impl Points {
    /// Takes the next encoded key; answers whether it became a point, so that the caller keeps its document.
    pub fn push(&mut self, key: &[u8]) -> bool {
        let cut = self.seen >= self.count && key != self.last.as_slice();
        if cut {
            self.points.push(key.to_vec());
            self.seen = 0;
        }
        if key != self.last.as_slice() {
            self.last.clear();
            self.last.extend_from_slice(key);
        }
        self.seen += 1;
        cut
    }

    /// The points so far, as encoded keys in order.
    pub fn points(&self) -> &[Vec<u8>] {
        &self.points
    }
}

/// Of sampled keys of a chunk, in order, those that cut it into `pieces` parts of about equal size. Equal samples and samples
/// on the lower border give no point, so there may be fewer.
///
/// # Errors
/// [`Error::BadOptions`] if the samples are not in order.
pub fn even_points(min: &Bound, samples: &[Bound], pieces: usize) -> Result<Vec<Bound>, Error> {
    if samples.windows(2).any(|pair| matches!(pair, [left, right] if left > right)) {
        return Err(Error::BadOptions("sampled keys must be in order".into()));
    }
    let mut points: Vec<Bound> = (1..pieces)
        .filter_map(|piece| samples.get(piece * samples.len() / pieces))
        .filter(|sample| *sample > min)
        .cloned()
        .collect();
    points.dedup();
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::key;
    use bson::doc;

    #[test]
    fn after_each_count() {
        let check = |keys: &[u8], count: u64, wanted: &[u8]| {
            let mut points = at_counts(count);
            let told: Vec<u8> = keys.iter().copied().filter(|key| points.push(&[*key])).collect();
            assert_eq!(told, wanted, "{keys:?} by {count}");
            assert_eq!(points.points().concat(), wanted);
        };
        check(&[1, 2, 3, 4, 5], 2, &[3, 5]);
        check(&[1, 1, 1, 2, 3], 2, &[2]);
        check(&[1, 1, 1], 1, &[]);
        check(&[1, 2, 3], 0, &[2, 3]);
        check(&[], 2, &[]);
    }

    #[test]
    fn evenly() {
        let key = key(doc! {"a": 1});
        let bound = |value: i32| key.bound(doc! {"a": value}).unwrap();
        let samples: Vec<Bound> = (0..10).map(bound).collect();
        assert_eq!(even_points(&key.global_min(), &samples, 2).unwrap(), [bound(5)]);
        assert_eq!(even_points(&key.global_min(), &samples, 4).unwrap(), [bound(2), bound(5), bound(7)]);
        assert_eq!(even_points(&bound(1), &[bound(1), bound(1)], 2).unwrap(), []);
        assert!(even_points(&bound(1), &[bound(2), bound(1)], 2).is_err());
    }
}

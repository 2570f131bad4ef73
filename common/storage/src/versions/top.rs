//! The leaves in order, each with the lowest key that it may hold; in branches, so that a leaf that comes or goes moves only its
//! neighbours.

use super::leaf::Leaf;
use bytes::Bytes;
use parking_lot::RwLock;

/// Leaves in a branch. Few in tests, so that branches come and go.
const BRANCH_LEAVES_MAX: usize = if cfg!(test) { 4 } else { 256 };

/// The first sixteen bytes of a key as a number, zero where it is shorter: most comparisons need no look at the key itself.
fn head(key: &[u8]) -> u128 {
    match key.first_chunk::<16>() {
        Some(whole) => u128::from_be_bytes(*whole),
        None => {
            let mut padded = [0; 16];
            for (place, byte) in padded.iter_mut().zip(key) {
                *place = *byte;
            }
            u128::from_be_bytes(padded)
        }
    }
}

#[expect(clippy::vec_box, reason = "a neighbour that comes or goes moves pointers")]
struct Branch {
    heads: Vec<u128>,
    lows: Vec<Bytes>,
    leaves: Vec<Box<RwLock<Leaf>>>,
}

impl Branch {
    /// How many leaves begin no later than `key`; or, if `before`, earlier than it.
    fn count(&self, wanted: u128, key: &[u8], before: bool) -> usize {
        let from = self.heads.partition_point(|head| *head < wanted);
        let alike = self.heads.get(from..).unwrap_or_default();
        let count = alike.partition_point(|head| *head == wanted);
        let lows = self.lows.get(from..from + count).unwrap_or_default();
        from + lows.partition_point(|low| if before { low.as_ref() < key } else { low.as_ref() <= key })
    }

    fn begins(&self, wanted: u128, key: &[u8], before: bool) -> bool {
        match (self.heads.first(), self.lows.first()) {
            (Some(head), Some(low)) => match before {
                false => (*head, low.as_ref()) <= (wanted, key),
                true => (*head, low.as_ref()) < (wanted, key),
            },
            _ => false,
        }
    }
}

/// Where a leaf is, as long as none comes or goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    branch: usize,
    leaf: usize,
}

/// All leaves; at least one, and the first one's lowest key is empty.
pub(super) struct Top {
    branches: Vec<Branch>,
}

impl Default for Top {
    fn default() -> Top {
        let first =
            Branch { heads: vec![0], lows: vec![Bytes::new()], leaves: vec![Box::new(RwLock::default())] };
        Top { branches: vec![first] }
    }
}

impl Top {
    fn spot(&self, key: &[u8], before: bool) -> Option<Spot> {
        let wanted = head(key);
        let branch = match self.branches.len() {
            1 => 0,
            _ => self.branches.partition_point(|branch| branch.begins(wanted, key, before)).checked_sub(1)?,
        };
        let leaf = self.branches.get(branch)?.count(wanted, key, before).checked_sub(1)?;
        Some(Spot { branch, leaf })
    }

    pub(super) fn leaf(&self, spot: Spot) -> Option<&RwLock<Leaf>> {
        self.branches.get(spot.branch)?.leaves.get(spot.leaf).map(Box::as_ref)
    }

    /// The leaf that holds a key, or would.
    pub(super) fn find(&self, key: &[u8]) -> Option<(Spot, &RwLock<Leaf>)> {
        let spot = self.spot(key, false)?;
        Some((spot, self.leaf(spot)?))
    }

    /// The last leaf that may hold keys before `key`.
    pub(super) fn find_before(&self, key: &[u8]) -> Option<(Spot, &RwLock<Leaf>)> {
        let spot = self.spot(key, true)?;
        Some((spot, self.leaf(spot)?))
    }

    /// The lowest key of a leaf.
    pub(super) fn low(&self, spot: Spot) -> Option<&Bytes> {
        self.branches.get(spot.branch)?.lows.get(spot.leaf)
    }

    /// The lowest key of the leaf after one.
    pub(super) fn next_low(&self, spot: Spot) -> Option<&Bytes> {
        let within = self.branches.get(spot.branch)?.lows.get(spot.leaf + 1);
        within.or_else(|| self.branches.get(spot.branch + 1)?.lows.first())
    }

    pub(super) fn previous(&self, spot: Spot) -> Option<&RwLock<Leaf>> {
        match spot.leaf.checked_sub(1) {
            Some(leaf) => self.leaf(Spot { leaf, ..spot }),
            None => self.branches.get(spot.branch.checked_sub(1)?)?.leaves.last().map(Box::as_ref),
        }
    }

    /// Puts a leaf behind another one.
    pub(super) fn insert_after(&mut self, spot: Spot, low: Bytes, leaf: Leaf) {
        let Some(branch) = self.branches.get_mut(spot.branch) else { return };
        let place = spot.leaf + 1;
        branch.heads.insert(place, head(&low));
        branch.lows.insert(place, low);
        branch.leaves.insert(place, Box::new(RwLock::new(leaf)));
        if branch.leaves.len() > BRANCH_LEAVES_MAX {
            // Leaves that come in order fill their branches.
            let at = if place + 1 == branch.leaves.len() { place } else { branch.leaves.len() / 2 };
            let upper = Branch {
                heads: branch.heads.split_off(at),
                lows: branch.lows.split_off(at),
                leaves: branch.leaves.split_off(at),
            };
            self.branches.insert(spot.branch + 1, upper);
        }
    }

    /// Takes a leaf out, which is not the first one.
    pub(super) fn remove(&mut self, spot: Spot) {
        let Some(branch) = self.branches.get_mut(spot.branch) else { return };
        branch.heads.remove(spot.leaf);
        branch.lows.remove(spot.leaf);
        branch.leaves.remove(spot.leaf);
        if branch.leaves.is_empty() {
            self.branches.remove(spot.branch);
        }
    }
}

//! Placement by consistent hashing: a name always meets the same member, and a new member takes over only its share.
//! Chooses the home shard of a new database and the secondary that serves a session. The hash is our own and fixed, so every
//! process, on any machine and after any upgrade, gives the same answer.

use consistent_hash::{Node, RingHash, StaticHashRing};
use std::hash::{Hash, Hasher};

/// Points on the ring for each unit of a member's weight.
const VIRTUAL_NODES_PER_WEIGHT: usize = 160;

/// A ring of named members.
pub struct Ring {
    ring: StaticHashRing<'static, Name, (), StableHash>,
}

impl Ring {
    /// From names and weights; a weight of 0 takes no part. Of a name that comes twice only one counts.
    pub fn new<'n>(members: impl IntoIterator<Item = (&'n str, usize)>) -> Ring {
        let nodes = members
            .into_iter()
            .map(|(name, weight)| Node::new(Name(name.into())).quantity(weight * VIRTUAL_NODES_PER_WEIGHT));
        Ring { ring: StaticHashRing::new(StableHash, nodes) }
    }

    /// The member for an item; `None` if there is no member.
    pub fn first(&self, item: &[u8]) -> Option<&str> {
        self.candidates(item).next()
    }

    /// All members, the one for the item first, the one that would follow it next, and so on.
    pub fn candidates(&self, item: &[u8]) -> impl Iterator<Item = &str> {
        self.ring.calc_candidates(&Bytes(item)).map(|node| node.key.0.as_ref())
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.ring.nodes().iter().map(|node| &node.key.0)).finish()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name(Box<str>);

/// The standard library does not promise how text feeds a hasher; this is fixed: the length, then the bytes.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Bytes(self.0.as_bytes()).hash(state);
    }
}

struct Bytes<'a>(&'a [u8]);

impl Hash for Bytes<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.len() as u64);
        state.write(self.0);
    }
}

struct StableHash;

impl RingHash for StableHash {
    fn hash_item<T: Hash>(&self, item: &T) -> u64 {
        let mut hasher = Fnv::default();
        item.hash(&mut hasher);
        hasher.finish()
    }

    fn hash_vnode<K: Hash>(&self, name: &K, number: usize) -> u64 {
        let mut hasher = Fnv::default();
        name.hash(&mut hasher);
        hasher.write_u64(number as u64);
        hasher.finish()
    }
}

/// FNV-1a with a final mix: short names alone would leave the high bits, which the ring sorts by, too alike.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        hash ^ (hash >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(names: &[(&str, usize)]) -> Ring {
        Ring::new(names.iter().copied())
    }

    /// The answers are a promise: another release must give the same.
    #[test]
    fn golden_answers() {
        let ring = ring(&[("shard01", 1), ("shard02", 1), ("shard03", 1)]);
        let answers: Vec<_> = ["test", "admin", "orders", "users", "a", ""]
            .iter()
            .map(|item| ring.first(item.as_bytes()).unwrap())
            .collect();
        assert_eq!(answers, ["shard02", "shard01", "shard03", "shard03", "shard03", "shard01"]);
        assert_eq!(StableHash.hash_item(&Bytes(b"test")), 6361541226565422760);
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let (one, other) = (ring(&[("a", 1), ("b", 2), ("c", 1)]), ring(&[("c", 1), ("a", 1), ("b", 2)]));
        for item in 0u32..500 {
            let item = item.to_le_bytes();
            assert!(one.candidates(&item).eq(other.candidates(&item)));
            assert_eq!(one.candidates(&item).count(), 3);
        }
    }

    #[test]
    fn a_new_member_takes_only_its_share() {
        let before = ring(&[("s1", 1), ("s2", 1), ("s3", 1), ("s4", 1)]);
        let after = ring(&[("s1", 1), ("s2", 1), ("s3", 1), ("s4", 1), ("s5", 1)]);
        let mut moved = 0;
        for item in 0u32..10_000 {
            let item = item.to_le_bytes();
            let (old, new) = (before.first(&item).unwrap(), after.first(&item).unwrap());
            if old != new {
                assert_eq!(new, "s5", "what moves, moves to the new member");
                moved += 1;
            }
        }
        assert!((1_500..2_500).contains(&moved), "a fifth of 10000 is expected, {moved} moved");
    }

    #[test]
    fn weights_count() {
        let ring = ring(&[("light", 1), ("heavy", 3), ("none", 0)]);
        let items = (0u32..10_000).map(u32::to_le_bytes);
        let heavy = items.filter(|item| ring.first(item) == Some("heavy")).count();
        assert!((7_000..8_000).contains(&heavy), "{heavy}");
        assert!(Ring::new([]).first(b"x").is_none());
    }
}

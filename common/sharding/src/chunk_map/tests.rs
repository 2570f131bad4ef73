use super::*;
use crate::sample::{any_collection, any_document, ids, key, map, raw, shard};
use crate::shard_key::Bound;
use bson::{Document, doc};
use proptest::prelude::*;
use types::Timestamp;

fn points(key: &ShardKey, values: &[i32]) -> Vec<Bound> {
    values.iter().map(|value| key.bound(doc! {"a": *value}).unwrap()).collect()
}

fn bound(key: &ShardKey, value: i32) -> Bound {
    key.bound(doc! {"a": value}).unwrap()
}

/// `min-max shard major|minor` of each chunk, keys as their number or `-`.
fn shown(map: &ChunkMap) -> Vec<String> {
    let number = |bound: &Document| bound.get_i32("a").map_or("-".to_owned(), |number| number.to_string());
    let show = |chunk: &Arc<Chunk>| {
        let (min, max) = (number(chunk.min.document()), number(chunk.max.document()));
        format!("{min}..{max} {} {}", chunk.shard, chunk.version)
    };
    map.chunks().iter().map(show).collect()
}

#[test]
fn splits() {
    let key = key(doc! {"a": 1});
    // Versions 1|1 and 1|2.
    let before = map(&key, &points(&key, &[10]), &[0, 1]);
    let change =
        before.split(&key.global_min(), &bound(&key, 10), &points(&key, &[3, 5]), &mut ids()).unwrap();
    assert_eq!(shown(&change.after), ["-..3 s0 1|3", "3..5 s0 1|4", "5..10 s0 1|5", "10..- s1 1|2"]);
    assert_eq!((change.written.len(), change.removed.len()), (3, 0));
    assert_eq!(change.written[0].id, before.chunks()[0].id);
    assert_eq!(change.after.shard_version(&shard(0)), ChunkVersion { major: 1, minor: 5 });
    assert_eq!(change.after.shard_version(&shard(1)), ChunkVersion { major: 1, minor: 2 });
    assert_eq!(change.after.shard_version(&shard(2)), ChunkVersion::NONE);
    let split = |min: &Bound, max: &Bound, at: &[i32]| before.split(min, max, &points(&key, at), &mut ids());
    for at in [&[][..], &[10], &[11], &[5, 3], &[5, 5]] {
        let error = split(&key.global_min(), &bound(&key, 10), at).unwrap_err();
        assert!(matches!(error, Error::BadSplitPoint { .. }), "{at:?}: {error}");
    }
    assert!(matches!(split(&key.global_min(), &key.global_max(), &[5]), Err(Error::NoSuchChunk { .. })));
    assert!(matches!(split(&key.global_min(), &bound(&key, 9), &[5]), Err(Error::NoSuchChunk { .. })));
    let at_min = before.split(&key.global_min(), &bound(&key, 10), &[key.global_min()], &mut ids());
    assert!(matches!(at_min, Err(Error::BadSplitPoint { .. })));
}

#[test]
fn merges() {
    let key = key(doc! {"a": 1});
    let before = map(&key, &points(&key, &[1, 2, 3]), &[0, 0, 0, 1]);
    let at = Timestamp::new(20, 0);
    let change = before.merge(&bound(&key, 1), &bound(&key, 3), at).unwrap();
    assert_eq!(shown(&change.after), ["-..1 s0 1|1", "1..3 s0 1|5", "3..- s1 1|4"]);
    assert_eq!(change.removed, [before.chunks()[2].id]);
    assert_eq!(change.written[0].on_current_shard_since(), Some(at));
    assert!(matches!(before.merge(&bound(&key, 1), &bound(&key, 2), at), Err(Error::BadMerge { .. })));
    assert!(matches!(before.merge(&bound(&key, 1), &key.global_max(), at), Err(Error::BadMerge { .. })));
    assert!(matches!(before.merge(&bound(&key, 0), &bound(&key, 3), at), Err(Error::NoSuchChunk { .. })));
}

#[test]
fn moves() {
    let key = key(doc! {"a": 1});
    let before = map(&key, &points(&key, &[10, 20]), &[0, 0, 1]);
    let at = Timestamp::new(20, 0);
    let go = |min: &Bound, max: &Bound, to: usize| before.move_range(min, max, &shard(to), at, &mut ids());
    // A whole chunk: another one of the donor shows the move.
    let change = go(&key.global_min(), &bound(&key, 10), 1).unwrap();
    assert_eq!(shown(&change.after), ["-..10 s1 2|0", "10..20 s0 2|1", "20..- s1 1|3"]);
    assert_eq!(change.written.len(), 2);
    assert_eq!(change.written[0].owner_at(at), Some(&shard(1)));
    assert_eq!(change.written[0].owner_at(Timestamp::new(15, 0)), Some(&shard(0)));
    assert_eq!(change.written[0].owner_at(Timestamp::new(5, 0)), None);
    // A part: the rests show it.
    let change = go(&bound(&key, 12), &bound(&key, 15), 1).unwrap();
    let wanted = ["-..10 s0 1|1", "10..12 s0 2|1", "12..15 s1 2|0", "15..20 s0 2|2", "20..- s1 1|3"];
    assert_eq!(shown(&change.after), wanted);
    assert_eq!(change.written[0].id, before.chunks()[1].id);
    // Across two chunks of one donor, which is left with nothing.
    let change = go(&key.global_min(), &bound(&key, 20), 2).unwrap();
    assert_eq!(shown(&change.after), ["-..20 s2 2|0", "20..- s1 1|3"]);
    assert_eq!(change.after.shard_version(&shard(0)), ChunkVersion::NONE);
    assert_eq!(change.removed, [before.chunks()[1].id]);
    for (min, max, to) in [(5, 5, 1), (5, 8, 0), (15, 25, 2)] {
        assert!(
            matches!(go(&bound(&key, min), &bound(&key, max), to), Err(Error::BadMove { .. })),
            "{min} {max} {to}"
        );
    }
}

#[test]
fn what_does_not_tile_is_refused() {
    let key = key(doc! {"a": 1});
    let whole = map(&key, &points(&key, &[1, 2]), &[0]);
    let without = |at: usize| {
        let mut chunks: Vec<Chunk> = whole.chunks().iter().map(|chunk| chunk.as_ref().clone()).collect();
        chunks.remove(at);
        ChunkMap::new(&key, chunks)
    };
    for at in 0..3 {
        assert!(matches!(without(at), Err(Error::NotTiled { .. })), "without chunk {at}");
    }
    assert!(matches!(ChunkMap::new(&key, []), Err(Error::NotTiled { .. })));
}

proptest! {
    #[test]
    fn chunks_always_tile(
        (key, start) in any_collection(),
        steps in prop::collection::vec((0usize..3, any_document(), any_document(), 0usize..4), 0..12),
    ) {
        let mut chunks = start.clone();
        let mut new_id = ids();
        let mut seconds = 20;
        for (kind, first, second, to) in steps {
            let mut ends = [key.bound_of(&raw(&first)).unwrap(), key.bound_of(&raw(&second)).unwrap()];
            ends.sort();
            let [low, high] = ends;
            seconds += 1;
            let now = Timestamp::new(seconds, 0);
            let found = Arc::clone(chunks.find(low.bytes()));
            let changed = match kind {
                0 => chunks.split(&found.min, &found.max, std::slice::from_ref(&low), &mut new_id),
                1 => chunks.merge(&found.min, &chunks.find(high.bytes()).max, now),
                _ => chunks.move_range(&low, &high, &shard(to), now, &mut new_id),
            };
            let Ok(changed) = changed else { continue };
            // Built from nothing, the result passes the same check; a reader of the delta arrives at it too.
            let rebuilt = ChunkMap::new(&key, changed.after.chunks().iter().map(|chunk| chunk.as_ref().clone()));
            prop_assert_eq!(shown(&rebuilt.unwrap()), shown(&changed.after));
            let refreshed = chunks.with_newer(changed.written.iter().cloned()).unwrap();
            prop_assert_eq!(shown(&refreshed), shown(&changed.after));
            prop_assert!(changed.after.version() > chunks.version());
            prop_assert!(changed.written.iter().all(|chunk| chunk.version > chunks.version()));
            let mut versions: Vec<_> = changed.after.chunks().iter().map(|chunk| chunk.version).collect();
            versions.sort();
            prop_assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "versions are unique: {:?}", versions);
            chunks = changed.after;
        }
    }

    #[test]
    fn finds_the_chunk_that_contains((key, chunks) in any_collection(), document in any_document()) {
        let wanted = key.key_of(&raw(&document)).unwrap();
        let found = chunks.find(&wanted);
        prop_assert!(found.contains(&wanted));
        let containing = chunks.chunks().iter().filter(|chunk| chunk.contains(&wanted)).count();
        prop_assert_eq!(containing, 1);
        prop_assert_eq!(chunks.in_range(&KeyRange::prefix(&wanted)).first(), Some(found));
    }
}

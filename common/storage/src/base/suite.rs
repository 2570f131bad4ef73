//! What every engine must pass.

use super::engine::{Bounds, Engine, Write};
use super::{Health, fjall::Fjall, memory::Memory, sled::Sled};
use crate::scan::Direction;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

fn key(number: u16) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn bounds(start: Bound<u16>, end: Bound<u16>) -> Bounds {
    (start.map(key), end.map(key))
}

fn all(engine: &dyn Engine, bounds: Bounds, direction: Direction) -> Vec<(Bytes, Bytes)> {
    engine.range(bounds, direction).map(Result::unwrap).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u16, Option<usize>)>),
    Flush,
    Reopen,
    Range(Bound<u16>, Bound<u16>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Around the size of a piece, and well above.
    let size = prop_oneof![8 => 0..300_usize, 1 => 16_000..17_000_usize, 1 => Just(200_000_usize)];
    let write = (0..40_u16, proptest::option::weighted(0.7, size));
    let bound = prop_oneof![
        (0..40_u16).prop_map(Bound::Included),
        (0..40_u16).prop_map(Bound::Excluded),
        Just(Bound::Unbounded)
    ];
    let step = prop_oneof![
        6 => proptest::collection::vec(write, 1..8).prop_map(Step::Write),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        3 => (bound.clone(), bound).prop_map(|(start, end)| Step::Range(start, end)),
    ];
    proptest::collection::vec(step, 1..40)
}

fn value(seed: usize, size: usize) -> Bytes {
    Bytes::from((0..size).map(|at| (at * 31 + seed) as u8).collect::<Vec<_>>())
}

fn check(open: &dyn Fn() -> Box<dyn Engine>, reopens: bool, steps: Vec<Step>) {
    let mut engine = open();
    let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Write(writes) => {
                let writes: Vec<Write> = writes
                    .into_iter()
                    .map(|(at, size)| Write { key: key(at), value: size.map(|size| value(number, size)) })
                    .collect();
                engine.write(&writes).unwrap();
                for write in writes {
                    match write.value {
                        Some(value) => model.insert(write.key, value),
                        None => model.remove(&write.key),
                    };
                }
            }
            Step::Flush => engine.flush().unwrap(),
            Step::Reopen if reopens => {
                engine.flush().unwrap();
                drop(engine);
                engine = open();
            }
            Step::Reopen => {}
            Step::Range(start, end) => {
                let low = |number: &Bytes| match &start {
                    Bound::Included(start) => *number >= key(*start),
                    Bound::Excluded(start) => *number > key(*start),
                    Bound::Unbounded => true,
                };
                let high = |number: &Bytes| match &end {
                    Bound::Included(end) => *number <= key(*end),
                    Bound::Excluded(end) => *number < key(*end),
                    Bound::Unbounded => true,
                };
                let mut want: Vec<_> =
                    model.clone().into_iter().filter(|(key, _)| low(key) && high(key)).collect();
                assert_eq!(all(&*engine, bounds(start, end), Direction::Forward), want);
                want.reverse();
                assert_eq!(all(&*engine, bounds(start, end), Direction::Backward), want);
            }
        }
    }
    for number in 0..40 {
        assert_eq!(engine.get(&key(number)).unwrap(), model.get(&key(number)).cloned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_an_ordered_map(steps in steps()) {
        check(&|| Box::new(Memory::default()), false, steps);
    }

    #[test]
    fn sled_is_an_ordered_map(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        check(&|| Box::new(Sled::open(dir.path(), 1 << 20, &Health::new(dir.path(), None).unwrap()).unwrap()), true, steps);
    }

    #[test]
    fn fjall_is_an_ordered_map(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        check(&|| Box::new(Fjall::open(dir.path(), 1 << 20).unwrap()), true, steps);
    }
}

#[test]
fn long_ranges_stream() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let engines: [Box<dyn Engine>; 3] = [
        Box::new(Memory::default()),
        Box::new(Sled::open(dir.path(), 1 << 20, &Health::new(dir.path(), None).unwrap()).unwrap()),
        Box::new(Fjall::open(other.path(), 1 << 20).unwrap()),
    ];
    for engine in engines {
        let writes: Vec<Write> =
            (0..5000).map(|number| Write { key: key(number), value: Some(value(1, 50)) }).collect();
        engine.write(&writes).unwrap();
        let found = all(&*engine, bounds(Bound::Included(7), Bound::Unbounded), Direction::Forward);
        assert_eq!(found.len(), 4993);
        let found = all(&*engine, bounds(Bound::Unbounded, Bound::Excluded(4990)), Direction::Backward);
        assert_eq!((found.len(), found.first().map(|(key, _)| key.clone())), (4990, Some(key(4989))));
        engine.flush().unwrap();
        assert!(engine.size() > 0);
    }
}

//! A member whose base was damaged on disk: with others it puts the base aside and copies their data, by itself; alone it says what is
//! wrong and keeps its files; whatever it answers is right, and it always comes to an end. `SHOAL_DAMAGE_SEEDS` says how many kinds and
//! places of damage are tried, `SHOAL_DAMAGE_SEED` names one.

#![allow(clippy::unwrap_used)]

use bson::{Document, doc};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::process::say;
use tests::{ReplicaSet, wait};

/// A member that was damaged is whole again by then, however often it has to be started.
const PATIENCE: Duration = Duration::from_secs(60);
const STARTS_MAX: usize = 3;
/// Documents, of so many bytes.
const COUNT: i32 = 3000;
const BYTES: usize = 400;

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Damages the base somehow; tells how.
fn damage(base: &Path, random: &mut Random) -> String {
    let files = files(base);
    // The largest is where the data are: mostly that one.
    let largest = files.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let path = if random.below(3) == 0 { &files[random.below(files.len() as u64) as usize] } else { largest };
    let size = fs::metadata(path).unwrap().len();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let at = random.below(size);
    let what = match random.below(6) {
        0 | 1 => {
            let count = 1 + random.below(64);
            for _ in 0..count {
                let at = random.below(size);
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << random.below(8))], at).unwrap();
            }
            format!("{count} bits flipped")
        }
        2 => {
            let count = (1 + random.below(128 * 1024)).min(size - at);
            file.write_all_at(&vec![0; count as usize], at).unwrap();
            format!("{count} zeroes at {at}")
        }
        3 => {
            let count = (1 + random.below(64 * 1024)).min(size - at);
            let noise: Vec<u8> = (0..count).map(|_| random.below(256) as u8).collect();
            file.write_all_at(&noise, at).unwrap();
            format!("{count} bytes of noise at {at}")
        }
        4 => {
            file.set_len(at).unwrap();
            format!("cut from {size} to {at}")
        }
        _ => {
            fs::remove_file(path).unwrap();
            "removed".to_owned()
        }
    };
    format!("{}: {what}", path.strip_prefix(base).unwrap().display())
}

fn text(id: i32, round: u64) -> String {
    format!("{id}-{round}-").repeat(BYTES / 8)
}

fn write(set: &ReplicaSet, ids: std::ops::Range<i32>, round: u64) {
    let mut peer = set.connect(set.primary());
    for chunk in ids.collect::<Vec<_>>().chunks(500) {
        let updates: Vec<Document> = chunk
            .iter()
            .map(|id| doc! { "q": { "_id": id }, "u": { "_id": id, "text": text(*id, round) }, "upsert": true })
            .collect();
        peer.run(
            "d",
            doc! { "update": "c", "updates": updates, "writeConcern": { "w": "majority", "j": true } },
        );
    }
}

/// All documents of a member, or the code of why not.
fn read(set: &ReplicaSet, member: usize) -> Result<Vec<(i32, String)>, i32> {
    let mut peer = tests::Connection::try_open(set.host(member)).map_err(|_| 6)?;
    peer.set_patience(Duration::from_secs(20));
    let find = doc! { "find": "c", "sort": { "_id": 1 }, "batchSize": 1_000_000, "singleBatch": true, "$readPreference": { "mode": "secondaryPreferred" } };
    match peer.exchange("d", find) {
        Ok(tests::driver::Answer::Document(reply)) if reply.get_f64("ok").is_ok_and(|ok| ok == 1.0) => {
            let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
            let each = batch.iter().map(|document| {
                let document = document.as_document().unwrap();
                (document.get_i32("_id").unwrap(), document.get_str("text").unwrap().to_owned())
            });
            Ok(each.collect())
        }
        Ok(tests::driver::Answer::Document(reply)) => Err(reply.get_i32("code").unwrap_or(0)),
        _ => Err(6),
    }
}

fn log(set: &ReplicaSet, member: usize) -> String {
    let text = fs::read(set.dir().join(format!("logs/{member}.log"))).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether the process has ended. One that begins just now has no command line for a moment either.
fn has_ended(set: &ReplicaSet, member: usize) -> bool {
    !set.is_alive(member) && {
        wait::pause(Duration::from_millis(100));
        !set.is_alive(member)
    }
}

/// Starts the member until it is whole; everything it answers before is right, too. How often it had to be started.
fn comes_back(set: &ReplicaSet, member: usize, wanted: &[(i32, String)], what: &str) -> usize {
    let end = Instant::now() + PATIENCE;
    let mut starts = 0;
    while Instant::now() < end {
        if has_ended(set, member) {
            starts += 1;
            assert!(starts <= STARTS_MAX, "{what}: started {STARTS_MAX} times and not well");
            set.kill(member);
            set.restart(member);
        }
        let is_secondary =
            set.hello(member).is_some_and(|hello| hello.get_bool("secondary").unwrap_or(false));
        if is_secondary && let Ok(found) = read(set, member) {
            // It may still lag, but has nothing that never was.
            let is_known = |(id, text): &(i32, String)| {
                let round = text.split('-').nth(1).and_then(|round| round.parse().ok());
                round.is_some_and(|round| *text == self::text(*id, round))
            };
            let strange = found.iter().find(|document| !is_known(document));
            assert!(strange.is_none(), "{what}: it answered {strange:?}");
            if found == wanted {
                return starts;
            }
        }
        wait::pause(Duration::from_millis(50));
    }
    panic!("{what}: not well after {PATIENCE:?}");
}

/// A member that ends says why: that its store is damaged, or what the base's engine has to say.
fn says_so(log: &str) -> bool {
    log.contains("damaged") || log.contains("storage base: ")
}

fn each_damage(engine: &str, count: u64) {
    let set = ReplicaSet::prepare(3, None, &["--storageEngine", engine]);
    set.allow_panics();
    set.initiate(&set.config(3));
    let seeds = match number("SHOAL_DAMAGE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SHOAL_DAMAGE_SEEDS").unwrap_or(count),
    };
    let mut copies = 0;
    for seed in seeds {
        write(&set, 0..COUNT, seed % 100);
        let member = set.secondary();
        let wanted = wait::until("the member to have all", || {
            let found = read(&set, set.primary()).unwrap();
            (read(&set, member).as_ref() == Ok(&found)).then_some(found)
        });
        assert_eq!(wanted.len(), COUNT as usize);
        set.connect(member).run("admin", doc! { "fsync": 1 });
        set.kill(member);
        let before = log(&set, member).len();
        let how = damage(&set.data(member).join("base"), &mut Random(seed));
        let what = format!("{engine}, SHOAL_DAMAGE_SEED={seed}: {how}");
        let starts = comes_back(&set, member, &wanted, &what);
        let said = log(&set, member)[before..].to_owned();
        let is_copied = said.contains("initial sync is done");
        assert!(!is_copied || says_so(&said), "{what}: it copied and did not say why");
        assert!(starts == 1 || says_so(&said), "{what}: it ended and did not say why");
        copies += u64::from(is_copied);
        say(&format!("{what}: {starts} starts, copied {is_copied}"));
    }
    assert!(copies > 0 || number("SHOAL_DAMAGE_SEED").is_some(), "no damage was met");
}

#[test]
fn a_member_on_a_damaged_sled_base_copies_anew() {
    each_damage("sled", 12);
}

#[test]
fn a_member_on_a_damaged_fjall_base_copies_anew() {
    each_damage("fjall", 6);
}

/// One member of its own, whose base is damaged: it answers right, or it ends and says why, each time it is started, and its files stay.
fn alone(engine: &str, count: u64) {
    let mut refused = 0;
    for seed in 0..count {
        let set = ReplicaSet::prepare(1, None, &["--storageEngine", engine]);
        set.allow_panics();
        set.initiate(&set.config(1));
        write(&set, 0..COUNT, 1);
        set.connect(0).run("admin", doc! { "fsync": 1 });
        set.kill(0);
        let base = set.data(0).join("base");
        let how = damage(&base, &mut Random(seed));
        let what = format!("{engine}, alone, seed {seed}: {how}");
        // Where the data are. An engine that opens may throw away what it takes for leftovers.
        let kept = files(&base).into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        for _ in 0..2 {
            let before = log(&set, 0).len();
            set.restart(0);
            let is_well = wait::until("the member to answer or to end", || {
                let is_up =
                    set.hello(0).is_some_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false));
                if is_up && let Ok(found) = read(&set, 0) {
                    let right = (0..COUNT).map(|id| (id, text(id, 1)));
                    assert!(found.into_iter().eq(right), "{what}: it answered wrong");
                    return Some(true);
                }
                has_ended(&set, 0).then_some(false)
            });
            let said = log(&set, 0)[before..].to_owned();
            assert!(is_well || says_so(&said), "{what}: it ended and did not say why:\n{said}");
            refused += u64::from(!is_well);
            assert!(is_well || kept.exists(), "{what}: {} is gone", kept.display());
            set.kill(0);
        }
        say(&what);
    }
    assert!(refused > 0, "no damage was met");
}

#[test]
fn a_member_that_is_alone_says_what_is_wrong_and_keeps_its_files() {
    alone("sled", 4);
    alone("fjall", 3);
}

/// Damage comes while the member runs: it goes on answering right, or ends, says why, and is whole after the next start.
#[test]
fn damage_that_is_met_at_run_time_ends_the_member_and_is_healed_by_the_next_start() {
    const MANY: i32 = 20_000;
    let set = ReplicaSet::prepare(3, None, &["--cacheSizeMB", "2"]);
    set.allow_panics();
    set.initiate(&set.config(3));
    let mut ended = 0;
    for seed in 0..3 {
        write(&set, 0..MANY, seed);
        let member = set.secondary();
        let wanted = wait::until("the member to have all", || {
            let found = read(&set, set.primary()).unwrap();
            (read(&set, member).as_ref() == Ok(&found)).then_some(found)
        });
        set.connect(member).run("admin", doc! { "fsync": 1 });
        let before = log(&set, member).len();
        // All of what is on disk: whatever is read from there now is noise.
        let path = set.data(member).join("base/db");
        let (file, size) =
            (File::options().write(true).open(&path).unwrap(), fs::metadata(&path).unwrap().len());
        let mut random = Random(seed);
        let noise: Vec<u8> = (0..64 * 1024).map(|_| random.below(256) as u8).collect();
        for at in (0..size).step_by(noise.len()) {
            let count = noise.len().min(usize::try_from(size - at).unwrap());
            file.write_all_at(&noise[..count], at).unwrap();
        }
        let end = Instant::now() + Duration::from_secs(20);
        while set.is_alive(member) && Instant::now() < end {
            if let Ok(found) = read(&set, member) {
                assert!(found == wanted, "seed {seed}: it answered wrong");
            }
            // What is written has to be merged with what is there.
            write(&set, 0..1, seed);
        }
        let said = log(&set, member)[before..].to_owned();
        if !set.is_alive(member) {
            ended += 1;
            assert!(says_so(&said), "seed {seed}: it ended and did not say why");
        }
        set.kill(member);
        let starts = comes_back(&set, member, &wanted, &format!("met at run time, seed {seed}"));
        say(&format!(
            "met at run time, seed {seed}: ended by itself {}, {starts} starts",
            said.contains("damaged")
        ));
    }
    assert!(ended > 0, "no damage was met");
}

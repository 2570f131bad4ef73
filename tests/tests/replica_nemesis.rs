//! A replica set under faults, with PyMongo as the client: registers stay linearizable, what a majority acknowledged is on every
//! member, what was lost is in rollback files, sessions are causal. Each workload proves in its own run that its checker can fail.
//! `SHOAL_NEMESIS_SECONDS` is the length of each; `make campaign-replication` makes it long.

#![allow(clippy::unwrap_used)]

use bson::{Bson, doc};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tests::process::say;
use tests::{ReplicaSet, clients, wait};

const SECONDS_DEFAULT: u64 = 20;

/// One at a time: each set alone is load enough for a small machine, and faults of time are faults.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn length() -> Duration {
    let seconds = std::env::var("SHOAL_NEMESIS_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS_DEFAULT))
}

/// A small generator; its seed is in the output of a failing run.
struct Chance(u64);

impl Chance {
    fn new() -> Chance {
        let seed = std::env::var("SHOAL_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 16 | 1);
        say(&format!("SHOAL_SEED={seed}"));
        Chance(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % bound
    }

    fn member(&mut self, set: &ReplicaSet) -> usize {
        usize::try_from(self.below(set.len() as u64)).unwrap()
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }
}

/// A workload of `tests/clients/python/replica`.
struct Workload {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts it against the set; `None`, said aloud, where PyMongo is not installed.
    fn start(name: &str, uri: &str) -> Option<Workload> {
        let python = clients::python()?;
        let mut child = Command::new(python)
            .arg(format!("{name}.py"))
            .arg(uri)
            .current_dir(clients::dir().join("python/replica"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut workload = Workload { name: name.to_owned(), child, input, output };
        workload.hear("ready");
        Some(workload)
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word, "{}", self.name);
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    /// Ends it and returns its figures; fails if it found anything wrong.
    fn finish(mut self, line: &str, faults: &str) -> serde_json::Value {
        self.tell(line);
        let mut said = String::new();
        for line in self.output.by_ref().lines() {
            said = line.unwrap();
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{} under {faults}: {status}\n{said}", self.name);
        say(&format!("{} under {faults}: {said}", self.name));
        serde_json::from_str(&said).unwrap()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Breaks things, one after the other, until the time is over; then everything is well again.
fn torment(set: &ReplicaSet, chance: &mut Chance, mut fault: impl FnMut(&ReplicaSet, &mut Chance)) -> u32 {
    let (begin, length, mut count) = (Instant::now(), length(), 0);
    wait::pause(Duration::from_secs(1));
    while begin.elapsed() < length {
        fault(set, chance);
        count += 1;
        set.heal();
        wait::pause(chance.millis(500..2_000));
    }
    set.heal();
    set.primary();
    count
}

fn kill_some(set: &ReplicaSet, chance: &mut Chance) {
    match chance.below(4) {
        0 | 1 => set.kill(set.primary()),
        2 => set.kill(chance.member(set)),
        _ => (0..set.len()).for_each(|member| set.kill(member)),
    }
    wait::pause(chance.millis(100..2_500));
}

fn hang_some(set: &ReplicaSet, chance: &mut Chance) {
    let victim = if chance.below(3) > 0 { set.primary() } else { chance.member(set) };
    set.pause(victim);
    wait::pause(chance.millis(500..4_000));
}

fn part_some(set: &ReplicaSet, chance: &mut Chance) {
    let net = set.net.as_ref().unwrap();
    let primary = set.primary();
    let other = (primary + 1) % set.len();
    match chance.below(5) {
        0 | 1 => net.isolate(primary),
        2 => net.isolate(chance.member(set)),
        // One way: the primary is heard, and hears nothing.
        3 => net.cut(other, primary),
        _ => net.cut(primary, other),
    }
    wait::pause(chance.millis(1_000..4_500));
}

fn step_down(set: &ReplicaSet, _: &mut Chance) {
    let primary = set.primary();
    let command = doc! { "replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 2 };
    // Refused where nobody can follow: no fault then, the next one will be.
    if let Err(error) = set.connect(primary).command("admin", command) {
        say(&format!("stepDown: {error}"));
    }
}

#[test]
fn w1_registers_are_linearizable_under_kills_and_hangs() {
    let _alone = alone();
    let set = ReplicaSet::start(3);
    let Some(workload) = Workload::start("register", &set.uri()) else { return };
    let mut chance = Chance::new();
    let count = torment(&set, &mut chance, |set, chance| match chance.below(3) {
        0 => hang_some(set, chance),
        1 => step_down(set, chance),
        _ => kill_some(set, chance),
    });
    workload.finish("stop", &format!("{count} kills, hangs and step-downs"));
}

#[test]
fn w1_registers_are_linearizable_under_partitions() {
    let _alone = alone();
    let Some(set) = ReplicaSet::start_apart(3, "registers under partitions") else { return };
    let Some(workload) = Workload::start("register", &set.uri()) else { return };
    let count = torment(&set, &mut Chance::new(), part_some);
    workload.finish("stop", &format!("{count} partitions"));
}

#[test]
fn w2_majority_inserts_survive() {
    let _alone = alone();
    let Some(set) = ReplicaSet::start_apart(3, "inserts under partitions") else { return };
    let Some(workload) = Workload::start("inserts", &set.uri()) else { return };
    let count = torment(&set, &mut Chance::new(), |set, chance| match chance.below(3) {
        0 => part_some(set, chance),
        1 => hang_some(set, chance),
        _ => kill_some(set, chance),
    });
    workload.finish("stop", &format!("{count} partitions, hangs and kills"));
}

#[test]
fn w3_what_is_rolled_back_is_in_files() {
    let _alone = alone();
    let Some(set) = ReplicaSet::start_apart(3, "rollback of an isolated primary") else { return };
    let Some(mut workload) = Workload::start("rolled_back", &set.uri()) else { return };
    let (begin, mut rounds) = (Instant::now(), 0);
    while rounds == 0 || begin.elapsed() < length() {
        let old = set.primary();
        set.net.as_ref().unwrap().isolate(old);
        workload.tell(&format!("parted {}", set.host(old)));
        workload.hear("writing");
        wait::until("another primary", || set.find_primary().filter(|now| *now != old));
        wait::pause(Duration::from_secs(1));
        workload.tell("healing");
        workload.hear("stopped");
        set.heal();
        wait::until("the old primary to follow", || {
            set.hello(old)?.get_bool("secondary").unwrap_or(false).then_some(())
        });
        rounds += 1;
    }
    let folders: Vec<String> =
        (0..set.len()).map(|member| set.data(member).join("rollback").display().to_string()).collect();
    let stop = format!("stop {}", serde_json::to_string(&folders).unwrap());
    let figures = workload.finish(&stop, &format!("{rounds} isolated primaries"));
    assert!(figures["lost"].as_u64().unwrap() > 0, "nothing was lost, so nothing was checked: {figures}");
}

#[test]
fn w6_sessions_are_causal() {
    let _alone = alone();
    let set = ReplicaSet::start(3);
    let Some(workload) = Workload::start("causal", &set.uri()) else { return };
    let count = torment(&set, &mut Chance::new(), |set, chance| match chance.below(2) {
        // A secondary that hangs is behind when it goes on.
        0 => {
            set.pause(set.secondary());
            wait::pause(chance.millis(500..3_000));
        }
        _ => kill_some(set, chance),
    });
    workload.finish("stop", &format!("{count} hangs and kills"));
}

/// Who was seen as primary in which election, over all members, for as long as it lives.
fn one_primary_per_election(set: &ReplicaSet, stop: &AtomicBool) {
    let mut seen: BTreeMap<bson::oid::ObjectId, usize> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        for member in 0..set.len() {
            let Some(hello) = set.hello(member) else { continue };
            if let (Ok(true), Ok(election)) =
                (hello.get_bool("isWritablePrimary"), hello.get_object_id("electionId"))
            {
                let first = *seen.entry(election).or_insert(member);
                assert_eq!(first, member, "two primaries of election {election}");
            }
        }
        wait::pause(Duration::from_millis(50));
    }
    assert!(!seen.is_empty());
}

#[test]
fn w11_reconfigurations_lose_nothing() {
    let _alone = alone();
    let set = ReplicaSet::prepare(5, None, &[]);
    set.initiate(&set.config(3));
    let uri = format!("mongodb://{},{},{}/?replicaSet=rs", set.host(0), set.host(1), set.host(2));
    let Some(workload) = Workload::start("inserts", &uri) else { return };
    let stop = AtomicBool::new(false);
    let (mut done, mut refused) = (0, 0);
    let count = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| one_primary_per_election(&set, &stop));
        let count = torment(&set, &mut Chance::new(), |set, chance| {
            let primary = set.primary();
            match reconfigure(set, primary, chance) {
                Ok(()) => done += 1,
                // Refused while the last one is not everywhere, or by a member that is no primary any more.
                Err(error) => {
                    refused += 1;
                    say(&format!("reconfig: {error}"));
                }
            }
            if chance.below(2) == 0 {
                set.kill(if chance.below(2) == 0 { primary } else { chance.member(set) });
                wait::pause(chance.millis(100..1_500));
            }
        });
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        count
    });
    assert!(done > 0, "no reconfiguration of {count} went through");
    workload.finish("stop", &format!("{done} reconfigurations ({refused} refused) and kills"));
}

/// One change: another priority, a member more, a member less, or an arbiter.
fn reconfigure(set: &ReplicaSet, primary: usize, chance: &mut Chance) -> Result<(), tests::Error> {
    let mut peer = set.connect(primary);
    let mut config =
        peer.command("admin", doc! { "replSetGetConfig": 1 })?.get_document("config").unwrap().clone();
    let version = match config.get("version") {
        Some(Bson::Int32(version)) => i64::from(*version),
        Some(Bson::Int64(version)) => *version,
        other => panic!("version is {other:?}"),
    };
    config.insert("version", version + 1);
    config.remove("term");
    let members = config.get_array_mut("members").unwrap();
    let absent: Vec<usize> = (0..set.len())
        .filter(|member| {
            !members.iter().any(|one| {
                one.as_document().unwrap().get_str("host").is_ok_and(|host| host == set.host(*member))
            })
        })
        .collect();
    let next_id =
        1 + members.iter().map(|one| one.as_document().unwrap().get_i32("_id").unwrap()).max().unwrap();
    match (chance.below(3), absent.first()) {
        (0, _) => {
            let place = usize::try_from(chance.below(members.len() as u64)).unwrap();
            let priority = [1.0, 2.0, 3.0][usize::try_from(chance.below(3)).unwrap()];
            if let Bson::Document(member) = &mut members[place]
                && !member.get_bool("arbiterOnly").unwrap_or(false)
            {
                member.insert("priority", priority);
            }
        }
        (1, Some(absent)) => members.push(doc! { "_id": next_id, "host": set.host(*absent) }.into()),
        (_, None) | (2, _) if members.len() > 3 => {
            let place = members.iter().position(|one| {
                one.as_document().unwrap().get_str("host").is_ok_and(|host| host != set.host(primary))
            });
            members.remove(place.unwrap());
        }
        (_, Some(absent)) => members.push(doc! { "_id": next_id, "host": set.host(*absent) }.into()),
        (_, None) => {}
    }
    peer.command("admin", doc! { "replSetReconfig": config }).map(drop)
}

#[test]
fn w12_a_member_that_lost_its_data_copies_it_under_load() {
    let _alone = alone();
    let set = ReplicaSet::start(3);
    let Some(workload) = Workload::start("inserts", &set.uri()) else { return };
    let mut chance = Chance::new();
    let count = torment(&set, &mut chance, |set, chance| {
        let victim = set.secondary();
        set.kill(victim);
        set.wipe(victim);
        set.restart(victim);
        wait::pause(chance.millis(10..1_000));
        // Both ends of the copy may die in the middle of it.
        match chance.below(3) {
            0 => set.kill(victim),
            1 => set.kill(set.primary()),
            _ => {}
        }
        set.heal();
        wait::until("the member to have copied everything", || {
            let hello = set.hello(victim)?;
            let flag = |name: &str| hello.get_bool(name).unwrap_or(false);
            (flag("secondary") || flag("isWritablePrimary")).then_some(())
        });
    });
    workload.finish("stop", &format!("{count} lost data directories"));
}

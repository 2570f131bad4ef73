//! A replica set of real processes: what is acknowledged by a majority survives, what is not is rolled back into files, members that come
//! back or are new catch up, offices are handed over, configurations change.

#![allow(clippy::unwrap_used)]

use bson::{Bson, Document, doc};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tests::driver::number;
use tests::{Connection, ReplicaSet, wait};

fn insert(peer: &mut Connection, id: impl Into<Bson>, concern: Document) -> Result<Document, tests::Error> {
    let command = doc! { "insert": "c", "documents": [{ "_id": id.into() }], "writeConcern": concern };
    peer.command("d", command)
}

const NOT_PRIMARY_OR_SECONDARY: i32 = 13436;

fn majority() -> Document {
    doc! { "w": "majority", "wtimeout": 20_000 }
}

/// The `_id`s that a member has, whatever part it plays.
fn ids(set: &ReplicaSet, member: usize) -> Vec<Bson> {
    ids_of(&set.connect(member).run("d", find()))
}

fn find() -> Document {
    doc! { "find": "c", "sort": { "_id": 1 }, "projection": { "_id": 1 }, "batchSize": 100_000, "$readPreference": { "mode": "secondaryPreferred" } }
}

/// All of them are in the first batch.
fn ids_of(found: &Document) -> Vec<Bson> {
    let cursor = found.get_document("cursor").unwrap();
    assert_eq!(cursor.get_i64("id").unwrap(), 0);
    let documents = cursor.get_array("firstBatch").unwrap();
    documents.iter().map(|doc| doc.as_document().unwrap().get("_id").unwrap().clone()).collect()
}

/// Waits until all of them have the same, and returns it.
fn agreed(set: &ReplicaSet, members: &[usize]) -> Vec<Bson> {
    wait::until("the members to have the same", || {
        let of = |member: usize| {
            let hello = set.hello(member)?;
            let is = |name: &str| hello.get_bool(name).unwrap_or(false);
            if !is("isWritablePrimary") && !is("secondary") {
                return None;
            }
            match set.connect(member).command("d", find()) {
                Ok(found) => Some(ids_of(&found)),
                // It began to roll back after it said who it is.
                Err(error) if error.code == NOT_PRIMARY_OR_SECONDARY => None,
                Err(error) => panic!("member {member} answered {error}"),
            }
        };
        let all: Option<Vec<Vec<Bson>>> = members.iter().map(|&member| of(member)).collect();
        all.filter(|all| all.windows(2).all(|pair| pair[0] == pair[1])).and_then(|mut all| all.pop())
    })
}

fn status(set: &ReplicaSet, member: usize) -> Document {
    set.connect(member).run("admin", doc! { "replSetGetStatus": 1 })
}

fn config(set: &ReplicaSet) -> Document {
    let reply = set.connect(set.primary()).run("admin", doc! { "replSetGetConfig": 1 });
    reply.get_document("config").unwrap().clone()
}

/// As `rs.reconfig`: the version rises by one, and what is not ready for a change yet is asked again.
fn reconfig(set: &ReplicaSet, change: impl Fn(&mut Document)) {
    wait::until("the configuration to change", || {
        let mut wanted = config(set);
        change(&mut wanted);
        wanted.insert("version", wanted.get_i32("version").unwrap() + 1);
        let asked = set.connect(set.primary()).command("admin", doc! { "replSetReconfig": wanted });
        match asked {
            Ok(_) => Some(()),
            Err(error) if [109, 308, 10107].contains(&error.code) => None,
            Err(error) => panic!("{error:?}"),
        }
    });
}

#[test]
fn acknowledged_writes_survive_kill_after_kill() {
    let set = ReplicaSet::start(3);
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let primary = set.primary();
        let mut peer = set.connect(primary);
        for step in 0..20 {
            let id = round * 100 + step;
            if insert(&mut peer, id, majority()).is_ok() {
                acknowledged.push(Bson::Int32(id));
            }
        }
        set.kill(primary);
        let next = set.primary();
        assert_ne!(next, primary);
        insert(&mut set.connect(next), round * 100 + 50, majority()).unwrap();
        acknowledged.push(Bson::Int32(round * 100 + 50));
        set.restart(primary);
    }
    let all = agreed(&set, &[0, 1, 2]);
    assert_eq!(acknowledged.len(), 63);
    for id in acknowledged {
        assert!(all.contains(&id), "{id} was acknowledged and is gone");
    }
}

#[test]
fn a_set_whose_members_were_all_killed_comes_back() {
    let set = ReplicaSet::start(3);
    let mut peer = set.connect(set.primary());
    for id in 0..100 {
        insert(&mut peer, id, majority()).unwrap();
    }
    for member in 0..3 {
        set.kill(member);
    }
    set.heal();
    assert_eq!(agreed(&set, &[0, 1, 2]).len(), 100);
    insert(&mut set.connect(set.primary()), 100, majority()).unwrap();
}

#[test]
fn writes_of_a_primary_that_was_alone_are_rolled_back_into_files() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    insert(&mut set.connect(primary), "kept", majority()).unwrap();
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    agreed(&set, &[0, 1, 2]);
    for other in &others {
        set.kill(*other);
    }
    // Nobody else has it, and nobody is told that somebody has.
    let mut lonely = set.connect(primary);
    insert(&mut lonely, "lost", doc! { "w": 1, "j": true }).unwrap();
    let timed_out = insert(&mut lonely, "lost too", doc! { "w": "majority", "wtimeout": 200 }).unwrap();
    let error = timed_out.get_document("writeConcernError").unwrap();
    assert_eq!(error.get_i32("code").ok(), Some(64));
    assert_eq!(timed_out.get_i32("n").ok(), Some(1));
    set.kill(primary);
    for other in &others {
        set.restart(*other);
    }
    let next = wait::until("another primary", || set.find_primary().filter(|found| *found != primary));
    insert(&mut set.connect(next), "later", majority()).unwrap();
    set.restart(primary);
    let all = agreed(&set, &[0, 1, 2]);
    assert_eq!(all, ["kept", "later"].map(|id| Bson::String(id.to_owned())));
    let mut undone = Vec::new();
    for file in walk(&set.data(primary).join("rollback")) {
        undone.extend(fs::read(file).unwrap());
    }
    let text = String::from_utf8_lossy(&undone).into_owned();
    assert!(text.contains("lost") && text.contains("lost too") && !text.contains("kept"), "{text}");
    let figures = set.connect(primary).run("admin", doc! { "serverStatus": 1 });
    assert_eq!(figures.get_document("shoalReplication").unwrap().get_i64("rollbacks").ok(), Some(1));
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_primary_that_is_asked_hands_over_at_once() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    insert(&mut set.connect(primary), 1, majority()).unwrap();
    let begun = Instant::now();
    set.connect(primary).run("admin", doc! { "replSetStepDown": 30 });
    let next = wait::until("another primary", || set.find_primary().filter(|found| *found != primary));
    insert(&mut set.connect(next), 2, majority()).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(
        set.connect(primary).fail("d", doc! { "insert": "c", "documents": [{ "_id": 3 }] }).code,
        10107
    );
    assert_eq!(set.connect(primary).fail("admin", doc! { "replSetStepDown": 30 }).code, 10107);
    let find = doc! { "find": "c" };
    assert_eq!(set.connect(primary).fail("d", find).code, 13435);
    // The one with whom nobody keeps up is asked in vain.
    for other in (0..3).filter(|member| *member != next) {
        set.pause(other);
    }
    let mut alone = set.connect(next);
    insert(&mut alone, 4, doc! { "w": 1 }).unwrap();
    let ask = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 1 };
    assert_eq!(alone.fail("admin", ask).code, 262);
    insert(&mut alone, 5, doc! { "w": 1 }).unwrap();
    set.heal();
}

#[test]
fn a_primary_hands_over_to_somebody_who_is_there() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    insert(&mut set.connect(primary), 1, doc! { "w": 3 }).unwrap();
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    // The one that would be asked first, by its number.
    set.pause(others[0]);
    let mut peer = set.connect(primary);
    let begun = Instant::now();
    peer.run("admin", doc! { "replSetStepDown": 30 });
    // The one that hangs is not asked who it is: that takes a second.
    wait::until("another primary", || {
        set.hello(others[1])?.get_bool("isWritablePrimary").unwrap_or(false).then_some(())
    });
    // Silence is noticed after a second, too.
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    set.heal();
}

#[test]
fn concerns_are_counted() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    reconfig(&set, |config| {
        for member in config.get_array_mut("members").unwrap() {
            let member = member.as_document_mut().unwrap();
            let id = member.get_i32("_id").unwrap();
            member.insert("tags", doc! { "dc": if id == 2 { "west" } else { "east" } });
        }
        config
            .get_document_mut("settings")
            .unwrap()
            .insert("getLastErrorModes", doc! { "both": { "dc": 2 } });
    });
    let mut peer = set.connect(primary);
    let mut check = |concern: Document, code: Option<i32>| {
        let id = bson::oid::ObjectId::new();
        let reply = insert(&mut peer, id, concern.clone()).unwrap();
        let error = reply.get_document("writeConcernError").ok().map(|error| error.get_i32("code").unwrap());
        assert_eq!(error, code, "{concern}: {reply}");
    };
    for concern in [
        doc! { "w": 2 },
        doc! { "w": 3, "j": true },
        majority(),
        doc! { "w": "both" },
        doc! { "w": { "dc": 2 } },
        doc! { "j": true },
        doc! {},
    ] {
        check(concern, None);
    }
    check(doc! { "w": 4 }, Some(100));
    check(doc! { "w": "none" }, Some(79));
    check(doc! { "w": { "dc": 3 } }, Some(100));
    check(doc! { "w": { "rack": 1 } }, Some(4));
    let other = (0..3).find(|member| *member != primary).unwrap();
    set.pause(other);
    check(doc! { "w": 3, "wtimeout": 100 }, Some(64));
    check(doc! { "w": 2, "wtimeout": 20_000 }, None);
    set.go_on(other);
    check(doc! { "w": 3, "wtimeout": 20_000 }, None);
}

#[test]
fn members_come_and_go() {
    let set = ReplicaSet::prepare(4, None, &[]);
    set.initiate(&set.config(3));
    let mut peer = set.connect(set.primary());
    for id in 0..50 {
        insert(&mut peer, id, majority()).unwrap();
    }
    let host = set.host(3).to_owned();
    reconfig(&set, |config| {
        let members = config.get_array_mut("members").unwrap();
        members.push(Bson::Document(doc! { "_id": 3, "host": &host }));
    });
    assert_eq!(agreed(&set, &[0, 1, 2, 3]).len(), 50);
    // It gets its vote by itself.
    wait::until("the new member to have a vote", || {
        let voters = status(&set, set.primary());
        (number(&voters, "votingMembersCount") as i32 == 4).then_some(())
    });
    let gone = (0..3).find(|member| *member != set.primary()).unwrap();
    let gone_host = set.host(gone).to_owned();
    reconfig(&set, |config| {
        let members = config.get_array_mut("members").unwrap();
        members
            .retain(|member| member.as_document().unwrap().get_str("host").ok() != Some(gone_host.as_str()));
    });
    wait::until("the removed member to know", || {
        let error =
            set.connect(gone).command("d", doc! { "find": "c", "$readPreference": { "mode": "nearest" } });
        (error.err()?.code == 13436).then_some(())
    });
    insert(&mut set.connect(set.primary()), 50, majority()).unwrap();
}

#[test]
fn a_member_without_data_copies_them_while_others_write() {
    let set = ReplicaSet::start(3);
    let primary = set.primary();
    let mut peer = set.connect(primary);
    let padding = "x".repeat(1000);
    for first in (0..30_000).step_by(1000) {
        let documents: Vec<Document> =
            (first..first + 1000).map(|id| doc! { "_id": id, "a": id % 7, "padding": &padding }).collect();
        peer.run("d", doc! { "insert": "c", "documents": documents, "writeConcern": majority() });
    }
    peer.run("d", doc! { "createIndexes": "c", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] });
    let lost = set.secondary();
    set.kill(lost);
    set.wipe(lost);
    let (stop, written) = (AtomicBool::new(false), AtomicI32::new(30_000));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = set.connect(primary);
            while !stop.load(Ordering::Relaxed) {
                let id = written.fetch_add(1, Ordering::Relaxed);
                insert(&mut writer, id, doc! { "w": 1 }).unwrap();
                writer.run("d", doc! { "delete": "c", "deletes": [{ "q": { "_id": id - 20_000 }, "limit": 1 }] });
                writer.run("d", doc! { "update": "c", "updates": [{ "q": { "_id": id - 15_000 }, "u": { "$set": { "a": -1 } } }] });
            }
        });
        set.restart(lost);
        wait::within(Duration::from_secs(120), "the copy to be done", || {
            let hello = set.hello(lost)?;
            hello.get_bool("secondary").unwrap_or(false).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    let all = agreed(&set, &[0, 1, 2]);
    assert_eq!(all.len(), 30_000);
    // The index was copied too.
    let by_index = |member: usize| {
        let find = doc! { "find": "c", "filter": { "a": -1 }, "hint": "a_1", "sort": { "_id": 1 }, "batchSize": 100_000, "$readPreference": { "mode": "nearest" } };
        set.connect(member).all("d", find)
    };
    assert_eq!(by_index(lost), by_index(primary));
    let valid = set
        .connect(lost)
        .run("d", doc! { "validate": "c", "full": true, "$readPreference": { "mode": "nearest" } });
    assert_eq!(valid.get_bool("valid").ok(), Some(true), "{valid}");
}

#[test]
fn a_set_is_initiated_only_with_members_that_are_new_and_there() {
    let set = ReplicaSet::prepare(2, None, &[]);
    let mut peer = set.connect(0);
    assert_eq!(peer.fail("admin", doc! { "replSetGetStatus": 1 }).code, 94);
    let other_name = doc! { "_id": "other", "members": [{ "_id": 0, "host": set.host(0) }] };
    assert_eq!(peer.fail("admin", doc! { "replSetInitiate": other_name }).code, 93);
    let mut unreachable = set.config(2);
    unreachable
        .get_array_mut("members")
        .unwrap()
        .push(Bson::Document(doc! { "_id": 2, "host": "127.0.0.1:1" }));
    assert_eq!(peer.fail("admin", doc! { "replSetInitiate": unreachable }).code, 74);
    set.initiate(&set.config(1));
    assert_eq!(peer.fail("admin", doc! { "replSetInitiate": set.config(2) }).code, 23);
    // The other one is asked: its set has this member already.
    assert_eq!(set.connect(1).fail("admin", doc! { "replSetInitiate": set.config(2) }).code, 23);
    let shown = status(&set, 0);
    assert_eq!(shown.get_i32("myState").ok(), Some(1));
    assert_eq!(shown.get_array("members").unwrap().len(), 1);
    insert(&mut peer, 1, majority()).unwrap();
}

#[test]
fn a_locked_secondary_applies_nothing_until_it_is_unlocked() {
    let set = ReplicaSet::start(3);
    let member = set.secondary();
    insert(&mut set.connect(set.primary()), "before", majority()).unwrap();
    agreed(&set, &[0, 1, 2]);
    let mut locked = set.connect(member);
    let inserts = |peer: &mut Connection| {
        let status = peer.run("admin", doc! { "serverStatus": 1 });
        status.get_document("opcountersRepl").unwrap().get_i64("insert").unwrap()
    };
    let before = inserts(&mut locked);
    assert!(before >= 1);
    for count in 1..=2 {
        let reply = locked.run("admin", doc! { "fsync": 1, "lock": true });
        assert_eq!(number(&reply, "lockCount"), f64::from(count));
    }
    // The other secondary is a majority with the primary.
    let mut peer = set.connect(set.primary());
    for id in 0..50 {
        insert(&mut peer, id, majority()).unwrap();
    }
    let all = doc! { "w": 3, "wtimeout": 500 };
    let reply = insert(&mut peer, "all", all).unwrap();
    assert!(reply.contains_key("writeConcernError"), "the locked one took it: {reply}");
    assert_eq!(ids(&set, member), [Bson::from("before")], "reads go on, and see what was there");
    assert_eq!(inserts(&mut locked), before);
    locked.run("admin", doc! { "fsyncUnlock": 1 });
    assert_eq!(ids(&set, member).len(), 1, "it is still locked once");
    locked.run("admin", doc! { "fsyncUnlock": 1 });
    assert_eq!(agreed(&set, &[0, 1, 2]).len(), 52);
    assert_eq!(inserts(&mut locked), before + 51);
    assert!(locked.command("admin", doc! { "fsyncUnlock": 1 }).is_err());
}

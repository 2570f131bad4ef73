//! Bad input against a running router and a running shard: for each row the exact reaction; then the connection goes on or
//! not, as the row says, the next one works, the process lives, its counter rose, and nothing was logged as a panic.

#![allow(clippy::unwrap_used)]

mod bytes;
mod rows;
mod slow;
mod stored;

use bson::{Document, doc};
use rows::{DB, Expect, Row};
use std::time::{Duration, Instant};
use tests::driver::{Answer, Connection, raw, verdict};
use tests::process::{Process, say};
use tests::{Cluster, wait};

/// How long a server may take over a row. The largest ones carry tens of megabytes.
const ROW_LIMIT: Duration = Duration::from_secs(60);
/// How long nothing must come where no answer is due.
const SILENCE: Duration = Duration::from_millis(300);
const TARGETS: [&str; 2] = ["router", "shard1"];

/// A server under test.
struct Target<'a> {
    cluster: &'a Cluster,
    name: &'static str,
    process: Process,
}

impl<'a> Target<'a> {
    fn of(cluster: &'a Cluster, name: &'static str) -> Target<'a> {
        Target { cluster, name, process: cluster.process(name) }
    }

    fn connect(&self) -> Connection {
        self.cluster.connect_to(self.name)
    }

    /// Messages and commands that were refused so far.
    fn refused(&self) -> i64 {
        let status = self.connect().run("admin", doc! { "serverStatus": 1 });
        let asserts = status.get_document("asserts").unwrap();
        asserts.get_i64("badInput").unwrap() + asserts.get_i64("user").unwrap()
    }

    /// Sends a row and says what is wrong with the reaction.
    fn check(&self, row: &Row) -> Result<(), String> {
        let mut peer = self.connect();
        if !row.compressors.is_empty() {
            let compression: Vec<&str> = row.compressors.to_vec();
            let hello = peer.run("admin", doc! { "hello": 1, "compression": compression });
            let agreed = hello.get_array("compression").map(Vec::len).unwrap_or_default();
            if agreed != row.compressors.len() {
                return Err(format!("compressors were not agreed on: {hello}"));
            }
        }
        peer.set_patience(ROW_LIMIT);
        // A server that refuses a header closes while the rest is still on its way.
        peer.send_bytes(&row.bytes).ok();
        if row.ends {
            peer.end_sending().ok();
        }
        if let Expect::Text(begin) = row.expect {
            let text = peer.rest().map_err(|error| error.to_string())?;
            let is_right = text.starts_with(begin.as_bytes());
            return if is_right { Ok(()) } else { Err(format!("answered {text:?}")) };
        }
        if row.expect == Expect::Silence {
            peer.set_patience(SILENCE);
            return match peer.receive() {
                Err(_) => self.goes_on(&mut peer),
                Ok(answer) => Err(format!("answered {answer:?}")),
            };
        }
        let answer = peer.receive().map_err(|error| format!("no answer and no close: {error}"))?;
        match (row.expect, answer) {
            (Expect::Close, Answer::Closed) => Ok(()),
            (Expect::Close, Answer::Document(reply)) => {
                Err(format!("should close, answered {}", short(&reply)))
            }
            (_, Answer::Closed) => Err("closed without an answer".to_owned()),
            (expected, Answer::Document(reply)) => {
                let code = code_of(&reply);
                let is_right = match expected {
                    Expect::Ok => code.is_none(),
                    Expect::OkOr(codes) => code.is_none_or(|code| codes.contains(&code)),
                    Expect::Code(codes) => {
                        verdict(reply.clone()).is_err_and(|error| codes.contains(&error.code))
                    }
                    Expect::CodeThenClose(wanted) => code == Some(wanted),
                    Expect::WriteError(codes) => code.is_some_and(|code| codes.contains(&code)),
                    Expect::Close | Expect::Silence | Expect::Text(_) => unreachable!("handled above"),
                };
                if !is_right {
                    return Err(format!("expected {expected:?}, answered {}", short(&reply)));
                }
                match expected {
                    Expect::CodeThenClose(_) => match peer.receive() {
                        Ok(Answer::Closed) => Ok(()),
                        other => Err(format!("should close after its answer, but {other:?}")),
                    },
                    _ => self.goes_on(&mut peer),
                }
            }
        }
    }

    fn goes_on(&self, peer: &mut Connection) -> Result<(), String> {
        peer.set_patience(ROW_LIMIT);
        match peer.exchange("admin", doc! { "ping": 1 }) {
            Ok(Answer::Document(reply)) => verdict(reply).map(drop).map_err(|error| error.to_string()),
            other => Err(format!("the connection does not go on: {other:?}")),
        }
    }

    /// A row, and that nothing else suffered.
    fn check_all(&self, row: &Row) -> Result<(), String> {
        let before = self.refused();
        self.check(row)?;
        let peer = self.cluster.connect_to(self.name).command("admin", doc! { "ping": 1 });
        peer.map_err(|error| format!("the next connection: {error}"))?;
        if !self.process.is_alive() {
            return Err("the process is gone".to_owned());
        }
        let is_refusal = matches!(
            row.expect,
            Expect::Close | Expect::Code(_) | Expect::CodeThenClose(_) | Expect::Silence
        );
        // The close may reach us before the counter rises; a cut message is a fault of the line, not counted.
        if is_refusal && !row.ends {
            wait::within(Duration::from_secs(5), &format!("the counter of row {}", row.name), || {
                (self.refused() > before).then_some(())
            });
        }
        Ok(())
    }
}

/// The code of an error, or of the first write error.
fn code_of(reply: &Document) -> Option<i32> {
    if let Err(error) = verdict(reply.clone()) {
        return Some(error.code);
    }
    let first = reply.get_array("writeErrors").ok()?.first()?.as_document()?;
    first.get_i32("code").ok()
}

fn short(reply: &Document) -> String {
    reply.to_string().chars().take(300).collect()
}

#[test]
fn each_row_has_its_reaction() {
    let cluster = Cluster::start(1);
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in TARGETS {
        let target = Target::of(&cluster, name);
        for row in [rows::framing(), rows::compression(), rows::bson(), rows::commands()].iter().flatten() {
            let begin = Instant::now();
            if let Err(reason) = target.check_all(row) {
                wrong.push(format!("{name}: {}: {reason} ({:.1?})", row.name, begin.elapsed()));
            }
            count += 1;
        }
    }
    say(&format!("bad input: {} of {count} rows as they must be", count - wrong.len()));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Rows that cost little are repeated: what they leave behind must not add up.
#[test]
fn memory_is_given_back() {
    const REPEATS: usize = 1_000;
    const ROUNDS: usize = 4;
    const GROWTH_KIB_MAX: u64 = 1_024;
    const LARGE_BYTES: usize = 16 * 1024;
    let cluster = Cluster::start(1);
    let mut wrong = Vec::new();
    for name in TARGETS {
        let target = Target::of(&cluster, name);
        let repeat = |row: &Row, times: usize| (0..times).try_for_each(|_| target.check(row));
        for row in [rows::framing(), rows::compression(), rows::bson(), rows::commands()].iter().flatten() {
            let is_stored = row.expect == Expect::Ok && row.name.starts_with(['4', '5']);
            if row.bytes.len() > LARGE_BYTES || is_stored || row.expect == Expect::Silence {
                continue;
            }
            // The first round warms up. An allocator may take one step; a leak takes one in every round.
            let mut growth = Vec::new();
            for _ in 0..ROUNDS {
                let before = target.process.resident_kib();
                if let Err(reason) = repeat(row, REPEATS) {
                    wrong.push(format!("{name}: {}: {reason}", row.name));
                    break;
                }
                growth.push(target.process.resident_kib().saturating_sub(before));
                if growth.last().is_some_and(|last| *last < GROWTH_KIB_MAX) {
                    break;
                }
            }
            if growth.len() == ROUNDS && growth.iter().all(|kib| *kib >= GROWTH_KIB_MAX) {
                wrong.push(format!("{name}: {}: grew by {growth:?} KiB in rounds of {REPEATS}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is stored is given back as it came, bit for bit, and operators answer instead of breaking.
#[test]
fn odd_values_are_kept() {
    let cluster = Cluster::start(1);
    for name in TARGETS {
        stored::check(&mut cluster.connect_to(name), &format!("{DB}_{name}"));
    }
}

#[test]
fn slow_and_greedy_clients_are_let_go() {
    let cluster = Cluster::start(1);
    for name in TARGETS {
        slow::check(&cluster, name);
    }
}

/// `{ping: 1}` on a fresh connection.
fn ping(cluster: &Cluster, name: &str) {
    cluster.connect_to(name).run("admin", doc! { "ping": 1 });
}

/// A document with `$db`, as a body.
fn with_db(db: &str, mut command: Document) -> bson::RawDocumentBuf {
    command.insert("$db", db);
    raw(&command)
}

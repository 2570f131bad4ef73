//! A client on a host of its own: writes and reads through `rpc`, one at a time, and remembers what it was promised.

use super::judge::{Judge, Level, Promise};
use super::net::Sockets;
use super::process::{get, put};
use command::Request;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rpc::Pool;
use runtime::Tasks;
use std::sync::Arc;
use std::time::Duration;
use types::{Fault, OpTime, Timestamp};

/// No operation takes longer for the client.
const PATIENCE: Duration = Duration::from_secs(3);
/// Promised writes that a reader asks for.
const HELD_COUNT: usize = 8;

pub(super) fn name(one: usize) -> String {
    format!("c{one}")
}

enum Operation {
    Put(String, Promise),
    Get(Level, Vec<String>),
}

/// Until, in the calm after the faults, a majority has a write of it.
pub(super) async fn run(one: usize, hosts: Vec<String>, seed: u64, judge: Arc<Judge>) -> turmoil::Result {
    let tasks = Tasks::new();
    let pool = Pool::over(Arc::new(Sockets::default()), &tasks);
    let mut chance = StdRng::seed_from_u64(seed ^ ((one as u64 + 1) << 48));
    let mut target = one;
    for number in 0.. {
        tokio::time::sleep(Duration::from_millis(chance.random_range(5..60))).await;
        let is_calm = judge.is_calm();
        let operation = match chance.random_range(0..100) {
            _ if is_calm => Operation::Put(format!("{}-{number}", name(one)), Promise::Majority),
            0..40 => Operation::Put(format!("{}-{number}", name(one)), Promise::Majority),
            40..60 => Operation::Put(format!("{}-{number}", name(one)), Promise::One),
            60..75 => Operation::Put(format!("{}-{number}", name(one)), Promise::Journal),
            75..90 => Operation::Get(Level::Majority, Vec::new()),
            _ => Operation::Get(Level::Linearizable, judge.held(HELD_COUNT)),
        };
        match ask(&pool, &hosts[target], &operation).await {
            Ok((at, missed)) => match operation {
                Operation::Put(key, promise) => {
                    judge.promised(key, at, promise);
                    if is_calm {
                        return Ok(());
                    }
                }
                Operation::Get(level, _) => judge.read(level, at, &missed),
            },
            Err(fault) => {
                tracing::info!(client = one, host = hosts[target], %fault, "refused");
                judge.refused(fault.code.number());
                target = chance.random_range(0..hosts.len());
            }
        }
    }
    Ok(())
}

async fn ask(pool: &Pool, host: &str, operation: &Operation) -> Result<(OpTime, Vec<String>), Fault> {
    let body = match operation {
        Operation::Put(key, promise) => put(key, *promise),
        Operation::Get(level, must) => get(*level, must),
    };
    let deadline = runtime::clock::now() + PATIENCE;
    let answer = pool.peer(host)?.call(&Request::from_body(body), None, Some(deadline)).await?;
    let doc = &answer.reply.doc;
    let malformed = |error: bson::error::Error| Fault::internal(error.to_string());
    let at = OpTime {
        ts: Timestamp::from(doc.get_timestamp("ts").map_err(malformed)?),
        term: doc.get_i64("t").map_err(malformed)?,
    };
    let missed = doc.get_str("missed").unwrap_or_default();
    Ok((at, missed.split_whitespace().map(str::to_owned).collect()))
}

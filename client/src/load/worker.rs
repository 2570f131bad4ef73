//! What one thread of a load does: loads its part of the records, or runs its part of the operations.

use super::crew::{Pace, share_of};
use super::distribution::Chooser;
use super::insert_counter::InsertCounter;
use super::measure::Measured;
use super::request::{Client, Shape};
use super::workload::{Operation, Workload};
use crate::failure::Failure;
use crate::link::{Error, WriteReply, first_batch};
use bson::RawDocument;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::Instant;

/// Loads the records of one thread, `batch` in a request.
pub(crate) fn load(
    mut client: Client<'_>,
    shape: &Shape,
    records: std::ops::Range<u64>,
    batch: u64,
    seed: u64,
    pace: &Pace,
) -> Result<Measured, Failure> {
    let mut measured = Measured::of([Operation::Insert])?;
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut next = records.start;
    let mut requests = 0;
    while next < records.end && pace.next(requests) {
        let end = (next + batch).min(records.end);
        client.insert(shape, next..end, &mut rng);
        let begin = Instant::now();
        match client.send(written) {
            Ok(_) => measured.record(Operation::Insert, begin.elapsed()),
            Err(error) if !recovered(&error, Operation::Insert, &mut client, &mut measured, pace) => {
                return Ok(measured);
            }
            Err(_) => {}
        }
        pace.did(end - next);
        next = end;
        requests += 1;
    }
    Ok(measured)
}

/// The records that the `nth` of several threads loads.
pub(crate) fn part(records: u64, threads: usize, nth: usize) -> std::ops::Range<u64> {
    let start: u64 = (0..nth).map(|before| share_of(records, threads, before)).sum();
    start..start + share_of(records, threads, nth)
}

/// What all threads of a run share.
pub(crate) struct Run<'a> {
    pub(crate) workload: Workload,
    pub(crate) shape: &'a Shape,
    pub(crate) chooser: Chooser,
    pub(crate) inserted: InsertCounter,
    pub(crate) scan_max: i32,
}

/// Runs the operations of one thread.
pub(crate) fn run(
    mut client: Client<'_>,
    run: &Run<'_>,
    operations: u64,
    seed: u64,
    pace: &Pace,
) -> Result<Measured, Failure> {
    let mut kinds: Vec<Operation> = run.workload.mix().into_iter().map(|(operation, _)| operation).collect();
    if run.workload == Workload::F {
        kinds.push(Operation::Update);
    }
    let mut measured = Measured::of(kinds)?;
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut chooser = run.chooser.clone();
    for nth in 0..operations {
        if !pace.next(nth) {
            break;
        }
        let operation = run.workload.draw(&mut rng);
        if let Err((failed, error)) =
            perform(&mut client, run, operation, &mut chooser, &mut rng, &mut measured)
            && !recovered(&error, failed, &mut client, &mut measured, pace)
        {
            return Ok(measured);
        }
        pace.did(1);
    }
    Ok(measured)
}

/// One operation. The error names the step that failed.
fn perform(
    client: &mut Client<'_>,
    run: &Run<'_>,
    operation: Operation,
    chooser: &mut Chooser,
    rng: &mut SmallRng,
    measured: &mut Measured,
) -> Result<(), (Operation, Error)> {
    let ns = &run.shape.ns;
    let begin = Instant::now();
    match operation {
        Operation::Read | Operation::Ping => {
            client.read(ns, chooser.draw(run.inserted.settled(), rng));
            step(client, Operation::Read, measured, |reply| Ok(first_batch(reply)))
                .map(|found| measured.not_found += u64::from(found == 0))
        }
        Operation::Update => {
            client.update(run.shape, chooser.draw(run.inserted.settled(), rng), rng);
            step(client, operation, measured, written)
                .map(|found| measured.not_found += u64::from(found == 0))
        }
        Operation::Insert => {
            let number = run.inserted.take();
            client.insert(run.shape, number..number + 1, rng);
            let result = step(client, operation, measured, written).map(drop);
            run.inserted.settle(number);
            result
        }
        Operation::Scan => {
            let length = rng.random_range(1..=run.scan_max);
            client.scan(ns, chooser.draw(run.inserted.settled(), rng), length);
            step(client, operation, measured, |reply| Ok(first_batch(reply))).map(drop)
        }
        Operation::ReadModifyWrite => {
            let number = chooser.draw(run.inserted.settled(), rng);
            client.read(ns, number);
            let found = step(client, Operation::Read, measured, |reply| Ok(first_batch(reply)))?;
            measured.not_found += u64::from(found == 0);
            client.update(run.shape, number, rng);
            step(client, Operation::Update, measured, written)?;
            measured.record(operation, begin.elapsed());
            Ok(())
        }
    }
}

fn step<T>(
    client: &mut Client<'_>,
    operation: Operation,
    measured: &mut Measured,
    read: impl FnOnce(&RawDocument) -> Result<T, Error>,
) -> Result<T, (Operation, Error)> {
    let begin = Instant::now();
    let result = client.send(read);
    if result.is_ok() {
        measured.record(operation, begin.elapsed());
    }
    result.map_err(|error| (operation, error))
}

/// The reply to a write: how many documents, or the first error in it.
fn written(reply: &RawDocument) -> Result<i64, Error> {
    let reply = WriteReply::read(reply)?;
    match reply.write_errors.into_iter().map(|(_, error)| error).next().or(reply.concern_error) {
        None => Ok(reply.n),
        Some(error) => Err(error.into()),
    }
}

/// Counts an error. Answers whether the thread can go on.
pub(crate) fn recovered(
    error: &Error,
    operation: Operation,
    client: &mut Client<'_>,
    measured: &mut Measured,
    pace: &Pace,
) -> bool {
    measured.fail(operation, error.cause());
    if !error.ends_connection() {
        return true;
    }
    match pace.wait_for_server(client) {
        Ok(()) => true,
        Err(error) => {
            measured.stop_reason = Some(error.to_string());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_records() {
        let parts: Vec<_> = (0..3).map(|nth| part(10, 3, nth)).collect();
        assert_eq!(parts, [0..4, 4..7, 7..10]);
    }
}

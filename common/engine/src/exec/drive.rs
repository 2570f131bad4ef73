//! Runs a scan: a short one right here, a long one as blocking work among a bounded number of others.

use super::scan::{Pace, Scan, Sink};
use crate::Engine;
use crate::op_context::Interrupt;
use command::Context;
use storage::{Collection, Snapshot};
use types::Fault;

/// Documents that are looked at on the task that serves the request before the work counts as long.
const INLINE_DOCUMENTS_MAX: u64 = 256;

/// Runs the scan until it is finished or `sink` stops it.
///
/// # Errors
/// As [`Scan::run`].
pub(crate) async fn drive(
    engine: &Engine,
    ctx: &Context,
    scan: &mut Scan,
    snapshot: &Snapshot,
    collection: &Collection,
    sink: &mut Sink<'_>,
) -> Result<Pace, Fault> {
    let mut interrupt = Interrupt::new(ctx);
    engine.note_use(scan);
    match scan.run(snapshot, collection, INLINE_DOCUMENTS_MAX, &mut interrupt, sink)? {
        Pace::Paused => {}
        ended => return Ok(ended),
    }
    interrupt.check()?;
    engine.long_work(|| scan.run(snapshot, collection, u64::MAX, &mut interrupt, sink)).await
}

//! What one running operation carries through plan and execution: its interrupts and the surroundings for parsing.
//! Cheap to make; holds no snapshot and no lock.

use bson::RawDocumentBuf;
use command::Context;
use query::context::ParseContext;
use std::time::Instant;
use types::{Code, Fault};
use value::{Collator, SharedDoc};

/// How many documents are looked at between two looks at the clock.
const DOCUMENTS_PER_CHECK: u32 = 64;

/// Counts work and notices that the operation was killed or ran out of time.
#[derive(Debug)]
pub(crate) struct Interrupt<'a> {
    ctx: &'a Context,
    until_check: u32,
}

impl<'a> Interrupt<'a> {
    pub(crate) fn new(ctx: &'a Context) -> Interrupt<'a> {
        Interrupt { ctx, until_check: DOCUMENTS_PER_CHECK }
    }

    /// To be called for each document or key that is looked at.
    pub(crate) fn tick(&mut self) -> Result<(), Fault> {
        self.until_check -= 1;
        if self.until_check == 0 {
            self.until_check = DOCUMENTS_PER_CHECK;
            self.check()?;
        }
        Ok(())
    }

    /// Looks now.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.ctx.check(Instant::now())
    }
}

/// The context in which filters, projections, updates and pipelines of the command are parsed.
///
/// # Errors
/// Those of the expressions in `let`.
pub(crate) fn parse_context(
    ctx: &Context,
    let_vars: Option<&SharedDoc>,
    collation: Option<Collator>,
) -> Result<ParseContext, Fault> {
    let base = ParseContext::at(runtime::clock::now_millis())
        .with_cluster_time(ctx.envelope.cluster_time)
        .with_collation(collation);
    match let_vars {
        None => Ok(base),
        Some(vars) => {
            let constant: RawDocumentBuf = crate::let_vars::constant(vars, &base)?;
            Ok(base.with_let(Some(constant)))
        }
    }
}

/// Refuses what is not built: statements of multi-document transactions.
///
/// # Errors
/// `OperationNotSupportedInTransaction` (263).
pub(crate) fn refuse_transaction(ctx: &Context) -> Result<(), Fault> {
    if ctx.envelope.in_transaction() || ctx.envelope.start_transaction {
        return Err(Fault::new(
            Code::OperationNotSupportedInTransaction,
            "multi-document transactions are not implemented by this server",
        ));
    }
    Ok(())
}

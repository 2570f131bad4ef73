//! `bench replication`: what a majority costs on three local members beside one, how far the others are behind under load, and how
//! fast a new member copies what is there.

mod copy;
mod lag;
mod writes;

use crate::report::Report;
use crate::set::Set;
use crate::{Options, Result};

pub(crate) const DB: &str = "bench";
pub(crate) const COLLECTION: &str = "docs";

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut report = Report::new("replication");
    let mut set = Set::start(&options.dir, options.port, 3)?;
    if options.wants("writes") {
        writes::measure(&set, options, &mut report)?;
    }
    if options.wants("lag") {
        lag::measure(&set, options, &mut report)?;
    }
    if options.wants("copy") {
        copy::measure(&mut set, &mut report)?;
    }
    Ok(report)
}

//! Execution of plans: scans, the documents of a query in order, and the producers that fill batches from them.

mod drive;
pub(crate) mod feed;
pub(crate) mod produce;
pub(crate) mod scan;

pub(crate) use drive::drive;
pub(crate) use feed::{Feed, Target};
pub(crate) use produce::Producer;
pub(crate) use scan::{Flow, Hit, Pace, Scan};

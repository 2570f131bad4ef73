pub(crate) mod probe {
    pub(crate) use super::{Options, run};
}
use crate::failure::Failure;
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &Options) -> Result<(), Failure> {
    Err(Failure::new("not built yet"))
}

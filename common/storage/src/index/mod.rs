//! Secondary indexes: what a specification means, which keys a document yields, what unique means, how one is built.

pub(crate) mod build;
mod builds;
pub(crate) mod display;
mod entries;
mod pattern;
mod spec;
mod suspects;
pub(crate) mod unique;
mod wildcard;

pub(crate) use builds::Builds;
pub(crate) use entries::{Keys, keys};
pub(crate) use pattern::Pattern;
pub(crate) use spec::{IdIndex, Requested, expiry_out_of_range, id_spec, parse};
pub(crate) use suspects::Suspects;

//! Secondary indexes: what a specification means, which keys a document yields, what unique means, how one is built.

pub(crate) mod build;
pub(crate) mod display;
mod entries;
mod pattern;
mod spec;
pub(crate) mod unique;

pub(crate) use entries::{Keys, keys};
pub(crate) use pattern::Pattern;
pub(crate) use spec::{IdIndex, Requested, id_spec, parse};

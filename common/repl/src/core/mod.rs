//! The pure part: configurations, and later elections and the commit point.

pub(crate) mod config;

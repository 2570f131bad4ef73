//! Errors as clients see them: a number, a name, a sentence, labels.
//! Crates keep their own error enums inside and convert to [`Fault`] once, at their border.

mod code;
mod fault;
mod label;

pub use code::Code;
pub use fault::{Fault, StaleRoute};
pub use label::Label;

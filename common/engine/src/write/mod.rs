//! Writes: prepared at a snapshot, committed whole, done again on a newer snapshot when something changed meanwhile.

mod attempt;
mod delete;
mod expiry;
mod find_and_modify;
mod history;
mod insert;
mod job;
mod multi;
mod outcome;
mod prepare;
mod target;
mod update;

pub(crate) use attempt::create_quietly;
pub(crate) use delete::delete_statement;
pub use expiry::forget_old_statements;
pub(crate) use find_and_modify::find_and_modify;
pub(crate) use insert::insert_documents;
pub use job::concern_of;
pub(crate) use job::{Job, concerns_command, wait};
pub(crate) use multi::{Change, run as change_all};
pub use outcome::statement_outcome;
pub(crate) use target::Seek;
pub(crate) use update::{Modify, update_statement};

//! Reading and writing documents.

pub(crate) mod aggregate;
pub(crate) mod bulk_write;
mod changes;
pub(crate) mod count;
pub(crate) mod delete;
pub(crate) mod distinct;
pub(crate) mod find;
pub(crate) mod find_and_modify;
pub(crate) mod get_more;
pub(crate) mod insert;
pub(crate) mod kill_cursors;
pub(crate) mod open_cursor;
pub(crate) mod single_write;
pub(crate) mod update;

pub(crate) use kill_cursors::kill_open;

//! A store that is put aside is kept, and facts of others stay.

use super::harness;
use crate::options::EngineKind;
use crate::{Store, set_aside};
use bson::RawBson;
use std::fs;

#[test]
fn what_is_damaged_is_kept_and_facts_of_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let options = || harness::options(dir.path(), EngineKind::Sled);
    let store = Store::open(options()).unwrap();
    store.noop(&bson::rawdoc! { "msg": "x" }).unwrap();
    store.control().put("repl.config", 7_i32).unwrap();
    store.close().unwrap();
    drop(store);
    let aside = set_aside(dir.path(), [("repl.persistent", RawBson::Int32(1))]).unwrap();
    assert!(fs::read_dir(&aside).unwrap().count() > 0);
    let again = Store::open(options()).unwrap();
    assert_eq!(again.last_op_time(), types::OpTime::default());
    assert_eq!(again.control().get("repl.config"), Some(RawBson::Int32(7)));
    assert_eq!(again.control().get("repl.persistent"), Some(RawBson::Int32(1)));
}

//! The value of a hashed index or shard key: the first 8 bytes of an MD5 over type and value, as MongoDB defines it, so that
//! `convertShardKeyToHashed` and documents placed by hash agree with it.
//! Numbers count without their fraction: `2`, `2.0` and `2.7` hash alike.

use crate::element::{Elements, View, with_view};
use bson::{Bson, RawBsonRef};
use md5::{Digest, Md5};

/// The only seed in use.
const SEED: i32 = 0;

/// The hash of a field's value; a missing field hashes as null.
pub fn shard_key_hash(value: RawBsonRef<'_>) -> i64 {
    let mut md5 = Md5::new();
    md5.update(SEED.to_le_bytes());
    with_view(value, |view| hash(&mut md5, &view, None));
    let digest: [u8; 16] = md5.finalize().into();
    let mut first = [0; 8];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    i64::from_le_bytes(first)
}

/// The hash of an owned value.
pub fn shard_key_hash_bson(value: &Bson) -> Option<i64> {
    let raw = bson::RawBson::try_from(value.clone()).ok()?;
    Some(shard_key_hash(raw.as_raw_bson_ref()))
}

fn hash(md5: &mut Md5, view: &View<'_>, name: Option<&[u8]>) {
    md5.update(view.canonical_type().to_le_bytes());
    if let Some(name) = name {
        cstring(md5, name);
    }
    match *view {
        View::Number(number) => md5.update(number.to_i64_saturating().to_le_bytes()),
        View::Document(bytes) | View::Array(bytes) => elements(md5, bytes),
        View::CodeWithScope { code, scope } => {
            string(md5, code);
            elements(md5, scope);
        }
        View::String(bytes) | View::Code(bytes) => string(md5, bytes),
        View::Binary(binary) => {
            md5.update(binary.declared_len().to_le_bytes());
            md5.update([binary.subtype]);
            if binary.subtype == 2 {
                md5.update((binary.bytes.len() as u32).to_le_bytes());
            }
            md5.update(binary.bytes);
        }
        View::ObjectId(bytes) => md5.update(bytes),
        View::Boolean(value) => md5.update([u8::from(value)]),
        View::DateTime(millis) => md5.update(millis.to_le_bytes()),
        View::Timestamp(ts) => md5.update(ts.to_le_bytes()),
        View::Regex { pattern, options } => {
            cstring(md5, pattern);
            cstring(md5, options);
        }
        View::DbPointer { namespace, id } => {
            string(md5, namespace);
            md5.update(id);
        }
        View::MinKey | View::Undefined | View::Null | View::MaxKey => {}
    }
}

fn elements(md5: &mut Md5, bytes: &[u8]) {
    for element in Elements::new(bytes) {
        if let Some(view) = element.view() {
            hash(md5, &view, Some(element.name));
        }
    }
    // The end of a document counts as an element of type 0 without name and value.
    md5.update(0i32.to_le_bytes());
}

fn cstring(md5: &mut Md5, bytes: &[u8]) {
    md5.update(bytes);
    md5.update([0]);
}

fn string(md5: &mut Md5, bytes: &[u8]) {
    md5.update((bytes.len() as u32 + 1).to_le_bytes());
    cstring(md5, bytes);
}

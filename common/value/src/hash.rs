//! The value of a hashed index or shard key: the first 8 bytes of an MD5 over type and value, as MongoDB defines it, so that
//! `convertShardKeyToHashed` and documents placed by hash agree with it.
//! Numbers count without their fraction: `2`, `2.0` and `2.7` hash alike.

use crate::element::{Elements, View, with_view};
use crate::number::{Number, TWO_POW_63};
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
        View::Number(number) => md5.update(folded(number).to_le_bytes()),
        View::Document(bytes) | View::Array(bytes) => elements(md5, bytes),
        View::CodeWithScope { code, scope } => {
            // Alone among texts this one goes without its length.
            cstring(md5, code);
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

/// Without its fraction and held within int64, but for one value: the double 2^63 hashes as -2^63, which is what a C cast
/// once made of it and what is stored since.
fn folded(number: Number) -> i64 {
    match number {
        Number::Double(double) if double == TWO_POW_63 => i64::MIN,
        other => other.to_i64_saturating(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Binary, Decimal128, bson, oid::ObjectId};

    fn check(value: Bson, wanted: i64) {
        assert_eq!(shard_key_hash_bson(&value), Some(wanted), "{value:?}");
    }

    fn binary(subtype: u8, bytes: Vec<u8>) -> Bson {
        Bson::Binary(Binary { subtype: subtype.into(), bytes })
    }

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse::<Decimal128>().unwrap())
    }

    /// The published test vectors of hashed indexes.
    #[test]
    fn known_values() {
        for value in [bson!(42), bson!(42.123), bson!(42i64), decimal("42.5")] {
            check(value, -944302157085130861);
        }
        for value in [bson!(0), bson!(0.456), bson!(0i64), bson!(f64::NAN), decimal("NaN")] {
            check(value, 4854801880128277513);
        }
        for value in [bson!(1), bson!(1.987), bson!(1i64)] {
            check(value, 5902408780260971510);
        }
        for value in [bson!(-1), bson!(-1.789), bson!(-1i64)] {
            check(value, 1140205862565771219);
        }
        for value in [bson!(i32::MIN), bson!(f64::from(i32::MIN)), bson!(i64::from(i32::MIN))] {
            check(value, 6165898260261354870);
        }
        check(bson!(i32::MAX), 1143184177162245883);
        for value in [bson!(i64::MAX), bson!(f64::MAX), decimal("1E+100")] {
            check(value, 921523596458303250);
        }
        for value in [bson!(i64::MIN), bson!(f64::MIN), bson!(2f64.powi(63)), decimal("-1E+100")] {
            check(value, 4532067210535695462);
        }
        check(Bson::MinKey, 7961148599568647290);
        check(Bson::MaxKey, 5504842513779440750);
        check(Bson::Undefined, 40158834000849533);
        check(bson!("abc"), 8478485326885698097);
        check(Bson::Symbol("abc".into()), 8478485326885698097);
        check(bson!(""), 2049396243249673340);
        check(bson!({"a": "abc", "b": 123i64}), 4771603801758380216);
        check(bson!({}), 7980500913326740417);
        check(bson!(["bar", "baz", "qux"]), -2938911267422831539);
        check(bson!([]), 8849948234993459283);
        check(binary(0, vec![0, 1, 2, 3, 4, 6]), 7252465090394235301);
        check(binary(128, vec![0, 1, 2, 3, 4, 6]), 5736670452907618262);
        check(binary(4, (0..16).collect()), 6084661258071355978);
        check(Bson::ObjectId(ObjectId::parse_str("010203040506070809101112").unwrap()), -5588663249627035708);
        check(Bson::ObjectId(ObjectId::from_bytes([0; 12])), -4293118519463489418);
        check(bson!(true), 6405873908747105701);
        check(bson!(false), 6289544573401934092);
        check(Bson::DateTime(bson::DateTime::from_millis(0x5566_7788_1122_3344)), 4476222765095560467);
        check(Bson::DateTime(bson::DateTime::from_millis(0)), -1178696894582842035);
        let regex = |pattern: &str, options: &str| {
            Bson::RegularExpression(bson::Regex {
                pattern: pattern.to_owned().try_into().unwrap(),
                options: options.to_owned().try_into().unwrap(),
            })
        };
        check(regex("mongodb", ""), -7275792090268217043);
        check(regex(".*", "i"), 7095855029187981886);
        check(Bson::JavaScriptCode("func f() { return 1; }".into()), 6861638109178014270);
        let code = bson::JavaScriptCodeWithScope {
            code: "func f() { return 1; }".into(),
            scope: bson::doc! {"c": true},
        };
        check(Bson::JavaScriptCodeWithScope(code), 501342939894575968);
        let id = ObjectId::parse_str("010203040506070809101112").unwrap().bytes();
        check(crate::sample::db_pointer("c", id), 940175826736461384);
        check(crate::sample::db_pointer("db.c", id), 2426768198104018194);
    }
}

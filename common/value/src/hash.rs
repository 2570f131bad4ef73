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

    /// Frozen values: chunks of hashed collections lie on disk by them, so none may ever change. They are what a MongoDB server
    /// computes for `convertShardKeyToHashed` and `$toHashedIndexKey`.
    #[test]
    fn frozen_values() {
        let id = ObjectId::parse_str("64b7f0a1c2d3e4f5a6b7c8d9").unwrap();
        let regex = Bson::RegularExpression(bson::Regex {
            pattern: "^sh[oa]al$".to_owned().try_into().unwrap(),
            options: "im".to_owned().try_into().unwrap(),
        });
        let code = bson::JavaScriptCodeWithScope { code: "return x".into(), scope: bson::doc! {"x": 7} };
        let rows = [
            (bson!(7), 9174449368162552349),
            (bson!(-12), 2756399226680889761),
            (bson!(2_000_000_000), -8749102685990451375),
            (bson!(3_000_000_000_i64), 8031633582491698684),
            (bson!("ada"), 625575139150757451),
            (bson!("Ægir 🐟"), -4163917426882292451),
            (Bson::Null, 2338878944348059895),
            (Bson::Undefined, 40158834000849533),
            (Bson::MinKey, 7961148599568647290),
            (Bson::MaxKey, 5504842513779440750),
            (bson!(true), 6405873908747105701),
            (bson!(false), 6289544573401934092),
            (bson!({"country": "IS", "name": "Reykjavík"}), 3924493722990075367),
            (bson!({"a": {"b": [1, {"c": 2.5}]}}), 8075102958336324603),
            (bson!([1, "two", 3.5]), -8418467032338666532),
            (binary(0, vec![9, 8, 7]), 1321133066260071243),
            (binary(4, (100..116).collect()), 7027200146379094170),
            (Bson::ObjectId(id), -2332726781861358944),
            (Bson::DateTime(bson::DateTime::from_millis(1_700_000_000_123)), 3915924962653914581),
            (Bson::Timestamp(bson::Timestamp { time: 1_700_000_000, increment: 3 }), 8566639865877358315),
            (regex, 5209381223070102590),
            (Bson::JavaScriptCode("return 1".into()), -5317272875782092607),
            (Bson::JavaScriptCodeWithScope(code), -8691635425682185446),
            (crate::sample::db_pointer("geo.cities", id.bytes()), -4817935758351532096),
        ];
        for (value, wanted) in rows {
            check(value, wanted);
        }
    }

    /// Numbers hash by their whole part, as 64-bit integers; what is out of range is cut to it, NaN is 0.
    #[test]
    fn equal_whole_parts_hash_alike() {
        let same = |values: &[Bson]| {
            let first = shard_key_hash_bson(&values[0]).unwrap();
            for value in values {
                check(value.clone(), first);
            }
        };
        same(&[bson!(7), bson!(7.9), bson!(7i64), decimal("7.25")]);
        same(&[bson!(-7), bson!(-7.9), bson!(-7i64), decimal("-7.25")]);
        same(&[bson!(0), bson!(-0.5), bson!(f64::NAN), decimal("NaN")]);
        same(&[bson!(i64::MAX), bson!(1e300), decimal("1E+90")]);
        same(&[bson!(i64::MIN), bson!(-1e300), decimal("-1E+90"), bson!(2f64.powi(63))]);
        same(&[bson!("ada"), Bson::Symbol("ada".into())]);
    }
}

use super::*;
use crate::order;
use crate::sample::{any_document, any_number, any_value, raw};
use bson::{RawDocumentBuf, bson};
use proptest::prelude::*;
use std::cmp::Ordering;

fn encoded(value: &Bson, descending: bool) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, raw(value).as_raw_bson_ref(), descending);
    out
}

/// One pair: raw and owned order agree, bytes sort likewise in both directions, and no key is a prefix of another.
fn check(left: &Bson, right: &Bson) {
    let order = order::compare(raw(left).as_raw_bson_ref(), raw(right).as_raw_bson_ref());
    assert_eq!(order::compare_bson(left, right), order, "owned order of {left:?} and {right:?}");
    let (up, up_right) = (encoded(left, false), encoded(right, false));
    assert_eq!(up.cmp(&up_right), order, "{left:?} {right:?}\n{up:02x?}\n{up_right:02x?}");
    assert_eq!(encoded(left, true).cmp(&encoded(right, true)), order.reverse(), "{left:?} {right:?}");
    assert_eq!(up.starts_with(&up_right), order.is_eq(), "prefix: {left:?} {right:?}");
    let mut owned = Vec::new();
    encode_bson(&mut owned, left, false);
    assert_eq!(owned, up, "owned encoding of {left:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn numbers_sort(left in any_number(), right in any_number()) {
        check(&left, &right);
    }

    #[test]
    fn values_sort(left in any_value(), right in any_value()) {
        check(&left, &right);
    }

    #[test]
    fn documents_sort(left in any_document(), right in any_document()) {
        let order = order::compare_documents(
            &RawDocumentBuf::try_from(&left).unwrap(),
            &RawDocumentBuf::try_from(&right).unwrap(),
        );
        let (left, right) = (Bson::Document(left), Bson::Document(right));
        prop_assert_eq!(order::compare_bson(&left, &right), order);
        check(&left, &right);
    }

    #[test]
    fn tuples_sort(
        left in prop::collection::vec(any_value(), 3),
        right in prop::collection::vec(any_value(), 3),
        equal_until in 0usize..3,
        descending in prop::array::uniform3(any::<bool>()),
    ) {
        let mut right = right;
        right[..equal_until].clone_from_slice(&left[..equal_until]);
        let concatenated = |tuple: &[Bson]| {
            let mut out = Vec::new();
            for (value, descending) in tuple.iter().zip(descending) {
                encode(&mut out, raw(value).as_raw_bson_ref(), descending);
            }
            out
        };
        let wanted = left.iter().zip(&right).zip(descending).map(|((left, right), descending)| {
            let order = order::compare_bson(left, right);
            if descending { order.reverse() } else { order }
        });
        let wanted = wanted.fold(Ordering::Equal, Ordering::then);
        prop_assert_eq!(concatenated(&left).cmp(&concatenated(&right)), wanted);
    }

    #[test]
    fn order_is_transitive(values in prop::collection::vec(any_value(), 3)) {
        let [a, b, c] = &values[..] else { unreachable!() };
        if order::compare_bson(a, b).is_le() && order::compare_bson(b, c).is_le() {
            prop_assert!(order::compare_bson(a, c).is_le());
        }
    }
}

/// Bytes on disk are a promise: these never change.
#[test]
fn golden_bytes() {
    let rows: &[(Bson, &str)] = &[
        (Bson::MinKey, "0a"),
        (Bson::Undefined, "0f"),
        (Bson::Null, "14"),
        (bson!(f64::NAN), "1e"),
        (bson!(f64::NEG_INFINITY), "1f800fffffffffffffff"),
        (bson!(-1), "27fd"),
        (bson!(-0.5), "28c01fffffffffffffff"),
        (bson!(0), "29"),
        (bson!(-0.0), "29"),
        (bson!(0.5), "2a3fe000000000000000"),
        (bson!(1), "2b02"),
        (bson!(1.0), "2b02"),
        (bson!(1.5), "2b033ff800000000000000"),
        (bson!(128), "2c0100"),
        (bson!(i64::MAX), "32fffffffffffffffe"),
        (bson!(i64::MIN), "1fbc1fffffffffffffff"),
        (bson!("a\0b"), "3c6100ff620001"),
        (bson!({"a": 1}), "461e61002b0200"),
        (bson!([1, "x"]), "502b023c78000100"),
        (Bson::Boolean(false), "6e"),
        (Bson::Boolean(true), "6f"),
        (Bson::DateTime(bson::DateTime::from_millis(-1)), "787fffffffffffffff"),
        (Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }), "820000000100000002"),
        (Bson::MaxKey, "f0"),
    ];
    for (value, wanted) in rows {
        let got: String = encoded(value, false).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&got, wanted, "{value:?}");
    }
    let tenth = Bson::Decimal128("0.1".parse().unwrap());
    // The double below 0.1, then 1.000…E-1 in full.
    let got: String = encoded(&tenth, false).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(got, "2a3fb9999999999999013fff0000314dc6448d9338c15b0a00000000");
}

#[test]
fn strings_that_are_not_utf8_sort_by_bytes() {
    let doc = |byte: u8| {
        let bytes = [14u8, 0, 0, 0, 2, b'a', 0, 2, 0, 0, 0, byte, 0, 0];
        let mut out = Vec::new();
        encode(&mut out, RawBsonRef::Document(bson::RawDocument::from_bytes(&bytes).unwrap()), false);
        out
    };
    assert!(doc(0x61) < doc(0xFE) && doc(0xFE) < doc(0xFF));
}

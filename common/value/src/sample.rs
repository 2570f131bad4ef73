//! Values for property tests, thick where the traps are: numbers of all types around the same few magnitudes, text with NULs,
//! every type, nested.

use crate::number::decimal::{self, Unpacked};
use bson::oid::ObjectId;
use bson::{Binary, Bson, Decimal128, Document, JavaScriptCodeWithScope, RawBson, Regex, Timestamp};
use proptest::prelude::*;

/// Any value, nested up to three levels.
pub(crate) fn any_value() -> impl Strategy<Value = Bson> {
    any_scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            any_document_of(inner.clone()).prop_map(Bson::Document),
            (any_text(), any_document_of(inner)).prop_map(|(code, scope)| Bson::JavaScriptCodeWithScope(
                JavaScriptCodeWithScope { code, scope }
            )),
        ]
    })
}

/// Any document.
pub(crate) fn any_document() -> impl Strategy<Value = Document> {
    any_document_of(any_value())
}

fn any_document_of(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec(("[ab]{0,2}", value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a\\x00\\x01\u{ff}]{0,4}", "\\PC{0,8}"]
}

fn any_scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        8 => any_number(),
        3 => any_text().prop_map(Bson::String),
        1 => any_text().prop_map(Bson::Symbol),
        1 => any_text().prop_map(Bson::JavaScriptCode),
        1 => (prop::sample::select(vec![0u8, 2, 3, 4, 128]), prop::collection::vec(0u8..3, 0..7))
            .prop_map(|(subtype, bytes)| Bson::Binary(Binary { subtype: subtype.into(), bytes })),
        1 => prop::array::uniform12(0u8..2).prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => prop_oneof![-2i64..3, any::<i64>()]
            .prop_map(|millis| Bson::DateTime(bson::DateTime::from_millis(millis))),
        1 => (0u32..3, any::<u32>()).prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        1 => ("[a\\.]{0,2}", "i?m?").prop_map(|(pattern, options)| {
            Bson::RegularExpression(Regex {
                pattern: pattern.try_into().unwrap(),
                options: options.try_into().unwrap(),
            })
        }),
        1 => ("[ab]{0,3}", 0u8..3).prop_map(|(namespace, id)| db_pointer(&namespace, [id; 12])),
        1 => prop::sample::select(vec![Bson::Null, Bson::Undefined, Bson::MinKey, Bson::MaxKey]),
    ]
}

/// The only way to a `DbPointer` is through bytes.
pub(crate) fn db_pointer(namespace: &str, id: [u8; 12]) -> Bson {
    let mut bytes = vec![0, 0, 0, 0, 0x0C, 0];
    bytes.extend((namespace.len() as i32 + 1).to_le_bytes());
    bytes.extend(namespace.as_bytes());
    bytes.push(0);
    bytes.extend(id);
    bytes.push(0);
    let len = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&len);
    let doc = bson::RawDocument::from_bytes(&bytes).unwrap();
    Document::try_from(doc).unwrap().remove("").unwrap()
}

/// Any number, mostly near a magnitude where some type loses exactness.
pub(crate) fn any_number() -> impl Strategy<Value = Bson> {
    let int = prop_oneof![
        3 => (0u32..64, -2i64..3, any::<bool>()).prop_map(|(power, delta, negative)| {
            let number = (1i64.wrapping_shl(power)).wrapping_add(delta);
            if negative { number.wrapping_neg() } else { number }
        }),
        1 => any::<i64>(),
        1 => -3i64..4,
    ];
    let double = prop_oneof![
        2 => int.clone().prop_map(|number| number as f64),
        2 => (int.clone(), -2i64..3).prop_map(|(number, steps)| {
            f64::from_bits(((number as f64).to_bits() as i64).wrapping_add(steps) as u64)
        }),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::from_bits(1), -f64::from_bits(1),
            f64::MAX, f64::MIN, 0.1, -0.1, 0.5, 1.5, 1e22, 1e23, 1e-5,
        ]),
    ];
    let exact = prop_oneof![
        (double.clone(), -2i64..3).prop_map(|(double, steps)| near_double(double, steps)),
        int.clone().prop_map(decimal::from_i64),
        (any::<bool>(), 0u128..200, -3i32..4).prop_map(finite),
        (any::<bool>(), any::<u128>(), -6176i32..=6111).prop_map(finite),
        any::<[u8; 16]>().prop_map(Decimal128::from_bytes),
        prop::sample::select(vec![
            "NaN",
            "-Infinity",
            "Infinity",
            "0E+6111",
            "-0",
            "1E-6176",
            "9.9E+6144",
            "4.94065645841246544E-324"
        ])
        .prop_map(|text| decimal::parse(text).unwrap()),
    ];
    prop_oneof![
        int.clone().prop_map(|number| Bson::Int32(number as i32)),
        int.prop_map(Bson::Int64),
        double.prop_map(Bson::Double),
        exact.prop_map(Bson::Decimal128),
    ]
}

fn finite((negative, coefficient, exponent): (bool, u128, i32)) -> Decimal128 {
    let coefficient = coefficient % 10u128.pow(34);
    decimal::pack(Unpacked::Finite { negative, coefficient, exponent }).unwrap()
}

/// The decimal whose 34 digits are the first of that double, moved by `steps` in the last digit.
fn near_double(double: f64, steps: i64) -> Decimal128 {
    let parsed = decimal::parse(&format!("{double:.33e}")).unwrap();
    match decimal::unpack(parsed) {
        Unpacked::Finite { negative, coefficient, exponent } => {
            let coefficient = coefficient.saturating_add_signed(i128::from(steps));
            decimal::pack(Unpacked::Finite { negative, coefficient, exponent }).unwrap_or(parsed)
        }
        _ => parsed,
    }
}

/// The raw form.
pub(crate) fn raw(value: &Bson) -> RawBson {
    RawBson::try_from(value.clone()).unwrap()
}

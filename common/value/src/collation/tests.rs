use super::*;
use crate::sample::{any_document, any_value, raw};
use crate::{element, key, order};
use bson::{doc, rawdoc};
use proptest::prelude::*;
use std::cmp::Ordering;

fn parse(doc: Document) -> Result<Collation, Fault> {
    Collation::parse(&RawDocumentBuf::try_from(&doc).unwrap(), "collation")
}

fn collator(doc: Document) -> Collator {
    match parse(doc.clone()) {
        Ok(Collation::By(collator)) => collator,
        other => panic!("{doc}: {other:?}"),
    }
}

/// The comparison by the collator itself and by walking the values: nothing of the encoding of keys is in it.
fn by_rules(collator: &Collator, left: &Bson, right: &Bson) -> Ordering {
    let kind = order::canonical_type_of;
    match (left, right) {
        (Bson::String(left) | Bson::Symbol(left), Bson::String(right) | Bson::Symbol(right)) => {
            collator.0.collator.compare(left, right)
        }
        (Bson::Array(left), Bson::Array(right)) => {
            let pairs = left.iter().zip(right).map(|(left, right)| by_rules(collator, left, right));
            pairs.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        (Bson::Document(left), Bson::Document(right)) => {
            let pairs = left.iter().zip(right).map(|((left_name, left), (right_name, right))| {
                kind(left)
                    .cmp(&kind(right))
                    .then_with(|| left_name.as_bytes().cmp(right_name.as_bytes()))
                    .then_with(|| by_rules(collator, left, right))
            });
            pairs.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        _ => order::compare_bson(left, right),
    }
}

/// Collations of all sorts.
fn collations() -> Vec<Collator> {
    [
        doc! {"locale": "en"},
        doc! {"locale": "en", "strength": 1},
        doc! {"locale": "en", "strength": 2},
        doc! {"locale": "en", "strength": 1, "caseLevel": true},
        doc! {"locale": "en", "strength": 4, "alternate": "shifted"},
        doc! {"locale": "en", "strength": 3, "alternate": "shifted", "maxVariable": "space"},
        doc! {"locale": "en", "strength": 5},
        doc! {"locale": "en", "numericOrdering": true},
        doc! {"locale": "de@collation=phonebook", "caseFirst": "upper"},
        doc! {"locale": "sv", "caseFirst": "lower"},
        doc! {"locale": "fr_CA"},
        doc! {"locale": "ja", "strength": 4},
        doc! {"locale": "zh"},
        doc! {"locale": "th"},
    ]
    .into_iter()
    .map(collator)
    .collect()
}

/// Text that collations have opinions about.
fn any_words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[aAáÁbßs \\-_\\.0-9]{0,6}",
        1 => "[oöÖœe\u{301}\u{308}\u{323}xyz]{0,5}",
        1 => "[\\x00\\x01あアｱ日本語กไ]{0,4}",
        1 => "\\PC{0,6}",
    ]
}

fn any_wordy() -> impl Strategy<Value = Bson> {
    let scalar = prop_oneof![
        6 => any_words().prop_map(Bson::String),
        1 => any_words().prop_map(Bson::Symbol),
        2 => any_value(),
    ];
    scalar.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[ab]{1,2}", inner), 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn check(collator: &Collator, left: &Bson, right: &Bson) {
    let wanted = by_rules(collator, left, right);
    let under = Some(collator);
    let (raw_left, raw_right) = (raw(left), raw(right));
    let (raw_left, raw_right) = (raw_left.as_raw_bson_ref(), raw_right.as_raw_bson_ref());
    let context = || format!("{left:?} {right:?} under {collator:?}");
    assert_eq!(order::compare_under(raw_left, raw_right, under), wanted, "{}", context());
    assert_eq!(order::compare_bson_under(left, right, under), wanted, "{}", context());
    let (up, up_right) = (key::of_under(raw_left, under), key::of_under(raw_right, under));
    assert_eq!(up.cmp(&up_right), wanted, "{}", context());
    assert_eq!(up.starts_with(&up_right), wanted.is_eq(), "prefix: {}", context());
    let down = |value| {
        let mut out = Vec::new();
        key::encode_under(&mut out, value, true, under);
        out
    };
    assert_eq!(down(raw_left).cmp(&down(raw_right)), wanted.reverse(), "{}", context());
    let mut owned = Vec::new();
    key::encode_bson_under(&mut owned, left, false, under);
    assert_eq!(owned, up, "owned encoding of {left:?}");
    assert_eq!(key::of_bson(&collator.translate(left)), up, "translation of {left:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn keys_sort_as_the_rules_say(left in any_wordy(), right in any_wordy()) {
        for collator in collations() {
            check(&collator, &left, &right);
        }
    }

    #[test]
    fn texts_sort_as_the_rules_say(left in any_words(), right in any_words()) {
        for collator in collations() {
            check(&collator, &Bson::String(left.clone()), &Bson::String(right.clone()));
        }
    }

    #[test]
    fn tuples_sort(left in prop::collection::vec(any_wordy(), 2), right in prop::collection::vec(any_wordy(), 2)) {
        for collator in collations() {
            let wanted = by_rules(&collator, &left[0], &right[0]).then(by_rules(&collator, &left[1], &right[1]).reverse());
            let concatenated = |tuple: &[Bson]| {
                let mut out = Vec::new();
                key::encode_bson_under(&mut out, &tuple[0], false, Some(&collator));
                key::encode_bson_under(&mut out, &tuple[1], true, Some(&collator));
                out
            };
            prop_assert_eq!(concatenated(&left).cmp(&concatenated(&right)), wanted);
        }
    }

    #[test]
    fn what_no_collation_touches_is_encoded_as_ever(doc in any_document()) {
        let value = Bson::Document(doc);
        let raw = raw(&value);
        prop_assert_eq!(is_collatable(raw.as_raw_bson_ref()), is_collatable_bson(&value));
        if !is_collatable_bson(&value) {
            let collator = collator(doc! {"locale": "en", "strength": 1});
            prop_assert_eq!(key::of_under(raw.as_raw_bson_ref(), Some(&collator)), key::of_bson(&value));
        }
    }
}

#[test]
fn languages_have_their_own_order() {
    let rows: &[(Document, &[&str])] = &[
        (doc! {"locale": "en"}, &["", " ", "-", "1", "10", "2", "a", "A", "á", "ab", "b", "ö", "z"]),
        (doc! {"locale": "de"}, &["a", "ä", "b", "o", "ö", "z"]),
        (doc! {"locale": "sv"}, &["a", "o", "z", "å", "ä", "ö"]),
        (doc! {"locale": "da"}, &["a", "z", "æ", "ø", "å"]),
        (doc! {"locale": "nb"}, &["a", "z", "æ", "ø", "å"]),
        (doc! {"locale": "de@collation=phonebook"}, &["ad", "ä", "af", "b"]),
        (doc! {"locale": "es@collation=traditional"}, &["cz", "ch", "d", "lz", "ll", "m"]),
        (doc! {"locale": "fr"}, &["cote", "coté", "côte", "côté"]),
        (doc! {"locale": "fr_CA"}, &["cote", "côte", "coté", "côté"]),
        (doc! {"locale": "en", "numericOrdering": true}, &["1", "2", "10", "a2", "a10"]),
        (doc! {"locale": "en", "caseFirst": "upper"}, &["A", "a", "B", "b"]),
        (doc! {"locale": "en", "alternate": "shifted", "strength": 4}, &["ab", "a-c", "ad"]),
        (doc! {"locale": "lt"}, &["i", "y", "j"]),
        (doc! {"locale": "et"}, &["s", "z", "t"]),
        // Pinyin: bei before shang; by strokes: three before five.
        (doc! {"locale": "zh"}, &["北", "上"]),
        (doc! {"locale": "zh@collation=stroke"}, &["上", "北"]),
        (doc! {"locale": "zh_Hant"}, &["上", "北"]),
        (doc! {"locale": "en_US_POSIX"}, &["A", "B", "a", "b"]),
    ];
    for (options, words) in rows {
        let collator = collator(options.clone());
        for pair in words.windows(2) {
            let keys: Vec<_> = pair.iter().map(|word| collator.text_of(word)).collect();
            assert!(keys[0] < keys[1], "{options}: {} before {}", pair[0], pair[1]);
        }
    }
}

#[test]
fn strength_says_what_is_equal() {
    let rows = [
        (doc! {"locale": "en", "strength": 1}, "a", "Á", true),
        (doc! {"locale": "en", "strength": 1, "caseLevel": true}, "a", "Á", false),
        (doc! {"locale": "en", "strength": 1, "caseLevel": true}, "a", "á", true),
        (doc! {"locale": "en", "strength": 2}, "a", "A", true),
        (doc! {"locale": "en", "strength": 2}, "a", "á", false),
        (doc! {"locale": "en"}, "a", "A", false),
        (doc! {"locale": "en", "strength": 1}, "ss", "ß", true),
        (doc! {"locale": "en", "alternate": "shifted"}, "a-b", "ab", true),
        (doc! {"locale": "en", "alternate": "shifted", "maxVariable": "space"}, "a-b", "ab", false),
        (doc! {"locale": "en", "alternate": "shifted", "maxVariable": "space"}, "a b", "ab", true),
        (doc! {"locale": "en", "numericOrdering": true}, "01", "1", true),
        // Canonically equivalent, whatever `normalization` says.
        (doc! {"locale": "en", "strength": 5}, "é", "e\u{301}", true),
    ];
    for (options, left, right, same) in rows {
        let collator = collator(options.clone());
        assert_eq!(collator.text_of(left) == collator.text_of(right), same, "{options}: {left} {right}");
    }
}

#[test]
fn documents_are_resolved() {
    let full = doc! {
        "locale": "de", "caseLevel": false, "caseFirst": "off", "strength": 2, "numericOrdering": false,
        "alternate": "non-ignorable", "maxVariable": "punct", "normalization": false, "backwards": false, "version": "57.1",
    };
    let resolved = |doc| Document::try_from(collator(doc).resolved()).unwrap();
    assert_eq!(resolved(doc! {"locale": "de", "strength": 2.9}), full);
    assert_eq!(resolved(full.clone()), full);
    assert_eq!(resolved(doc! {"locale": "fr_CA"}).get("backwards"), Some(&Bson::Boolean(true)));
    assert_eq!(collator(doc! {"locale": "de", "strength": 2_i64}), collator(full));
    assert_ne!(collator(doc! {"locale": "de"}), collator(doc! {"locale": "fr"}));
    assert_eq!(parse(doc! {}).unwrap(), Collation::Inherited);
    assert_eq!(parse(doc! {"locale": "simple"}).unwrap(), Collation::Simple);
    assert_eq!(parse(doc! {"locale": "simple", "strength": 1}).unwrap(), Collation::Simple);
    let mine = collator(doc! {"locale": "de"});
    assert_eq!(Collation::Inherited.over(Some(&mine)), Some(mine.clone()));
    assert_eq!(Collation::Simple.over(Some(&mine)), None);
    assert_eq!(Collation::By(mine.clone()).over(None), Some(mine));
    assert_eq!(Collator::stored(None).unwrap(), None);
    assert!(Collator::stored(Some(&rawdoc! {"locale": "sv"})).unwrap().is_some());
}

#[test]
fn bad_documents_are_refused() {
    let rows = [
        (doc! {"strength": 2}, 40414, "BSON field 'collation.locale' is missing but a required field"),
        (doc! {"locale": Bson::Null}, 40414, ""),
        (
            doc! {"locale": 5},
            14,
            "BSON field 'collation.locale' is the wrong type 'int', expected type 'string'",
        ),
        (doc! {"locale": ""}, 2, ""),
        (doc! {"locale": "EN"}, 2, "Did you mean 'en'?"),
        (doc! {"locale": "en", "bogus": 1}, 40415, "BSON field 'collation.bogus' is an unknown field."),
        (
            doc! {"locale": "en", "strength": 6},
            2,
            "BSON field 'strength' value must be <= 5, actual value '6'",
        ),
        (doc! {"locale": "en", "strength": 0}, 2, ""),
        (doc! {"locale": "en", "strength": -1}, 2, ""),
        (doc! {"locale": "en", "strength": f64::NAN}, 2, ""),
        (doc! {"locale": "en", "strength": "2"}, 14, ""),
        (doc! {"locale": "en", "caseFirst": "Upper"}, 2, ""),
        (doc! {"locale": "en", "alternate": true}, 14, ""),
        (doc! {"locale": "en", "caseLevel": 1}, 14, ""),
        (doc! {"locale": "en", "maxVariable": "symbol"}, 2, ""),
        (doc! {"locale": "en", "version": "58.1"}, 161, ""),
        (doc! {"locale": "en", "caseFirst": "upper", "strength": 2}, 2, ""),
        (doc! {"locale": "en", "backwards": true, "strength": 1}, 2, ""),
        (doc! {"locale": "en", "backwards": Bson::Null}, 14, ""),
        (doc! {"locale": "en", "backwards": true}, 238, "'backwards: true'"),
        (doc! {"locale": "fr_CA", "backwards": false}, 238, ""),
        (doc! {"locale": "haw"}, 238, "locale 'haw'"),
        (doc! {"locale": "de@collation=search"}, 238, ""),
        (doc! {"locale": "simple", "strength": 9}, 2, ""),
    ];
    for (doc, code, message) in rows {
        let fault = parse(doc.clone()).expect_err(&doc.to_string());
        assert_eq!(fault.code.number(), code, "{doc}: {}", fault.message);
        assert!(fault.message.contains(message), "{doc}: {}", fault.message);
    }
}

/// Every locale that is promised has data, and those with an order of their own have not that of the root.
#[test]
fn every_locale_has_rules() {
    for locale in locale::BUILT {
        collator(doc! {"locale": *locale});
    }
    for (locale, variant, _) in locale::VARIANTS {
        let variant = collator(doc! {"locale": format!("{locale}@collation={variant}")});
        assert_ne!(variant, collator(doc! {"locale": *locale}));
    }
}

/// Sort keys are on disk: a library that makes others is another format.
#[test]
fn golden_keys() {
    let rows = [
        (doc! {"locale": "en"}, "Hello, wörld 42", "3c3933414147060457474d4131041a16013dc2960a01c39c130001"),
        (doc! {"locale": "en", "strength": 1}, "Hello", "3c39334141470001"),
        (doc! {"locale": "sv", "strength": 2}, "Åäö", "3c5e7f025e7f035e7f0401070001"),
        (doc! {"locale": "en", "numericOrdering": true}, "file10", "3c353b4133100c010901090001"),
        (
            doc! {"locale": "en", "alternate": "shifted", "strength": 4},
            "a-b c",
            "3c2b2d2f01070107011c050e1c041c0001",
        ),
        (doc! {"locale": "zh"}, "北京", "3c4dc2a56866010601060001"),
        (doc! {"locale": "ja", "strength": 5}, "あア", "3c5f06060106010601c3bcc3bd01c3bc33c285c392550001"),
    ];
    let got = rows.clone().map(|(options, text, _)| {
        let value = bson::RawBson::String(text.to_owned());
        let key = key::of_under(value.as_raw_bson_ref(), Some(&collator(options)));
        key.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    assert_eq!(got, rows.map(|(_, _, wanted)| wanted));
}

#[test]
fn types_have_names() {
    assert_eq!(element::type_name(RawBsonRef::Int64(1)), "long");
}

//! What holds for all updates and documents, whatever they say.

use super::*;
use bson::{Bson, Document, doc};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "0", "1", "x"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        Just(Bson::Null),
        (-3..3i32).prop_map(Bson::Int32),
        (-3..3i64).prop_map(Bson::Int64),
        Just(Bson::Double(1.5)),
        Just(Bson::String("s".to_owned())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Document> {
    prop::collection::vec((name(), value()), 0..5).prop_map(|fields| fields.into_iter().collect())
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![6 => name(), 1 => Just("$".to_owned()), 1 => Just("$[]".to_owned()), 1 => Just("$[e]".to_owned())];
    (name(), prop::collection::vec(part, 0..3))
        .prop_map(|(first, rest)| rest.iter().fold(first, |path, part| path + "." + part))
}

fn operators() -> impl Strategy<Value = Document> {
    let names = prop::sample::select(vec![
        "$set",
        "$unset",
        "$inc",
        "$mul",
        "$min",
        "$max",
        "$push",
        "$addToSet",
        "$pop",
        "$pull",
        "$rename",
        "$bit",
    ]);
    let operator = (names, path(), value(), path()).prop_map(|(name, path, operand, to)| {
        let operand = match name {
            "$inc" | "$mul" => Bson::Int32(2),
            "$pop" => Bson::Int32(-1),
            "$rename" => Bson::String(to),
            "$bit" => Bson::Document(doc! {"xor": 5}),
            _ => operand,
        };
        (name.to_owned(), Bson::Document(doc! {path: operand}))
    });
    prop::collection::vec(operator, 1..4).prop_map(|operators| operators.into_iter().collect())
}

proptest! {
    /// A result is valid BSON, says truly whether it differs, and setting it again changes nothing.
    #[test]
    fn results_are_documents(old in document(), update in operators(), at in 0..3usize) {
        let old = RawDocumentBuf::try_from(&old).unwrap();
        let modification = Modification::Document(RawDocumentBuf::try_from(&update).unwrap().into());
        let uses_filter = update.to_string().contains("$[e]");
        let filters: Vec<SharedDoc> =
            if uses_filter { vec![bson::rawdoc! {"e": {"$ne": 1}}.into()] } else { Vec::new() };
        let Ok(update) = Update::parse(UpdateSpec::new(&modification, &filters), &ParseContext::at(0)) else {
            return Ok(());
        };
        let position = Some(Position { index: Some(at) });
        let Ok(outcome) = update.apply(&old, position, false) else { return Ok(()) };
        prop_assert!(value::validate::document(outcome.doc.as_bytes(), limits::BSON_DEPTH_MAX).is_ok());
        prop_assert_eq!(outcome.modified, outcome.doc.as_bytes() != old.as_bytes());
        let decoded = Document::try_from(&*outcome.doc);
        prop_assert!(decoded.is_ok());
        for field in fields(&outcome.doc) {
            let field = field.unwrap();
            if let Some(array) = field.array().unwrap() {
                for (index, element) in fields(array).enumerate() {
                    prop_assert_eq!(element.unwrap().name(), index.to_string());
                }
            }
        }
    }
}

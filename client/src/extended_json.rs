//! Extended JSON of MongoDB for people: what they type becomes documents, replies become text.

use bson::{Bson, Document};

/// Reads one document of relaxed or canonical extended JSON.
///
/// # Errors
/// The text says where the JSON is wrong, or that it is not a document.
pub(crate) fn parse_document(text: &str) -> Result<Document, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        format!(
            "not valid JSON: {error}; names and strings are in double quotes, as in {{\"_id\": \"hashed\"}}"
        )
    })?;
    match Bson::try_from(value) {
        Ok(Bson::Document(document)) => Ok(document),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(format!("not valid extended JSON: {error}")),
    }
}

/// Relaxed extended JSON over several lines.
pub(crate) fn pretty(document: Document) -> String {
    format!("{:#}", Bson::Document(document).into_relaxed_extjson())
}

/// Canonical extended JSON of one value, on one line.
pub(crate) fn canonical(value: Bson) -> String {
    value.into_canonical_extjson().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, oid::ObjectId};

    #[test]
    fn documents_are_read() {
        let id = ObjectId::from_bytes([7; 12]);
        let rows = [
            (r#"{"ping": 1}"#.to_owned(), doc! { "ping": 1 }),
            (r#"{"a": {"$numberLong": "5"}}"#.to_owned(), doc! { "a": 5_i64 }),
            (format!(r#"{{"_id": {{"$oid": "{id}"}}}}"#), doc! { "_id": id }),
            (r#"{"a": {"$gt": 3.5}}"#.to_owned(), doc! { "a": { "$gt": 3.5 } }),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_document(&text).unwrap(), expected, "{text}");
        }
        for bad in ["", "1", "[1]", "{", "{a: 1}", r#"{"a": {"$oid": "x"}}"#] {
            assert!(parse_document(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replies_are_written() {
        assert_eq!(pretty(doc! { "ok": 1.0 }), "{\n  \"ok\": 1.0\n}");
        assert_eq!(canonical(Bson::Int32(3)), r#"{"$numberInt":"3"}"#);
    }
}

//! Records of a batch to documents of an insert, each with an `_id`.

use super::source::Batch;
use super::{csv_reader, json_encode};
use crate::link::Writer;
use bson::oid::ObjectId;
use types::limits::DOCUMENT_BYTES_MAX;

/// Bytes of an `_id` element with an ObjectId: type, name, value.
const ID_ELEMENT_BYTES: usize = 1 + 4 + 12;

/// Appends one record as a document.
///
/// # Errors
/// The line of the record and what is wrong with it; `out` is then as it was.
pub(crate) fn encode(
    batch: &Batch,
    index: usize,
    infer: bool,
    out: &mut Writer,
) -> Result<(), (u64, String)> {
    let start = out.bytes.len();
    let open = out.begin();
    // Most records have no _id, so room is made for one before it is known.
    out.object_id("_id", ObjectId::new());
    let (line, result) = match batch {
        Batch::Json(batch) => {
            let Some(record) = batch.records.get(index) else { return Ok(()) };
            let text = batch.text.get(record.range.clone()).unwrap_or_default();
            (record.line, json_encode::encode_fields(text, out).map_err(|error| error.to_string()))
        }
        Batch::Csv(batch) => {
            let Some((line, record)) = batch.records.get(index) else { return Ok(()) };
            (*line, csv_reader::encode_fields(&batch.header, record, infer, out))
        }
    };
    let fault = match result {
        Err(reason) => Some(reason),
        Ok(has_id) => {
            if has_id {
                let id_at = start + 4;
                out.bytes.drain(id_at..id_at + ID_ELEMENT_BYTES);
            }
            out.end(open);
            let bytes = out.bytes.len() - start;
            (bytes > DOCUMENT_BYTES_MAX)
                .then(|| format!("a document of {bytes} bytes; the limit is {DOCUMENT_BYTES_MAX}"))
        }
    };
    match fault {
        None => Ok(()),
        Some(reason) => {
            out.bytes.truncate(start);
            Err((line, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json_cut::cut_values;
    use super::*;
    use bson::Document;

    #[test]
    fn every_document_has_one_id() {
        let text = format!(
            r#"[{{"a": 1}}, {{"b": 2, "_id": 7}}, {{"_id": "x"}}, {{"c": oops}}, {{"s": "{}"}}]"#,
            "x".repeat(DOCUMENT_BYTES_MAX)
        );
        let mut outcome = Vec::new();
        cut_values(text.as_bytes(), 10, &mut |batch| {
            for index in 0..batch.len() {
                let mut out = Writer::default();
                outcome.push(encode(&batch, index, false, &mut out).map(|()| {
                    let document = Document::from_reader(out.bytes.as_slice()).unwrap();
                    document.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
                }));
            }
            true
        })
        .unwrap();
        assert_eq!(outcome[0].as_ref().unwrap(), &["_id", "a"]);
        assert_eq!(outcome[1].as_ref().unwrap(), &["b", "_id"]);
        assert_eq!(outcome[2].as_ref().unwrap(), &["_id"]);
        assert!(outcome[3].as_ref().unwrap_err().1.contains("expected value"));
        assert!(outcome[4].as_ref().unwrap_err().1.contains("limit"));
    }
}

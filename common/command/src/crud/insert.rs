//! `insert`: new documents for one collection.

use crate::options::WriteOptions;
use crate::parse::{Body, batch, write_options};
use crate::{Envelope, Request, Rewrite};
use types::{Fault, Namespace};
use value::SharedDoc;

/// An `insert` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub ns: Namespace,
    pub documents: Vec<SharedDoc>,
    pub options: WriteOptions,
}

impl Insert {
    /// Reads the command. The documents are not looked into.
    ///
    /// # Errors
    /// As MongoDB: bad fields, no or too many documents.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Insert, Fault> {
        let body = Body::with_sequences(request, "insert", &["documents"]);
        let ns = body.collection(envelope)?;
        let mut documents = None;
        let mut options = WriteOptions::unnamed();
        body.each(|field| {
            match field.name {
                "documents" => documents = Some(field.documents()?),
                _ if write_options(&field, &mut options)? => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let documents = batch(request, "insert", "documents", documents)?;
        options.check_statements(documents.len())?;
        Ok(Insert { ns, documents, options })
    }

    /// `request` with only the documents at `positions`, as this insert has them now.
    ///
    /// # Errors
    /// `InvalidBSON` (22) where the body cannot be walked.
    pub fn subset(&self, request: &Request, positions: &[usize]) -> Result<Request, Fault> {
        let documents =
            positions.iter().filter_map(|position| self.documents.get(*position).cloned()).collect();
        self.options
            .renumber(Rewrite::of(request), request, positions)
            .sequence("documents", documents)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sequence;
    use crate::options::StatementIds;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::{doc, rawdoc};

    fn parse(body: bson::Document) -> Result<Insert, Fault> {
        Insert::parse(&request(body), &envelope())
    }

    #[test]
    fn documents_come_from_body_or_sequence() {
        let insert =
            parse(doc! {"insert": "c", "documents": [{"a": 1}, {"a": 2}], "ordered": false}).unwrap();
        assert_eq!(insert.documents.len(), 2);
        assert!(!insert.options.ordered);
        let mut both = request(doc! {"insert": "c"});
        both.sequences.push(Sequence { name: "documents".into(), documents: vec![rawdoc! {"a": 1}.into()] });
        assert!(Insert::parse(&both, &envelope()).unwrap().options.ordered);
        both.body = request(doc! {"insert": "c", "documents": []}).body;
        assert_eq!(Insert::parse(&both, &envelope()).unwrap_err().code.number(), 40433);
        both.body = request(doc! {"insert": "c"}).body;
        both.sequences[0].name = "updates".into();
        assert_eq!(Insert::parse(&both, &envelope()).unwrap_err().code.number(), 40415);
    }

    #[test]
    fn bad_fields_are_refused() {
        check_faults(
            |body| parse(body).map(drop),
            &[
                (
                    doc! {"insert": "c"},
                    40414,
                    "BSON field 'insert.documents' is missing but a required field",
                ),
                (
                    doc! {"insert": "c", "documents": []},
                    16,
                    "Write batch sizes must be between 1 and 100000. Got 0 operations.",
                ),
                (
                    doc! {"insert": "c", "documents": [{}, 3]},
                    14,
                    "BSON field 'insert.documents.1' is the wrong type 'int', expected type 'object'",
                ),
                (
                    doc! {"insert": "c", "documents": vec![doc! {}; 100_002]},
                    16,
                    "Write batch sizes must be between 1 and 100000. Got 100002 operations.",
                ),
                (doc! {"insert": "c", "documents": [{}], "stmtIds": [1, 2]}, 16, ""),
                (doc! {"insert": "c", "documents": [{}], "stmtId": 3, "stmtIds": [1]}, 72, ""),
                (doc! {"insert": "", "documents": [{}]}, 73, ""),
            ],
        );
    }

    #[test]
    fn a_subset_keeps_statement_numbers() {
        let asked = request(doc! {
            "insert": "c", "documents": [{"a": 0}, {"a": 1}, {"a": 2}], "ordered": false, "txnNumber": 4_i64, "stmtId": 7,
            "$db": "d", "bypassDocumentValidation": true,
        });
        let sent = Insert::parse(&asked, &envelope()).unwrap().subset(&asked, &[0, 2]).unwrap();
        assert_eq!(
            bson::Document::try_from(&*sent.body).unwrap(),
            doc! {
                "insert": "c", "ordered": false, "txnNumber": 4_i64, "$db": "d", "bypassDocumentValidation": true,
                "stmtIds": [7, 9],
            }
        );
        let again = Insert::parse(&sent, &envelope()).unwrap();
        assert_eq!(again.documents[1].get_i32("a").unwrap(), 2);
        assert_eq!(again.options.statements, StatementIds::Listed(vec![7, 9]));
    }
}

//! A command as it arrived, and the answer to it.

use bson::{RawDocument, RawDocumentBuf};
use value::SharedDoc;

/// A kind-1 section of OP_MSG: documents under a name, beside the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    pub name: String,
    pub documents: Vec<SharedDoc>,
}

/// A command: the body, whose first element names it, and its document sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub body: SharedDoc,
    pub sequences: Vec<Sequence>,
}

impl Request {
    /// A request without sequences.
    pub fn from_body(body: impl Into<SharedDoc>) -> Request {
        Request { body: body.into(), sequences: Vec::new() }
    }

    /// The name of the command: the body's first field name; empty for an empty body.
    pub fn name(&self) -> &str {
        match self.body.iter().next() {
            Some(Ok((name, _))) => name.as_str(),
            _ => "",
        }
    }

    /// The documents of the sequence `name`.
    pub fn sequence(&self, name: &str) -> Option<&[SharedDoc]> {
        self.sequences
            .iter()
            .find(|sequence| sequence.name == name)
            .map(|sequence| sequence.documents.as_slice())
    }
}

/// The answer to a command, without `ok`, `$clusterTime` and `operationTime`: the front end adds those.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub doc: RawDocumentBuf,
}

impl Reply {
    /// An answer that says nothing but `ok: 1`.
    pub fn ok() -> Reply {
        Reply { doc: RawDocumentBuf::new() }
    }
}

impl From<RawDocumentBuf> for Reply {
    fn from(doc: RawDocumentBuf) -> Reply {
        Reply { doc }
    }
}

impl From<&RawDocument> for Reply {
    fn from(doc: &RawDocument) -> Reply {
        Reply { doc: doc.to_owned() }
    }
}

impl TryFrom<bson::Document> for Reply {
    type Error = types::Fault;

    fn try_from(doc: bson::Document) -> Result<Reply, types::Fault> {
        RawDocumentBuf::try_from(&doc)
            .map(|doc| Reply { doc })
            .map_err(|error| types::Fault::internal(format!("reply does not encode: {error}")))
    }
}

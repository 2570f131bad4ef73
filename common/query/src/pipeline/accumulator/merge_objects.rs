//! `$mergeObjects`: the fields of all documents, later ones win; null and missing are passed over.

use super::State;
use crate::expr::{Evaluated, Value, render, to_raw, type_name};
use bson::{Bson, Document, RawBson, RawBsonRef};
use types::{Code, Fault};

pub(super) fn start() -> Box<dyn State> {
    Box::new(MergeObjects { merged: Document::new() })
}

struct MergeObjects {
    merged: Document,
}

impl MergeObjects {
    fn take(&mut self, value: Value, bytes: usize) -> Result<usize, Fault> {
        match value {
            None | Some(Bson::Null | Bson::Undefined) => Ok(0),
            Some(Bson::Document(document)) => {
                self.merged.extend(document);
                Ok(bytes)
            }
            other => Err(Fault::new(
                Code::Location(40400),
                format!(
                    "$mergeObjects requires object inputs, but input {} is of type {}",
                    render(&other),
                    type_name(&other)
                ),
            )),
        }
    }
}

impl State for MergeObjects {
    fn add(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        let bytes = match &value {
            Evaluated::Raw(RawBsonRef::Document(document)) => document.as_bytes().len(),
            _ => 0,
        };
        self.take(value.into_value()?, bytes)
    }

    fn merge(&mut self, partial: RawBsonRef<'_>) -> Result<usize, Fault> {
        self.add(Evaluated::Raw(partial))
    }

    fn partial(&mut self) -> Result<RawBson, Fault> {
        self.result()
    }

    fn result(&mut self) -> Result<RawBson, Fault> {
        to_raw(&Bson::Document(std::mem::take(&mut self.merged)))
    }
}

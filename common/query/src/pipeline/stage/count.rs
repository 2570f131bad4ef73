//! `$count`: one document with the number of documents, or none at all if there were none.

use super::{Exec, Parsing, Stage};
use crate::expr::element_name;
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Count {
    pub(in crate::pipeline) field: String,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let refuse = |code, message: &str| Err(Fault::new(Code::Location(code), message));
    let Some(field) = raw.as_str() else {
        return refuse(40156, "the count field must be a non-empty string");
    };
    if field.is_empty() {
        return refuse(40157, "the count field must be a non-empty string");
    }
    if field.starts_with('$') {
        return refuse(40158, "the count field cannot be a $-prefixed path");
    }
    if field.contains('\0') {
        return refuse(40159, "the count field cannot contain a null byte");
    }
    if field.contains('.') {
        return refuse(40160, "the count field cannot contain '.'");
    }
    Ok(Stage::Count(Count { field: field.to_owned() }))
}

impl Count {
    pub(super) fn start(&self) -> impl Exec + use<> {
        Counting { field: self.field.clone(), count: 0, ended: false }
    }
}

struct Counting {
    field: String,
    count: i64,
    ended: bool,
}

impl Exec for Counting {
    fn push(&mut self, _: RawDocumentBuf) -> Result<(), Fault> {
        self.count += 1;
        Ok(())
    }

    fn push_ref(&mut self, _: &RawDocument) -> Result<(), Fault> {
        self.count += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.ended = true;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        let count = std::mem::take(&mut self.count);
        if !self.ended || count == 0 {
            self.count = count;
            return Ok(None);
        }
        let value = i32::try_from(count).map_or(RawBson::Int64(count), RawBson::Int32);
        let mut out = RawDocumentBuf::new();
        out.append(element_name(&self.field)?, value);
        Ok(Some(out))
    }
}

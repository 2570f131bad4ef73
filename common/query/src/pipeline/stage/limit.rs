//! `$limit`: the first documents.

use super::{Exec, Parsing, Stage, integer};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Limit(pub(in crate::pipeline) u64);

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let limit = integer::exact(raw).and_then(|limit| u64::try_from(limit).ok()).ok_or_else(|| {
        Fault::new(
            Code::Location(5107201),
            format!("invalid argument to $limit stage: Expected a non-negative number in: $limit: {raw:?}"),
        )
    })?;
    if limit == 0 {
        return Err(Fault::new(Code::Location(15958), "the limit must be positive"));
    }
    Ok(Stage::Limit(Limit(limit)))
}

impl Limit {
    pub(super) fn start(&self) -> impl Exec + use<> {
        Limiting { left: self.0, out: None }
    }
}

struct Limiting {
    left: u64,
    out: Option<RawDocumentBuf>,
}

impl Exec for Limiting {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        if self.left > 0 {
            self.left -= 1;
            self.out = Some(document);
        }
        Ok(())
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        if self.left > 0 { self.push(document.to_owned()) } else { Ok(()) }
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.out.take())
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.out.is_none()
    }
}

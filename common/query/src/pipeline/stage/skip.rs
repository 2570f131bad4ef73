//! `$skip`: all but the first documents.

use super::{Exec, Parsing, Stage, integer};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Skip(pub(in crate::pipeline) u64);

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let skip = integer::exact(raw).and_then(|skip| u64::try_from(skip).ok()).ok_or_else(|| {
        Fault::new(
            Code::Location(5107200),
            format!("invalid argument to $skip stage: Expected a non-negative number in: $skip: {raw:?}"),
        )
    })?;
    Ok(Stage::Skip(Skip(skip)))
}

impl Skip {
    pub(super) fn start(&self) -> impl Exec + use<> {
        Skipping { left: self.0, out: None }
    }
}

struct Skipping {
    left: u64,
    out: Option<RawDocumentBuf>,
}

impl Exec for Skipping {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.out = Some(document),
        }
        Ok(())
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.out = Some(document.to_owned()),
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.out.take())
    }
}

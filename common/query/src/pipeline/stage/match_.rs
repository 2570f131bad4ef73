//! `$match`: documents that a filter accepts.

use super::{Exec, Parsing, Stage};
use crate::matcher::Matcher;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Match {
    filter: RawDocumentBuf,
    matcher: Arc<Matcher>,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let Some(filter) = raw.as_document() else {
        return Err(Fault::new(Code::Location(15959), "the match filter must be an expression in an object"));
    };
    Ok(Stage::Match(Match {
        filter: filter.to_owned(),
        matcher: Arc::new(Matcher::parse(filter, parsing.ctx)?),
    }))
}

impl Match {
    pub(in crate::pipeline) fn filter(&self) -> &RawDocument {
        &self.filter
    }

    pub(in crate::pipeline) fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    pub(super) fn start(&self) -> impl Exec + use<> {
        Matching { matcher: Arc::clone(&self.matcher), out: None }
    }
}

struct Matching {
    matcher: Arc<Matcher>,
    out: Option<RawDocumentBuf>,
}

impl Exec for Matching {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        if self.matcher.matches(&document)? {
            self.out = Some(document);
        }
        Ok(())
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        if self.matcher.matches(document)? {
            self.out = Some(document.to_owned());
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.out.take())
    }
}

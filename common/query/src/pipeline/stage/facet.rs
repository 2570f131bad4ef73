//! `$facet`: several pipelines over the same input, their results as arrays of one document.

use super::{Exec, Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::{checked_field_name, element_name};
use crate::pipeline::{Pipeline, Run, parse as pipeline};
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use std::sync::Arc;
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Facet {
    facets: Arc<[(String, Pipeline)]>,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let refuse = |code, message: String| Err(Fault::new(Code::Location(code), message));
    let Some(spec) = raw.as_document().filter(|spec| !spec.is_empty()) else {
        return refuse(40169, "the $facet specification must be a non-empty object".into());
    };
    if parsing.nested {
        return refuse(40600, "$facet is not allowed to be used within a $facet stage".into());
    }
    let mut facets = Vec::new();
    for element in spec {
        let (name, value) = element.map_err(invalid_bson)?;
        checked_field_name(name.as_str())?;
        let Some(stages) = value.as_array() else {
            return refuse(40170, format!("arguments to $facet must be arrays, {name} is not one"));
        };
        let stages = pipeline::documents(stages)?;
        let facet = pipeline::parse(&stages, &Parsing { nested: true, ..*parsing })?;
        facets.push((name.as_str().to_owned(), facet));
    }
    Ok(Stage::Facet(Facet { facets: facets.into() }))
}

impl Facet {
    pub(super) fn start(&self, bytes_max: usize) -> impl Exec + use<> {
        let runs = self.facets.iter().map(|(name, pipeline)| Running {
            name: name.clone(),
            run: Run::new(pipeline, bytes_max),
            results: RawArrayBuf::new(),
        });
        Faceting { runs: runs.collect(), bytes_max, ended: false }
    }
}

struct Running {
    name: String,
    run: Run,
    results: RawArrayBuf,
}

struct Faceting {
    runs: Vec<Running>,
    bytes_max: usize,
    ended: bool,
}

impl Faceting {
    fn collect(&mut self) -> Result<(), Fault> {
        let mut bytes = 0;
        for facet in &mut self.runs {
            while let Some(document) = facet.run.pop()? {
                facet.results.push(document);
                // One result document: what does not fit 16 MB at the end need not be held up to the memory limit.
                if facet.results.as_bytes().len() > self.bytes_max {
                    return Err(exceeded(self.bytes_max));
                }
            }
            bytes += facet.results.as_bytes().len();
        }
        if bytes > self.bytes_max { Err(exceeded(self.bytes_max)) } else { Ok(()) }
    }
}

fn exceeded(bytes_max: usize) -> Fault {
    Fault::new(Code::Location(4031700), format!("document constructed by $facet exceeds {bytes_max} bytes"))
}

impl Exec for Faceting {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.push_ref(&document)
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        for facet in &mut self.runs {
            if facet.run.wants_more() {
                facet.run.push(document)?;
            }
        }
        self.collect()
    }

    fn end(&mut self) -> Result<(), Fault> {
        for facet in &mut self.runs {
            facet.run.finish()?;
        }
        self.collect()?;
        self.ended = true;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        if !std::mem::take(&mut self.ended) {
            return Ok(None);
        }
        let mut out = RawDocumentBuf::new();
        for facet in self.runs.drain(..) {
            out.append(element_name(&facet.name)?, facet.results);
        }
        Ok(Some(out))
    }
}

//! `$sample`: n documents at random, each with the same chance (reservoir sampling).

use super::{Exec, Parsing, Stage, integer};
use crate::context::invalid_bson;
use bson::{RawBsonRef, RawDocumentBuf};
use rand::RngExt;
use types::{Code, Fault};

#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Sample {
    size: u64,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let Some(spec) = raw.as_document() else {
        return Err(Fault::new(Code::Location(28745), "the $sample stage specification must be an object"));
    };
    let mut size = None;
    for element in spec {
        let (name, value) = element.map_err(invalid_bson)?;
        if name.as_str() != "size" {
            return Err(Fault::new(Code::Location(28748), format!("unrecognized option to $sample: {name}")));
        }
        let number = value::number::Number::from_raw(value)
            .ok_or_else(|| Fault::new(Code::Location(28746), "size argument to $sample must be a number"))?;
        size = Some(
            integer::exact(value)
                .or_else(|| number.to_i64_truncated())
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0)
                .ok_or_else(|| {
                    Fault::new(Code::Location(28747), "size argument to $sample must be a positive integer")
                })?,
        );
    }
    let size = size.ok_or_else(|| Fault::new(Code::Location(28749), "$sample stage must specify a size"))?;
    Ok(Stage::Sample(Sample { size }))
}

impl Sample {
    pub(super) fn start(&self, bytes_max: usize) -> impl Exec + use<> {
        Sampling { size: self.size, seen: 0, kept: Vec::new(), bytes: 0, bytes_max, ended: false }
    }
}

struct Sampling {
    size: u64,
    seen: u64,
    kept: Vec<RawDocumentBuf>,
    bytes: usize,
    bytes_max: usize,
    ended: bool,
}

impl Exec for Sampling {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.seen += 1;
        let size = document.as_bytes().len();
        if (self.kept.len() as u64) < self.size {
            self.bytes += size;
            self.kept.push(document);
        } else {
            let place = rand::rng().random_range(0..self.seen);
            if let Some(kept) = usize::try_from(place).ok().and_then(|place| self.kept.get_mut(place)) {
                self.bytes = self.bytes + size - kept.as_bytes().len();
                *kept = document;
            }
        }
        if self.bytes > self.bytes_max {
            return Err(Fault::new(
                Code::QueryExceededMemoryLimitNoDiskUseAllowed,
                format!("Exceeded memory limit for $sample of {} bytes", self.bytes_max),
            ));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.ended = true;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        if !self.ended || self.kept.is_empty() {
            return Ok(None);
        }
        // Random order too: the reservoir's own is not.
        let place = rand::rng().random_range(0..self.kept.len());
        Ok(Some(self.kept.swap_remove(place)))
    }
}

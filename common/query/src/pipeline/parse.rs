//! From raw stages to a pipeline.

use super::registry::{self, Parser};
use super::source::Source;
use super::stage::{Parsing, Planned, Stage};
use super::{Pipeline, rewrite};
use crate::context::{ParseContext, invalid_bson};
use crate::expr::Variables;
use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault, limits};

impl Pipeline {
    /// Parses the stages in order and fuses what belongs together.
    ///
    /// # Errors
    /// 40323 for a stage that has not exactly one field, 40324 for an unknown one, 238 for one that is not built,
    /// 7749501 for more than 1,000 stages, and whatever the stages say about their specifications.
    pub fn parse<'a, S, D>(stages: S, ctx: &ParseContext) -> Result<Pipeline, Fault>
    where
        S: IntoIterator<Item = &'a D>,
        D: AsRef<RawDocument> + ?Sized + 'a,
    {
        let mut raw = Vec::new();
        for stage in stages {
            raw.push(stage.as_ref());
            check_count(raw.len())?;
        }
        let scope = Variables::from_context(ctx)?;
        parse(&raw, &Parsing { scope: &scope, ctx, nested: false })
    }

    /// As [`Pipeline::parse`], from the array in a command.
    ///
    /// # Errors
    /// 14 for an element that is no document; else as [`Pipeline::parse`].
    pub fn parse_array(stages: &RawArray, ctx: &ParseContext) -> Result<Pipeline, Fault> {
        Pipeline::parse(documents(stages)?, ctx)
    }
}

/// The stages of an array.
pub(super) fn documents(stages: &RawArray) -> Result<Vec<&RawDocument>, Fault> {
    let mut out = Vec::new();
    for element in stages {
        match element.map_err(invalid_bson)? {
            RawBsonRef::Document(stage) => out.push(stage),
            _ => {
                return Err(Fault::new(
                    Code::TypeMismatch,
                    "Each element of the 'pipeline' array must be an object",
                ));
            }
        }
        check_count(out.len())?;
    }
    Ok(out)
}

fn check_count(count: usize) -> Result<(), Fault> {
    if count > limits::PIPELINE_STAGE_COUNT_MAX {
        return Err(Fault::new(
            Code::Location(7749501),
            format!("Pipeline length must be no longer than {} stages.", limits::PIPELINE_STAGE_COUNT_MAX),
        ));
    }
    Ok(())
}

/// Parses stages; a sub-pipeline (`nested`) has no source of its own.
pub(super) fn parse(stages: &[&RawDocument], parsing: &Parsing<'_>) -> Result<Pipeline, Fault> {
    let mut pipeline = Pipeline::default();
    for (index, raw) in stages.iter().enumerate() {
        let (name, value) = only_field(raw)?;
        let Some(spec) = registry::find(name) else {
            return Err(Fault::new(
                Code::Location(40324),
                format!("Unrecognized pipeline stage name: '{name}'"),
            ));
        };
        match spec.parser {
            Parser::Stage(parse) => {
                let stage = parse(spec.name, value, parsing)?;
                pipeline.stages.push(Planned { raw: (*raw).to_owned(), stage });
            }
            Parser::Rewrite(rewrite) => {
                for raw in rewrite(value, parsing)? {
                    plain(raw, parsing, &mut pipeline.stages)?;
                }
            }
            Parser::Source(kind) => {
                if parsing.nested {
                    return Err(Fault::new(
                        Code::Location(40600),
                        format!("{name} is not allowed to be used within a $facet stage"),
                    ));
                }
                if index > 0 {
                    return Err(Fault::new(
                        Code::Location(40602),
                        format!("{name} is only valid as the first stage in a pipeline"),
                    ));
                }
                pipeline.source = Some(Source::parse(spec.name, kind, raw, value, parsing)?);
            }
            Parser::Unbuilt => return Err(Fault::not_implemented(format!("pipeline stage {name}"))),
        }
    }
    rewrite::fuse(&mut pipeline.stages);
    Ok(pipeline)
}

/// Parses a stage that we wrote ourselves.
pub(super) fn plain(raw: RawDocumentBuf, parsing: &Parsing<'_>, out: &mut Vec<Planned>) -> Result<(), Fault> {
    let stage = stage(&raw, parsing)?;
    out.push(Planned { raw, stage });
    Ok(())
}

fn stage(raw: &RawDocument, parsing: &Parsing<'_>) -> Result<Stage, Fault> {
    let (name, value) = only_field(raw)?;
    match registry::find(name) {
        Some(registry::Spec { name, parser: Parser::Stage(parse) }) => parse(name, value, parsing),
        _ => Err(Fault::internal(format!("{name} cannot be part of a rewritten stage"))),
    }
}

fn only_field(raw: &RawDocument) -> Result<(&str, RawBsonRef<'_>), Fault> {
    let mut fields = raw.iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => {
            let (name, value) = field.map_err(invalid_bson)?;
            Ok((name.as_str(), value))
        }
        _ => Err(Fault::new(
            Code::Location(40323),
            "A pipeline stage specification object must contain exactly one field.",
        )),
    }
}

//! An update by aggregation stages: the document goes in, what comes out replaces it and keeps its `_id`.

use super::{Outcome, replace};
use crate::context::ParseContext;
use crate::pipeline::{Pipeline, Run};
use crate::raw::fields;
use bson::RawDocument;
use types::{Code, Fault, limits};
use value::SharedDoc;

/// The stages that keep one document one document.
const STAGES: &[&str] = &["$addFields", "$project", "$replaceRoot", "$replaceWith", "$set", "$unset"];

/// Parses the stages.
///
/// # Errors
/// `InvalidOptions` (72) for stages that are not for updates; the errors of the stages.
pub(super) fn parse(stages: &[SharedDoc], ctx: &ParseContext) -> Result<Pipeline, Fault> {
    for stage in stages {
        if let Some(name) = fields(stage).next().transpose()?
            && name.name().starts_with('$')
            && !STAGES.contains(&name.name())
        {
            return Err(Fault::new(
                Code::InvalidOptions,
                format!("{} is not allowed to be used within an update", name.name()),
            ));
        }
    }
    let documents: Vec<&RawDocument> = stages.iter().map(|stage| &**stage).collect();
    Pipeline::parse(documents, ctx)
}

/// Runs the stages over one document.
pub(super) fn apply(pipeline: &Pipeline, doc: &RawDocument) -> Result<Outcome, Fault> {
    let mut run = Run::new(pipeline, limits::BLOCKING_STAGE_BYTES_MAX);
    run.push(doc)?;
    run.finish()?;
    let new = run.pop()?.ok_or_else(|| Fault::internal("an update pipeline gave no document"))?;
    replace::apply(&new, doc)
}

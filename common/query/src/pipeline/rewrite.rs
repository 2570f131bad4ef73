//! Stages that belong together, and stages that a scan can do itself. Results never change.

use super::stage::{Planned, Stage};
use super::{Pipeline, Prefix};

/// Gives each `$sort` the `$limit` behind it, also across a `$skip`.
pub(super) fn fuse(stages: &mut [Planned]) {
    for index in 0..stages.len() {
        let limit = wanted_behind(&stages[index + 1..]);
        if let Stage::Sort(sort) = &mut stages[index].stage {
            sort.limit = limit;
        }
    }
}

/// How many documents the stages want at most, as far as `$skip` and `$limit` at their front say.
pub(super) fn wanted_behind(stages: &[Planned]) -> Option<u64> {
    let mut skipped: u64 = 0;
    let mut wanted: Option<u64> = None;
    for planned in stages {
        match &planned.stage {
            Stage::Skip(skip) => skipped = skipped.checked_add(skip.0)?,
            Stage::Limit(limit) => {
                let most = skipped.checked_add(limit.0)?;
                wanted = Some(wanted.map_or(most, |wanted| wanted.min(most)));
            }
            _ => break,
        }
    }
    wanted
}

/// Takes the front that a scan can do: filter, sort, and how many documents are wanted.
pub(super) fn take_prefix(pipeline: &mut Pipeline) -> Prefix {
    let mut prefix = Prefix::default();
    if pipeline.source.is_some() {
        return prefix;
    }
    if let Some(Stage::Match(stage)) = pipeline.stages.first().map(|planned| &planned.stage) {
        prefix.filter = Some(stage.filter().to_owned());
        pipeline.stages.remove(0);
    }
    if let Some(Stage::Sort(stage)) = pipeline.stages.first().map(|planned| &planned.stage) {
        prefix.sort = Some(stage.pattern().to_owned());
        pipeline.stages.remove(0);
    }
    // The stages themselves stay: the limit only says how far the scan need go.
    prefix.limit = wanted_behind(&pipeline.stages);
    prefix
}

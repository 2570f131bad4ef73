//! Divides a pipeline: what every shard does with its documents, how the router merges the streams, and what the
//! router does then. Running the parts over documents dealt to any number of shards gives what the whole would.

use super::stage::group::{self, Part};
use super::stage::{Planned, Stage};
use super::{Pipeline, rewrite};
use crate::sort::Sort;
use bson::{RawDocumentBuf, rawdoc};
use types::Fault;

/// A divided pipeline.
#[derive(Debug)]
pub struct Split {
    /// The stages for the shards, source included if it runs there.
    pub shard: Vec<RawDocumentBuf>,
    /// The order in which the shards' streams come, to be merged so. `None`: in any order.
    pub merge: Option<Sort>,
    /// What the router runs over the merged stream. It has the source only if that runs on the router,
    /// and `shard` is empty then and must not be sent.
    pub router: Pipeline,
}

/// Divides a pipeline for a collection that lies on several shards.
///
/// # Errors
/// Only if the pipeline was not made by [`Pipeline::parse`].
pub fn split(pipeline: &Pipeline) -> Result<Split, Fault> {
    if let Some(source) = &pipeline.source
        && !source.kind().runs_on_shards()
    {
        return Ok(Split { shard: Vec::new(), merge: None, router: pipeline.clone() });
    }
    let mut shard: Vec<RawDocumentBuf> =
        pipeline.source.iter().map(|source| source.raw().to_owned()).collect();
    let place = pipeline.stages.iter().position(|planned| !is_local(&planned.stage));
    let (local, rest) = pipeline.stages.split_at(place.unwrap_or(pipeline.stages.len()));
    shard.extend(local.iter().map(|planned| planned.raw.clone()));
    let mut merge = None;
    let mut router = rest.to_vec();
    if let Some((first, behind)) = rest.split_first() {
        match &first.stage {
            Stage::Sort(sort) => {
                shard.push(first.raw.clone());
                if let Some(limit) = sort.limit {
                    shard.push(limit_stage(limit));
                }
                merge = Some(sort.sort().clone());
                router = behind.to_vec();
            }
            Stage::Group(stage) => {
                shard.push(group::raw_part(&first.raw, Part::Partial)?);
                let raw = group::raw_part(&first.raw, Part::Merge)?;
                router[0] = Planned { raw, stage: Stage::Group(stage.as_part(Part::Merge)) };
            }
            Stage::Count(count) => {
                shard.push(first.raw.clone());
                router.splice(..1, merged_count(&count.field)?);
            }
            Stage::Limit(_) | Stage::Skip(_) => {
                if let Some(limit) = rewrite::wanted_behind(rest) {
                    shard.push(limit_stage(limit));
                }
            }
            // These see all documents in one place.
            Stage::Facet(_) | Stage::Sample(_) => {}
            Stage::Match(_) | Stage::Reshape(_) | Stage::ReplaceRoot(_) | Stage::Unwind(_) => {}
        }
    }
    Ok(Split { shard, merge, router: Pipeline { source: None, stages: router } })
}

/// Whether each document can be treated where it lies.
fn is_local(stage: &Stage) -> bool {
    match stage {
        Stage::Match(_) | Stage::Reshape(_) | Stage::ReplaceRoot(_) | Stage::Unwind(_) => true,
        Stage::Count(_)
        | Stage::Facet(_)
        | Stage::Group(_)
        | Stage::Limit(_)
        | Stage::Sample(_)
        | Stage::Skip(_)
        | Stage::Sort(_) => false,
    }
}

fn limit_stage(limit: u64) -> RawDocumentBuf {
    // A limit came in as int64; the sum with a skip is held at its end.
    rawdoc! { "$limit": i64::try_from(limit).unwrap_or(i64::MAX) }
}

/// The sum of the shards' counts; still nothing if all were empty.
fn merged_count(field: &str) -> Result<Vec<Planned>, Fault> {
    let name = crate::expr::element_name(field)?;
    let mut group = rawdoc! { "_id": bson::RawBson::Null };
    group.append(name, rawdoc! { "$sum": format!("${field}") });
    let stages = [rawdoc! { "$group": group }, rawdoc! { "$project": { "_id": 0_i32 } }];
    Ok(Pipeline::parse(&stages, &crate::context::ParseContext::default())?.stages)
}

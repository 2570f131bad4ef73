//! Every stage that MongoDB has, sorted by name: built, a source, rewritten to others, or refused by its name.

use super::source::SourceKind;
use super::stage::{
    Parsing, Stage, add_fields, bucket, count, facet, group, limit, match_, project, replace_root, sample,
    skip, sort, sort_by_count, unset, unwind,
};
use bson::{RawBsonRef, RawDocumentBuf};
use types::Fault;

/// A row of the table.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) parser: Parser,
}

#[derive(Debug)]
pub(super) enum Parser {
    Stage(fn(&'static str, RawBsonRef<'_>, &Parsing<'_>) -> Result<Stage, Fault>),
    /// Written as other stages.
    Rewrite(fn(RawBsonRef<'_>, &Parsing<'_>) -> Result<Vec<RawDocumentBuf>, Fault>),
    /// Makes documents; the server runs it.
    Source(SourceKind),
    /// MongoDB has it, we do not.
    Unbuilt,
}

const STAGES: &[Spec] = &[
    Spec { name: "$addFields", parser: Parser::Stage(add_fields::parse) },
    Spec { name: "$bucket", parser: Parser::Rewrite(bucket::rewrite) },
    Spec { name: "$bucketAuto", parser: Parser::Unbuilt },
    Spec { name: "$changeStream", parser: Parser::Source(SourceKind::ChangeStream) },
    Spec { name: "$changeStreamSplitLargeEvent", parser: Parser::Unbuilt },
    Spec { name: "$collStats", parser: Parser::Source(SourceKind::CollStats) },
    Spec { name: "$count", parser: Parser::Stage(count::parse) },
    Spec { name: "$currentOp", parser: Parser::Source(SourceKind::CurrentOp) },
    Spec { name: "$densify", parser: Parser::Unbuilt },
    Spec { name: "$documents", parser: Parser::Source(SourceKind::Documents) },
    Spec { name: "$facet", parser: Parser::Stage(facet::parse) },
    Spec { name: "$fill", parser: Parser::Unbuilt },
    Spec { name: "$geoNear", parser: Parser::Unbuilt },
    Spec { name: "$graphLookup", parser: Parser::Unbuilt },
    Spec { name: "$group", parser: Parser::Stage(group::parse) },
    Spec { name: "$indexStats", parser: Parser::Source(SourceKind::IndexStats) },
    Spec { name: "$limit", parser: Parser::Stage(limit::parse) },
    Spec { name: "$listCatalog", parser: Parser::Source(SourceKind::ListCatalog) },
    Spec { name: "$listClusterCatalog", parser: Parser::Source(SourceKind::ListClusterCatalog) },
    Spec { name: "$listLocalSessions", parser: Parser::Source(SourceKind::ListLocalSessions) },
    Spec { name: "$listSampledQueries", parser: Parser::Unbuilt },
    Spec { name: "$listSearchIndexes", parser: Parser::Unbuilt },
    Spec { name: "$listSessions", parser: Parser::Source(SourceKind::ListSessions) },
    Spec { name: "$lookup", parser: Parser::Unbuilt },
    Spec { name: "$match", parser: Parser::Stage(match_::parse) },
    Spec { name: "$merge", parser: Parser::Unbuilt },
    Spec { name: "$out", parser: Parser::Unbuilt },
    Spec { name: "$planCacheStats", parser: Parser::Source(SourceKind::PlanCacheStats) },
    Spec { name: "$project", parser: Parser::Stage(project::parse) },
    Spec { name: "$querySettings", parser: Parser::Unbuilt },
    Spec { name: "$queryStats", parser: Parser::Unbuilt },
    Spec { name: "$rankFusion", parser: Parser::Unbuilt },
    Spec { name: "$redact", parser: Parser::Unbuilt },
    Spec { name: "$replaceRoot", parser: Parser::Stage(replace_root::parse) },
    Spec { name: "$replaceWith", parser: Parser::Stage(replace_root::parse) },
    Spec { name: "$sample", parser: Parser::Stage(sample::parse) },
    Spec { name: "$search", parser: Parser::Unbuilt },
    Spec { name: "$searchMeta", parser: Parser::Unbuilt },
    Spec { name: "$set", parser: Parser::Stage(add_fields::parse) },
    Spec { name: "$setWindowFields", parser: Parser::Unbuilt },
    Spec { name: "$shardedDataDistribution", parser: Parser::Source(SourceKind::ShardedDataDistribution) },
    Spec { name: "$skip", parser: Parser::Stage(skip::parse) },
    Spec { name: "$sort", parser: Parser::Stage(sort::parse) },
    Spec { name: "$sortByCount", parser: Parser::Rewrite(sort_by_count::rewrite) },
    Spec { name: "$unionWith", parser: Parser::Unbuilt },
    Spec { name: "$unset", parser: Parser::Stage(unset::parse) },
    Spec { name: "$unwind", parser: Parser::Stage(unwind::parse) },
    Spec { name: "$vectorSearch", parser: Parser::Unbuilt },
];

/// The row of a stage.
pub(super) fn find(name: &str) -> Option<&'static Spec> {
    STAGES.binary_search_by(|spec| spec.name.cmp(name)).ok().and_then(|index| STAGES.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(STAGES.is_sorted_by(|a, b| a.name < b.name));
    }
}

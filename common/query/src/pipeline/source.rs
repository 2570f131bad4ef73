//! Stages that make documents of something else than a collection: named and checked here, run by the servers.

use super::stage::Parsing;
use crate::expr::{Env, Expr, element_name, to_raw, type_name};
use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// What a leading stage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    ChangeStream,
    CollStats,
    CurrentOp,
    Documents,
    IndexStats,
    ListCatalog,
    ListClusterCatalog,
    ListLocalSessions,
    ListSessions,
    PlanCacheStats,
    ShardedDataDistribution,
}

impl SourceKind {
    /// Whether every shard makes its part, so that the router sends the stage on.
    pub fn runs_on_shards(self) -> bool {
        match self {
            SourceKind::ChangeStream
            | SourceKind::CollStats
            | SourceKind::CurrentOp
            | SourceKind::IndexStats
            | SourceKind::ListCatalog
            | SourceKind::PlanCacheStats => true,
            SourceKind::Documents
            | SourceKind::ListClusterCatalog
            | SourceKind::ListLocalSessions
            | SourceKind::ListSessions
            | SourceKind::ShardedDataDistribution => false,
        }
    }

    /// Whether the stage belongs to `{aggregate: 1}` and not to a collection. `None`: to either.
    pub fn is_collectionless(self) -> Option<bool> {
        match self {
            SourceKind::CurrentOp
            | SourceKind::Documents
            | SourceKind::ListClusterCatalog
            | SourceKind::ListLocalSessions
            | SourceKind::ShardedDataDistribution => Some(true),
            SourceKind::CollStats
            | SourceKind::IndexStats
            | SourceKind::ListSessions
            | SourceKind::PlanCacheStats => Some(false),
            SourceKind::ChangeStream | SourceKind::ListCatalog => None,
        }
    }
}

/// A leading stage with its specification.
#[derive(Debug, Clone)]
pub struct Source {
    name: &'static str,
    kind: SourceKind,
    raw: RawDocumentBuf,
    spec: RawDocumentBuf,
    documents: Vec<RawDocumentBuf>,
}

impl Source {
    pub(super) fn parse(
        name: &'static str,
        kind: SourceKind,
        raw: &RawDocument,
        value: RawBsonRef<'_>,
        parsing: &Parsing<'_>,
    ) -> Result<Source, Fault> {
        let raw = raw.to_owned();
        if kind == SourceKind::Documents {
            let documents = documents(value, parsing)?;
            return Ok(Source { name, kind, raw, spec: RawDocumentBuf::new(), documents });
        }
        let Some(spec) = value.as_document() else {
            return Err(Fault::new(Code::FailedToParse, format!("{name} must take a nested object")));
        };
        Ok(Source { name, kind, raw, spec: spec.to_owned(), documents: Vec::new() })
    }

    /// The name with its dollar.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it reads.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The whole stage as the client wrote it.
    pub fn raw(&self) -> &RawDocument {
        &self.raw
    }

    /// The stage's options; empty for `$documents`.
    pub fn spec(&self) -> &RawDocument {
        &self.spec
    }

    /// The documents of `$documents`.
    pub fn documents(&self) -> &[RawDocumentBuf] {
        &self.documents
    }
}

fn documents(value: RawBsonRef<'_>, parsing: &Parsing<'_>) -> Result<Vec<RawDocumentBuf>, Fault> {
    let expr = Expr::parse(value, parsing.scope, parsing.ctx)?;
    let evaluated = expr.eval(&Env::new(&RawDocumentBuf::new()))?;
    let Some(Bson::Array(elements)) = evaluated else {
        return Err(Fault::new(
            Code::Location(5858203),
            format!("an array is expected for $documents, found {}", type_name(&evaluated)),
        ));
    };
    let mut out = Vec::with_capacity(elements.len());
    for element in elements {
        let Bson::Document(document) = element else {
            return Err(Fault::new(Code::Location(40228), "$documents: each element must be an object"));
        };
        let mut raw = RawDocumentBuf::new();
        for (name, value) in &document {
            raw.append(element_name(name)?, to_raw(value)?);
        }
        out.push(raw);
    }
    Ok(out)
}

//! Source stages of a pipeline that this member can answer by itself: statistics and the catalogue.
//! What concerns the whole process or the cluster is refused here by its name; the servers run it before they come here.

use crate::HasEngine;
use crate::stats;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use command::Aggregate;
use query::context::invalid_bson;
use query::pipeline::{Source, SourceKind};
use storage::Collection;
use types::{Code, Fault};

/// The documents that a source makes.
///
/// # Errors
/// `NotImplemented` (238) by name; those of the stage's options.
pub(crate) fn documents(
    host: &dyn HasEngine,
    aggregate: &Aggregate,
    source: &Source,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    match source.kind().is_collectionless() {
        Some(true) if !aggregate.collectionless => Err(Fault::new(
            Code::InvalidNamespace,
            format!(
                "{} must be run against the database with {{aggregate: 1}}, not a collection",
                source.name()
            ),
        )),
        Some(false) if aggregate.collectionless => Err(Fault::new(
            Code::InvalidNamespace,
            format!("{} is only valid as the first stage in a pipeline on a collection", source.name()),
        )),
        _ => Ok(()),
    }?;
    match source.kind() {
        SourceKind::Documents => Ok(source.documents().to_vec()),
        SourceKind::CollStats => coll_stats(host, aggregate, source.spec()),
        SourceKind::IndexStats => index_stats(host, aggregate),
        SourceKind::ListCatalog => list_catalog(host, aggregate),
        SourceKind::CurrentOp if aggregate.ns.db() != "admin" => Err(Fault::new(
            Code::InvalidNamespace,
            "$currentOp must be run against the 'admin' database with {aggregate: 1}",
        )),
        SourceKind::CurrentOp => host.surroundings().current_operations(source.spec()),
        SourceKind::ChangeStream
        | SourceKind::ListClusterCatalog
        | SourceKind::ListLocalSessions
        | SourceKind::ListSessions
        | SourceKind::PlanCacheStats
        | SourceKind::ShardedDataDistribution => Err(Fault::not_implemented(source.name())),
    }
}

fn coll_stats(
    host: &dyn HasEngine,
    aggregate: &Aggregate,
    spec: &RawDocument,
) -> Result<Vec<RawDocumentBuf>, Fault> {
    let engine = host.engine();
    let collection = engine.store().catalog().get(&aggregate.ns).cloned();
    let mut out = RawDocumentBuf::new();
    out.append(cstr!("ns"), aggregate.ns.as_str());
    let identity = host.identity();
    if let Some(shard) = &identity.shard {
        out.append(cstr!("shard"), shard.as_str());
    }
    out.append(cstr!("host"), identity.host.as_str());
    out.append(cstr!("localTime"), bson::DateTime::from_millis(runtime::clock::now_millis()));
    for option in spec.iter() {
        let (name, value) = option.map_err(invalid_bson)?;
        let RawBsonRef::Document(value) = value else {
            return Err(Fault::new(
                Code::Location(40279),
                format!("{} argument must be an object", name.as_str()),
            ));
        };
        match name.as_str() {
            "storageStats" => {
                let scale = scale(value)?;
                out.append(cstr!("storageStats"), stats::collection(engine, collection.as_deref(), scale));
            }
            "count" => {
                let Some(collection) = &collection else { return Err(not_found(aggregate)) };
                out.append(cstr!("count"), engine.store().stats(collection).records as i64);
            }
            other @ ("latencyStats" | "queryExecStats" | "operationStats") => {
                return Err(Fault::not_implemented(format!("$collStats.{other}")));
            }
            other => {
                return Err(Fault::new(
                    Code::Location(40415),
                    format!("BSON field '$collStats.{other}' is an unknown field."),
                ));
            }
        }
    }
    Ok(vec![out])
}

fn scale(options: &RawDocument) -> Result<i64, Fault> {
    match options.get("scale").map_err(invalid_bson)? {
        None => Ok(1),
        Some(value) => value::number::Number::from_raw(value)
            .and_then(|number| number.to_i64_truncated())
            .filter(|scale| *scale >= 1)
            .ok_or_else(|| Fault::bad_value("scale must be a number that is greater than or equal to 1")),
    }
}

fn index_stats(host: &dyn HasEngine, aggregate: &Aggregate) -> Result<Vec<RawDocumentBuf>, Fault> {
    let engine = host.engine();
    let Some(collection) = engine.store().catalog().get(&aggregate.ns).cloned() else {
        return Ok(Vec::new());
    };
    let identity = host.identity();
    let stats = collection.indexes.iter().map(|index| {
        let mut accesses = RawDocumentBuf::new();
        accesses.append(cstr!("ops"), i64::try_from(engine.index_uses().of(index.id)).unwrap_or(i64::MAX));
        accesses.append(cstr!("since"), bson::DateTime::from_millis(engine.index_uses().since_millis()));
        let mut out = RawDocumentBuf::new();
        out.append(cstr!("name"), index.name.as_str());
        out.append(cstr!("key"), index.key.clone());
        out.append(cstr!("host"), identity.host.as_str());
        out.append(cstr!("accesses"), accesses);
        if let Some(shard) = &identity.shard {
            out.append(cstr!("shard"), shard.as_str());
        }
        out.append(cstr!("spec"), index.spec.clone());
        out
    });
    Ok(stats.collect())
}

fn list_catalog(host: &dyn HasEngine, aggregate: &Aggregate) -> Result<Vec<RawDocumentBuf>, Fault> {
    let catalog = host.engine().store().catalog();
    let describe = |collection: &Collection| {
        let mut out = RawDocumentBuf::new();
        out.append(cstr!("db"), collection.ns.db());
        out.append(cstr!("name"), collection.ns.collection());
        out.append(cstr!("type"), "collection");
        out.append(cstr!("ns"), collection.ns.as_str());
        let mut md = RawDocumentBuf::new();
        md.append(cstr!("ns"), collection.ns.as_str());
        let mut options = collection.options.clone();
        options.append(cstr!("uuid"), collection.uuid.to_bson());
        md.append(cstr!("options"), options);
        let indexes: bson::RawArrayBuf = collection
            .indexes
            .iter()
            .map(|index| {
                let mut entry = RawDocumentBuf::new();
                entry.append(cstr!("spec"), index.spec.clone());
                entry.append(cstr!("ready"), index.ready.is_some());
                entry.append(cstr!("multikey"), index.multikey());
                entry
            })
            .collect();
        md.append(cstr!("indexes"), indexes);
        out.append(cstr!("md"), md);
        out
    };
    if aggregate.collectionless {
        return Ok(catalog.all().map(|collection| describe(collection)).collect());
    }
    Ok(catalog.get(&aggregate.ns).map(|collection| describe(collection)).into_iter().collect())
}

fn not_found(aggregate: &Aggregate) -> Fault {
    Fault::new(
        Code::NamespaceNotFound,
        format!(
            "Unable to retrieve count in $collStats stage :: caused by :: Collection [{}] not found.",
            aggregate.ns
        ),
    )
}

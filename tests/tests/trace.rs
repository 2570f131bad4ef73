//! An operation is one trace: from the router's command to the command on every shard that it asked.
//! The collector here is a real OTLP endpoint; the servers export to it as to any other.

#![allow(clippy::unwrap_used)]

use bson::doc;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::cluster::Cluster;
use tests::wait;

/// A span as far as the test looks at it.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    service: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    command: String,
}

#[derive(Debug, Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes
        .iter()
        .find(|attribute| attribute.key == key)
        .and_then(|attribute| attribute.value.clone());
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let mut spans = self.spans.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let service = resource
                .resource
                .map(|resource| text(&resource.attributes, "service.name"))
                .unwrap_or_default();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    service: service.clone(),
                    command: text(&span.attributes, "name"),
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                    name: span.name,
                });
            }
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Serves on a free port; the runtime must be kept as long as the collector is needed.
    fn start(runtime: &tokio::runtime::Runtime) -> (Collector, SocketAddr) {
        let collector = Collector::default();
        let service = TraceServiceServer::new(collector.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        // The runtime of the test owns the server and ends it.
        #[allow(clippy::disallowed_methods)]
        runtime.spawn(async move { server.await.unwrap() });
        (collector, address)
    }

    /// The spans of the trace in which a router ran `command`, once `complete` says that all of them are there.
    fn trace_of(&self, command: &str, complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        wait::within(Duration::from_secs(30), "the whole trace", || {
            let spans = self.spans.lock().unwrap().clone();
            let root = spans.iter().find(|span| span.service == "mongos" && span.command == command)?;
            let trace: Vec<Span> = spans.iter().filter(|span| span.trace == root.trace).cloned().collect();
            complete(&trace).then_some(trace)
        })
    }
}

#[test]
fn a_scattered_find_is_one_trace() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (collector, address) = Collector::start(&runtime);
    let endpoint = format!("http://{address}");
    let cluster = Cluster::start_with(
        2,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200")],
    );
    let mut router = cluster.connect();
    router.run("admin", doc! { "shardCollection": "traced.c", "key": { "k": "hashed" } });
    router.run(
        "traced",
        doc! { "insert": "c", "documents": (0..50).map(|k| doc! { "k": k }).collect::<Vec<_>>() },
    );
    let found =
        router.all("traced", doc! { "find": "c", "filter": { "k": { "$gte": 0 } }, "comment": "traced" });
    assert_eq!(found.len(), 50);

    let on_shards = |trace: &[Span]| {
        trace.iter().filter(|span| span.service == "shardsvr" && span.command == "find").count()
    };
    let trace = collector.trace_of("find", |trace| on_shards(trace) == 2);
    // Every span but the router's own hangs under another of the same trace.
    let ids: BTreeSet<&[u8]> = trace.iter().map(|span| span.id.as_slice()).collect();
    for span in &trace {
        let is_root = span.service == "mongos" && span.command == "find";
        assert_eq!(is_root, span.parent.is_empty(), "{span:?}");
        assert!(is_root || ids.contains(span.parent.as_slice()), "{span:?} hangs in the air");
    }
}

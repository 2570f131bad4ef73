//! The config server's own gRPC service: routing, the list of shards, new databases, and a stream of changes.
//! Every answer is read from storage at one time.

use crate::metadata::Metadata;
use bson::{DateTime, RawDocumentBuf};
use bytes::Bytes;
use futures::Stream;
use rpc::cluster::config_server::{Config, ConfigServer};
use rpc::cluster::{
    Change, CreateDatabaseRequest, RoutingReply, RoutingRequest, ShardsReply, ShardsRequest, WatchRequest,
};
use rpc::convert::fault_to_status;
use runtime::clock::now_millis;
use sharding::documents::RouterEntry;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use types::{Code, Fault, Namespace, ShardId, limits};

/// How often a router's entry in `config.mongos` is refreshed.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Changes on their way to one watcher.
const WATCHER_CHANGE_COUNT_MAX: usize = 256;
/// A routing reply must fit into one message; past this a client would refuse it.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Metadata {
    /// The service, to be served beside the operations of the process.
    pub fn routes(self: &Arc<Self>) -> Routes {
        Routes::new(
            ConfigServer::new(Service { metadata: self.clone() }).max_encoding_message_size(REPLY_BYTES_MAX),
        )
    }

    /// A database, and a collection unless the name is empty, as stored.
    ///
    /// # Errors
    /// `NotWritablePrimary` before the metadata exist, or a failure of storage.
    pub fn routing(&self, db: &str, collection: &str) -> Result<RoutingReply, Fault> {
        let view = self.view()?;
        let mut reply = RoutingReply { term: self.term(), ..RoutingReply::default() };
        let Some(database) = view.database_document(db)? else { return Ok(reply) };
        reply.database = database.bytes().clone();
        if collection.is_empty() {
            return Ok(reply);
        }
        let Some(entry) = view.collection_document(&Namespace::new(db, collection)?)? else {
            return Ok(reply);
        };
        let uuid = entry.get("uuid").ok().flatten().and_then(types::Uuid::from_bson).ok_or_else(|| {
            Fault::new(
                Code::IncompatibleShardingMetadata,
                format!("config.collections: {db}.{collection} has no uuid"),
            )
        })?;
        reply.chunks = view.chunk_documents(uuid)?.iter().map(|chunk| chunk.bytes().clone()).collect();
        reply.collection = entry.bytes().clone();
        Ok(reply)
    }

    fn shards_reply(&self) -> Result<ShardsReply, Fault> {
        let shards = self.view()?.shard_documents()?;
        let shards = shards.iter().map(|shard| {
            let raw = RawDocumentBuf::try_from(shard).map_err(|error| Fault::internal(error.to_string()))?;
            Ok(Bytes::from(raw.into_bytes()))
        });
        Ok(ShardsReply { shards: shards.collect::<Result<_, Fault>>()? })
    }

    /// Writes that a router is there.
    async fn ping(&self, name: &str, up: Duration) -> Result<(), Fault> {
        let ping = DateTime::from_millis(now_millis());
        let up_seconds = i64::try_from(up.as_secs()).unwrap_or(i64::MAX);
        self.catalog
            .commit(|changes| {
                let before = changes.view().router(name)?;
                changes.put_router(&RouterEntry {
                    id: name.to_owned(),
                    ping,
                    up_seconds,
                    version: limits::SERVER_VERSION.to_owned(),
                    created: before.map_or(ping, |before| before.created),
                    host_names: Vec::new(),
                })
            })
            .await
    }

    /// Feeds one watcher until it goes, falls behind, or the process stops.
    pub(crate) async fn feed(
        &self,
        mut changes: broadcast::Receiver<Change>,
        router: Option<String>,
        out: mpsc::Sender<Result<Change, Status>>,
        stop: CancellationToken,
    ) {
        let since = Instant::now();
        let mut pings = tokio::time::interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = changes.recv() => {
                    let Ok(change) = change else {
                        // Whoever missed changes has to forget what it knows, and does so when the stream ends.
                        return;
                    };
                    if out.send(Ok(change)).await.is_err() {
                        return;
                    }
                }
                _ = pings.tick(), if router.is_some() => {
                    if let Some(name) = &router
                        && let Err(fault) = self.ping(name, since.elapsed()).await
                    {
                        tracing::warn!(router = %name, %fault, "router not listed");
                    }
                }
                () = out.closed() => return,
                () = stop.cancelled() => return,
            }
        }
    }
}

struct Service {
    metadata: Arc<Metadata>,
}

fn answer<T>(result: Result<T, Fault>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|fault| fault_to_status(&fault))
}

#[tonic::async_trait]
impl Config for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Change, Status>> + Send>>;

    async fn get_routing(&self, request: Request<RoutingRequest>) -> Result<Response<RoutingReply>, Status> {
        let RoutingRequest { db, collection } = request.into_inner();
        self.metadata.ready().await;
        if let Err(fault) = self.metadata.catalog.settle_changes().await {
            return Err(fault_to_status(&fault));
        }
        answer(self.metadata.routing(&db, &collection))
    }

    async fn get_shards(&self, _request: Request<ShardsRequest>) -> Result<Response<ShardsReply>, Status> {
        self.metadata.ready().await;
        answer(self.metadata.shards_reply())
    }

    async fn create_database(
        &self,
        request: Request<CreateDatabaseRequest>,
    ) -> Result<Response<RoutingReply>, Status> {
        let CreateDatabaseRequest { db, primary_shard } = request.into_inner();
        let primary = (!primary_shard.is_empty()).then(|| ShardId::new(&primary_shard));
        let metadata = self.metadata.clone();
        metadata.ready().await;
        let made = metadata.create_database(&db, primary.as_ref(), "").await;
        answer(made.and_then(|_| metadata.routing(&db, "")))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { name, router } = request.into_inner();
        let metadata = self.metadata.clone();
        metadata.ready().await;
        // Taken first: an office that ends from here on ends the stream.
        let office = metadata.office();
        if let Err(fault) = metadata.view() {
            return Err(fault_to_status(&fault));
        }
        let changes = metadata.subscribe();
        let (out, stream) = mpsc::channel(WATCHER_CHANGE_COUNT_MAX);
        out.try_send(Ok(Change { what: None })).ok(); // the channel is new and empty
        let router = (router && !name.is_empty()).then_some(name);
        let feeder = metadata.clone();
        metadata.tasks.spawn("watcher", async move { feeder.feed(changes, router, out, office).await });
        let stream = futures::stream::unfold(stream, |mut stream| async move {
            stream.recv().await.map(|change| (change, stream))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

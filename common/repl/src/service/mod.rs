//! The gRPC service that members of the set call. Every call names the set and the caller; what does not fit is refused before
//! anything is done. A stream of the log ends before the log here is cut, so what a source says is true of what it sent.

mod copy;
mod pull;
mod reports;

pub(crate) use reports::Reports;

use crate::convert::{self, Sender};
use crate::core::message::{Body, State};
use crate::driver::Feed;
use crate::shared::{Shared, off_thread};
use proto::replication as pb;
use proto::replication::replication_server::{Replication as Rpc, ReplicationServer};
use rpc::convert::fault_to_status;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use types::{Code, Fault};

/// Most places in one answer.
const OP_TIMES_COUNT_MAX: u32 = 10_000;
/// A caller that says nothing at all is no member.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Puts the service into a server's routes.
pub(crate) fn routes(shared: Arc<Shared>, routes: rpc::Routes) -> rpc::Routes {
    let service = ReplicationServer::new(Service { shared })
        .max_decoding_message_size(rpc::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(rpc::MESSAGE_BYTES_MAX);
    routes.add_service(service)
}

struct Service {
    shared: Arc<Shared>,
}

type Outgoing<T> = Pin<Box<dyn futures::Stream<Item = Result<T, Status>> + Send>>;

impl Shared {
    /// Whether the caller is of this set.
    ///
    /// # Errors
    /// `InvalidReplicaSetConfig` (93).
    fn admit(&self, sender: Option<pb::Sender>) -> Result<Sender, Fault> {
        let sender = convert::sender(sender)?;
        let own = &self.identity.set_name;
        let refused = |why: String| Err(Fault::new(Code::InvalidReplicaSetConfig, why));
        if sender.set != *own {
            return refused(format!(
                "{} is of replica set {}, this is a member of {own}",
                sender.host, sender.set
            ));
        }
        let view = self.view.load();
        let id = view.config.as_ref().map(|config| config.replica_set_id);
        match (sender.replica_set_id, id) {
            (Some(theirs), Some(ours)) if theirs != ours => refused(format!(
                "{} is of another replica set named {own}: our replica set ID did not match that of our request target",
                sender.host
            )),
            _ => Ok(sender),
        }
    }

    /// Whether there is data here to be read by members.
    fn check_has_data(&self) -> Result<(), Fault> {
        match self.view.load().state {
            State::Primary | State::Secondary => Ok(()),
            state => {
                Err(Fault::new(Code::NotPrimaryOrSecondary, format!("this member is in state {state:?}")))
            }
        }
    }
}

#[tonic::async_trait]
impl Rpc for Service {
    type ConverseStream = Outgoing<pb::Opened>;
    type PullStream = Outgoing<pb::PullBatch>;
    type CopyRangeStream = Outgoing<pb::CopyBatch>;

    async fn converse(
        &self,
        request: Request<Streaming<pb::CoreMessage>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        let (answers, outgoing) = mpsc::channel(1);
        let shared = self.shared.clone();
        let stop = shared.tasks.token();
        let together = rpc::Together::of(&request);
        let together = together.ok_or_else(|| Status::internal("connection without a task"))?;
        let messages = request.into_inner();
        answers.try_send(Ok(pb::Opened {})).ok(); // there is room for one
        // Beside the connection itself: nothing in it blocks, and each message would else be handed to another thread.
        together.add(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                outcome = listen(&shared, messages) => if let Err(fault) = outcome {
                    tracing::warn!(%fault, "stream of a member refused");
                    answers.send(Err(fault_to_status(&fault))).await.ok(); // it left
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn pull(&self, request: Request<pb::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let batches =
            pull::open(&self.shared, request.into_inner()).await.map_err(|fault| fault_to_status(&fault))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(batches))))
    }

    async fn op_times(
        &self,
        request: Request<pb::OpTimesRequest>,
    ) -> Result<Response<pb::OpTimesReply>, Status> {
        let request = request.into_inner();
        let answer = async {
            self.shared.admit(request.sender)?;
            self.shared.check_has_data()?;
            let before = request.before.map(|before| convert::op_time(Some(before))).transpose()?;
            let limit = request.limit.clamp(1, OP_TIMES_COUNT_MAX) as usize;
            let data = self.shared.data.clone();
            off_thread(move || data.op_times_before(before, limit)).await
        };
        let places = answer.await.map_err(|fault| fault_to_status(&fault))?;
        let op_times = places.into_iter().filter_map(convert::op_time_to_proto).collect();
        Ok(Response::new(pb::OpTimesReply { op_times }))
    }

    async fn probe(&self, request: Request<pb::ProbeRequest>) -> Result<Response<pb::ProbeReply>, Status> {
        // Whoever asks may be of another set by mistake, and is told by the answer.
        convert::sender(request.into_inner().sender).map_err(|fault| fault_to_status(&fault))?;
        let shared = &self.shared;
        let view = shared.view.load();
        let config = view.config.as_ref();
        let id = config.map_or(crate::core::config::ConfigId::NONE, |config| config.config_id());
        Ok(Response::new(pb::ProbeReply {
            instance: shared.instance,
            set: shared.identity.set_name.clone(),
            replica_set_id: convert::object_id_to_proto(config.map(|config| config.replica_set_id)),
            config: convert::config_id_to_proto(id),
            has_data: shared.data.last() != types::OpTime::default(),
            configsvr: shared.identity.configsvr,
        }))
    }

    async fn begin_copy(
        &self,
        request: Request<pb::BeginCopyRequest>,
    ) -> Result<Response<pb::BeginCopyReply>, Status> {
        let reply = copy::begin(&self.shared, request.into_inner()).await;
        reply.map(Response::new).map_err(|fault| fault_to_status(&fault))
    }

    async fn copy_range(
        &self,
        request: Request<pb::CopyRangeRequest>,
    ) -> Result<Response<Self::CopyRangeStream>, Status> {
        let pieces =
            copy::range(&self.shared, request.into_inner()).await.map_err(|fault| fault_to_status(&fault))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(pieces))))
    }
}

/// Reads a member's messages until it leaves.
async fn listen(shared: &Shared, mut messages: Streaming<pb::CoreMessage>) -> Result<(), Fault> {
    let silent = |_| Fault::new(Code::ProtocolError, "the stream's first message did not come");
    let first = tokio::time::timeout(FIRST_MESSAGE_TIMEOUT, messages.message()).await;
    let Ok(Some(mut message)) = first.map_err(silent)? else { return Ok(()) };
    let sender = Arc::new(shared.admit(message.sender.take())?);
    loop {
        let received = convert::message(message)?;
        if let Body::Positions(positions) = &received.body
            && let Some((_, own)) = positions.iter().find(|(member, _)| *member == received.from)
        {
            shared.reports.note(&sender.host, own.durable);
        }
        shared.feed(Feed::Message { sender: sender.clone(), message: Box::new(received) }).await;
        message = match messages.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(status) => {
                tracing::debug!(%status, host = sender.host, "stream of a member ended");
                return Ok(());
            }
        };
    }
}

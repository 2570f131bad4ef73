//! The gRPC door: operations of routers and other servers take the same path as those of drivers.

use command::{BoxFuture, Client, Reply};
use frontend::{Host, Registry};
use rpc::{Call, Operations};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use types::{Fault, Timestamp};

/// Runs peers' operations against a server's table of commands.
pub struct Peers<S> {
    host: Arc<S>,
    registry: Arc<Registry<S>>,
    client: Arc<Client>,
}

impl<S: Host> Peers<S> {
    /// The door to a server.
    pub fn new(host: Arc<S>, registry: Arc<Registry<S>>) -> Peers<S> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let client = Arc::new(Client {
            connection_id: host.front().next_connection_id(),
            remote: nowhere,
            local: nowhere,
            internal: true,
            metadata: OnceLock::new(),
        });
        Peers { host, registry, client }
    }
}

impl<S: Host> Operations for Peers<S> {
    fn operate(self: Arc<Self>, call: Call) -> BoxFuture<Result<Reply, Fault>> {
        Box::pin(async move {
            let call = frontend::Call {
                client: self.client.clone(),
                request: call.request,
                routing: call.routing,
                deadline: call.deadline,
                killed: call.killed,
            };
            frontend::dispatch(&self.host, &self.registry, call).await
        })
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        self.host
            .gossip()
            .map_or((Timestamp::ZERO, Timestamp::ZERO), |gossip| (gossip.cluster_time, gossip.operation_time))
    }
}

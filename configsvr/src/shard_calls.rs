//! How metadata changes reach shards: one narrow door, so that tests can stand in for the network.

use bson::{Document, RawDocumentBuf};
use command::{BoxFuture, Request};
use parking_lot::Mutex;
use rpc::{Answer, Pool, SetAddress, SetClient};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::Fault;

/// Sets that are remembered; past it all are looked up anew.
const CLIENT_COUNT_MAX: usize = 1024;

/// Runs commands on replica sets.
pub trait ShardCalls: Send + Sync + 'static {
    /// Runs a command on the primary of the set at `address`, and gives its reply without `ok` and gossip. A `repeatable` one may be
    /// sent again where it is unknown whether the first try arrived.
    ///
    /// # Errors
    /// The primary's fault; `HostUnreachable` (6); `MaxTimeMSExpired` (50) past `bound`.
    fn call(
        &self,
        address: &SetAddress,
        body: Document,
        bound: Duration,
        repeatable: bool,
    ) -> BoxFuture<Result<Document, Fault>>;

    /// Runs a command on the first of these hosts that answers, whatever it is.
    ///
    /// # Errors
    /// The fault of the last one.
    fn call_any(
        &self,
        hosts: &[String],
        body: Document,
        bound: Duration,
    ) -> BoxFuture<Result<Document, Fault>>;
}

/// Calls over the network.
#[derive(Debug)]
pub struct RpcCalls {
    pool: Pool,
    /// Kept because a client remembers which member is primary.
    clients: Mutex<HashMap<String, Arc<SetClient>>>,
}

impl RpcCalls {
    /// Calls through a pool of peers.
    pub fn new(pool: Pool) -> RpcCalls {
        RpcCalls { pool, clients: Mutex::default() }
    }

    fn client(&self, address: &SetAddress) -> Result<Arc<SetClient>, Fault> {
        let mut clients = self.clients.lock();
        let name = address.to_string();
        if let Some(client) = clients.get(&name) {
            return Ok(client.clone());
        }
        if clients.len() >= CLIENT_COUNT_MAX {
            clients.clear();
        }
        let client = Arc::new(self.pool.set(address)?);
        clients.insert(name, client.clone());
        Ok(client)
    }
}

impl ShardCalls for RpcCalls {
    fn call(
        &self,
        address: &SetAddress,
        body: Document,
        bound: Duration,
        repeatable: bool,
    ) -> BoxFuture<Result<Document, Fault>> {
        let client = self.client(address);
        Box::pin(async move {
            let client = client?;
            let body = RawDocumentBuf::try_from(&body)
                .map_err(|error| Fault::internal(format!("command does not encode: {error}")))?;
            let deadline = Some(Instant::now() + bound);
            let answer = client.call(&Request::from_body(body), None, deadline, repeatable).await?;
            decode(client.name(), &answer)
        })
    }

    fn call_any(
        &self,
        hosts: &[String],
        body: Document,
        bound: Duration,
    ) -> BoxFuture<Result<Document, Fault>> {
        let peers: Result<Vec<_>, Fault> = hosts.iter().map(|host| self.pool.peer(host)).collect();
        Box::pin(async move {
            let body = RawDocumentBuf::try_from(&body)
                .map_err(|error| Fault::internal(format!("command does not encode: {error}")))?;
            let request = Request::from_body(body);
            let deadline = Some(Instant::now() + bound);
            let mut last = Fault::internal("no hosts to ask");
            for peer in peers? {
                match peer.call(&request, None, deadline).await {
                    Ok(answer) => return decode(peer.host(), &answer),
                    Err(fault) => last = fault,
                }
            }
            Err(last)
        })
    }
}

fn decode(who: &str, answer: &Answer) -> Result<Document, Fault> {
    Document::try_from(answer.reply.doc.as_ref()).map_err(|error| {
        Fault::new(types::Code::ProtocolError, format!("{who} sent a malformed reply: {error}"))
    })
}

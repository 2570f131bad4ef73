//! A replica set that we call: remembers which member answered as primary, and looks for it among the others when it does not.

use crate::Peer;
use crate::peer::Answer;
use command::{Request, Routing};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use types::{Code, Fault};

/// A replica set, by its members.
#[derive(Debug)]
pub struct SetClient {
    name: String,
    peers: Vec<Arc<Peer>>,
    /// The member that answered last as a primary.
    preferred: AtomicUsize,
}

impl SetClient {
    pub(crate) fn new(name: String, peers: Vec<Arc<Peer>>) -> SetClient {
        SetClient { name, peers, preferred: AtomicUsize::new(0) }
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `host:port` of the member that is asked first.
    pub fn preferred_host(&self) -> &str {
        self.peers.get(self.preferred.load(Ordering::Relaxed)).map_or("", |peer| peer.host())
    }

    /// Runs a command on the primary. Another member is tried where one refuses as not primary; and, if `repeatable`, where one
    /// cannot be reached or breaks off midway.
    ///
    /// # Errors
    /// The primary's fault, or the last reason why no member answered as primary.
    pub async fn call(
        &self,
        request: &Request,
        routing: Option<&Routing>,
        deadline: Option<Instant>,
        repeatable: bool,
    ) -> Result<Answer, Fault> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        // Once around, and for a single member once more: its connection may have broken since it was last used.
        for step in 0..self.peers.len().max(2) {
            let index = (first + step) % self.peers.len().max(1);
            let Some(peer) = self.peers.get(index) else { break };
            match peer.call(request, routing, deadline).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(fault) if fault.code.is_not_primary() => last = Some(fault),
                Err(fault) if fault.code == Code::HostUnreachable && repeatable => last = Some(fault),
                Err(fault) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Err(fault);
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            Fault::new(Code::FailedToSatisfyReadPreference, format!("set {} has no members", self.name))
        }))
    }

    /// Runs a unary call of the config service on the first member that answers as primary, at most `bound` for each.
    ///
    /// # Errors
    /// As [`SetClient::call`].
    pub async fn unary<T, C, F>(&self, bound: Duration, call: C) -> Result<T, Fault>
    where
        C: Fn(proto::cluster::config_client::ConfigClient<tonic::transport::Channel>) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for step in 0..self.peers.len().max(2) {
            let index = (first + step) % self.peers.len().max(1);
            let Some(peer) = self.peers.get(index) else { break };
            match peer.unary(bound, call(peer.config())).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(fault) if fault.code.is_not_primary() || fault.code == Code::HostUnreachable => {
                    last = Some(fault)
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(last.unwrap_or_else(|| {
            Fault::new(Code::FailedToSatisfyReadPreference, format!("set {} has no members", self.name))
        }))
    }

    /// The members.
    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }
}

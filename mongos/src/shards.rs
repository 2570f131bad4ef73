//! The shards of the cluster as this router knows them, and the one way to run a command on one of them.

use arc_swap::ArcSwap;
use command::{Context, Reply, Request, Routing};
use rpc::{Ask, Pool, Repeat, SetAddress, SetClient, cluster};
use runtime::clock::HybridClock;
use sharding::documents::ShardEntry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use types::{Code, Fault, Label, MemberChoice, ReadPreference, ShardId, Timestamp};

/// Default port of shards, for connection strings that leave it out.
const SHARD_PORT: u16 = 27018;
/// How long the config server may take to list the shards.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// What is sent to a shard, which decides about the member that gets it and about sending it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// A read: goes to a member that its read preference allows, and once more where that one is lost.
    Read,
    /// For the primary, and the same when it is done twice.
    Idempotent,
    /// For the primary. Sent again where its statements are numbered, else only where nothing was done.
    Write,
}

/// An answer and the member that gave it.
#[derive(Debug)]
pub struct Heard {
    pub reply: Reply,
    /// `host:port`. A cursor that the answer opened lives there.
    pub host: Arc<str>,
}

/// One shard.
#[derive(Debug)]
pub struct Shard {
    pub id: ShardId,
    /// `config.shards.host`.
    pub address: SetAddress,
    pub client: SetClient,
}

/// All shards by name, in order.
pub type ShardMap = BTreeMap<ShardId, Arc<Shard>>;

/// The directory of shards. Swapped whole when it is read anew.
#[derive(Debug)]
pub struct Shards {
    map: ArcSwap<ShardMap>,
    config: Arc<Shard>,
    pool: Pool,
    clock: Arc<HybridClock>,
    /// The latest time of a write that any answer told of.
    operation_time: AtomicU64,
    /// Held while the directory is read, so that callers share one read.
    refreshing: tokio::sync::Mutex<()>,
}

impl Shards {
    /// A directory that is empty until first needed.
    ///
    /// # Errors
    /// `FailedToParse` (9) for malformed hosts.
    pub fn new(config: SetAddress, pool: Pool, clock: Arc<HybridClock>) -> Result<Shards, Fault> {
        let client = pool.set(&config)?;
        let config = Arc::new(Shard { id: ShardId::config(), address: config, client });
        Ok(Shards {
            map: ArcSwap::default(),
            config,
            pool,
            clock,
            operation_time: AtomicU64::new(0),
            refreshing: tokio::sync::Mutex::new(()),
        })
    }

    /// The config server, as a place for commands.
    pub fn config(&self) -> &Arc<Shard> {
        &self.config
    }

    /// The peers of this router.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The latest time of a write that this router heard of; zero before the first.
    pub fn operation_time(&self) -> Timestamp {
        Timestamp(self.operation_time.load(Ordering::Acquire))
    }

    /// A shard by name; looks it up at the config server where it is unknown.
    ///
    /// # Errors
    /// `ShardNotFound` (70), or the config server's fault.
    pub async fn get(&self, id: &ShardId) -> Result<Arc<Shard>, Fault> {
        if *id == self.config.id {
            return Ok(self.config.clone());
        }
        if let Some(shard) = self.map.load().get(id) {
            return Ok(shard.clone());
        }
        self.refresh().await?.get(id).cloned().ok_or_else(|| {
            Fault::new(
                Code::ShardNotFound,
                format!("Shard '{id}' not found; sh.status() lists the shards of this cluster"),
            )
        })
    }

    /// All shards; reads the directory where none is known yet.
    ///
    /// # Errors
    /// The config server's fault.
    pub async fn all(&self) -> Result<Arc<ShardMap>, Fault> {
        let map = self.map.load_full();
        if map.is_empty() { self.refresh().await } else { Ok(map) }
    }

    /// Reads the directory anew.
    ///
    /// # Errors
    /// The config server's fault.
    pub async fn refresh(&self) -> Result<Arc<ShardMap>, Fault> {
        let _refreshing = self.refreshing.lock().await;
        let listed =
            self.config
                .client
                .unary(LIST_TIMEOUT, |mut client| async move {
                    client.get_shards(cluster::ShardsRequest {}).await
                })
                .await
                .map_err(|fault| fault.context("reading the shards from the config server"))?;
        let before = self.map.load();
        let mut map = ShardMap::new();
        for doc in listed.shards {
            let doc = rpc::convert::document(doc, "shard")?;
            let shard = bson::Document::try_from(&*doc).map_err(query::context::invalid_bson)?;
            let shard = ShardEntry::from_document(&shard)?;
            let address = SetAddress::parse(&shard.host, SHARD_PORT)?;
            let known = before.get(&shard.id).filter(|known| known.address == address).cloned();
            let shard = match known {
                Some(known) => known,
                None => Arc::new(Shard { id: shard.id, client: self.pool.set(&address)?, address }),
            };
            map.insert(shard.id.clone(), shard);
        }
        let map = Arc::new(map);
        self.map.store(map.clone());
        Ok(map)
    }

    /// Runs a command on a shard.
    ///
    /// # Errors
    /// The shard's fault; where none of its members will do, `FailedToSatisfyReadPreference` (133), and where one broke off,
    /// `HostUnreachable` (6), both naming the shard.
    pub async fn ask(
        &self,
        shard: &Shard,
        ctx: &Context,
        request: &Request,
        routing: Option<&Routing>,
        sending: Sending,
    ) -> Result<Heard, Fault> {
        let named = match sending {
            Sending::Read if ctx.envelope.read_preference != ReadPreference::Primary => {
                Some(MemberChoice::of_command(&request.body)?)
            }
            _ => None,
        };
        let primary = MemberChoice::PRIMARY;
        let choice = named.as_ref().unwrap_or(&primary);
        let repeat = match sending {
            Sending::Read => Repeat::Once,
            Sending::Idempotent => Repeat::Numbered,
            Sending::Write if is_repeatable_write(ctx) => Repeat::Numbered,
            Sending::Write => Repeat::IfRefused,
        };
        let ask = Ask { request, routing, deadline: ctx.deadline, choice, repeat, killed: Some(&ctx.killed) };
        let mut outcome = shard.client.run(ask).await;
        // The primary went while it waited for the write concern: its successor knows the statements, and waits anew.
        if repeat == Repeat::Numbered
            && sending == Sending::Write
            && outcome.as_ref().is_ok_and(|answered| lost_while_waiting(&answered.answer.reply))
        {
            outcome = shard.client.run(ask).await;
        }
        let answered = outcome.map_err(|fault| unreachable(shard, fault))?;
        self.observe(&answered.answer);
        Ok(Heard { reply: answered.answer.reply, host: answered.host })
    }

    /// Runs a command on one member of a shard: what concerns a cursor there.
    ///
    /// # Errors
    /// As [`Shards::ask`].
    pub async fn ask_member(
        &self,
        shard: &Shard,
        host: &str,
        ctx: &Context,
        request: &Request,
    ) -> Result<Reply, Fault> {
        let outcome = shard.client.run_on(host, request, ctx.deadline, Some(&ctx.killed)).await;
        let answer = outcome.map_err(|fault| unreachable(shard, fault))?;
        self.observe(&answer);
        Ok(answer.reply)
    }

    fn observe(&self, answer: &rpc::Answer) {
        self.clock.observe(answer.cluster_time);
        self.operation_time.fetch_max(answer.operation_time.0, Ordering::AcqRel);
    }
}

fn unreachable(shard: &Shard, fault: Fault) -> Fault {
    match fault.code {
        Code::HostUnreachable | Code::NetworkTimeout | Code::FailedToSatisfyReadPreference => {
            fault.context(format!("shard {} ({}) does not answer", shard.id, shard.address))
        }
        _ => fault,
    }
}

/// Whether a write was done, but its primary stopped being one before it was as safe as the client asks for.
fn lost_while_waiting(reply: &Reply) -> bool {
    let Ok(Some(error)) = reply.doc.get("writeConcernError") else { return false };
    let code = error.as_document().and_then(|error| error.get_i32("code").ok()).map(Code::from_number);
    code.is_some_and(|code| {
        code.is_not_primary() || matches!(code, Code::ShutdownInProgress | Code::InterruptedAtShutdown)
    })
}

/// Adds the label by which a driver knows that it may send a retryable write once more.
pub fn label_write(fault: Fault, ctx: &Context) -> Fault {
    // Where no primary was found nothing was sent.
    let is_retryable = fault.code.is_retryable() || fault.code == Code::FailedToSatisfyReadPreference;
    if ctx.envelope.txn_number.is_some() && !ctx.envelope.in_transaction() && is_retryable {
        fault.with_label(Label::RetryableWriteError)
    } else {
        fault
    }
}

/// Whether a command with this context may be sent twice: its statements are numbered, so a shard knows them again.
pub fn is_repeatable_write(ctx: &Context) -> bool {
    ctx.envelope.txn_number.is_some() && ctx.envelope.session.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn a_lost_wait_is_told_from_a_late_one() {
        for (reply, lost) in [
            (rawdoc! { "n": 1 }, false),
            (rawdoc! { "n": 1, "writeConcernError": { "code": 64, "errmsg": "timeout" } }, false),
            (rawdoc! { "n": 1, "writeConcernError": { "code": 100 } }, false),
            (rawdoc! { "n": 1, "writeConcernError": { "code": 189 } }, true),
            (rawdoc! { "n": 1, "writeConcernError": { "code": 11602 } }, true),
            (rawdoc! { "n": 1, "writeConcernError": { "code": 91 } }, true),
        ] {
            assert_eq!(lost_while_waiting(&reply.clone().into()), lost, "{reply:?}");
        }
    }
}

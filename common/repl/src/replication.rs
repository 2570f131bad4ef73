//! This member in its set: reads its configuration from disk, elects itself where it is the only voter, and tells others what it is.
//! A term is on disk before anything is written in it.

use crate::core::config::SetConfig;
use crate::view::{ReadAt, View};
use arc_swap::ArcSwapOption;
use bson::oid::ObjectId;
use bson::{Document, RawBson, RawDocument, RawDocumentBuf, doc};
use command::WriteConcernError;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Instant;
use storage::{CommitMeta, Store};
use tokio::sync::watch;
use types::{Code, Fault, Namespace, OpTime, ReadConcern, WriteConcern};

/// The fact in the control file that holds the highest term seen.
const TERM: &str = "term";
/// Where the configuration lies, for `local.system.replset` to be read.
const CONFIG_NAMESPACE: &str = "local.system.replset";

/// What a process was started as.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `--replSet`.
    pub set_name: String,
    /// `host:port` by which this process can be reached.
    pub host: String,
    /// Whether it is a config server.
    pub configsvr: bool,
}

/// The member's part, once it has a configuration.
#[derive(Debug)]
pub struct State {
    pub config: SetConfig,
    pub term: i64,
    pub election_id: ObjectId,
    pub election_time: OpTime,
    pub since: Instant,
    pub since_millis: i64,
}

/// A server that is a member of a replica set.
pub trait HasReplication: Send + Sync + 'static {
    fn replication(&self) -> &Arc<Replication>;

    /// Called once a configuration took effect: what else has to be there from the first moment on.
    ///
    /// # Errors
    /// What could not be made; the initiation is then reported as failed.
    fn initiated(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Replication of one process.
pub struct Replication {
    store: Store,
    identity: Identity,
    state: ArcSwapOption<State>,
    /// Held while the configuration changes.
    changing: parking_lot::Mutex<()>,
    topology: watch::Sender<u64>,
    started: Instant,
}

impl Replication {
    /// Reads the configuration, if there is one, and takes office in a new term.
    ///
    /// # Errors
    /// If storage fails, or the configuration on disk is of another set.
    pub fn start(store: Store, identity: Identity) -> Result<Arc<Replication>, Fault> {
        let replication = Arc::new(Replication {
            store,
            identity,
            state: ArcSwapOption::empty(),
            changing: parking_lot::Mutex::new(()),
            topology: watch::channel(0).0,
            started: Instant::now(),
        });
        if let Some(config) = replication.stored_config()? {
            if config.name != replication.identity.set_name {
                return Err(Fault::new(
                    Code::InvalidReplicaSetConfig,
                    format!(
                        "this directory belongs to replica set {}, but --replSet says {}",
                        config.name, replication.identity.set_name
                    ),
                ));
            }
            replication.take_office(config)?;
        }
        Ok(replication)
    }

    fn stored_config(&self) -> Result<Option<SetConfig>, Fault> {
        let ns = Namespace::parse(CONFIG_NAMESPACE)?;
        let catalog = self.store.catalog();
        let Some(collection) = catalog.get(&ns) else { return Ok(None) };
        let snapshot = self.store.snapshot();
        let all = value::interval::KeyRange::all();
        match snapshot.scan(collection, &all, storage::Direction::Forward).next() {
            Some(record) => {
                let (_, doc) = record.map_err(|error| error.fault())?;
                SetConfig::parse(&doc, ObjectId::new()).map(Some)
            }
            None => Ok(None),
        }
    }

    fn store_config(&self, config: &SetConfig) -> Result<(), Fault> {
        let ns = Namespace::parse(CONFIG_NAMESPACE)?;
        let fault = |error: storage::Error| error.fault();
        if self.store.catalog().get(&ns).is_none() {
            self.store.create_collection(&ns, None, RawDocumentBuf::new().as_ref()).map_err(fault)?;
        }
        let catalog = self.store.catalog();
        let collection =
            catalog.get(&ns).ok_or_else(|| Fault::internal("local.system.replset was not made"))?;
        let doc = RawDocumentBuf::try_from(&config.to_document())
            .map_err(|error| Fault::internal(error.to_string()))?;
        let mut batch = self.store.batch(self.store.snapshot());
        batch.insert(collection, &doc).map_err(fault)?;
        batch.commit(CommitMeta::default()).map_err(fault)?;
        self.store.sync().map_err(fault)
    }

    /// Becomes primary of a set in which nobody else votes: the new term first, then its first entry.
    fn take_office(&self, mut config: SetConfig) -> Result<(), Fault> {
        let fault = |error: storage::Error| error.fault();
        let last = match self.store.control().get(TERM) {
            Some(RawBson::Int64(term)) => term,
            Some(_) => return Err(Fault::internal("the control file's term is no number")),
            None => 0,
        };
        let term = last.max(config.term - 1) + 1;
        self.store.control().put(TERM, term).map_err(fault)?;
        self.store.set_writable(Some(term));
        config.term = term;
        let message = bson::rawdoc! { "msg": "new primary" };
        let election_time = self.store.noop(&message).map_err(fault)?;
        // Those that a crash interrupted.
        self.store.resume_builds().map_err(fault)?;
        // Drivers compare election ids: they must rise with the term.
        let mut id = [0_u8; 12];
        id[..4].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
        id[4..].copy_from_slice(&term.to_be_bytes());
        self.state.store(Some(Arc::new(State {
            config,
            term,
            election_id: ObjectId::from_bytes(id),
            election_time,
            since: Instant::now(),
            since_millis: runtime::clock::now_millis(),
        })));
        self.topology.send_modify(|version| *version += 1);
        tracing::info!(set = self.identity.set_name, term, "primary");
        Ok(())
    }

    /// `replSetInitiate`: takes a first configuration, or makes one of this member alone.
    ///
    /// # Errors
    /// `AlreadyInitialized` (23), `InvalidReplicaSetConfig` (93), `NodeNotFound` (74), `NotImplemented` (238) for several members.
    pub fn initiate(&self, config: Option<&RawDocument>) -> Result<(), Fault> {
        let _changing = self.changing.lock();
        if self.state.load().is_some() {
            return Err(Fault::new(Code::AlreadyInitialized, "already initialized"));
        }
        let identity = &self.identity;
        let config = match config {
            Some(config) if !config.is_empty() => SetConfig::parse(config, ObjectId::new())?,
            _ => SetConfig::single(&identity.set_name, &identity.host, identity.configsvr, ObjectId::new()),
        };
        if config.name != identity.set_name {
            return Err(Fault::new(
                Code::InvalidReplicaSetConfig,
                format!(
                    "Attempting to initiate a replica set with name {}, but command line reports {}; rejecting",
                    config.name, identity.set_name
                ),
            ));
        }
        if config.members.len() > 1 {
            return Err(Fault::not_implemented("a replica set of several members"));
        }
        let config = SetConfig { configsvr: identity.configsvr, version: 1, ..config };
        if !config.members.iter().any(|member| is_this_host(&member.host, &identity.host)) {
            return Err(Fault::new(
                Code::NodeNotFound,
                format!(
                    "No host described in new configuration for replica set {} maps to this node ({})",
                    config.name, identity.host
                ),
            ));
        }
        self.store_config(&config)?;
        self.take_office(config)
    }

    /// What this process was started as.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// This member's part; `None` before a configuration arrived.
    pub fn state(&self) -> Option<Arc<State>> {
        self.state.load_full()
    }

    /// Rises by one with every change of this member's part.
    pub fn topology(&self) -> watch::Receiver<u64> {
        self.topology.subscribe()
    }

    /// This member's part in the set.
    pub fn view(&self) -> Arc<View> {
        let Some(state) = self.state() else { return Arc::new(View::uninitiated()) };
        let me = state.config.members.first().map(|member| member.id);
        Arc::new(View {
            state: crate::core::message::State::Primary,
            term: state.term,
            config: Some(Arc::new(state.config.clone())),
            me,
            primary: me,
            source: None,
            accepts_writes: true,
            election_id: Some(state.election_id),
            election_time: state.election_time.ts,
            elected_millis: state.since_millis,
            is_alone: true,
        })
    }

    /// Up to where a majority has everything.
    pub fn commit_point(&self) -> OpTime {
        self.store.durable_op_time()
    }

    /// Waits while a step-down holds writes back.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107).
    pub async fn admit_write(&self, deadline: Option<Instant>) -> Result<(), Fault> {
        let _ = deadline;
        self.check_writable()
    }

    /// Whether reads are answered here; `secondary_ok` is what the read preference says.
    ///
    /// # Errors
    /// `NotPrimaryNoSecondaryOk` (13435), `NotPrimaryOrSecondary` (13436).
    pub fn check_readable(&self, secondary_ok: bool) -> Result<(), Fault> {
        let _ = secondary_ok;
        match self.state() {
            Some(_) => Ok(()),
            None => {
                Err(Fault::new(Code::NotPrimaryOrSecondary, "node is not in primary or recovering state"))
            }
        }
    }

    /// Waits until an entry has reached what the concern asks for. What time runs out for is an error of the concern, not of the write.
    ///
    /// # Errors
    /// If the log fails.
    pub async fn await_write_concern(
        &self,
        at: OpTime,
        concern: &WriteConcern,
        deadline: Option<Instant>,
    ) -> Result<Option<WriteConcernError>, Fault> {
        let _ = deadline;
        if concern.needs_journal() {
            self.store.durable(at).await.map_err(|error| error.fault())?;
        }
        Ok(None)
    }

    /// Waits until this member can answer a read of that concern, and says at which time to read.
    ///
    /// # Errors
    /// `MaxTimeMSExpired` (50), `NotWritablePrimary` (10107) for linearizable reads elsewhere.
    pub async fn await_read(
        &self,
        concern: &ReadConcern,
        deadline: Option<Instant>,
    ) -> Result<ReadAt, Fault> {
        let _ = (concern, deadline);
        Ok(ReadAt::Latest)
    }

    /// Whether this member takes writes now.
    ///
    /// # Errors
    /// `NotWritablePrimary` (10107).
    pub fn check_writable(&self) -> Result<(), Fault> {
        match &*self.state.load() {
            Some(_) => Ok(()),
            None => Err(Fault::new(
                Code::NotWritablePrimary,
                format!(
                    "not primary: replica set {} is not initiated yet; run rs.initiate() on this member",
                    self.identity.set_name
                ),
            )),
        }
    }

    /// `replSetGetStatus`.
    ///
    /// # Errors
    /// `NotYetInitialized` (94).
    pub fn status(&self) -> Result<Document, Fault> {
        let state = self.initiated_state()?;
        let (applied, durable) = (self.store.last_op_time(), self.store.durable_op_time());
        let op_time = |at: OpTime| doc! { "ts": bson::Timestamp::from(at.ts), "t": at.term };
        let date = |at: OpTime| bson::DateTime::from_millis(i64::from(at.ts.seconds()) * 1000);
        let members: Vec<Document> = state
            .config
            .members
            .iter()
            .map(|member| {
                doc! {
                    "_id": member.id,
                    "name": &member.host,
                    "health": 1.0,
                    "state": 1,
                    "stateStr": "PRIMARY",
                    "uptime": i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX),
                    "optime": op_time(applied),
                    "optimeDate": date(applied),
                    "lastAppliedWallTime": date(applied),
                    "lastDurableWallTime": date(durable),
                    "syncSourceHost": "",
                    "syncSourceId": -1,
                    "infoMessage": "",
                    "electionTime": bson::Timestamp::from(state.election_time.ts),
                    "electionDate": bson::DateTime::from_millis(state.since_millis),
                    "configVersion": i32::try_from(state.config.version).unwrap_or(i32::MAX),
                    "configTerm": i32::try_from(state.config.term).unwrap_or(i32::MAX),
                    "self": true,
                    "lastHeartbeatMessage": "",
                }
            })
            .collect();
        Ok(doc! {
            "set": &state.config.name,
            "date": bson::DateTime::from_millis(runtime::clock::now_millis()),
            "myState": 1,
            "term": state.term,
            "syncSourceHost": "",
            "syncSourceId": -1,
            "heartbeatIntervalMillis": 2000_i64,
            "majorityVoteCount": 1,
            "writeMajorityCount": 1,
            "votingMembersCount": 1,
            "writableVotingMembersCount": 1,
            "optimes": {
                "lastCommittedOpTime": op_time(durable),
                "lastCommittedWallTime": date(durable),
                "readConcernMajorityOpTime": op_time(durable),
                "appliedOpTime": op_time(applied),
                "durableOpTime": op_time(durable),
                "lastAppliedWallTime": date(applied),
                "lastDurableWallTime": date(durable),
            },
            "electionCandidateMetrics": {
                "lastElectionReason": "electionTimeout",
                "lastElectionDate": bson::DateTime::from_millis(state.since_millis),
                "electionTerm": state.term,
                "numVotesNeeded": 1,
                "priorityAtElection": state.config.members.first().map_or(1.0, |member| member.priority),
            },
            "members": members,
        })
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// `NotYetInitialized` (94).
    pub fn config(&self) -> Result<Document, Fault> {
        self.initiated_state().map(|state| state.config.to_document())
    }

    fn initiated_state(&self) -> Result<Arc<State>, Fault> {
        self.state().ok_or_else(|| Fault::new(Code::NotYetInitialized, "no replset config has been received"))
    }
}

/// Whether `named` is a way to reach this process, which calls itself `own`: same port, and the same name or the same machine.
fn is_this_host(named: &str, own: &str) -> bool {
    let (Some((named_host, named_port)), Some((own_host, own_port))) =
        (named.rsplit_once(':'), own.rsplit_once(':'))
    else {
        return false;
    };
    if named_port != own_port {
        return false;
    }
    if named_host == own_host {
        return true;
    }
    let addresses = |host: &str| -> Vec<std::net::IpAddr> {
        (host, 0)
            .to_socket_addrs()
            .map(|found| found.map(|address| address.ip()).collect())
            .unwrap_or_default()
    };
    let own_addresses = addresses(own_host);
    addresses(named_host).iter().any(|address| address.is_loopback() || own_addresses.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &std::path::Path) -> Result<Arc<Replication>, Fault> {
        let clock = crate::StoreClock(Arc::default());
        let store =
            Store::open(storage::Options::new(dir, Arc::new(clock))).map_err(|error| error.fault())?;
        let identity =
            Identity { set_name: "rs".to_owned(), host: "127.0.0.1:1".to_owned(), configsvr: false };
        Replication::start(store, identity)
    }

    #[test]
    fn a_set_of_one_elects_itself_in_a_new_term_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let replication = open(dir.path()).unwrap();
        assert_eq!(replication.check_writable().unwrap_err().code, Code::NotWritablePrimary);
        assert_eq!(replication.status().unwrap_err().code, Code::NotYetInitialized);
        replication.initiate(None).unwrap();
        assert_eq!(replication.initiate(None).unwrap_err().code, Code::AlreadyInitialized);
        replication.check_writable().unwrap();
        let first = replication.state().unwrap();
        assert_eq!(first.term, 1);
        replication.store.close().unwrap();
        drop(replication);
        let again = open(dir.path()).unwrap();
        let second = again.state().unwrap();
        assert_eq!(second.term, 2);
        assert!(second.election_id > first.election_id);
        assert!(second.election_time > first.election_time);
        assert_eq!(second.config.replica_set_id, first.config.replica_set_id);
    }

    #[test]
    fn configurations_that_do_not_fit_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let replication = open(dir.path()).unwrap();
        for (config, code) in [
            (
                bson::rawdoc! {"_id": "other", "members": [{"_id": 0, "host": "127.0.0.1:1"}]},
                Code::InvalidReplicaSetConfig,
            ),
            (bson::rawdoc! {"_id": "rs", "members": [{"_id": 0, "host": "127.0.0.1:2"}]}, Code::NodeNotFound),
            (
                bson::rawdoc! {"_id": "rs", "members": [{"_id": 0, "host": "127.0.0.1:1"}, {"_id": 1, "host": "127.0.0.1:2"}]},
                Code::NotImplemented,
            ),
        ] {
            assert_eq!(replication.initiate(Some(&config)).unwrap_err().code, code);
        }
        replication
            .initiate(Some(&bson::rawdoc! {"_id": "rs", "members": [{"_id": 0, "host": "localhost:1"}]}))
            .unwrap();
    }
}

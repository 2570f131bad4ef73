//! From a plan to a cluster that accepts a sharded write: start all members, initiate each replica set, wait until it has a primary,
//! add the shards, try.
//! Every step may find its work done already, so that the same code makes, restarts and grows a cluster.

use super::layout::{Home, Layout, Member, Role, SetPlan};
use super::process::{self, Binaries};
use crate::failure::Failure;
use crate::link::{Connection, Error, Uri};
use crate::pause::poll_until;
use bson::{Document, doc};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ALREADY_INITIALIZED: i32 = 23;
/// Between two looks at something that is not ready.
const FIRST_STEP: Duration = Duration::from_millis(3);
/// One attempt at a command may take this long.
const ATTEMPT_WAIT: Duration = Duration::from_secs(10);
/// Database of the first sharded write; dropped again.
const TRIAL_DB: &str = "shoal_trial";

struct Plan<'a> {
    layout: &'a Layout,
    home: &'a Home,
    binaries: &'a Binaries,
    deadline: Instant,
    /// Set by the first failure, so that the other threads do not wait for what cannot come.
    given_up: AtomicBool,
}

/// Brings all members up. If they all ran already, only looks whether the cluster answers.
///
/// # Errors
/// What failed, with the end of the log of the process that did. What was started is left to the caller to stop.
pub(crate) fn bring_up(
    layout: &Layout,
    home: &Home,
    binaries: &Binaries,
    deadline: Instant,
    was_up: bool,
) -> Result<(), Failure> {
    let plan = Plan { layout, home, binaries, deadline, given_up: AtomicBool::new(false) };
    let router = layout.the(Role::Router)?;
    let config = layout.config()?;
    thread::scope(|scope| {
        let mut parts = vec![scope.spawn(|| {
            plan.noting(|| {
                // The router reads the shards from the config server, which must be a replica set first.
                plan.set_ready(&config)?;
                plan.router_ready(router)
            })
        })];
        for shard in layout.shards() {
            let plan = &plan;
            parts.push(scope.spawn(move || plan.noting(|| plan.set_ready(&shard))));
        }
        let mut outcome = Ok(());
        for part in parts {
            let result = part.join().unwrap_or_else(|_| Err(Failure::new("a thread of `up` ended abruptly")));
            // The first failure in time has the reason; the others only gave up.
            if let Err(failure) = result
                && (outcome.is_ok() || !failure.is_consequence())
            {
                outcome = Err(failure);
            }
        }
        outcome
    })?;
    plan.add_shards(router)?;
    if was_up { Ok(()) } else { plan.first_write(router) }
}

impl Plan<'_> {
    fn noting(&self, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let result = work();
        if result.is_err() {
            self.given_up.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Starts a member if it does not run.
    fn start(&self, member: &Member) -> Result<Option<Child>, Failure> {
        match process::running(member, self.home) {
            Some(_) => Ok(None),
            None => process::start(member, self.home, self.layout, self.binaries).map(Some),
        }
    }

    fn router_ready(&self, router: &Member) -> Result<(), Failure> {
        let mut child = self.start(router)?;
        self.wait(router, &mut child, |_| {
            Ok(Connection::open(&local(router), 0)?.hello().is_router.then_some(()))
        })?;
        if child.is_some() {
            say!("  {:<10} {}", router.name, router.host());
        }
        Ok(())
    }

    /// Starts the members of a set that do not run, gives a new set its configuration, and waits until one member takes writes; in a
    /// new set, until the others follow it.
    fn set_ready(&self, set: &SetPlan<'_>) -> Result<(), Failure> {
        let mut children =
            set.members.iter().map(|member| self.start(member)).collect::<Result<Vec<_>, _>>()?;
        let mut is_new = true;
        for (member, child) in set.members.iter().zip(&mut children) {
            is_new &= self.connect(member, child)?.hello().set_name.is_none();
        }
        if is_new && let (Some(first), Some(child)) = (set.members.first(), children.first_mut()) {
            self.initiate(set, first, child)?;
        }
        self.wait_for_primary(set, &mut children)?;
        for (member, child) in set.members.iter().zip(&mut children) {
            if is_new {
                self.wait(member, child, |_| {
                    let connection = Connection::open(&local(member), 0)?;
                    let hello = connection.hello();
                    Ok((hello.is_writable || hello.is_secondary).then_some(()))
                })?;
            }
            if child.is_some() {
                say!("  {:<10} {}", member.name, member.host());
            }
        }
        Ok(())
    }

    /// Waits until any member of the set is a primary.
    fn wait_for_primary(&self, set: &SetPlan<'_>, children: &mut [Option<Child>]) -> Result<(), Failure> {
        let mut turn = 0;
        let (Some(first), Some(child)) = (set.members.first(), children.first_mut()) else { return Ok(()) };
        self.wait(first, child, |_| {
            let member = set.members.get(turn % set.members.len()).copied().unwrap_or(first);
            turn += 1;
            Ok(Connection::open(&local(member), 0)?.hello().is_writable.then_some(()))
        })
        .map_err(|failure| failure.during(&format!("waiting for a primary of {}", set.name)))
    }

    fn connect(&self, member: &Member, child: &mut Option<Child>) -> Result<Connection, Failure> {
        self.wait(member, child, |_| Connection::open(&local(member), 0).map(Some))
    }

    fn initiate(&self, set: &SetPlan<'_>, member: &Member, child: &mut Option<Child>) -> Result<(), Failure> {
        let members =
            (0_i32..).zip(&set.members).map(|(id, member)| doc! { "_id": id, "host": member.host() });
        let mut config = doc! { "_id": set.name, "members": members.collect::<Vec<_>>() };
        if member.role == Role::Config {
            config.insert("configsvr", true);
        }
        let command = doc! { "replSetInitiate": config };
        self.wait(member, child, |_| match Connection::open(&local(member), 0)?.run("admin", &command) {
            Ok(_) => Ok(Some(())),
            // A first attempt whose answer was lost.
            Err(Error::Server(error)) if error.code == ALREADY_INITIALIZED => Ok(Some(())),
            Err(error) => Err(error),
        })
        .map_err(|failure| failure.during(&format!("initiating {}", set.name)))
    }

    fn add_shards(&self, router: &Member) -> Result<(), Failure> {
        let known = self.on_router(router, "listing the shards", "admin", &doc! { "listShards": 1 })?;
        let known: Vec<&str> = known
            .get_array("shards")
            .into_iter()
            .flatten()
            .filter_map(|shard| shard.as_document()?.get_str("_id").ok())
            .collect();
        for shard in self.layout.shards() {
            if !known.contains(&shard.name) {
                let command = doc! { "addShard": shard.address(), "name": shard.name };
                self.on_router(router, &format!("adding {}", shard.name), "admin", &command)?;
            }
        }
        Ok(())
    }

    /// Shards a small collection, writes to it with majority, and drops it.
    fn first_write(&self, router: &Member) -> Result<(), Failure> {
        let ns = format!("{TRIAL_DB}.first");
        let steps = [
            (
                "sharding a trial collection",
                "admin",
                doc! { "shardCollection": ns, "key": { "_id": "hashed" } },
            ),
            (
                "the first sharded write",
                TRIAL_DB,
                doc! {
                    "update": "first",
                    "updates": [{ "q": { "_id": 1 }, "u": { "$set": { "ready": true } }, "upsert": true }],
                    "writeConcern": { "w": "majority" },
                },
            ),
            ("dropping the trial collection", TRIAL_DB, doc! { "dropDatabase": 1 }),
        ];
        for (doing, db, command) in &steps {
            self.on_router(router, doing, db, command)?;
        }
        Ok(())
    }

    /// Runs a command on the router until it succeeds: right after its start, parts of a cluster do not know each other.
    fn on_router(
        &self,
        router: &Member,
        doing: &str,
        db: &str,
        command: &Document,
    ) -> Result<Document, Failure> {
        self.wait(router, &mut None, |_| {
            let mut connection = Connection::open(&local(router), 0)?;
            connection.run(db, command).map(Some)
        })
        .map_err(|failure| failure.during(doing))
    }

    /// Tries until there is an answer, the member ended, the time is up, or an error cannot go away by itself.
    fn wait<T>(
        &self,
        member: &Member,
        child: &mut Option<Child>,
        mut attempt: impl FnMut(&Member) -> Result<Option<T>, Error>,
    ) -> Result<T, Failure> {
        let mut last: Option<Error> = None;
        let found = poll_until(self.deadline, FIRST_STEP, || {
            if self.given_up.load(Ordering::Relaxed) {
                return Some(Err(Failure::consequence(&member.name)));
            }
            if let Some(child) = child
                && let Ok(Some(status)) = child.try_wait()
            {
                let failure = Failure::new(format!("{} ended at once ({status})", member.name));
                return Some(Err(self.with_log(member, failure)));
            }
            match attempt(member) {
                Ok(Some(answer)) => Some(Ok(answer)),
                Ok(None) => None,
                Err(error) if is_passing(&error) => {
                    last = Some(error);
                    None
                }
                Err(error) => Some(Err(self.with_log(member, error.into()))),
            }
        });
        found.unwrap_or_else(|| {
            let reason = last.map_or_else(|| "it is not ready".to_owned(), |error| error.to_string());
            let failure = Failure::new(format!("{} is not ready in time: {reason}", member.name));
            Err(self.with_log(member, failure))
        })
    }

    fn with_log(&self, member: &Member, failure: Failure) -> Failure {
        failure
            .detail(process::log_tail(member, self.home))
            .next(format!("read {}; then run the same command again", self.home.log_file(member).display()))
    }
}

/// Whether waiting can help: nobody listens yet, or the server says that it is not there yet.
fn is_passing(error: &Error) -> bool {
    const NOT_THERE_YET: [i32; 6] = [
        46,  // LockBusy
        70,  // ShardNotFound: the router has not read the list yet
        94,  // NotYetInitialized
        133, // FailedToSatisfyReadPreference
        134, // ReadConcernMajorityNotAvailableYet
        202, // NetworkInterfaceExceededTimeLimit
    ];
    match error {
        Error::Server(server) => server.is_retryable() || NOT_THERE_YET.contains(&server.code),
        other => other.is_retryable(),
    }
}

fn local(member: &Member) -> Uri {
    let mut uri = Uri::local(member.port);
    uri.options.connect_timeout = ATTEMPT_WAIT;
    uri.options.socket_timeout = ATTEMPT_WAIT;
    uri
}

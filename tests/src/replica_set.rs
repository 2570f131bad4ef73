//! A plain replica set of shard servers, on loopback or each on a host of its own, with faults by role: kill -9, SIGSTOP, restart,
//! step-down, cut links. Whatever becomes of the test, its processes and networks end.

use crate::driver::Connection;
use crate::net::Net;
use crate::process::{self, Process};
use crate::wait;
use bson::{Document, doc};
use rustix::process::Signal;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Lines of a log that a failing test shows.
const LOG_TAIL_LINES: usize = 40;
/// Port of each member where each is on a host of its own.
const PORT: u16 = 27018;
/// The set's name.
pub const NAME: &str = "rs";

/// Ends the processes named in pid files, the networks, and the directory.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
read -r _
cat "$0"/run/*.pid 2>/dev/null | while read -r pid; do kill -9 "$pid" 2>/dev/null; done
[ -f "$0"/run/cleanup ] && sh "$0"/run/cleanup
[ -n "$SHOAL_KEEP" ] || rm -rf "$0"
"#;

/// A running set. Members are numbered from 0.
#[derive(Debug)]
pub struct ReplicaSet {
    dir: PathBuf,
    hosts: Vec<String>,
    watchdog: Child,
    children: Mutex<Vec<Option<Child>>>,
    extra: Vec<String>,
    may_panic: AtomicBool,
    /// Where each member is on a host of its own.
    pub net: Option<Net>,
}

impl ReplicaSet {
    /// Starts and initiates one on loopback.
    pub fn start(members: usize) -> ReplicaSet {
        let set = ReplicaSet::prepare(members, None, &[]);
        set.initiate(&set.config(members));
        set
    }

    /// Starts and initiates one whose members have hosts of their own; `None`, said aloud, where that cannot be.
    pub fn start_apart(members: usize, what: &str) -> Option<ReplicaSet> {
        let net = Net::start(members, what)?;
        let set = ReplicaSet::prepare(members, Some(net), &[]);
        set.initiate(&set.config(members));
        Some(set)
    }

    /// Starts the processes of a set that is not initiated, with these options for each.
    pub fn prepare(members: usize, net: Option<Net>, extra: &[&str]) -> ReplicaSet {
        let dir = tempfile::Builder::new().prefix("shoal-rs-").tempdir().unwrap().keep();
        for part in ["run", "logs", "data"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        if let Some(net) = &net {
            fs::write(dir.join("run/cleanup"), net.cleanup()).unwrap();
        }
        // In a group of its own: what ends the test by a signal must not end it too.
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCHDOG]).arg(&dir).stdin(Stdio::piped()).process_group(0);
        let watchdog = watchdog.spawn().unwrap();
        let hosts = match &net {
            Some(net) => (0..members).map(|member| format!("{}:{PORT}", net.address(member))).collect(),
            None => {
                let first = crate::cluster::free_ports();
                (first..).take(members).map(|port| format!("127.0.0.1:{port}")).collect()
            }
        };
        let set = ReplicaSet {
            dir,
            hosts,
            watchdog,
            children: Mutex::new((0..members).map(|_| None).collect()),
            extra: extra.iter().map(|&option| option.to_owned()).collect(),
            may_panic: AtomicBool::new(false),
            net,
        };
        for member in 0..members {
            set.restart(member);
        }
        set
    }

    /// A configuration of the first `count` members.
    pub fn config(&self, count: usize) -> Document {
        let members = (0_i32..).zip(&self.hosts).take(count);
        let members: Vec<Document> = members.map(|(id, host)| doc! { "_id": id, "host": host }).collect();
        doc! { "_id": NAME, "members": members }
    }

    /// Gives the set its first configuration and waits until every member in it is primary or secondary.
    pub fn initiate(&self, config: &Document) {
        let count = config.get_array("members").unwrap().len();
        // All of them have to answer.
        for member in 0..count {
            self.connect(member).run("admin", doc! { "ping": 1 });
        }
        self.connect(0).run("admin", doc! { "replSetInitiate": config.clone() });
        self.primary();
        for member in 0..count {
            wait::until("a member to follow", || {
                let hello = self.hello(member)?;
                let flag = |name: &str| hello.get_bool(name).unwrap_or(false);
                (flag("isWritablePrimary") || flag("secondary") || flag("arbiterOnly")).then_some(())
            });
        }
    }

    /// The directory of the set.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The data directory of a member.
    pub fn data(&self, member: usize) -> PathBuf {
        self.dir.join("data").join(member.to_string())
    }

    /// How many members there are, in the configuration or not.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The `host:port` of a member.
    pub fn host(&self, member: usize) -> &str {
        &self.hosts[member]
    }

    /// `rs/host:port,host:port` of the first `count` members.
    pub fn address(&self, count: usize) -> String {
        format!("{NAME}/{}", self.hosts[..count].join(","))
    }

    /// The connection string of the set.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/?replicaSet={NAME}", self.hosts.join(","))
    }

    /// A connection to a member.
    pub fn connect(&self, member: usize) -> Connection {
        wait::until("a member to take a connection", || Connection::try_open(&self.hosts[member]).ok())
    }

    /// What a member says of itself, if it answers soon.
    pub fn hello(&self, member: usize) -> Option<Document> {
        let address = self.hosts[member].parse().ok()?;
        // A host that is cut off does not refuse a connection, it is silent.
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()?;
        let mut peer = Connection::try_open(&self.hosts[member]).ok()?;
        peer.set_patience(Duration::from_millis(1_000));
        match peer.exchange("admin", doc! { "hello": 1 }) {
            Ok(crate::driver::Answer::Document(hello)) => Some(hello),
            _ => None,
        }
    }

    /// The member that says it is primary, the one of the newest election if several do; waits for one.
    pub fn primary(&self) -> usize {
        wait::until("a primary", || self.find_primary())
    }

    /// As [`ReplicaSet::primary`], now or not at all.
    pub fn find_primary(&self) -> Option<usize> {
        let primaries = (0..self.len()).filter_map(|member| {
            let hello = self.hello(member)?;
            let election = hello.get_object_id("electionId").ok()?;
            hello.get_bool("isWritablePrimary").unwrap_or(false).then_some((election, member))
        });
        primaries.max().map(|(_, member)| member)
    }

    /// Some member that is not the primary and runs.
    pub fn secondary(&self) -> usize {
        let primary = self.primary();
        let other = (0..self.len()).map(|step| (primary + 1 + step) % self.len());
        other.into_iter().find(|member| *member != primary && self.is_alive(*member)).unwrap()
    }

    fn process(&self, member: usize) -> Option<Process> {
        let pid = fs::read_to_string(self.dir.join(format!("run/{member}.pid"))).ok()?;
        Some(Process(pid.trim().parse().unwrap()))
    }

    /// Whether the process of a member is there.
    pub fn is_alive(&self, member: usize) -> bool {
        self.process(member).is_some_and(Process::is_alive)
    }

    /// `kill -9` of a member.
    pub fn kill(&self, member: usize) {
        if let Some(mut child) = self.children.lock().unwrap()[member].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP: the member hangs, its connections stay.
    pub fn pause(&self, member: usize) {
        let Some(process) = self.process(member) else { return };
        process.signal(Signal::STOP);
        // One of its threads has to be scheduled to stop the others: on a busy machine they go on until then.
        wait::until("a stopped process to stand still", || process.is_stopped().then_some(()));
    }

    /// SIGCONT.
    pub fn go_on(&self, member: usize) {
        self.signal(member, Signal::CONT);
    }

    fn signal(&self, member: usize, signal: Signal) {
        if let Some(process) = self.process(member) {
            process.signal(signal);
        }
    }

    /// Starts a member that does not run.
    pub fn restart(&self, member: usize) {
        let mut children = self.children.lock().unwrap();
        if children[member].as_mut().is_some_and(|child| child.try_wait().unwrap().is_none()) {
            return;
        }
        let program = process::binary("shardsvr");
        let (host, port) = self.hosts[member].rsplit_once(':').unwrap();
        let mut command = match &self.net {
            Some(net) => net.command(member, &program),
            None => Command::new(program),
        };
        let log = self.dir.join(format!("logs/{member}.log"));
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        fs::create_dir_all(self.data(member)).unwrap();
        let child = command
            .args(["--replSet", NAME, "--port", port, "--bind_ip", host, "--dbpath"])
            .arg(self.data(member))
            .args(&self.extra)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        fs::write(self.dir.join(format!("run/{member}.pid")), format!("{}\n", child.id())).unwrap();
        children[member] = Some(child);
    }

    /// Throws a member's data away; it must not run.
    pub fn wipe(&self, member: usize) {
        fs::remove_dir_all(self.data(member)).unwrap();
    }

    /// Everything runs and every link works again.
    pub fn heal(&self) {
        if let Some(net) = &self.net {
            net.heal();
        }
        for member in 0..self.len() {
            self.go_on(member);
            self.restart(member);
        }
    }

    /// Panics are part of the test: engines panic over damage.
    pub fn allow_panics(&self) {
        self.may_panic.store(true, Ordering::Relaxed);
    }

    /// Fails if any member panicked.
    pub fn check_logs(&self) {
        if self.may_panic.load(Ordering::Relaxed) {
            return;
        }
        for member in 0..self.len() {
            let text = fs::read(self.dir.join(format!("logs/{member}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            if let Some(place) = text.lines().position(|line| line.contains("panicked")) {
                let lines: Vec<&str> = text.lines().skip(place.saturating_sub(3)).take(12).collect();
                panic!("member {member} panicked:\n{}", lines.join("\n"));
            }
        }
    }

    fn log_tails(&self) -> String {
        let mut out = String::new();
        for member in 0..self.len() {
            let text = fs::read(self.dir.join(format!("logs/{member}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
            out += &format!("--- member {member} at {}\n{}\n", self.hosts[member], tail.join("\n"));
        }
        out
    }
}

impl Drop for ReplicaSet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            process::say(&self.log_tails());
        }
        // A panic while panicking would hide the first one.
        let check = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.check_logs()));
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().unwrap();
        for child in self.children.get_mut().unwrap().iter_mut().flatten() {
            child.wait().unwrap();
        }
        if let (Err(panic), false) = (check, std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}

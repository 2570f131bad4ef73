//! A cluster of real processes in a temporary directory, started through `shoal up` and driven by its names.
//! Whatever becomes of the test, its processes end: a watchdog holds a pipe of ours and cleans up when it closes.

use crate::driver::Connection;
use crate::process::{self, Process};
use crate::wait;
use bson::doc;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Ports of one cluster and of what a test starts beside it. Below those that systems give to outgoing connections.
const PORTS_EACH: u16 = 24;
const PORT_FIRST: u16 = 21_000;
const PORT_LAST: u16 = 31_000;
/// Until a cluster must be ready, on a machine that builds or tests other things.
const UP_SECONDS: u32 = 120;
/// Lines of a log that a failing test shows.
const LOG_TAIL_LINES: usize = 25;

/// Ends the processes named in pid files, and removes the directory.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
read -r _
cat "$0"/run/*.pid 2>/dev/null | while read -r pid; do kill -9 "$pid" 2>/dev/null; done
[ -n "$SHOAL_KEEP" ] || rm -rf "$0"
"#;

/// A running cluster: `config`, `router`, `shard1`, `shard2`, …
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    port: u16,
    watchdog: Child,
    extra_count: AtomicU16,
    /// Servers that the test itself started.
    extras: Mutex<Vec<Child>>,
}

impl Cluster {
    /// Starts one with so many shards.
    ///
    /// # Panics
    /// If it is not ready in time.
    pub fn start(shards: u16) -> Cluster {
        Cluster::start_with(shards, &[])
    }

    /// Starts one whose processes get these environment variables.
    ///
    /// # Panics
    /// If it is not ready in time.
    pub fn start_with(shards: u16, environment: &[(&str, &str)]) -> Cluster {
        Cluster::start_sets(shards, 1, environment)
    }

    /// Starts one whose config server and shards have so many members each: `shard1`, `shard1-2`, `shard1-3`, …
    ///
    /// # Panics
    /// If it is not ready in time.
    pub fn start_replicated(shards: u16, replicas: u16) -> Cluster {
        Cluster::start_sets(shards, replicas, &[])
    }

    fn start_sets(shards: u16, replicas: u16, environment: &[(&str, &str)]) -> Cluster {
        let dir = tempfile::Builder::new().prefix("shoal-test-").tempdir().unwrap().keep();
        // In a group of its own: what ends the test by a signal must not end it too.
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCHDOG]).arg(&dir).stdin(Stdio::piped()).process_group(0);
        let watchdog = watchdog.spawn().unwrap();
        let cluster = Cluster {
            dir,
            port: free_ports(),
            watchdog,
            extra_count: AtomicU16::new(0),
            extras: Mutex::default(),
        };
        let (port, shards, replicas) = (cluster.port.to_string(), shards.to_string(), replicas.to_string());
        let timeout = UP_SECONDS.to_string();
        let arguments =
            ["up", "--shards", &shards, "--replicas", &replicas, "--port", &port, "--timeout", &timeout];
        process::run(cluster.shoal_command(&arguments).envs(environment.iter().copied()));
        cluster
    }

    /// One cluster of two shards for all tests of a program; each test takes a database of its own.
    pub fn shared() -> Shared {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        Shared(SHARED.get_or_init(|| Cluster::start(2)))
    }

    /// The directory of the cluster.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The router's `host:port`.
    pub fn router(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The router's connection string.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/", self.router())
    }

    /// A new connection to the router.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.router())
    }

    /// A new connection to a process by its name.
    pub fn connect_to(&self, name: &str) -> Connection {
        Connection::open(&self.address(name))
    }

    /// A shell of the bundled client: runs it on this cluster's directory and returns what it printed.
    pub fn shoal(&self, arguments: &[&str]) -> String {
        process::run(&mut self.shoal_command(arguments))
    }

    /// The same, not yet started.
    pub fn shoal_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(process::binary("shoal"));
        let (name, rest) = arguments.split_first().unwrap();
        command.arg(name);
        match *name {
            "up" => drop(command.arg("--bin-dir").arg(process::bin_dir()).arg("--dir").arg(&self.dir)),
            "down" | "status" => drop(command.arg("--dir").arg(&self.dir)),
            _ => drop(command.args(["--uri", &self.uri()])),
        }
        command.args(rest);
        command
    }

    /// Starts what does not run.
    pub fn up(&self) {
        self.shoal(&["up", "--timeout", &UP_SECONDS.to_string()]);
    }

    /// `shoal status --json`.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.shoal(&["status", "--json"])).unwrap()
    }

    fn entry(&self, name: &str) -> Value {
        let plan: Value =
            serde_json::from_str(&fs::read_to_string(self.dir.join("cluster.json")).unwrap()).unwrap();
        let members = plan["members"].as_array().unwrap();
        members.iter().find(|member| member["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    /// The `host:port` of a process.
    pub fn address(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.entry(name)["port"])
    }

    /// A process by its name.
    pub fn process(&self, name: &str) -> Process {
        let pid = fs::read_to_string(self.dir.join("run").join(format!("{name}.pid"))).unwrap();
        Process(pid.trim().parse().unwrap())
    }

    /// The names of all processes.
    pub fn names(&self) -> Vec<String> {
        let status = self.status();
        let processes = status["processes"].as_array().unwrap();
        processes.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The processes of a replica set by its name, the primary first; waits for one.
    pub fn members_of(&self, set: &str) -> Vec<String> {
        let is_member =
            |name: &str| name == set || name.strip_prefix(set).is_some_and(|rest| rest.starts_with('-'));
        wait::until("a primary", || {
            let status = self.status();
            let of_set = status["processes"].as_array()?.iter().filter(|one| {
                one["name"].as_str().is_some_and(is_member) && one["running"].as_bool() == Some(true)
            });
            let (first, others): (Vec<&Value>, Vec<&Value>) =
                of_set.partition(|one| one["state"] == "primary");
            let names = first.iter().chain(&others).filter_map(|one| one["name"].as_str().map(str::to_owned));
            (first.len() == 1).then(|| names.collect())
        })
    }

    /// `kill -9` of one process.
    pub fn kill(&self, name: &str) {
        self.process(name).kill();
    }

    /// `kill -9` of all processes, as close together as signals can be.
    pub fn kill_all(&self) {
        let all: Vec<Process> = self.names().iter().map(|name| self.process(name)).collect();
        for one in &all {
            one.signal(rustix::process::Signal::KILL);
        }
        for one in &all {
            one.kill();
        }
    }

    /// What a process wrote to its log, in this run and the one before.
    pub fn log(&self, name: &str) -> String {
        let file = self.dir.join("logs").join(format!("{name}.log"));
        let read = |path: &Path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
        let before = read(&file.with_extension("previous.log")).unwrap_or_default();
        before + &read(&file).unwrap_or_default()
    }

    /// Fails if any process panicked.
    pub fn check_logs(&self) {
        let Ok(files) = fs::read_dir(self.dir.join("logs")) else { return };
        for file in files.map(Result::unwrap) {
            let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned();
            let place = text.lines().position(|line| line.contains("panicked"));
            if let Some(place) = place {
                let lines: Vec<&str> = text.lines().skip(place.saturating_sub(3)).take(12).collect();
                panic!("a panic in {:?}:\n{}", file.file_name(), lines.join("\n"));
            }
        }
    }

    /// The ends of all logs, for the message of a failing test.
    pub fn log_tails(&self) -> String {
        let mut out = String::new();
        for file in fs::read_dir(self.dir.join("logs")).into_iter().flatten().flatten() {
            let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
            out += &format!("--- {}\n{}\n", file.path().display(), tail.join("\n"));
        }
        out
    }

    /// The next free port that belongs to this cluster's test.
    fn extra_port(&self) -> u16 {
        // The cluster itself takes its ports from the low end.
        self.port + PORTS_EACH - 1 - self.extra_count.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts a server beside the cluster; it ends with it.
    fn start_extra(&self, program: &str, name: &str, arguments: &[String]) {
        let log = fs::File::create(self.dir.join("logs").join(format!("{name}.log"))).unwrap();
        let child = Command::new(process::binary(program))
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        fs::write(self.dir.join("run").join(format!("{name}.pid")), format!("{}\n", child.id())).unwrap();
        self.extras.lock().unwrap().push(child);
    }

    /// Starts one more router and returns its `host:port`.
    pub fn add_router(&self, name: &str) -> String {
        let port = self.extra_port();
        let config = format!("config/{}", self.address("config"));
        self.start_extra(
            "mongos",
            name,
            &["--configdb".to_owned(), config, "--port".to_owned(), port.to_string()],
        );
        let address = format!("127.0.0.1:{port}");
        wait::until("another router to answer", || {
            Connection::try_open(&address).ok()?.command("admin", doc! { "listShards": 1 }).ok()
        });
        address
    }

    /// Starts one more shard server, neither initiated nor added, and returns its `host:port`.
    pub fn add_shard_server(&self, name: &str) -> String {
        let port = self.extra_port();
        let data = self.dir.join("data").join(name);
        fs::create_dir_all(&data).unwrap();
        self.start_extra(
            "shardsvr",
            name,
            &[
                "--replSet".to_owned(),
                name.to_owned(),
                "--dbpath".to_owned(),
                data.display().to_string(),
                "--port".to_owned(),
                port.to_string(),
            ],
        );
        let address = format!("127.0.0.1:{port}");
        wait::until("a shard server to answer", || Connection::try_open(&address).ok());
        address
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            process::say(&self.log_tails());
        }
        // A panic while panicking would hide the first one.
        let check = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.check_logs()));
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().unwrap();
        for child in self.extras.get_mut().unwrap_or_else(PoisonError::into_inner) {
            child.wait().unwrap();
        }
        if let (Err(panic), false) = (check, std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A use of the shared cluster; when it ends, the logs are looked at.
#[derive(Debug)]
pub struct Shared(&'static Cluster);

impl std::ops::Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.check_logs();
        }
    }
}

/// The first of a row of free ports. Clusters of one program never get the same row; those of two programs hardly ever.
pub(crate) fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let rows = (PORT_LAST - PORT_FIRST) / PORTS_EACH;
    let begin = u16::try_from(std::process::id() % u32::from(rows)).unwrap();
    for _ in 0..rows {
        let row = (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % rows;
        let first = PORT_FIRST + row * PORTS_EACH;
        if (first..first + PORTS_EACH).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no row of {PORTS_EACH} free ports between {PORT_FIRST} and {PORT_LAST}");
}

/// How long a failing operation may take before it counts as hanging.
pub const FAILURE_LIMIT: Duration = Duration::from_secs(30);

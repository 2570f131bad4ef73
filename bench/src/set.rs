//! A plain replica set on loopback, stopped when it is dropped.

use crate::cluster::Process;
use crate::connection::Connection;
use crate::{Result, pause};
use bson::{Document, doc};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "bench";
/// How long a member may take to listen, and a set to be well.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running set.
pub(crate) struct Set {
    dir: PathBuf,
    port: u16,
    children: Vec<Child>,
    pub(crate) members: Vec<Process>,
}

impl Set {
    /// Starts and initiates one; returns when every member is primary or secondary.
    pub(crate) fn start(dir: &Path, port: u16, count: u16) -> Result<Set> {
        let mut set = Set { dir: dir.to_owned(), port, children: Vec::new(), members: Vec::new() };
        for _ in 0..count {
            set.add_process()?;
        }
        let members: Vec<Document> = (0_i32..)
            .zip(&set.members)
            .map(|(id, member)| doc! { "_id": id, "host": &member.host })
            .collect();
        let first = set.members.first().ok_or("a set without members")?;
        let mut first = Connection::open(&first.host)?;
        first.run("admin", doc! { "replSetInitiate": { "_id": NAME, "members": members } })?;
        set.primary()?;
        for nth in 0..usize::from(count) {
            set.wait_until_well(nth)?;
        }
        Ok(set)
    }

    /// Starts one more process, in no configuration yet. Returns its place.
    pub(crate) fn add_process(&mut self) -> Result<usize> {
        let nth = self.members.len();
        let port = self.port + u16::try_from(nth)?;
        let data = self.dir.join(format!("data{nth}"));
        fs::create_dir_all(&data)?;
        let log = fs::File::create(self.dir.join(format!("{nth}.log")))?;
        let program = std::env::current_exe()?.with_file_name("shardsvr");
        let child = Command::new(&program)
            .args(["--replSet", NAME, "--port", &port.to_string(), "--dbpath"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let host = format!("127.0.0.1:{port}");
        self.members.push(Process { host: host.clone(), pid: child.id() });
        self.children.push(child);
        until("a member to listen", || Connection::open(&host).ok().map(drop))?;
        Ok(nth)
    }

    /// Puts a process into the configuration.
    pub(crate) fn add_member(&self, nth: usize) -> Result<()> {
        let mut primary = Connection::open(&self.primary()?)?;
        let reply = primary.run("admin", doc! { "replSetGetConfig": 1 })?;
        let mut config = reply.get_document("config")?.clone();
        let version = match config.get("version") {
            Some(bson::Bson::Int64(version)) => *version,
            Some(bson::Bson::Int32(version)) => i64::from(*version),
            _ => return Err("a configuration without a version".into()),
        };
        config.insert("version", version + 1);
        config.remove("term");
        let host = self.members.get(nth).map(|member| member.host.clone()).ok_or("no such process")?;
        let member = doc! { "_id": i32::try_from(nth)?, "host": host, "priority": 0, "votes": 0 };
        config.get_array_mut("members")?.push(member.into());
        primary.run("admin", doc! { "replSetReconfig": config })?;
        Ok(())
    }

    /// `host:port` of the primary; waits for one.
    pub(crate) fn primary(&self) -> Result<String> {
        until("a primary", || {
            self.members
                .iter()
                .map(|member| &member.host)
                .find(|host| says(host, "isWritablePrimary"))
                .cloned()
        })
    }

    /// The secondaries, as they are now.
    pub(crate) fn secondaries(&self) -> Vec<String> {
        let hosts = self.members.iter().map(|member| &member.host);
        hosts.filter(|host| says(host, "secondary")).cloned().collect()
    }

    /// Waits until a member is primary or secondary.
    pub(crate) fn wait_until_well(&self, nth: usize) -> Result<()> {
        let host = &self.members.get(nth).ok_or("no such member")?.host;
        until("a member to be well", || {
            (says(host, "isWritablePrimary") || says(host, "secondary")).then_some(())
        })
    }

    /// Process ids of all members.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.pid).collect()
    }

    /// Bytes that a member's data takes on disk.
    pub(crate) fn data_bytes(&self, nth: usize) -> Result<u64> {
        fn of(dir: &Path) -> std::io::Result<u64> {
            let mut sum = 0;
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                sum += if entry.file_type()?.is_dir() { of(&entry.path())? } else { entry.metadata()?.len() };
            }
            Ok(sum)
        }
        Ok(of(&self.dir.join(format!("data{nth}")))?)
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok(); // ended already
            child.wait().ok();
        }
        fs::remove_dir_all(&self.dir).ok(); // a directory of ours for temporary files
    }
}

fn says(host: &str, what: &str) -> bool {
    let hello = Connection::open(host).and_then(|mut peer| peer.run("admin", doc! { "hello": 1 }));
    hello.is_ok_and(|hello| hello.get_bool(what).unwrap_or(false))
}

/// Looks until there is an answer.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("waited {} s in vain for {what}", PATIENCE.as_secs()).into());
        }
        pause(Duration::from_millis(5));
    }
}

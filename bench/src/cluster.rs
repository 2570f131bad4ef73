//! A local cluster made by `shoal up`, stopped when it is dropped.

use crate::connection::Connection;
use crate::{Result, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One process of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) host: String,
    pub(crate) pid: u32,
}

/// A running cluster.
pub(crate) struct Cluster {
    dir: PathBuf,
    pub(crate) uri: String,
    /// From the start of `shoal up` to its end.
    pub(crate) up: Duration,
    pub(crate) router: Process,
    pub(crate) config: Process,
    pub(crate) shards: Vec<Process>,
}

impl Cluster {
    /// A fresh cluster of two shards.
    pub(crate) fn start(dir: &Path, port: u16) -> Result<Cluster> {
        fs::create_dir_all(dir)?;
        let begin = Instant::now();
        shoal(&["up", "--shards", "2", "--replicas", "1", "--dir", text(dir)?, "--port", &port.to_string()])?;
        let up = begin.elapsed();
        let status: serde_json::Value =
            serde_json::from_str(&shoal(&["status", "--dir", text(dir)?, "--json"])?)?;
        let of_role = |role: &str| -> Vec<Process> {
            let processes = status["processes"].as_array().into_iter().flatten();
            processes
                .filter(|one| one["role"] == role)
                .filter_map(|one| {
                    let pid = u32::try_from(one["pid"].as_u64()?).ok()?;
                    Some(Process { host: one["host"].as_str()?.to_owned(), pid })
                })
                .collect()
        };
        let one = |role: &str| of_role(role).into_iter().next().ok_or(format!("no {role} runs"));
        Ok(Cluster {
            dir: dir.to_owned(),
            uri: status["uri"].as_str().ok_or("no uri in the status")?.to_owned(),
            up,
            router: one("router")?,
            config: one("config")?,
            shards: of_role("shard"),
        })
    }

    /// A connection to the router.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(&self.router.host)
    }

    /// Router, config server, shards.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let fixed = [self.router.pid, self.config.pid];
        fixed.into_iter().chain(self.shards.iter().map(|shard| shard.pid)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = text(&self.dir).and_then(|dir| shoal(&["down", "--dir", dir]));
        if let Err(error) = stopped {
            eprintln!("bench: {error}");
        }
        fs::remove_dir_all(&self.dir).ok(); // a directory of ours for temporary files
    }
}

/// Runs the bundled client and returns what it printed.
pub(crate) fn shoal(arguments: &[&str]) -> Result<String> {
    let program = std::env::current_exe()?.with_file_name("shoal");
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("shoal {}: {}", arguments.join(" "), said.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}

//! Programs and processes: where the built binaries are, running one to its end, and what `/proc` tells of a server.

use crate::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The folder of the built binaries: that of this test's own profile, or `SHOAL_BIN_DIR`.
///
/// # Panics
/// If they are not built.
pub fn bin_dir() -> PathBuf {
    let dir = match std::env::var_os("SHOAL_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let this = std::env::current_exe().unwrap();
            this.parent().unwrap().parent().unwrap().to_owned()
        }
    };
    for name in ["shoal", "mongos", "configsvr", "shardsvr"] {
        assert!(
            dir.join(name).is_file(),
            "{} is not built; `make build-verify` builds what the tests run, or name a folder with SHOAL_BIN_DIR",
            dir.join(name).display()
        );
    }
    dir
}

/// A built binary.
pub fn binary(name: &str) -> PathBuf {
    bin_dir().join(name)
}

/// Runs a program to its end and returns its output.
///
/// # Panics
/// If it does not end with success; its output is in the message.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program to its end, whatever that is.
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Both streams, for a message.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Says something although the test passes: what was skipped or measured. `println!` would be swallowed.
pub fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A process id that can be asked about and killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(pub i32);

impl Process {
    /// Whether it runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        fs::read(format!("/proc/{}/cmdline", self.0)).is_ok_and(|line| !line.is_empty())
    }

    /// Whether all its threads are stopped, or it is gone.
    pub fn is_stopped(self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.0)) else { return true };
        let is_stopped = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The name before it may hold anything.
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
        };
        threads.flatten().all(is_stopped)
    }

    /// Resident memory in KiB.
    ///
    /// # Panics
    /// If there is no such process.
    pub fn resident_kib(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        wait::until("a killed process to be gone", || (!self.is_alive()).then_some(()));
    }

    /// Sends a signal, if it runs.
    pub fn signal(self, signal: Signal) {
        match kill_process(Pid::from_raw(self.0).unwrap(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot signal {}: {error}", self.0),
        }
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

//! One server process: its command line, how it is started detached, found again by its pid file, and signalled.
//! A pid is believed only if the command line under /proc is that of the process which the plan describes.

use super::layout::{Home, Layout, Member, Role};
use crate::failure::Failure;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process, setsid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How much of the end of a log is read to show its last lines.
const LOG_TAIL_BYTES: u64 = 16 * 1024;
const LOG_TAIL_LINES: usize = 12;

/// What `up` starts: this program once more, which leaves the terminal's session and turns into the server.
#[derive(Debug, Args)]
pub(crate) struct Detached {
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Leaves the session of the terminal, then becomes the program; the process id stays.
pub(crate) fn become_detached(options: &Detached) -> Result<(), Failure> {
    setsid().map_err(|error| Failure::new(format!("cannot leave the session: {error}")))?;
    let error = Command::new(&options.program).args(&options.arguments).exec();
    Err(Failure::new(format!("cannot start {}: {error}", options.program.display())))
}

/// Where the server executables lie.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    dir: PathBuf,
    this: PathBuf,
}

impl Binaries {
    /// Looks in `bin_dir`, or beside this executable.
    pub(crate) fn find(bin_dir: Option<&Path>) -> Result<Binaries, Failure> {
        let this = std::env::current_exe()
            .map_err(|error| Failure::new(format!("cannot tell where this program lies: {error}")))?;
        let dir = match bin_dir {
            Some(dir) => dir.to_owned(),
            None => this.parent().map(Path::to_owned).unwrap_or_default(),
        };
        for role in [Role::Config, Role::Shard, Role::Router] {
            let file = dir.join(role.binary());
            if !file.is_file() {
                return Err(Failure::new(format!(
                    "there is no server `{}` in {}",
                    role.binary(),
                    dir.display()
                ))
                .next(
                    "build the servers with `cargo build --release`, or name their directory with --bin-dir",
                ));
            }
        }
        let dir = dir
            .canonicalize()
            .map_err(|error| Failure::new(format!("cannot use {}: {error}", dir.display())))?;
        Ok(Binaries { dir, this })
    }
}

/// The arguments of a server.
fn arguments(member: &Member, home: &Home, layout: &Layout) -> Result<Vec<OsString>, Failure> {
    let mut arguments: Vec<OsString> = match member.role {
        Role::Config | Role::Shard => vec![
            "--replSet".into(),
            member.set_name().to_owned().into(),
            "--dbpath".into(),
            home.data_dir(member).into_os_string(),
        ],
        Role::Router => vec!["--configdb".into(), layout.config()?.address().into()],
    };
    arguments.extend([
        "--port".into(),
        member.port.to_string().into(),
        "--bind_ip".into(),
        "127.0.0.1".into(),
    ]);
    Ok(arguments)
}

/// Starts a server in its own session with its output in its log file, and writes its pid file.
pub(crate) fn start(
    member: &Member,
    home: &Home,
    layout: &Layout,
    binaries: &Binaries,
) -> Result<Child, Failure> {
    let failed =
        |what: &str, error: io::Error| Failure::new(format!("cannot start {}: {what}: {error}", member.name));
    let log = home.log_file(member);
    // What the log shows is of this run; that of the one before is kept beside it.
    match fs::rename(&log, log.with_extension("previous.log")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("its old log", error)),
        _ => {}
    }
    let output =
        File::options().create(true).append(true).open(&log).map_err(|error| failed("its log", error))?;
    let errors = output.try_clone().map_err(|error| failed("its log", error))?;
    if member.role != Role::Router {
        fs::create_dir_all(home.data_dir(member)).map_err(|error| failed("its data directory", error))?;
    }
    let child = Command::new(&binaries.this)
        .arg("__detached")
        .arg(binaries.dir.join(member.role.binary()))
        .args(arguments(member, home, layout)?)
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| failed("the process", error))?;
    fs::write(home.pid_file(member), format!("{}\n", child.id()))
        .map_err(|error| failed("its pid file", error))?;
    Ok(child)
}

/// The pid of a member that runs, whoever started it.
pub(crate) fn running(member: &Member, home: &Home) -> Option<Pid> {
    let text = fs::read_to_string(home.pid_file(member)).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    is_ours(pid, member, home).then_some(pid)
}

/// Whether the process lives and has the command line that [`start`] gave it. A zombie has none.
pub(crate) fn is_ours(pid: Pid, member: &Member, home: &Home) -> bool {
    let Ok(line) = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else { return false };
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let has_pair = |flag: &str, value: &[u8]| {
        words
            .windows(2)
            .any(|pair| matches!(pair, [name, found] if *name == flag.as_bytes() && *found == value))
    };
    let is_program = words.iter().take(3).any(|word| {
        Path::new(&*String::from_utf8_lossy(word))
            .file_name()
            .is_some_and(|name| name == member.role.binary())
    });
    let has_data = member.role == Role::Router
        || has_pair("--dbpath", home.data_dir(member).as_os_str().as_encoded_bytes());
    is_program && has_data && has_pair("--port", member.port.to_string().as_bytes())
}

/// Asks a process to stop, or ends it. A process that is gone already is as good.
pub(crate) fn signal(pid: Pid, signal: Signal) -> Result<(), Failure> {
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot signal process {}: {error}", pid.as_raw_nonzero()))
            .next("stop it as the user who started it")),
    }
}

/// The last lines of a member's log, indented, for an error message.
pub(crate) fn log_tail(member: &Member, home: &Home) -> String {
    let path = home.log_file(member);
    let read = || -> io::Result<String> {
        let mut file = File::open(&path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) if text.trim().is_empty() => format!("its log {} is empty", path.display()),
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(LOG_TAIL_LINES)..).unwrap_or_default();
            format!("the end of {}:\n    {}", path.display(), tail.join("\n    "))
        }
        Err(error) => format!("its log {} cannot be read: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_process_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let member = Member { name: "shard1".to_owned(), role: Role::Shard, port: 4, set: None };
        assert!(running(&member, &home).is_none(), "no pid file");
        fs::write(home.pid_file(&member), format!("{}\n", std::process::id())).unwrap();
        assert!(running(&member, &home).is_none(), "this test is not a shard server");
        // A process whose command line looks like the server's: a script named as the server, run by sh.
        let script = dir.path().join("shardsvr");
        fs::write(&script, "read line\n").unwrap();
        let mut child = Command::new("sh")
            .arg(&script)
            .args(["--dbpath".as_ref(), home.data_dir(&member).as_os_str()])
            .args(["--port", "4"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(home.pid_file(&member), format!("{}\n", child.id())).unwrap();
        // Between fork and exec the child still has the command line of this test.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let pid = crate::pause::poll_until(deadline, std::time::Duration::from_millis(1), || {
            running(&member, &home)
        });
        assert!(pid.is_some());
        let other = Member { port: 5, ..member.clone() };
        assert!(running(&other, &home).is_none(), "another port");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(running(&member, &home).is_none(), "it has ended");
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let member = Member { name: "router".to_owned(), role: Role::Router, port: 4, set: None };
        assert!(log_tail(&member, &home).contains("cannot be read"));
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        fs::write(home.log_file(&member), text).unwrap();
        let tail = log_tail(&member, &home);
        assert!(tail.ends_with("line 99") && tail.contains("line 88") && !tail.contains("line 87"), "{tail}");
    }
}

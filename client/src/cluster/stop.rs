//! Stopping members in order: the router first, so that no request is cut in half, then the shards, then the config server.

use super::layout::{Home, Layout, Member, Role};
use super::process;
use crate::failure::Failure;
use crate::pause::poll_until;
use rustix::process::{Pid, Signal};
use std::fs;
use std::time::{Duration, Instant};

/// How long an ended process may take to disappear after SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// What became of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    WasDown,
    Cleanly,
    Killed,
}

/// Stops those of `members` that run: SIGTERM, wait up to `patience`, then SIGKILL.
///
/// # Errors
/// If a process cannot be signalled or does not even end after SIGKILL.
pub(crate) fn stop<'a>(
    layout: &'a Layout,
    home: &Home,
    patience: Duration,
    wanted: impl Fn(&Member) -> bool,
) -> Result<Vec<(&'a Member, Stopped)>, Failure> {
    let mut outcome = Vec::new();
    for role in [Role::Router, Role::Shard, Role::Config] {
        let group: Vec<&Member> =
            layout.members.iter().filter(|member| member.role == role && wanted(member)).collect();
        let running: Vec<(&Member, Pid)> =
            group.iter().filter_map(|member| Some((*member, process::running(member, home)?))).collect();
        for (_, pid) in &running {
            process::signal(*pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + patience;
        for member in group {
            let stopped = match running.iter().find(|(one, _)| one.name == member.name) {
                None => Stopped::WasDown,
                Some((_, pid)) => finish(member, *pid, home, deadline)?,
            };
            forget(member, home);
            outcome.push((member, stopped));
        }
    }
    Ok(outcome)
}

fn finish(member: &Member, pid: Pid, home: &Home, deadline: Instant) -> Result<Stopped, Failure> {
    let gone = || (!process::is_ours(pid, member, home)).then_some(());
    if poll_until(deadline, Duration::from_millis(2), gone).is_some() {
        return Ok(Stopped::Cleanly);
    }
    process::signal(pid, Signal::KILL)?;
    match poll_until(Instant::now() + KILL_WAIT, Duration::from_millis(2), gone) {
        Some(()) => Ok(Stopped::Killed),
        None => Err(Failure::new(format!(
            "{} (process {}) does not end, not even after SIGKILL",
            member.name,
            pid.as_raw_nonzero()
        ))
        .next("it hangs inside the system, most often on its disk; look at `dmesg`")),
    }
}

/// Removes the pid file of a member that is down; a stale one is harmless, because pids are verified.
fn forget(member: &Member, home: &Home) {
    fs::remove_file(home.pid_file(member)).ok();
}

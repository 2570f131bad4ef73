//! Loopback ports: whether one is free, and the next free one.

use crate::failure::Failure;
use crate::pause::poll_until;
use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Looked at before giving up.
const CANDIDATE_COUNT_MAX: u16 = 1_000;
/// How long a process of the cluster that was killed just now may keep its port.
const RELEASE_WAIT: Duration = Duration::from_secs(5);
const RELEASE_POLL: Duration = Duration::from_millis(20);

fn is_free(port: u16) -> io::Result<bool> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fails if another program listens at the port. `flag` is how the user chose it.
pub(crate) fn check_free(port: u16, flag: &str) -> Result<(), Failure> {
    check(port, || {
        format!("stop that program (`ss -ltnp 'sport = :{port}'` names it), or choose another with {flag}")
    })
}

/// Fails if another program listens at a port that the plan gave to a process. Waits a moment first: the listener may be that very
/// process, which was killed and whose end takes the system a while.
pub(crate) fn check_planned(port: u16, process: &str) -> Result<(), Failure> {
    poll_until(Instant::now() + RELEASE_WAIT, RELEASE_POLL, || {
        (!matches!(is_free(port), Ok(false))).then_some(())
    });
    check(port, || {
        format!(
            "the cluster's {process} has this port for good (cluster.json); stop that program \
             (`ss -ltnp 'sport = :{port}'` names it) and run the command again"
        )
    })
}

fn check(port: u16, next: impl Fn() -> String) -> Result<(), Failure> {
    match is_free(port) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(format!("port {port} is taken by another program")).next(next())),
        Err(error) => Err(Failure::new(format!("port {port} cannot be used: {error}")).next(next())),
    }
}

/// The first free port after `after` that is not in `taken`.
pub(crate) fn next_free(after: u16, taken: &[u16]) -> Result<u16, Failure> {
    (after..=u16::MAX)
        .skip(1)
        .take(usize::from(CANDIDATE_COUNT_MAX))
        .filter(|port| !taken.contains(port))
        .find(|port| is_free(*port).unwrap_or(false))
        .ok_or_else(|| {
            Failure::new(format!("no free port among the {CANDIDATE_COUNT_MAX} after {after}"))
                .next("choose another range with --port or --config-port")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = check_free(port, "--port").unwrap_err().to_string();
        assert!(
            message.contains(&format!("port {port} is taken")) && message.contains("--port"),
            "{message}"
        );
        assert_ne!(next_free(port - 1, &[]).unwrap(), port);
        assert!(next_free(u16::MAX, &[]).is_err());
    }

    #[test]
    fn a_port_that_is_given_back_in_a_moment_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let dying = std::thread::spawn(move || {
            crate::pause::pause(Duration::from_millis(50));
            drop(listener);
        });
        check_planned(port, "shard1").unwrap();
        dying.join().unwrap();
    }
}

//! Hosts of a test's own: a network namespace for each, all on one bridge, and links between them that drop packets in one direction or
//! both, silently, as a broken network does. Needs root and `ip`; a test without them says what it skips.

use crate::process::say;
use std::process::{Command, Stdio};

/// Second part of the addresses: 10.77.N.0/24 for test network N.
const NETWORKS: std::ops::Range<u8> = 1..250;
/// Last part of the first host's address; the test itself has 1.
const FIRST: u8 = 11;
/// An address of no network card: what is sent to it is lost.
const NOWHERE: &str = "02:00:00:00:00:99";

/// A network with hosts; gone when it is dropped, and by the watchdog when the test dies.
#[derive(Debug)]
pub struct Net {
    number: u8,
    hosts: u8,
}

impl Net {
    /// A network of so many hosts; `None`, and a line that says so, where the machine does not allow it.
    pub fn start(hosts: usize, what: &str) -> Option<Net> {
        let hosts = u8::try_from(hosts).unwrap();
        let mut last = String::new();
        for number in NETWORKS {
            let bridge = bridge(number);
            match ip(&["link", "add", &bridge, "type", "bridge"]) {
                Ok(()) => {}
                Err(error) if error.contains("File exists") => continue,
                Err(error) => {
                    last = error;
                    break;
                }
            }
            let net = Net { number, hosts };
            match net.build() {
                Ok(()) => return Some(net),
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        let required = std::env::var_os("SHOAL_REQUIRE_NAMESPACES").is_some_and(|value| !value.is_empty());
        assert!(!required, "no network namespaces: {last}");
        say(&format!("SKIPPED: {what}: no network namespaces here ({})", last.trim()));
        None
    }

    fn build(&self) -> Result<(), String> {
        let (bridge, number) = (bridge(self.number), self.number);
        ip(&["addr", "add", &format!("10.77.{number}.1/24"), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for host in 0..self.hosts {
            let (namespace, link) = (self.namespace(host), format!("shv{number}-{host}"));
            ip(&["netns", "add", &namespace])?;
            ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
            ip(&["link", "set", &link, "master", &bridge, "up"])?;
            ip(&[
                "-n",
                &namespace,
                "addr",
                "add",
                &format!("{}/24", self.address(usize::from(host))),
                "dev",
                "eth0",
            ])?;
            ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    fn namespace(&self, host: u8) -> String {
        format!("sh{}-{host}", self.number)
    }

    /// The address of a host.
    pub fn address(&self, host: usize) -> String {
        format!("10.77.{}.{}", self.number, FIRST + u8::try_from(host).unwrap())
    }

    /// A command that runs on a host.
    pub fn command(&self, host: usize, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(u8::try_from(host).unwrap())]).arg(program);
        command
    }

    /// What removes it all, as lines for a shell.
    pub fn cleanup(&self) -> String {
        let spaces: Vec<String> = (0..self.hosts)
            .map(|host| format!("ip netns del {} 2>/dev/null", self.namespace(host)))
            .collect();
        format!("{}\nip link del {} 2>/dev/null\n", spaces.join("\n"), bridge(self.number))
    }

    /// Drops what `from` sends to `to`.
    pub fn cut(&self, from: usize, to: usize) {
        let namespace = self.namespace(u8::try_from(from).unwrap());
        let address = self.address(to);
        ip(&[
            "-n",
            &namespace,
            "neigh",
            "replace",
            &address,
            "lladdr",
            NOWHERE,
            "dev",
            "eth0",
            "nud",
            "permanent",
        ])
        .unwrap();
    }

    /// Drops what the hosts send to each other, in both directions.
    pub fn part(&self, one: usize, other: usize) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Parts a host from all others; the test itself still reaches it.
    pub fn isolate(&self, host: usize) {
        for other in (0..usize::from(self.hosts)).filter(|other| *other != host) {
            self.part(host, other);
        }
    }

    /// Drops what a host sends to the test's own clients: requests arrive, answers do not.
    pub fn cut_answers(&self, host: usize) {
        let namespace = self.namespace(u8::try_from(host).unwrap());
        let own = format!("10.77.{}.1", self.number);
        ip(&[
            "-n",
            &namespace,
            "neigh",
            "replace",
            &own,
            "lladdr",
            NOWHERE,
            "dev",
            "eth0",
            "nud",
            "permanent",
        ])
        .unwrap();
    }

    /// All links work again.
    pub fn heal(&self) {
        for host in 0..self.hosts {
            let namespace = self.namespace(host);
            ip(&["-n", &namespace, "neigh", "flush", "dev", "eth0", "nud", "permanent"]).unwrap();
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        Command::new("sh").args(["-c", &self.cleanup()]).stdin(Stdio::null()).status().unwrap();
    }
}

fn bridge(number: u8) -> String {
    format!("shb{number}")
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}

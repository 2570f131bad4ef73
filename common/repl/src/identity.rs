//! Who this process is, and under which name a configuration means it.

use crate::core::config::SetConfig;
use std::net::{IpAddr, ToSocketAddrs};

/// What a process was started as.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `--replSet`.
    pub set_name: String,
    /// `host:port` by which this process can be reached.
    pub host: String,
    /// Whether it is a config server.
    pub configsvr: bool,
}

impl Identity {
    /// The name under which the configuration means this process. `hint` is how a peer reached it. May ask the resolver: blocks.
    pub(crate) fn name_in(&self, config: &SetConfig, hint: Option<&str>) -> Option<String> {
        let has = |name: &str| config.members.iter().any(|member| member.host == name);
        if has(&self.host) {
            return Some(self.host.clone());
        }
        if let Some(hint) = hint.filter(|hint| has(hint) && port(hint) == port(&self.host)) {
            return Some(hint.to_owned());
        }
        config.members.iter().map(|member| &member.host).find(|host| is_this_host(host, &self.host)).cloned()
    }
}

fn port(host: &str) -> Option<&str> {
    host.rsplit_once(':').map(|(_, port)| port)
}

/// Whether `named` is a way to reach this process, which calls itself `own`: same port, and the same name or the same machine.
fn is_this_host(named: &str, own: &str) -> bool {
    let (Some((named_host, named_port)), Some((own_host, own_port))) =
        (named.rsplit_once(':'), own.rsplit_once(':'))
    else {
        return false;
    };
    if named_port != own_port {
        return false;
    }
    if named_host == own_host {
        return true;
    }
    let addresses = |host: &str| -> Vec<IpAddr> {
        (host, 0)
            .to_socket_addrs()
            .map(|found| found.map(|address| address.ip()).collect())
            .unwrap_or_default()
    };
    let own_addresses = addresses(own_host);
    let is_local = |name: &str| matches!(name, "localhost" | "127.0.0.1" | "::1" | "[::1]");
    // Two loopback addresses may be two members; `localhost` is whoever asks.
    is_local(named_host) && !own_addresses.iter().any(|own| own.is_loopback() && !is_local(&own.to_string()))
        || addresses(named_host).iter().any(|address| own_addresses.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::MemberConfig;
    use bson::oid::ObjectId;

    fn check(own: &str, members: &[&str], hint: Option<&str>, expected: Option<&str>) {
        let members =
            members.iter().zip(0..).map(|(host, id)| MemberConfig::new(id, host)).collect::<Vec<_>>();
        let config = SetConfig::of("rs", members, false, ObjectId::from_bytes([1; 12]));
        let identity = Identity { set_name: "rs".to_owned(), host: own.to_owned(), configsvr: false };
        assert_eq!(identity.name_in(&config, hint).as_deref(), expected, "{own} in {config:?}");
    }

    #[test]
    fn a_process_finds_itself() {
        check("127.0.0.1:1", &["127.0.0.1:1", "127.0.0.1:2"], None, Some("127.0.0.1:1"));
        check("127.0.0.1:1", &["localhost:1", "localhost:2"], None, Some("localhost:1"));
        check("127.0.0.1:1", &["localhost:2"], None, None);
        // The same port on two loopback addresses is two members.
        check("127.0.0.2:1", &["127.0.0.1:1", "127.0.0.3:1"], None, None);
        check("127.0.0.2:1", &["127.0.0.1:1", "127.0.0.2:1"], None, Some("127.0.0.2:1"));
        check("127.0.0.1:1", &["node-that-nobody-knows.invalid:1"], None, None);
        let known = "node-that-nobody-knows.invalid:1";
        check("127.0.0.1:1", &[known], Some(known), Some(known));
        check("127.0.0.1:2", &[known], Some(known), None);
    }
}

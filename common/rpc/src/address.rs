//! `setName/host:port,host:port`, as `sh.addShard` and `--configdb` take it.

use std::fmt;
use types::{Code, Fault};

/// The members of a replica set by which it can be found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SetAddress {
    pub name: String,
    /// `host:port` each; at least one.
    pub hosts: Vec<String>,
}

impl SetAddress {
    /// Parses `setName/host:port[,host:port…]`; a host without a port gets `default_port`.
    ///
    /// # Errors
    /// `FailedToParse` (9) where a set name, a host or a valid port is missing.
    pub fn parse(text: &str, default_port: u16) -> Result<SetAddress, Fault> {
        let bad = |why: &str| {
            Err(Fault::new(
                Code::FailedToParse,
                format!("'{text}' {why}; expected setName/host:port,host:port"),
            ))
        };
        let Some((name, rest)) = text.split_once('/') else { return bad("has no replica set name") };
        if name.is_empty() {
            return bad("has an empty replica set name");
        }
        let mut hosts = Vec::new();
        for host in rest.split(',') {
            let (host_name, port) = match host.rsplit_once(':') {
                Some((host_name, port)) => (host_name, port.parse::<u16>().ok()),
                None => (host, Some(default_port)),
            };
            match port {
                Some(port) if port != 0 && !host_name.is_empty() => hosts.push(format!("{host_name}:{port}")),
                _ => return bad(&format!("has a bad host '{host}'")),
            }
        }
        Ok(SetAddress { name: name.to_owned(), hosts })
    }
}

impl fmt::Display for SetAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.name, self.hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse() {
        for (text, shown) in [
            ("rs0/a:1,b:2", Some("rs0/a:1,b:2")),
            ("rs0/a", Some("rs0/a:27018")),
            ("a:1", None),
            ("/a:1", None),
            ("rs/", None),
            ("rs/a:0", None),
            ("rs/a:x", None),
            ("rs/a:1,", None),
        ] {
            assert_eq!(
                SetAddress::parse(text, 27018).ok().map(|address| address.to_string()).as_deref(),
                shown,
                "{text}"
            );
        }
    }
}

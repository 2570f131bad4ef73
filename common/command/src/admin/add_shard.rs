//! `addShard`: joins a replica set to the cluster.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Code, Fault};

/// An `addShard` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddShard {
    /// The replica set's name: what stands before the slash.
    pub set: Option<String>,
    /// `host:port` of one or more members.
    pub hosts: Vec<String>,
    /// The name that the shard gets; by default the set's.
    pub name: Option<String>,
}

impl AddShard {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; `FailedToParse` (9) for a connection string that is none.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<AddShard, Fault> {
        let body = Body::of(request, "addShard");
        let (set, hosts) = connection_string(body.text()?)?;
        let mut name = None;
        body.each(|field| {
            match field.name {
                "name" => name = Some(field.string()?.to_owned()),
                // Of versions before 5.0: without meaning there and here.
                "maxSize" => {
                    field.integer()?;
                }
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        match name.as_deref() {
            Some("") => return Err(Fault::bad_value("shard name cannot be empty")),
            Some("config") => {
                return Err(Fault::bad_value("use of shard replica set with name 'config' is not allowed"));
            }
            _ => {}
        }
        Ok(AddShard { set, hosts, name })
    }
}

/// `set/host:port,host:port` or `host:port`.
fn connection_string(text: &str) -> Result<(Option<String>, Vec<String>), Fault> {
    let refuse = || Fault::new(Code::FailedToParse, format!("invalid url [{text}]"));
    let (set, hosts) = match text.split_once('/') {
        Some((set, hosts)) if !set.is_empty() => (Some(set.to_owned()), hosts),
        Some(_) => return Err(refuse()),
        None => (None, text),
    };
    let hosts: Vec<String> = hosts.split(',').map(|host| host.trim().to_owned()).collect();
    if hosts.iter().any(|host| host.is_empty() || host.contains(['/', ' ', '\0']))
        || (set.is_none() && hosts.len() > 1)
    {
        return Err(refuse());
    }
    Ok((set, hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn connection_strings() {
        let parse = |body| AddShard::parse(&request(body), &envelope());
        let shard = parse(doc! {"addShard": "rs0/a:1,b:2", "name": "s"}).unwrap();
        assert_eq!(
            (shard.set.as_deref(), shard.hosts.len(), shard.name.as_deref()),
            (Some("rs0"), 2, Some("s"))
        );
        assert_eq!(parse(doc! {"addShard": "a:1"}).unwrap().hosts, ["a:1"]);
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"addShard": ""}, 9, ""),
                (doc! {"addShard": "/a:1"}, 9, ""),
                (doc! {"addShard": "a:1,b:2"}, 9, ""),
                (doc! {"addShard": "rs/"}, 9, ""),
                (doc! {"addShard": "a:1", "name": "config"}, 2, ""),
                (doc! {"addShard": 1}, 14, ""),
            ],
        );
    }
}

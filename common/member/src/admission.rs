//! Whether this member may run a command now: writes only where it is primary, reads where it is one or the client takes a secondary.
//! Costs nothing that waits where the answer is yes.

use crate::Member;
use command::{Access, BoxFuture, Context, Spec};
use types::{Fault, ReadPreference};

/// What a command needs of the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    Nothing,
    /// A member that takes writes.
    Primary,
    /// A primary, or a secondary if the client says so.
    Data,
    /// Data of either: where the client had its first batch from, it gets the others.
    EitherData,
}

/// Commands that look at data or at the catalogue, and so at a member's part, though they do not count as reads.
const INSPECT_DATA: &[&str] =
    &["collStats", "dbHash", "dbStats", "explain", "listCollections", "listDatabases", "listIndexes"];

fn demand(name: &str, access: Access, db: &str) -> Demand {
    match access {
        Access::Handshake | Access::Missing => Demand::Nothing,
        Access::Write => Demand::Primary,
        // A parameter is the process's own.
        Access::Admin if name == "setParameter" => Demand::Nothing,
        Access::Admin => Demand::Primary,
        // The log and what else is a member's own can be looked at whatever part it plays.
        Access::Read | Access::Inspect if db == "local" => Demand::Nothing,
        Access::Read if name == "killCursors" => Demand::Nothing,
        Access::Read if name == "getMore" => Demand::EitherData,
        Access::Read => Demand::Data,
        Access::Inspect if INSPECT_DATA.contains(&name) => Demand::Data,
        // By these a router, the config server or a shard looks for the primary of a set.
        Access::Inspect if name.starts_with("_shardsvr") || name.starts_with("_configsvr") => Demand::Primary,
        Access::Inspect => Demand::Nothing,
    }
}

/// Admits a command at once (`None`), after a wait, or not at all.
pub fn admit<S>(member: &Member, spec: &Spec<S>, ctx: &Context) -> Option<BoxFuture<Result<(), Fault>>> {
    let replication = &member.replication;
    let envelope = &ctx.envelope;
    let allowed = match demand(spec.name, spec.access, &envelope.db) {
        Demand::Nothing => Ok(()),
        Demand::Primary => {
            if !replication.admits_writes() {
                // A step-down that is given up lets writes go on.
                let (replication, deadline) = (replication.clone(), ctx.deadline);
                return Some(Box::pin(async move { replication.admit_write(deadline).await }));
            }
            Ok(())
        }
        Demand::Data => replication.check_readable(envelope.read_preference != ReadPreference::Primary),
        Demand::EitherData => replication.check_readable(true),
    };
    match allowed {
        Err(fault) => Some(Box::pin(std::future::ready(Err(fault)))),
        Ok(()) if envelope.read_concern.after_cluster_time.is_some() && !waits_itself(spec) => {
            let (waits, concern, deadline) = (member.waits(), envelope.read_concern, ctx.deadline);
            Some(Box::pin(async move { waits.read_ready(concern, deadline).await.map(drop) }))
        }
        Ok(()) => None,
    }
}

/// Whether the command waits for its read concern where it takes its snapshot.
fn waits_itself<S>(spec: &Spec<S>) -> bool {
    (spec.access == Access::Read && spec.name != "getMore") || matches!(spec.name, "explain" | "dbHash")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_demands_what_it_touches() {
        for (name, access, db, expected) in [
            ("hello", Access::Handshake, "admin", Demand::Nothing),
            ("serverStatus", Access::Inspect, "admin", Demand::Nothing),
            ("replSetGetStatus", Access::Inspect, "admin", Demand::Nothing),
            ("find", Access::Read, "d", Demand::Data),
            ("find", Access::Read, "local", Demand::Nothing),
            ("getMore", Access::Read, "d", Demand::EitherData),
            ("killCursors", Access::Read, "d", Demand::Nothing),
            ("listIndexes", Access::Inspect, "d", Demand::Data),
            ("listCollections", Access::Inspect, "local", Demand::Nothing),
            ("insert", Access::Write, "d", Demand::Primary),
            ("insert", Access::Write, "local", Demand::Primary),
            ("create", Access::Admin, "d", Demand::Primary),
            ("setParameter", Access::Admin, "admin", Demand::Nothing),
            ("_shardsvrEnterCriticalSection", Access::Inspect, "admin", Demand::Primary),
            ("_configsvrListShards", Access::Inspect, "admin", Demand::Primary),
        ] {
            assert_eq!(demand(name, access, db), expected, "{name} on {db}");
        }
    }
}

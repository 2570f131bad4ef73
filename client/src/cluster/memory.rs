//! How many members each replica set of a new local cluster gets where nobody says: three, unless memory is short.

use crate::progress::grouped;
use std::fs;

/// What one member may come to hold: its caches full, and what it needs besides.
const MEMBER_MIB: u64 = 900;
const REPLICAS: u16 = 3;

/// A number of members, and in words why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replicas {
    pub(crate) count: u16,
    pub(crate) why: String,
}

impl Replicas {
    /// As the user said.
    pub(crate) fn asked(count: u16) -> Replicas {
        Replicas { count, why: format!("{}, as asked for", members(count)) }
    }

    /// As the plan in the directory says.
    pub(crate) fn planned(count: u16) -> Replicas {
        Replicas { count, why: members(count) }
    }
}

/// Three where the memory that is available now holds them all, else one.
pub(crate) fn choose(shards: u16) -> Replicas {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    decide(shards, available_mib(&text))
}

fn decide(shards: u16, available: Option<u64>) -> Replicas {
    let servers = (u64::from(shards) + 1) * u64::from(REPLICAS);
    let needed = servers * MEMBER_MIB;
    let (count, reason) = match available {
        Some(available) if available >= needed => (REPLICAS, format!("{} are available", grouped(available))),
        Some(available) => (1, format!("only {} are available", grouped(available))),
        None => (1, "the system does not say what is available".to_owned()),
    };
    let needed = grouped(needed);
    let why = format!(
        "{}: {REPLICAS} of each would be {servers} servers that may fill {needed} MiB, and {reason}; --replicas N chooses",
        members(count)
    );
    Replicas { count, why }
}

fn members(count: u16) -> String {
    if count == 1 { "1 member".to_owned() } else { format!("{count} members") }
}

/// `MemAvailable` of /proc/meminfo.
fn available_mib(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_decides() {
        assert_eq!(available_mib("MemTotal: 9 kB\nMemAvailable:   2097152 kB\n"), Some(2048));
        assert_eq!(available_mib("MemTotal: 9 kB\n"), None);
        for (shards, available, count) in [
            (2, Some(20_000), 3),
            (2, Some(8_000), 1),
            (1, Some(8_000), 3),
            (2, None, 1),
            (20, Some(20_000), 1),
        ] {
            let chosen = decide(shards, available);
            assert_eq!(chosen.count, count, "{shards} {available:?}");
            assert!(chosen.why.contains("available"), "{}", chosen.why);
        }
    }
}

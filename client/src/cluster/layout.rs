//! The plan of a local cluster: which processes, on which ports. Written once to `cluster.json`, then only added to:
//! the config server knows the shards by their addresses, so a port never changes.

use super::ports;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Version of `cluster.json`.
const VERSION: u32 = 1;
/// Shards of one local cluster.
pub(crate) const SHARD_COUNT_MAX: u16 = 64;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Config,
    Shard,
    Router,
}

impl Role {
    /// The server's executable.
    pub(crate) fn binary(self) -> &'static str {
        match self {
            Role::Config => "configsvr",
            Role::Shard => "shardsvr",
            Role::Router => "mongos",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Role::Config => "config",
            Role::Shard => "shard",
            Role::Router => "router",
        })
    }
}

/// Members of one replica set that can be planned: more have no vote.
pub(crate) const REPLICA_COUNT_MAX: u16 = 7;

/// One process. The first member of a replica set has the set's name, the others one with their number behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) port: u16,
    /// The replica set, where its name is not the process's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) set: Option<String>,
}

impl Member {
    /// Member `number` of a set, counted from 1.
    pub(crate) fn of_set(set: &str, role: Role, number: u16, port: u16) -> Member {
        match number {
            1 => Member { name: set.to_owned(), role, port, set: None },
            _ => Member { name: format!("{set}-{number}"), role, port, set: Some(set.to_owned()) },
        }
    }

    /// The name of its replica set.
    pub(crate) fn set_name(&self) -> &str {
        self.set.as_deref().unwrap_or(&self.name)
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The shard that it is a member of.
    pub(crate) fn shard(&self) -> Option<&str> {
        (self.role == Role::Shard).then(|| self.set_name())
    }
}

/// A replica set of the plan: its members, the first one first.
#[derive(Debug, Clone)]
pub(crate) struct SetPlan<'a> {
    pub(crate) name: &'a str,
    pub(crate) members: Vec<&'a Member>,
}

impl SetPlan<'_> {
    /// `name/host:port,host:port`.
    pub(crate) fn address(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(|member| member.host()).collect();
        format!("{}/{}", self.name, hosts.join(","))
    }
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    version: u32,
    pub(crate) members: Vec<Member>,
}

impl Layout {
    /// A new plan: the router at `router_port`, the others on free ports from `config_port` (or the next one) upwards.
    ///
    /// # Errors
    /// If one of the two named ports is taken, or no free ports are left.
    pub(crate) fn plan(
        shards: u16,
        replicas: u16,
        router_port: u16,
        config_port: Option<u16>,
    ) -> Result<Layout, Failure> {
        ports::check_free(router_port, "--port")?;
        let config_port = match config_port {
            Some(port) if port == router_port => {
                return Err(Failure::new(format!("--port and --config-port are both {port}"))
                    .next("choose two ports"));
            }
            Some(port) => {
                ports::check_free(port, "--config-port")?;
                port
            }
            None => ports::next_free(router_port, &[router_port])?,
        };
        let mut layout = Layout {
            version: VERSION,
            members: vec![
                Member::of_set("config", Role::Config, 1, config_port),
                Member { name: "router".to_owned(), role: Role::Router, port: router_port, set: None },
            ],
        };
        layout.add_members("config", Role::Config, 2..=replicas)?;
        layout.add_shards(shards)?;
        Ok(layout)
    }

    /// Adds shards until there are `count`, of as many members as the config server has.
    pub(crate) fn add_shards(&mut self, count: u16) -> Result<(), Failure> {
        let replicas = self.replicas();
        for number in self.shards().len() + 1..=usize::from(count) {
            self.add_members(&format!("shard{number}"), Role::Shard, 1..=replicas)?;
        }
        Ok(())
    }

    fn add_members(
        &mut self,
        set: &str,
        role: Role,
        numbers: std::ops::RangeInclusive<u16>,
    ) -> Result<(), Failure> {
        for number in numbers {
            let taken: Vec<u16> = self.members.iter().map(|member| member.port).collect();
            let after = taken.iter().copied().max().unwrap_or(0);
            let port = ports::next_free(after, &taken)?;
            self.members.push(Member::of_set(set, role, number, port));
        }
        Ok(())
    }

    /// Members of each replica set.
    pub(crate) fn replicas(&self) -> u16 {
        let count = self.members.iter().filter(|member| member.role == Role::Config).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// The shards.
    pub(crate) fn shards(&self) -> Vec<SetPlan<'_>> {
        self.sets(Role::Shard)
    }

    /// The replica sets of a role, in the order of the plan.
    pub(crate) fn sets(&self, role: Role) -> Vec<SetPlan<'_>> {
        let mut sets: Vec<SetPlan<'_>> = Vec::new();
        for member in self.members.iter().filter(|member| member.role == role) {
            match sets.iter_mut().find(|set| set.name == member.set_name()) {
                Some(set) => set.members.push(member),
                None => sets.push(SetPlan { name: member.set_name(), members: vec![member] }),
            }
        }
        sets
    }

    /// The config server's replica set.
    pub(crate) fn config(&self) -> Result<SetPlan<'_>, Failure> {
        self.the(Role::Config)?;
        self.sets(Role::Config).into_iter().next().ok_or_else(|| Failure::new("cluster.json names no config"))
    }

    /// The first member of a role.
    pub(crate) fn the(&self, role: Role) -> Result<&Member, Failure> {
        self.members.iter().find(|member| member.role == role).ok_or_else(|| {
            Failure::new(format!("cluster.json names no {role}"))
                .next("restore the file, or begin with a new --dir")
        })
    }

    /// The connection string of the router.
    pub(crate) fn uri(&self) -> Result<String, Failure> {
        Ok(format!("mongodb://{}/", self.the(Role::Router)?.host()))
    }
}

/// A cluster's directory, as an absolute path.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
}

impl Home {
    /// The directory, made if it is not there.
    pub(crate) fn create(dir: &Path) -> Result<Home, Failure> {
        let failed = |error: io::Error| {
            Failure::new(format!("cannot use directory {}: {error}", dir.display()))
                .next("name a directory that you may write to with --dir")
        };
        fs::create_dir_all(dir).map_err(failed)?;
        let home = Home { dir: dir.canonicalize().map_err(failed)? };
        for part in [home.dir.join("data"), home.dir.join("logs"), home.dir.join("run")] {
            fs::create_dir_all(part).map_err(failed)?;
        }
        Ok(home)
    }

    /// The directory of a cluster that must exist, with its plan.
    pub(crate) fn open(dir: &Path) -> Result<(Home, Layout), Failure> {
        let missing = || {
            Failure::new(format!("there is no cluster in {}", dir.display())).next(format!(
                "make one with `shoal up --dir {}`, or name its directory with --dir",
                dir.display()
            ))
        };
        let home = Home { dir: dir.canonicalize().map_err(|_| missing())? };
        let layout = home.load()?.ok_or_else(missing)?;
        Ok((home, layout))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    fn plan_file(&self) -> PathBuf {
        self.dir.join("cluster.json")
    }

    pub(crate) fn data_dir(&self, member: &Member) -> PathBuf {
        self.dir.join("data").join(&member.name)
    }

    pub(crate) fn log_file(&self, member: &Member) -> PathBuf {
        self.dir.join("logs").join(format!("{}.log", member.name))
    }

    pub(crate) fn pid_file(&self, member: &Member) -> PathBuf {
        self.dir.join("run").join(format!("{}.pid", member.name))
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.dir.join("run").join("lock")
    }

    /// The plan, if there is one.
    pub(crate) fn load(&self) -> Result<Option<Layout>, Failure> {
        let file = self.plan_file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::new(format!("cannot read {}: {error}", file.display()))),
        };
        let layout: Layout = serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("{} is damaged: {error}", file.display()))
                .next("restore the file, or begin with a new --dir")
        })?;
        if layout.version != VERSION {
            return Err(Failure::new(format!(
                "{} is of version {}, this program knows version {VERSION}",
                file.display(),
                layout.version
            ))
            .next("use the version of shoal that made the cluster"));
        }
        Ok(Some(layout))
    }

    /// Replaces the plan in one step: a crash leaves the old or the new one.
    pub(crate) fn save(&self, layout: &Layout) -> Result<(), Failure> {
        let file = self.plan_file();
        let fresh = self.dir.join("cluster.json.new");
        let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
        let text = serde_json::to_string_pretty(layout).map_err(|error| failed(error.into()))?;
        fs::write(&fresh, text + "\n").map_err(failed)?;
        fs::File::open(&fresh).and_then(|written| written.sync_all()).map_err(failed)?;
        fs::rename(&fresh, &file).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        assert!(home.load().unwrap().is_none());
        assert!(Home::open(dir.path()).is_err());
        let base = ports::next_free(42_000, &[]).unwrap();
        let mut layout = Layout::plan(2, 1, base, None).unwrap();
        home.save(&layout).unwrap();
        assert_eq!(Home::open(dir.path()).unwrap().1, layout);
        let before = layout.members.clone();
        layout.add_shards(3).unwrap();
        assert_eq!(layout.members[..before.len()], before);
        assert_eq!(
            layout.shards().iter().map(|shard| shard.name).collect::<Vec<_>>(),
            ["shard1", "shard2", "shard3"]
        );
        let mut ports: Vec<u16> = layout.members.iter().map(|member| member.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 5);
        assert_eq!(layout.uri().unwrap(), format!("mongodb://127.0.0.1:{base}/"));
    }

    #[test]
    fn sets_of_several_members_are_planned_and_grow_alike() {
        let base = ports::next_free(42_500, &[]).unwrap();
        let mut layout = Layout::plan(1, 3, base, None).unwrap();
        layout.add_shards(2).unwrap();
        assert_eq!(layout.replicas(), 3);
        let names: Vec<&str> = layout.members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "config", "router", "config-2", "config-3", "shard1", "shard1-2", "shard1-3", "shard2",
                "shard2-2", "shard2-3"
            ]
        );
        let shard = &layout.shards()[1];
        assert_eq!((shard.name, shard.members.len()), ("shard2", 3));
        assert_eq!(shard.address().matches(',').count(), 2);
        assert_eq!(shard.members[2].set_name(), "shard2");
        let text = serde_json::to_string(&layout).unwrap();
        assert_eq!(serde_json::from_str::<Layout>(&text).unwrap(), layout);
    }

    #[test]
    fn damaged_plans_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        for text in ["", "{}", r#"{"version": 9, "members": []}"#, r#"{"version": 1, "members": [], "x": 1}"#]
        {
            fs::write(home.plan_file(), text).unwrap();
            assert!(home.load().is_err(), "{text}");
        }
    }
}

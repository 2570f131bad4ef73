//! `shoal up`: makes the plan or takes the one that is there, starts what does not run, and prints what to do next.

use super::layout::{Home, Layout, REPLICA_COUNT_MAX, Role, SHARD_COUNT_MAX};
use super::lock::Lock;
use super::memory::{self, Replicas};
use super::process::{self, Binaries};
use super::stop::{Stopped, stop};
use super::{Directory, bring_up, ports};
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The router's port in a new cluster.
const DEFAULT_PORT: u16 = 27017;
const DEFAULT_SHARDS: u16 = 2;
/// What a server that we started may take to stop when another one failed, or at Ctrl-C.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// How often `--foreground` looks whether the processes still live.
const WATCH_STEP: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal up --shards 2 --dir ./data                 a new cluster; mongodb://127.0.0.1:27017/
  shoal up --shards 2 --replicas 1 --dir ./data    the same without replication: the least memory
  shoal up --dir ./data                            the same cluster with its data, after `shoal down` or a crash
  shoal up --shards 3 --dir ./data                 the same cluster with one more shard
  shoal up --shards 2 --dir ./data2 --port 28000   a second cluster beside it
  shoal up --shards 2 --dir ./data --foreground    stay, and stop the cluster at Ctrl-C

All processes listen on 127.0.0.1. Logs lie in DIR/logs, data in DIR/data, the ports in DIR/cluster.json.")]
pub(crate) struct Options {
    /// Number of shards [default: 2, or what the directory has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(SHARD_COUNT_MAX)))]
    shards: Option<u16>,
    #[command(flatten)]
    directory: Directory,
    /// Port of the router [default: 27017, or what the directory has]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Port of the config server [default: the next free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    config_port: Option<u16>,
    /// Members of each replica set, the config server's too [default: 3 where memory allows, else 1; or what the directory has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(REPLICA_COUNT_MAX)))]
    replicas: Option<u16>,
    /// Stay until Ctrl-C or SIGTERM, then stop the cluster
    #[arg(long)]
    foreground: bool,
    /// Directory of mongos, configsvr and shardsvr [default: where this program lies]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Seconds until the cluster must be ready
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let begin = Instant::now();
    let binaries = Binaries::find(options.bin_dir.as_deref())?;
    let home = Home::create(&options.directory.dir)?;
    let lock = Lock::take(&home)?;
    let (layout, why) = layout(options, &home)?;
    let running: Vec<bool> =
        layout.members.iter().map(|member| process::running(member, &home).is_some()).collect();
    for (member, runs) in layout.members.iter().zip(&running) {
        if !runs {
            ports::check_planned(member.port, &member.name)?;
        }
    }
    home.save(&layout)?;
    let was_up = running.iter().all(|runs| *runs);
    if !was_up {
        say!("starting a cluster of {} shards in {}", layout.shards().len(), home.path().display());
        say!("each replica set has {}", why);
    }
    let deadline = begin + Duration::from_secs(options.timeout);
    if let Err(failure) = bring_up::bring_up(&layout, &home, &binaries, deadline, was_up) {
        let started =
            |name: &str| layout.members.iter().zip(&running).any(|(one, ran)| one.name == name && !ran);
        stop(&layout, &home, STOP_WAIT, |member| started(&member.name))?;
        return Err(failure);
    }
    if was_up {
        say!("the cluster in {} is already running", home.path().display());
    } else {
        say!("the cluster is ready ({:.1} s)", begin.elapsed().as_secs_f64());
    }
    print_next_steps(&layout, options)?;
    drop(lock);
    if options.foreground { stay(&layout, &home) } else { Ok(()) }
}

/// The plan of the directory, grown if more shards are asked for, or a new one; and how many members its sets have, with the reason.
fn layout(options: &Options, home: &Home) -> Result<(Layout, String), Failure> {
    let Some(mut layout) = home.load()? else {
        let shards = options.shards.unwrap_or(DEFAULT_SHARDS);
        let Replicas { count, why } = match options.replicas {
            Some(count) => Replicas::asked(count),
            None => memory::choose(shards),
        };
        let port = options.port.unwrap_or(DEFAULT_PORT);
        return Ok((Layout::plan(shards, count, port, options.config_port)?, why));
    };
    let replicas = layout.replicas();
    if options.replicas.is_some_and(|wanted| wanted != replicas) {
        return Err(Failure::new(format!(
            "the replica sets in {} have {replicas} member{} each",
            home.path().display(),
            if replicas == 1 { "" } else { "s" }
        ))
        .next(
            "leave out --replicas, or make another cluster with another --dir; rs.add() adds members by hand",
        ));
    }
    let why = Replicas::planned(replicas).why;
    for (flag, wanted, role) in
        [("--port", options.port, Role::Router), ("--config-port", options.config_port, Role::Config)]
    {
        let planned = layout.the(role)?.port;
        if wanted.is_some_and(|port| port != planned) {
            return Err(Failure::new(format!(
                "the cluster in {} has its {role} on port {planned}",
                home.path().display()
            ))
            .next(format!("leave out {flag}, or make another cluster with another --dir")));
        }
    }
    let shards = layout.shards().len();
    match options.shards {
        Some(wanted) if usize::from(wanted) < shards => {
            Err(Failure::new(format!("the cluster in {} has {shards} shards", home.path().display()))
                .next("leave out --shards; shards cannot be taken away here"))
        }
        Some(wanted) => {
            layout.add_shards(wanted)?;
            Ok((layout, why))
        }
        None => Ok((layout, why)),
    }
}

fn print_next_steps(layout: &Layout, options: &Options) -> Result<(), Failure> {
    let uri = layout.uri()?;
    let dir = options.directory.dir.display();
    say!();
    say!("  {uri}");
    say!();
    say!("try next:");
    say!("  mongosh {uri}");
    say!("  shoal import cities.json --ns geo.cities --uri {uri}");
    say!("  shoal status --dir {dir}");
    Ok(())
}

/// Waits for a signal, or for the end of the processes.
fn stay(layout: &Layout, home: &Home) -> Result<(), Failure> {
    say!();
    say!("running in the foreground; Ctrl-C stops the cluster");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    let end = runtime.block_on(watch(layout, home))?;
    match &end {
        End::Signal => say!("stopping"),
        End::AllGone => {
            say!("all processes have ended");
            return Ok(());
        }
        End::Died(name) => complain!("warning: {name} has ended; stopping the others"),
    }
    let _lock = Lock::take(home)?;
    for (member, stopped) in stop(layout, home, STOP_WAIT, |_| true)? {
        if stopped == Stopped::Killed {
            complain!(
                "warning: {} did not stop within {} s and was killed",
                member.name,
                STOP_WAIT.as_secs()
            );
        }
    }
    match end {
        End::Died(name) => {
            let tail = layout.members.iter().find(|member| member.name == name);
            let tail = tail.map(|member| process::log_tail(member, home)).unwrap_or_default();
            Err(Failure::new(format!("{name} ended by itself; {tail}"))
                .next("run the same command again: the data is still there"))
        }
        _ => Ok(()),
    }
}

enum End {
    Signal,
    AllGone,
    Died(String),
}

async fn watch(layout: &Layout, home: &Home) -> Result<End, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    let mut look = tokio::time::interval(WATCH_STEP);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(End::Signal),
            _ = terminate.recv() => return Ok(End::Signal),
            _ = hang_up.recv() => return Ok(End::Signal),
            _ = look.tick() => {
                let gone: Vec<_> =
                    layout.members.iter().filter(|member| process::running(member, home).is_none()).collect();
                // While another command stops or starts the cluster, it holds the lock: what it does is no accident.
                match gone.first() {
                    Some(_) if gone.len() == layout.members.len() => return Ok(End::AllGone),
                    Some(first) if Lock::take(home).is_ok() => return Ok(End::Died(first.name.clone())),
                    _ => {}
                }
            }
        }
    }
}

//! `shoal status`: the picture of a local cluster as tables, or as JSON for scripts.

use super::Directory;
use super::layout::Home;
use super::survey::{Survey, survey};
use crate::failure::Failure;
use crate::progress::grouped;
use clap::Args;
use comfy_table::{CellAlignment, Table};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shoal status --dir ./data
  shoal status --dir ./data --json

Counts are those of the shards themselves. What cannot be asked because a process is down is shown as `?`.")]
pub(crate) struct Options {
    #[command(flatten)]
    directory: Directory,
    /// One JSON document: uri, processes, shards, collections, problems
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (home, layout) = Home::open(&options.directory.dir)?;
    let survey = survey(&layout, &home);
    if options.json {
        let text = serde_json::to_string_pretty(&survey)
            .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
        say!("{text}");
        return Ok(());
    }
    print(&survey);
    Ok(())
}

fn print(survey: &Survey) {
    say!("{}", survey.uri);
    let mut processes = table(&["process", "role", "shard", "address", "pid", "state"], &[4]);
    for one in &survey.processes {
        processes.add_row([
            one.name.clone(),
            one.role.to_string(),
            one.shard.clone().unwrap_or_default(),
            one.host.clone(),
            one.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            one.state.unwrap_or(if one.running { "running" } else { "down" }).to_owned(),
        ]);
    }
    say!("{}", processes.trim_fmt());
    let mut shards = table(&["shard", "host", "chunks", "documents"], &[2, 3]);
    for one in &survey.shards {
        shards.add_row([one.name.clone(), one.host.clone(), known(one.chunks), known(one.documents)]);
    }
    say!("{}", shards.trim_fmt());
    if survey.collections.is_empty() {
        say!(
            "{}",
            if survey.problems.is_empty() { "no collections" } else { "no collections could be asked for" }
        );
    } else {
        let mut collections = table(&["collection", "shard key", "shard", "chunks", "documents"], &[3, 4]);
        for one in &survey.collections {
            for (index, part) in one.shards.iter().enumerate() {
                let key = one.key.as_ref().map_or_else(|| "unsharded".to_owned(), ToString::to_string);
                collections.add_row([
                    if index == 0 { one.ns.clone() } else { String::new() },
                    if index == 0 { key } else { String::new() },
                    part.shard.clone(),
                    if one.sharded { known(part.chunks) } else { String::new() },
                    known(part.documents),
                ]);
            }
        }
        say!("{}", collections.trim_fmt());
    }
    for problem in &survey.problems {
        say!("problem: {problem}");
    }
    if !survey.problems.is_empty() {
        say!("what is shown is only what could be asked; `shoal up` with the same --dir starts what is down");
    }
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), grouped)
}

fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(header.iter().copied());
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

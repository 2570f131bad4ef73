//! Figures, their targets, the table, the JSON, the verdict.

use crate::Result;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    target: Target,
    load: String,
    note: String,
}

impl Row {
    fn is_missed(&self) -> bool {
        match self.target {
            Target::None => false,
            Target::AtMost(bound) => self.value > bound,
            Target::AtLeast(bound) => self.value < bound,
        }
    }
}

/// A benchmark's outcome.
pub(crate) struct Report {
    name: &'static str,
    load_before: String,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(name: &'static str) -> Report {
        Report { name, load_before: load_average(), rows: Vec::new() }
    }

    /// Adds a figure.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Target,
    ) -> &mut Report {
        let name = name.into();
        eprintln!("  {name}: {}{unit}", shown(value));
        self.rows.push(Row { name, value, unit, target, load: load_average(), note: String::new() });
        self
    }

    /// A remark on the last row.
    pub(crate) fn note(&mut self, note: impl Into<String>) -> &mut Report {
        if let Some(row) = self.rows.last_mut() {
            row.note = note.into();
        }
        self
    }

    /// Writes the JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let (kind, bound) = match row.target {
                    Target::None => (None, None),
                    Target::AtMost(bound) => (Some("at_most"), Some(bound)),
                    Target::AtLeast(bound) => (Some("at_least"), Some(bound)),
                };
                json!({
                    "name": row.name, "value": row.value, "unit": row.unit.trim(), "target": kind.map(|kind| json!({ kind: bound })),
                    "missed": row.is_missed(), "load_average": row.load, "note": row.note,
                })
            })
            .collect();
        let whole = json!({
            "benchmark": self.name, "cores": cores(), "load_average_before": self.load_before,
            "load_average_after": load_average(), "rows": rows,
        });
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(&whole)? + "\n")?;
        Ok(())
    }

    /// Prints the table and, as the last line, what was missed. Returns whether nothing was.
    pub(crate) fn print(&self) -> bool {
        println!("{} cores; load average {} before, {} after", cores(), self.load_before, load_average());
        let heads = ["figure", "measured", "target", "load", ""];
        let lines: Vec<[String; 5]> = self
            .rows
            .iter()
            .map(|row| {
                let target = match row.target {
                    Target::None => String::new(),
                    Target::AtMost(bound) => format!("<= {}{}", shown(bound), mark(row)),
                    Target::AtLeast(bound) => format!(">= {}{}", shown(bound), mark(row)),
                };
                let value = format!("{}{}", shown(row.value), row.unit);
                [row.name.clone(), value, target, row.load.clone(), row.note.clone()]
            })
            .collect();
        let mut widths = heads.map(|head| head.chars().count());
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in std::iter::once(&heads.map(str::to_owned)).chain(&lines) {
            let cells: Vec<String> =
                line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", cells.join("  ").trim_end());
        }
        let missed: Vec<&str> =
            self.rows.iter().filter(|row| row.is_missed()).map(|row| row.name.as_str()).collect();
        if missed.is_empty() {
            println!("every target was met");
        } else {
            println!("missed: {}", missed.join("; "));
        }
        missed.is_empty()
    }
}

fn mark(row: &Row) -> &'static str {
    if row.is_missed() { " missed" } else { "" }
}

/// Three digits that matter, thousands grouped.
fn shown(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Of the last minute.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

//! Where records come from: the file or standard input, its format and size; and batches of records on their way.

use super::Format;
use crate::failure::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// An opened input.
pub(crate) struct Source {
    reader: Box<dyn Read + Send>,
    size: Option<u64>,
    format: Format,
}

impl Source {
    /// Opens the file; the format is taken from its name if it is not given.
    pub(crate) fn open(path: &Path, format: Option<Format>) -> Result<Source, Failure> {
        let format = format.unwrap_or_else(|| format_of(path));
        if path.as_os_str() == "-" {
            return Ok(Source { reader: Box::new(io::stdin()), size: None, format });
        }
        let failed = |error: io::Error| {
            Failure::new(format!("cannot read {}: {error}", path.display()))
                .next("check the path of the file")
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Source { reader: Box::new(file), size: metadata.is_file().then_some(metadata.len()), format })
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn into_reader(self) -> Box<dyn Read + Send> {
        self.reader
    }
}

fn format_of(path: &Path) -> Format {
    match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Format::Csv,
        Some("jsonl" | "ndjson") => Format::Jsonl,
        _ => Format::Json,
    }
}

/// Records that travel together from the reader to a sender.
#[derive(Debug)]
pub(crate) enum Batch {
    Json(TextBatch),
    Csv(CsvBatch),
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        match self {
            Batch::Json(batch) => batch.records.len(),
            Batch::Csv(batch) => batch.records.len(),
        }
    }
}

/// The text of some JSON values, cut but not read.
#[derive(Debug, Default)]
pub(crate) struct TextBatch {
    pub(crate) text: Vec<u8>,
    pub(crate) records: Vec<TextRecord>,
}

/// One value within the text, and the line of the file where it begins.
#[derive(Debug, Clone)]
pub(crate) struct TextRecord {
    pub(crate) range: Range<usize>,
    pub(crate) line: u64,
}

/// Some rows with the names of their columns.
#[derive(Debug)]
pub(crate) struct CsvBatch {
    pub(crate) header: std::sync::Arc<Vec<String>>,
    /// The line of the file where the row begins, and the row.
    pub(crate) records: Vec<(u64, csv::ByteRecord)>,
}

/// Why reading ended before the end of the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("line {line}: {reason}")]
    Syntax { line: u64, reason: String },
    #[error("the CSV header is not usable: {0}")]
    Header(String),
    #[error("all connections were given up")]
    NoSender,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_from_the_name() {
        for (name, expected) in [
            ("a.json", Format::Json),
            ("a.jsonl", Format::Jsonl),
            ("a.NDJSON", Format::Jsonl),
            ("a.csv", Format::Csv),
            ("a", Format::Json),
            ("-", Format::Json),
        ] {
            assert_eq!(format_of(Path::new(name)), expected, "{name}");
        }
    }
}

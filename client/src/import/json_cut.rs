//! Cuts a stream of JSON into the text of its records, without reading their content: only strings, escapes and braces
//! are followed. What is inside a record is judged by whoever encodes it, so one bad record does not end the import.

use super::source::{Batch, Stopped, TextBatch, TextRecord};
use std::io::Read;

const CHUNK_BYTES: usize = 256 * 1024;
/// A batch is sent on when its text is this long, however few its records.
const BATCH_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Text of one record: extended JSON of the largest document (16 MiB) stays below.
const RECORD_TEXT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Cuts one array of objects, or objects one after the other. `deliver` answers whether to go on.
pub(crate) fn cut_values(
    mut input: impl Read,
    records: usize,
    deliver: &mut dyn FnMut(Batch) -> bool,
) -> Result<(), Stopped> {
    let mut cutter = ValueCutter::new(records);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut is_first = true;
    loop {
        let count = input.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        let bytes = if is_first { without_mark(bytes) } else { bytes };
        is_first = false;
        cutter.take(bytes, deliver)?;
    }
    cutter.finish(deliver)
}

/// Cuts lines; empty ones are skipped.
pub(crate) fn cut_lines(
    mut input: impl Read,
    records: usize,
    deliver: &mut dyn FnMut(Batch) -> bool,
) -> Result<(), Stopped> {
    let mut gathered = Gathered::new(records);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut start = 0;
    let mut line = 1;
    let mut is_first = true;
    loop {
        let count = input.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        let bytes = if is_first { without_mark(bytes) } else { bytes };
        is_first = false;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            gathered.batch.text.extend_from_slice(part);
            if part.last() == Some(&b'\n') {
                gathered.record(start, line, deliver)?;
                start = gathered.batch.text.len();
                line += 1;
            }
        }
        gathered.check_length(start, line)?;
    }
    gathered.record(start, line, deliver)?;
    gathered.flush(deliver)
}

/// Without a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// The batch that is being filled.
struct Gathered {
    batch: TextBatch,
    records_max: usize,
}

impl Gathered {
    fn new(records_max: usize) -> Gathered {
        Gathered { batch: TextBatch::default(), records_max }
    }

    /// Ends a record that began at `start`, unless it is blank, and sends the batch on if it is full.
    fn record(
        &mut self,
        start: usize,
        line: u64,
        deliver: &mut dyn FnMut(Batch) -> bool,
    ) -> Result<(), Stopped> {
        let end = self.batch.text.len();
        let is_blank =
            self.batch.text.get(start..end).is_none_or(|text| text.iter().all(u8::is_ascii_whitespace));
        if is_blank {
            self.batch.text.truncate(start);
            return Ok(());
        }
        self.batch.records.push(TextRecord { range: start..end, line });
        if self.batch.records.len() >= self.records_max || end >= BATCH_TEXT_BYTES_MAX {
            self.flush(deliver)?;
        }
        Ok(())
    }

    fn flush(&mut self, deliver: &mut dyn FnMut(Batch) -> bool) -> Result<(), Stopped> {
        if self.batch.records.is_empty() {
            return Ok(());
        }
        let size = self.batch.text.len();
        let full = std::mem::take(&mut self.batch);
        self.batch.text.reserve(size);
        if deliver(Batch::Json(full)) { Ok(()) } else { Err(Stopped::NoSender) }
    }

    fn check_length(&self, start: usize, line: u64) -> Result<(), Stopped> {
        if self.batch.text.len() - start.min(self.batch.text.len()) > RECORD_TEXT_BYTES_MAX {
            let reason = format!("a record of more than {} MiB", RECORD_TEXT_BYTES_MAX / (1024 * 1024));
            return Err(Stopped::Syntax { line, reason });
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// Nothing yet: an array or a first object may begin.
    Start,
    /// Objects one after the other.
    Sequence,
    /// In the array, where an object (or the end, if the array is empty) must come.
    WantObject { may_end: bool },
    /// In the array, after an object.
    WantComma,
    /// After the array.
    End,
}

struct ValueCutter {
    gathered: Gathered,
    outside: Outside,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    start: usize,
    start_line: u64,
    line: u64,
}

impl ValueCutter {
    fn new(records: usize) -> ValueCutter {
        ValueCutter {
            gathered: Gathered::new(records),
            outside: Outside::Start,
            depth: 0,
            in_string: false,
            is_escaped: false,
            start: 0,
            start_line: 1,
            line: 1,
        }
    }

    fn take(&mut self, bytes: &[u8], deliver: &mut dyn FnMut(Batch) -> bool) -> Result<(), Stopped> {
        // What of `bytes` belongs to the current record and is not copied yet begins here.
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' {
                self.line += 1;
            }
            if self.depth == 0 {
                if self.between(*byte)? {
                    self.depth = 1;
                    self.start = self.gathered.batch.text.len();
                    self.start_line = self.line;
                    from = at;
                }
            } else if self.inside(*byte) {
                self.gathered.batch.text.extend_from_slice(bytes.get(from..=at).unwrap_or_default());
                self.gathered.record(self.start, self.start_line, deliver)?;
                if matches!(self.outside, Outside::WantObject { .. }) {
                    self.outside = Outside::WantComma;
                }
            }
        }
        if self.depth > 0 {
            self.gathered.batch.text.extend_from_slice(bytes.get(from..).unwrap_or_default());
            self.gathered.check_length(self.start, self.start_line)?;
        }
        Ok(())
    }

    /// A byte inside a record. Answers whether the record ends with it.
    fn inside(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }

    /// A byte between records. Answers whether a record begins with it.
    fn between(&mut self, byte: u8) -> Result<bool, Stopped> {
        if byte.is_ascii_whitespace() {
            return Ok(false);
        }
        match (self.outside, byte) {
            (Outside::Start | Outside::Sequence, b'{') => {
                self.outside = Outside::Sequence;
                Ok(true)
            }
            (Outside::WantObject { .. }, b'{') => Ok(true),
            (Outside::Start, b'[') => {
                self.outside = Outside::WantObject { may_end: true };
                Ok(false)
            }
            (Outside::WantComma, b',') => {
                self.outside = Outside::WantObject { may_end: false };
                Ok(false)
            }
            (Outside::WantComma | Outside::WantObject { may_end: true }, b']') => {
                self.outside = Outside::End;
                Ok(false)
            }
            (place, other) => Err(self.unexpected(place, other)),
        }
    }

    fn unexpected(&self, place: Outside, byte: u8) -> Stopped {
        let wanted = match place {
            Outside::Start => "an object or an array of objects",
            Outside::Sequence => "the next object",
            Outside::WantObject { .. } => "the next object of the array",
            Outside::WantComma => "a comma or the end of the array",
            Outside::End => "nothing after the array",
        };
        let found = byte.escape_ascii();
        Stopped::Syntax { line: self.line, reason: format!("expected {wanted}, found '{found}'") }
    }

    fn finish(mut self, deliver: &mut dyn FnMut(Batch) -> bool) -> Result<(), Stopped> {
        self.gathered.flush(deliver)?;
        let cut_short = |reason: &str| Err(Stopped::Syntax { line: self.line, reason: reason.to_owned() });
        if self.depth > 0 {
            return cut_short(&format!(
                "the file ends inside the record that began in line {}",
                self.start_line
            ));
        }
        match self.outside {
            Outside::Start | Outside::Sequence | Outside::End => Ok(()),
            Outside::WantObject { .. } | Outside::WantComma => cut_short("the file ends inside the array"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a few bytes at a time, so that every boundary falls everywhere.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn texts(batch: Batch) -> Vec<(u64, String)> {
        let Batch::Json(batch) = batch else { panic!() };
        let text =
            |record: &TextRecord| String::from_utf8(batch.text[record.range.clone()].to_vec()).unwrap();
        batch.records.iter().map(|record| (record.line, text(record).trim().to_owned())).collect()
    }

    fn check(is_lines: bool, input: &str, expected: &[(u64, &str)], is_good: bool) {
        for step in [1, 2, 3, 7, 1000] {
            for size in [1, 2, 1000] {
                let mut found = Vec::new();
                let mut deliver = |batch: Batch| {
                    assert!(batch.len() <= size);
                    found.extend(texts(batch));
                    true
                };
                let input_bytes = Slow(input.as_bytes(), step);
                let result = if is_lines {
                    cut_lines(input_bytes, size, &mut deliver)
                } else {
                    cut_values(input_bytes, size, &mut deliver)
                };
                assert_eq!(result.is_ok(), is_good, "{input:?} by {step}: {result:?}");
                let found: Vec<(u64, &str)> =
                    found.iter().map(|(line, text)| (*line, text.as_str())).collect();
                assert_eq!(found, expected, "{input:?} by {step}");
            }
        }
    }

    #[test]
    fn values_are_cut() {
        check(false, "", &[], true);
        check(false, " \n ", &[], true);
        check(false, "[]", &[], true);
        check(false, "[{}]", &[(1, "{}")], true);
        check(
            false,
            "[\n {\"a\": 1},\n {\"b\": [2, {\"c\": 3}]}\n]\n",
            &[(2, "{\"a\": 1}"), (3, "{\"b\": [2, {\"c\": 3}]}")],
            true,
        );
        check(
            false,
            "{\"a\":1}{\"b\":2}\n{\"c\":3}",
            &[(1, "{\"a\":1}"), (1, "{\"b\":2}"), (2, "{\"c\":3}")],
            true,
        );
        check(
            false,
            r#"[{"a": "}\"]{\\"},{"é": "\u00e9"}]"#,
            &[(1, r#"{"a": "}\"]{\\"}"#), (1, r#"{"é": "\u00e9"}"#)],
            true,
        );
        check(false, "{\"a\": nonsense}{}", &[(1, "{\"a\": nonsense}"), (1, "{}")], true);
    }

    #[test]
    fn broken_files_end_the_import_after_what_was_whole() {
        check(false, "[{\"a\":1}", &[(1, "{\"a\":1}")], false);
        check(false, "[{\"a\":1},", &[(1, "{\"a\":1}")], false);
        check(false, "[{\"a\":1},{\"b\"", &[(1, "{\"a\":1}")], false);
        check(false, "[", &[], false);
    }

    #[test]
    fn what_is_no_record_is_named() {
        for (input, place) in [
            ("7", "line 1: expected an object or an array"),
            ("[1]", "the next object of the array, found '1'"),
            ("[{}\n{}]", "line 2: expected a comma"),
            ("[{},]", "found ']'"),
            ("[{}] x", "nothing after the array"),
            ("{} 3", "the next object, found '3'"),
        ] {
            let error = cut_values(input.as_bytes(), 10, &mut |_| true).unwrap_err().to_string();
            assert!(error.contains(place), "{input}: {error}");
        }
        assert!(matches!(cut_values("{}".as_bytes(), 10, &mut |_| false), Err(Stopped::NoSender)));
    }

    #[test]
    fn lines_are_cut() {
        check(true, "", &[], true);
        check(true, "{}\n\n{\"a\":1}\r\n", &[(1, "{}"), (3, "{\"a\":1}")], true);
        check(true, "{}\nbroken\n{\"b\":2}", &[(1, "{}"), (2, "broken"), (3, "{\"b\":2}")], true);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let mut found = Vec::new();
        cut_values("\u{FEFF}[{}]".as_bytes(), 10, &mut |batch| {
            found.extend(texts(batch));
            true
        })
        .unwrap();
        assert_eq!(found, [(1, "{}".to_owned())]);
    }
}

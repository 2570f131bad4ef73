//! CSV with a header line: rows in batches, and rows to BSON. Values stay strings unless inference is asked for.

use super::report::Report;
use super::source::{Batch, CsvBatch, Stopped};
use crate::link::Writer;
use csv::ByteRecord;
use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

/// A batch is sent on when its rows are this long, however few.
const BATCH_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads all rows. A row that does not fit the header is counted in `report`, and reading goes on.
pub(crate) fn read(
    input: impl Read,
    rows: usize,
    deliver: &mut dyn FnMut(Batch) -> bool,
    report: &mut Report,
) -> Result<(), Stopped> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(256 * 1024).from_reader(input);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(stopped(error)),
    };
    let header: Vec<String> =
        header.iter().map(|name| name.trim_start_matches('\u{FEFF}').trim().to_owned()).collect();
    if header.iter().all(String::is_empty) {
        return Ok(());
    }
    check_header(&header)?;
    let header = Arc::new(header);
    let mut records = Vec::with_capacity(rows);
    let mut bytes = 0;
    loop {
        let mut record = ByteRecord::new();
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                bytes += record.as_slice().len();
                records.push((line, record));
            }
            Err(error) => match error.kind() {
                csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                    let line = pos.as_ref().map_or(0, csv::Position::line);
                    report.bad_record(
                        "Malformed",
                        line,
                        &format!("{len} fields, the header has {expected_len}"),
                    );
                }
                _ => return Err(stopped(error)),
            },
        }
        if records.len() >= rows || bytes >= BATCH_TEXT_BYTES_MAX {
            let full = std::mem::replace(&mut records, Vec::with_capacity(rows));
            bytes = 0;
            send(&header, full, deliver)?;
        }
    }
    send(&header, records, deliver)
}

fn send(
    header: &Arc<Vec<String>>,
    records: Vec<(u64, ByteRecord)>,
    deliver: &mut dyn FnMut(Batch) -> bool,
) -> Result<(), Stopped> {
    if records.is_empty() || deliver(Batch::Csv(CsvBatch { header: Arc::clone(header), records })) {
        Ok(())
    } else {
        Err(Stopped::NoSender)
    }
}

fn stopped(error: csv::Error) -> Stopped {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Stopped::Io(error),
        csv::ErrorKind::Utf8 { .. } => Stopped::Header("it is not UTF-8".to_owned()),
        other => Stopped::Syntax { line, reason: format!("{other:?}") },
    }
}

fn check_header(header: &[String]) -> Result<(), Stopped> {
    let mut seen = HashSet::new();
    for (index, name) in header.iter().enumerate() {
        let problem = if name.is_empty() {
            Some(format!("column {} has no name", index + 1))
        } else if name.contains(['.', '\0']) || name.starts_with('$') {
            Some(format!(
                "column {name:?} cannot be a field name: rename it without '.', NUL and leading '$'"
            ))
        } else if !seen.insert(name.as_str()) {
            Some(format!("two columns are named {name:?}"))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Stopped::Header(problem));
        }
    }
    Ok(())
}

/// Appends the fields of a row, without the length in front and the end behind. Answers whether `_id` is among them.
pub(crate) fn encode_fields(
    header: &[String],
    record: &ByteRecord,
    infer: bool,
    out: &mut Writer,
) -> Result<bool, String> {
    for (name, value) in header.iter().zip(record) {
        let value = std::str::from_utf8(value).map_err(|_| format!("the value of {name:?} is not UTF-8"))?;
        if infer {
            encode_inferred(name, value, out);
        } else {
            out.string(name, value);
        }
    }
    Ok(header.iter().any(|name| name == "_id"))
}

fn encode_inferred(name: &str, value: &str, out: &mut Writer) {
    match value {
        "true" => return out.boolean(name, true),
        "false" => return out.boolean(name, false),
        _ => {}
    }
    // Only what looks like a number to people: not "inf", "nan", "1_000", and not "007", which is a code of some kind.
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !digits.starts_with(|first: char| first.is_ascii_digit()) || is_padded {
        return out.string(name, value);
    }
    if let Ok(number) = value.parse::<i64>() {
        match i32::try_from(number) {
            Ok(small) => out.int32(name, small),
            Err(_) => out.int64(name, number),
        }
    } else if let Some(number) = value.parse::<f64>().ok().filter(|number| number.is_finite()) {
        out.double(name, number);
    } else {
        out.string(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    fn documents(text: &str, infer: bool) -> (Result<Vec<Document>, String>, Report) {
        let mut found = Vec::new();
        let mut report = Report::default();
        let result = read(
            text.as_bytes(),
            2,
            &mut |batch| {
                let Batch::Csv(batch) = batch else { panic!() };
                for (_, record) in &batch.records {
                    let mut out = Writer::default();
                    let open = out.begin();
                    encode_fields(&batch.header, record, infer, &mut out).unwrap();
                    out.end(open);
                    found.push(Document::from_reader(out.bytes.as_slice()).unwrap());
                }
                true
            },
            &mut report,
        );
        (result.map(|()| found).map_err(|error| error.to_string()), report)
    }

    #[test]
    fn rows_become_documents() {
        let (found, _) = documents("\u{FEFF}name,n\nA,1\n\"B, \"\"x\"\"\ny\",2\nC,\n", false);
        let expected = [
            doc! { "name": "A", "n": "1" },
            doc! { "name": "B, \"x\"\ny", "n": "2" },
            doc! { "name": "C", "n": "" },
        ];
        assert_eq!(found.unwrap(), expected);
        assert_eq!(documents("", false).0.unwrap(), []);
        assert_eq!(documents("a,b\n", false).0.unwrap(), []);
    }

    #[test]
    fn values_are_inferred_on_request() {
        let text = "a,b,c,d,e,f,g,h,i,j,k\n1,-2,3000000000,1.5,1e3,true,007,nan,0,0.25,1 2\n";
        let expected = doc! {
            "a": 1, "b": -2, "c": 3_000_000_000_i64, "d": 1.5, "e": 1000.0, "f": true, "g": "007", "h": "nan", "i": 0,
            "j": 0.25, "k": "1 2",
        };
        assert_eq!(documents(text, true).0.unwrap(), [expected]);
    }

    #[test]
    fn bad_rows_are_counted_and_bad_headers_end_it() {
        let (found, report) = documents("a,b\n1,2\n3\n4,5\n", false);
        assert_eq!(found.unwrap().len(), 2);
        assert_eq!(report.failed(), 1);
        for header in ["a,a", "a,", "a.b,c", "$a,b"] {
            assert!(documents(&format!("{header}\n1,2\n"), false).0.is_err(), "{header}");
        }
    }
}

//! The outcome of an import: what was stored, and what was not by cause, with an example of each.

use crate::failure::Failure;
use crate::progress::{grouped, rate};
use std::collections::BTreeMap;

/// Outcome of a part or of the whole.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Documents that the server acknowledged.
    pub(crate) inserted: u64,
    /// Batches that were sent again after an error.
    pub(crate) retries: u64,
    pub(crate) seconds: f64,
    /// Why the import ended before the end of the file.
    pub(crate) stop_reason: Option<String>,
    errors: BTreeMap<String, Errors>,
}

#[derive(Debug, Default)]
struct Errors {
    count: u64,
    example: String,
}

impl Report {
    /// Documents of a batch that could not be sent any more.
    pub(crate) fn not_sent(documents: usize) -> Report {
        let mut report = Report::default();
        report.fail("NotSent", documents as u64, "the server could not be reached any longer");
        report
    }

    /// Counts documents that were not stored.
    pub(crate) fn fail(&mut self, cause: &str, count: u64, example: &str) {
        let errors = self.errors.entry(cause.to_owned()).or_default();
        if errors.count == 0 {
            example.clone_into(&mut errors.example);
        }
        errors.count += count;
    }

    /// Counts a record that is not a document.
    pub(crate) fn bad_record(&mut self, cause: &str, line: u64, reason: &str) {
        self.fail(cause, 1, &format!("line {line}: {reason}"));
    }

    /// Documents that were not stored.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().map(|errors| errors.count).sum()
    }

    /// Adds the outcome of a part.
    pub(crate) fn add(&mut self, part: Report) {
        self.inserted += part.inserted;
        self.retries += part.retries;
        for (cause, errors) in part.errors {
            self.fail(&cause, errors.count, &errors.example);
        }
        if self.stop_reason.is_none() {
            self.stop_reason = part.stop_reason;
        }
    }

    /// Prints the last line, and the errors by cause.
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        let speed = rate(self.inserted, self.seconds);
        if json {
            let errors: serde_json::Map<_, _> = self
                .errors
                .iter()
                .map(|(cause, errors)| {
                    (cause.clone(), serde_json::json!({ "count": errors.count, "example": errors.example }))
                })
                .collect();
            let outcome = serde_json::json!({
                "documents": self.inserted, "seconds": self.seconds, "documents_per_second": speed,
                "failed": self.failed(), "retried_batches": self.retries, "errors": errors,
                "stopped": self.stop_reason,
            });
            say!("{outcome}");
            return Ok(());
        }
        for (cause, errors) in &self.errors {
            complain!("{cause}: {} documents, for example {}", grouped(errors.count), errors.example);
        }
        let retried = match self.retries {
            0 => String::new(),
            count => format!(", {count} batches sent again"),
        };
        say!(
            "imported {} documents in {:.1} s, {} documents/s, {} errors{retried}",
            grouped(self.inserted),
            self.seconds,
            grouped(speed),
            grouped(self.failed())
        );
        Ok(())
    }

    /// Fails if anything was left out.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        if let Some(reason) = &self.stop_reason {
            return Err(Failure::new(format!("the import ended early: {reason}")).next(
                "what is named as imported is stored; mend the cause and import again with --drop, or the rest of the file",
            ));
        }
        match self.failed() {
            0 => Ok(()),
            count => Err(Failure::new(format!("{} records were not imported", grouped(count)))
                .next("the causes are listed above; the other records are stored")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let mut total = Report::default();
        assert!(total.verdict().is_ok());
        let mut part = Report { inserted: 5, ..Report::default() };
        part.bad_record("Malformed", 3, "x");
        part.bad_record("Malformed", 9, "y");
        total.add(part);
        total.add(Report::not_sent(4));
        assert_eq!((total.inserted, total.failed()), (5, 6));
        assert_eq!(total.errors["Malformed"].example, "line 3: x");
        assert!(total.verdict().is_err());
        let stopped = Report { stop_reason: Some("gone".to_owned()), ..Report::default() };
        assert!(stopped.verdict().unwrap_err().to_string().contains("gone"));
    }
}

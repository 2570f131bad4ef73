//! Sends batches over one connection, again after errors that allow it. A batch is sent again with the same bytes: session,
//! transaction number and ids are those of the first time, so the server stores each document once.

use super::acked::AckedLog;
use super::encode::encode;
use super::report::Report;
use super::source::Batch;
use crate::link::{Connection, Error, Message, Session, Uri, WriteConcernFlags, WriteReply};
use crate::pause::pause;
use bson::RawDocument;
use std::ops::Range;
use std::time::{Duration, Instant};
use types::Namespace;

/// A message is sent when it is this long: the largest document still fits below the limit of a message.
const MESSAGE_BYTES_FULL: usize = 24 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What all senders of an import share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) uri: Uri,
    pub(crate) ns: Namespace,
    pub(crate) concern: WriteConcernFlags,
    pub(crate) infer: bool,
    pub(crate) retry_for: Duration,
    /// The server executes a repeated statement once.
    pub(crate) is_retryable: bool,
}

/// One sender.
pub(crate) struct Sender<'a> {
    nth: usize,
    settings: &'a Settings,
    acked: Option<&'a AckedLog>,
    connection: Option<Connection>,
    session: Session,
    message: Message,
    /// Where the documents of the message lie, in its buffer.
    documents: Vec<Range<usize>>,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(nth: usize, settings: &'a Settings, acked: Option<&'a AckedLog>) -> Sender<'a> {
        Sender {
            nth,
            settings,
            acked,
            connection: None,
            session: Session::start(),
            message: Message::default(),
            documents: Vec::new(),
        }
    }

    /// Sends one batch. The report's `stop_reason` is set when there is no point in sending another one.
    pub(crate) fn send(&mut self, batch: &Batch) -> Report {
        let mut report = Report::default();
        let mut next = 0;
        while next < batch.len() {
            next = self.fill(batch, next, &mut report);
            if self.documents.is_empty() {
                continue;
            }
            self.transmit(&mut report);
            if report.stop_reason.is_some() {
                report.fail(
                    "NotSent",
                    (batch.len() - next) as u64,
                    "the server could not be reached any longer",
                );
                break;
            }
        }
        report
    }

    /// Builds a message from the record `from` on. Answers where the next one begins.
    fn fill(&mut self, batch: &Batch, from: usize, report: &mut Report) -> usize {
        self.documents.clear();
        let (body, open) = self.message.start();
        body.string("insert", self.settings.ns.collection());
        body.boolean("ordered", false);
        body.string("$db", self.settings.ns.db());
        if self.settings.is_retryable {
            self.session.write_retryable(body);
        }
        self.settings.concern.write(body);
        body.end(open);
        self.message.begin_sequence("documents");
        for index in from..batch.len() {
            let start = self.message.len();
            match encode(batch, index, self.settings.infer, self.message.writer()) {
                Ok(()) => self.documents.push(start..self.message.len()),
                Err((line, reason)) => report.bad_record("Malformed", line, &reason),
            }
            if self.message.len() >= MESSAGE_BYTES_FULL {
                return index + 1;
            }
        }
        batch.len()
    }

    /// Sends the message until the server answers it, an error is final, or the time for retries is up.
    fn transmit(&mut self, report: &mut Report) {
        let deadline = Instant::now() + self.settings.retry_for;
        let mut wait = FIRST_PAUSE;
        let mut attempts = 0_u64;
        loop {
            attempts += 1;
            // Connecting is always safe to repeat; sending only if the server knows the statement again.
            let (error, may_repeat) = match self.connect() {
                Err(error) => (error, true),
                Ok(()) => match self.exchange() {
                    Ok(reply) => {
                        report.retries += u64::from(attempts > 1);
                        return self.count(&reply, report);
                    }
                    Err(error) => (error, self.settings.is_retryable),
                },
            };
            if error.ends_connection() {
                self.connection = None;
            }
            let is_late = Instant::now() + wait >= deadline;
            if !(may_repeat && error.is_retryable()) || is_late {
                return self.give_up(&error, is_late && may_repeat, report);
            }
            pause(wait);
            wait = (wait * 2).min(LONGEST_PAUSE);
        }
    }

    fn connect(&mut self) -> Result<(), Error> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.settings.uri, self.nth)?);
        }
        Ok(())
    }

    fn exchange(&mut self) -> Result<WriteReply, Error> {
        let Some(connection) = &mut self.connection else {
            return Err(Error::Connect {
                address: self.settings.uri.address(self.nth),
                source: std::io::ErrorKind::NotConnected.into(),
            });
        };
        let reply = WriteReply::read(connection.exchange(&mut self.message)?)?;
        match &reply.concern_error {
            Some(error) if self.settings.is_retryable && error.is_retryable() => Err(error.clone().into()),
            _ => Ok(reply),
        }
    }

    /// Counts an answered batch. Documents that the write concern did not settle are not counted as acknowledged.
    fn count(&self, reply: &WriteReply, report: &mut Report) {
        for (_, error) in &reply.write_errors {
            report.fail(&error.cause(), 1, &error.message);
        }
        let stored = self.documents.len().saturating_sub(reply.write_errors.len());
        if let Some(error) = &reply.concern_error {
            report.fail(&error.cause(), stored as u64, &error.message);
            return;
        }
        report.inserted += stored as u64;
        if let Some(log) = self.acked {
            let failed: std::collections::HashSet<usize> =
                reply.write_errors.iter().map(|(index, _)| *index).collect();
            let acknowledged = self.documents.iter().enumerate().filter(|(index, _)| !failed.contains(index));
            let documents = acknowledged.filter_map(|(_, range)| {
                RawDocument::from_bytes(self.message.bytes().get(range.clone())?).ok()
            });
            if let Err(error) = log.append(documents) {
                report.stop_reason = Some(format!("{} cannot be written: {error}", log.path().display()));
            }
        }
    }

    fn give_up(&self, error: &Error, is_late: bool, report: &mut Report) {
        let count = self.documents.len() as u64;
        report.fail(&error.cause(), count, &error.to_string());
        if matches!(error, Error::Server(_) | Error::TooLarge { .. }) && !is_late {
            // The server refused this batch; it may take the next one.
            return;
        }
        let tried = match is_late {
            true => format!(" (tried again for {} s)", self.settings.retry_for.as_secs()),
            false => " (not sent again: this server does not support retryable writes)".to_owned(),
        };
        report.stop_reason = Some(format!("{error}{tried}"));
    }
}

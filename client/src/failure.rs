//! What the user is told when a subcommand fails: what happened and what to do next.
//! Only for people: code that decides on an error matches on the typed error below it.

use crate::link::Error;
use std::fmt;

/// A failed subcommand.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    detail: Option<String>,
    next: Option<String>,
    is_consequence: bool,
}

impl Failure {
    /// A failure that says what happened.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), detail: None, next: None, is_consequence: false }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into());
        self
    }

    /// Adds what there is to read about it, such as the end of a log.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Failure {
        self.detail = Some(detail.into());
        self
    }

    /// A failure that only follows from another one, which is the one to show.
    pub(crate) fn consequence(of: &str) -> Failure {
        Failure {
            is_consequence: true,
            ..Failure::new(format!("gave up on {of} because another part failed"))
        }
    }

    /// Whether another failure has the reason.
    pub(crate) fn is_consequence(&self) -> bool {
        self.is_consequence
    }

    /// Says what was being done when it failed.
    #[must_use]
    pub(crate) fn during(mut self, doing: &str) -> Failure {
        self.what = format!("{doing}: {}", self.what);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.what)?;
        if let Some(detail) = &self.detail {
            write!(out, "\n  {detail}")?;
        }
        match &self.next {
            Some(next) => write!(out, "\n  next: {next}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let next = match &error {
            Error::Connect { .. } => Some(
                "check that the server runs there (`shoal status --dir DIR`), start one with `shoal up --dir DIR`, \
                 or name another with --uri",
            ),
            Error::TimedOut { .. } => {
                Some("the server took the request but did not answer in time; look at its log and load")
            }
            Error::Lost { .. } => Some("the server ended the connection; look at its log, then try again"),
            Error::Protocol { .. } => Some("check that the address is that of a MongoDB-compatible server"),
            Error::Rejected { .. } => Some("use a server of MongoDB's wire version 6 (3.6) or later"),
            Error::TooLarge { .. } => Some("send fewer or smaller documents in one request"),
            Error::Server(_) => None,
        };
        let failure = Failure::new(error.to_string());
        match next {
            Some(next) => failure.next(next),
            None => failure,
        }
    }
}

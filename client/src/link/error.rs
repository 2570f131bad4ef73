//! What can go wrong between us and a server.

use std::io;
use std::time::Duration;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody answers at the address.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    /// The connection broke while a request was under way: its outcome is unknown.
    #[error("lost the connection to {address}: {source}")]
    Lost { address: String, source: io::Error },
    /// No answer in time: the outcome is unknown.
    #[error("no answer from {address} within {after:?}")]
    TimedOut { address: String, after: Duration },
    /// The peer sent something that is not the protocol.
    #[error("{address} does not speak the MongoDB wire protocol as expected: {reason}")]
    Protocol { address: String, reason: String },
    /// The server is not one that we can work with.
    #[error("{address} cannot be used: {reason}")]
    Rejected { address: String, reason: String },
    /// The request is larger than the protocol allows.
    #[error("a request of {bytes} bytes is larger than the limit of {limit} bytes")]
    TooLarge { bytes: usize, limit: usize },
    /// The server answered with an error.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Error {
    /// Whether the connection cannot be used any more.
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Error::Server(_) | Error::TooLarge { .. })
    }

    /// Whether a write of a session may be sent again with the same transaction number.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Lost { .. } | Error::TimedOut { .. } => true,
            Error::Server(error) => error.is_retryable(),
            Error::Protocol { .. } | Error::Rejected { .. } | Error::TooLarge { .. } => false,
        }
    }

    /// A short name to count errors by: the code's name, or the kind of network error.
    pub(crate) fn cause(&self) -> String {
        match self {
            Error::Connect { .. } => "ConnectionRefused".to_owned(),
            Error::Lost { .. } => "ConnectionLost".to_owned(),
            Error::TimedOut { .. } => "NetworkTimeout".to_owned(),
            Error::Protocol { .. } => "ProtocolError".to_owned(),
            Error::Rejected { .. } => "ServerRejected".to_owned(),
            Error::TooLarge { .. } => "RequestTooLarge".to_owned(),
            Error::Server(error) => error.cause(),
        }
    }
}

/// An error that the server answered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({} {code})", if code_name.is_empty() { "code" } else { code_name.as_str() })]
pub(crate) struct ServerError {
    pub(crate) code: i32,
    pub(crate) code_name: String,
    pub(crate) message: String,
    pub(crate) labels: Vec<String>,
}

/// Codes that the retryable writes specification names: the server did not take the write, or may have.
const RETRYABLE_CODES: [i32; 12] = [6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436];

impl ServerError {
    /// Whether the server, or the specification for its code, says that a retryable write may be sent again.
    pub(crate) fn is_retryable(&self) -> bool {
        self.labels.iter().any(|label| label == "RetryableWriteError") || RETRYABLE_CODES.contains(&self.code)
    }

    /// The code's name, or the number where the server gave none.
    pub(crate) fn cause(&self) -> String {
        match self.code {
            _ if !self.code_name.is_empty() => self.code_name.clone(),
            11000 => "DuplicateKey".to_owned(),
            code => format!("code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retryable_is_what_the_specification_says() {
        let rows = [
            (10107, "", true),
            (91, "", true),
            (13436, "", true),
            (11000, "", false),
            (13, "RetryableWriteError", true),
            (13, "TransientTransactionError", false),
        ];
        for (code, label, expected) in rows {
            let error = ServerError {
                code,
                code_name: String::new(),
                message: String::new(),
                labels: vec![label.to_owned()],
            };
            assert_eq!(error.is_retryable(), expected, "{code} {label}");
        }
    }
}

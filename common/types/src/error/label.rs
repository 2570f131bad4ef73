//! Error labels: what a driver may do about an error, said by the server.

/// A label that is attached to an error reply. Source: the driver specifications of transactions and retryable operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// The same statement may be sent once more with the same `txnNumber`.
    RetryableWriteError,
    /// The whole transaction may be started again.
    TransientTransactionError,
    /// `commitTransaction` may be sent again.
    UnknownTransactionCommitResult,
    /// Nothing was written at all.
    NoWritesPerformed,
    /// A change stream can go on after this error.
    ResumableChangeStreamError,
}

impl Label {
    /// The label on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Label::RetryableWriteError => "RetryableWriteError",
            Label::TransientTransactionError => "TransientTransactionError",
            Label::UnknownTransactionCommitResult => "UnknownTransactionCommitResult",
            Label::NoWritesPerformed => "NoWritesPerformed",
            Label::ResumableChangeStreamError => "ResumableChangeStreamError",
        }
    }

    /// The label of that name, if it is one that we know.
    pub fn from_str_exact(name: &str) -> Option<Label> {
        [
            Label::RetryableWriteError,
            Label::TransientTransactionError,
            Label::UnknownTransactionCommitResult,
            Label::NoWritesPerformed,
            Label::ResumableChangeStreamError,
        ]
        .into_iter()
        .find(|label| label.as_str() == name)
    }
}

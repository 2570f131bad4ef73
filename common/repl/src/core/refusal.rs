//! Why a command was not carried out.

use super::config::Refused;
use super::message::Denial;
use types::{Code, Fault};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no replset config has been received")]
    NotInitiated,
    #[error("already initialized")]
    AlreadyInitiated,
    #[error("not primary so can't {0}")]
    NotPrimary(&'static str),
    #[error("cannot freeze node when primary or running for election")]
    Governing,
    #[error("stepped down while the command waited")]
    SteppedDown,
    #[error("{0}")]
    Config(Refused),
    #[error("another configuration change waits for a majority to take it")]
    ReconfigInProgress,
    #[error("Cannot run replSetReconfig because the current config is not majority committed")]
    ConfigNotCommitted,
    #[error("Cannot run replSetReconfig before an entry of this term is majority committed")]
    NothingCommitted,
    #[error(
        "Cannot run replSetReconfig: a majority of the new config lacks entries that are majority committed"
    )]
    DataMissing,
    #[error("No electable secondaries caught up within the time given")]
    NobodyCaughtUp,
    #[error("already being stepped down")]
    SteppingDown,
    #[error("cannot stand for election: {0}")]
    NotElectable(&'static str),
    #[error("the election was not won")]
    ElectionLost(Option<Denial>),
    #[error("cannot sync from that member: {0}")]
    BadSource(&'static str),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        Refusal::Config(refused)
    }
}

// The texts decide nothing; what is refused is told by the variant.
impl std::hash::Hash for Refusal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
    }
}

impl Refusal {
    /// As the client sees it.
    pub fn fault(&self) -> Fault {
        let code = match self {
            Refusal::NotInitiated => Code::NotYetInitialized,
            Refusal::AlreadyInitiated => Code::AlreadyInitialized,
            Refusal::NotPrimary(_) => Code::NotWritablePrimary,
            Refusal::Governing => Code::NotSecondary,
            Refusal::SteppedDown => Code::PrimarySteppedDown,
            Refusal::Config(refused) => return refused.fault(),
            Refusal::ReconfigInProgress => Code::ConfigurationInProgress,
            Refusal::ConfigNotCommitted | Refusal::NothingCommitted | Refusal::DataMissing => {
                Code::CurrentConfigNotCommittedYet
            }
            Refusal::NobodyCaughtUp => Code::ExceededTimeLimit,
            Refusal::SteppingDown => Code::ConflictingOperationInProgress,
            Refusal::NotElectable(_) | Refusal::ElectionLost(_) => Code::CommandFailed,
            Refusal::BadSource(_) => Code::InvalidOptions,
        };
        Fault::new(code, self.to_string())
    }
}

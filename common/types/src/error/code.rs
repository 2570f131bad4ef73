//! The number ↔ name table of error codes, as MongoDB publishes it.
//! Codes that MongoDB never named are `Location` with their number, printed as `Location40415`.

macro_rules! codes {
    ($($name:ident = $number:literal,)*) => {
        /// An error code. Drivers branch on the number, mongosh often on the name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("Error ", stringify!($number), ".")] $name,)*
            /// A code without a name of its own: `Location<number>`.
            Location(i32),
        }

        impl Code {
            /// The number on the wire.
            pub fn number(self) -> i32 {
                match self { $(Code::$name => $number,)* Code::Location(number) => number }
            }

            /// The code for a number; unnamed numbers become [`Code::Location`].
            pub fn from_number(number: i32) -> Code {
                match number { $($number => Code::$name,)* other => Code::Location(other) }
            }

            /// The `codeName` on the wire.
            pub fn name(self) -> std::borrow::Cow<'static, str> {
                match self {
                    $(Code::$name => std::borrow::Cow::Borrowed(stringify!($name)),)*
                    Code::Location(number) => std::borrow::Cow::Owned(format!("Location{number}")),
                }
            }
        }
    };
}

codes! {
    InternalError = 1,
    BadValue = 2,
    NoSuchKey = 4,
    GraphContainsCycle = 5,
    HostUnreachable = 6,
    HostNotFound = 7,
    UnknownError = 8,
    FailedToParse = 9,
    CannotMutateObject = 10,
    UserNotFound = 11,
    UnsupportedFormat = 12,
    Unauthorized = 13,
    TypeMismatch = 14,
    Overflow = 15,
    InvalidLength = 16,
    ProtocolError = 17,
    AuthenticationFailed = 18,
    CannotReuseObject = 19,
    IllegalOperation = 20,
    EmptyArrayOperation = 21,
    InvalidBSON = 22,
    AlreadyInitialized = 23,
    LockTimeout = 24,
    RemoteValidationError = 25,
    NamespaceNotFound = 26,
    IndexNotFound = 27,
    PathNotViable = 28,
    NonExistentPath = 29,
    InvalidPath = 30,
    RoleNotFound = 31,
    RolesNotRelated = 32,
    PrivilegeNotFound = 33,
    CannotBackfillArray = 34,
    ConflictingUpdateOperators = 40,
    FileAlreadyOpen = 41,
    CursorNotFound = 43,
    UserDataInconsistent = 45,
    LockBusy = 46,
    NoMatchingDocument = 47,
    NamespaceExists = 48,
    InvalidRoleModification = 49,
    MaxTimeMSExpired = 50,
    ManualInterventionRequired = 51,
    DollarPrefixedFieldName = 52,
    InvalidIdField = 53,
    NotSingleValueField = 54,
    InvalidDBRef = 55,
    EmptyFieldName = 56,
    DottedFieldName = 57,
    RoleModificationFailed = 58,
    CommandNotFound = 59,
    ShardKeyNotFound = 61,
    OplogOperationUnsupported = 62,
    StaleShardVersion = 63,
    WriteConcernFailed = 64,
    MultipleErrorsOccurred = 65,
    ImmutableField = 66,
    CannotCreateIndex = 67,
    IndexAlreadyExists = 68,
    AuthSchemaIncompatible = 69,
    ShardNotFound = 70,
    ReplicaSetNotFound = 71,
    InvalidOptions = 72,
    InvalidNamespace = 73,
    NodeNotFound = 74,
    WriteConcernLegacyOK = 75,
    NoReplicationEnabled = 76,
    OperationIncomplete = 77,
    UnknownReplWriteConcern = 79,
    LagTooHigh = 80,
    IndexOptionsConflict = 85,
    IndexKeySpecsConflict = 86,
    OutOfDiskSpace = 14031,
    NetworkTimeout = 89,
    ShutdownInProgress = 91,
    InvalidReplicaSetConfig = 93,
    NotYetInitialized = 94,
    NotSecondary = 95,
    OperationFailed = 96,
    DBPathInUse = 98,
    CannotSatisfyWriteConcern = 100,
    NewReplicaSetConfigurationIncompatible = 103,
    NodeNotElectable = 104,
    ConfigurationInProgress = 109,
    CannotInitializeNodeWithData = 110,
    WriteConflict = 112,
    CommandNotSupported = 115,
    ConflictingOperationInProgress = 117,
    NamespaceNotSharded = 118,
    DocumentValidationFailure = 121,
    NotAReplicaSet = 123,
    CommandFailed = 125,
    FailPointEnabled = 132,
    FailedToSatisfyReadPreference = 133,
    ReadConcernMajorityNotAvailableYet = 134,
    StaleTerm = 135,
    StaleClusterTime = 209,
    CappedPositionLost = 136,
    IncompatibleShardingConfigVersion = 137,
    RemoteOplogStale = 138,
    JSInterpreterFailure = 139,
    InvalidSSLConfiguration = 140,
    SSLHandshakeFailed = 141,
    ExceededMemoryLimit = 146,
    DuplicateKey = 11000,
    IncompatibleShardingMetadata = 151,
    ViewDepthLimitExceeded = 165,
    CommandNotSupportedOnView = 166,
    MaxStalenessOutOfRange = 160,
    IncompatibleCollationVersion = 161,
    OptionNotSupportedOnView = 167,
    InvalidPipelineOperator = 168,
    CommandOnShardedViewNotSupportedOnMongod = 169,
    CannotIndexParallelArrays = 171,
    TransportSessionClosed = 172,
    QueryPlanKilled = 175,
    ZoneNotFound = 177,
    RangeOverlapConflict = 178,
    InvalidUUID = 207,
    InvalidIndexSpecificationOption = 197,
    ClientMetadataMissingField = 183,
    ClientMetadataAppNameTooLarge = 184,
    ClientMetadataDocumentTooLarge = 185,
    ClientMetadataCannotBeMutated = 186,
    LinearizableReadConcernError = 187,
    PrimarySteppedDown = 189,
    MasterSlaveConnectionFailure = 190,
    FailPointSetFailed = 193,
    CannotImplicitlyCreateCollection = 227,
    TimeProofMismatch = 204,
    ClusterTimeFailsRateLimiter = 205,
    NoSuchSession = 206,
    TooManyLogicalSessions = 261,
    OperationNotSupportedInTransaction = 263,
    SnapshotTooOld = 239,
    SnapshotUnavailable = 246,
    NoSuchTransaction = 251,
    TransactionCommitted = 256,
    TransactionTooLarge = 257,
    TooManyDocumentSequences = 233,
    IllegalOpMsgFlag = 223,
    TransactionTooOld = 225,
    NotImplemented = 238,
    MaxSubPipelineDepthExceeded = 232,
    ConversionFailure = 241,
    InvalidResumeToken = 260,
    ExceededTimeLimit = 262,
    ChecksumMismatch = 288,
    TransactionExceededLifetimeLimitSeconds = 290,
    NoQueryExecutionPlans = 291,
    QueryExceededMemoryLimitNoDiskUseAllowed = 292,
    StaleDbVersion = 249,
    StaleEpoch = 150,
    StaleConfig = 13388,
    CannotDropShardKeyIndex = 303,
    CurrentConfigNotCommittedYet = 308,
    APIVersionError = 322,
    APIStrictError = 323,
    APIDeprecationError = 324,
    MechanismUnavailable = 334,
    IndexBuildAborted = 276,
    InterruptedAtShutdown = 11600,
    Interrupted = 11601,
    InterruptedDueToReplStateChange = 11602,
    BackgroundOperationInProgressForDatabase = 12586,
    BackgroundOperationInProgressForNamespace = 12587,
    BSONObjectTooLarge = 10334,
    NotWritablePrimary = 10107,
    NotPrimaryNoSecondaryOk = 13435,
    NotPrimaryOrSecondary = 13436,
    DatabaseDropPending = 215,
    CollectionUUIDMismatch = 361,
    NonConformantBSON = 378,
    DatabaseDifferCase = 13297,
    UnsupportedOpQueryCommand = 352,
    ResourceExhausted = 402,
    AmbiguousIndexKeyPattern = 181,
    InvalidViewDefinition = 182,
}

impl Code {
    /// Whether a node that answers so is not, or no longer, a primary that takes writes.
    pub fn is_not_primary(self) -> bool {
        matches!(
            self,
            Code::NotWritablePrimary
                | Code::NotPrimaryNoSecondaryOk
                | Code::NotPrimaryOrSecondary
                | Code::PrimarySteppedDown
                | Code::InterruptedDueToReplStateChange
        )
    }

    /// Whether an operation was ended from outside: killed, out of time, or by the end of the process.
    pub fn is_interruption(self) -> bool {
        matches!(
            self,
            Code::Interrupted
                | Code::InterruptedAtShutdown
                | Code::InterruptedDueToReplStateChange
                | Code::MaxTimeMSExpired
                | Code::ShutdownInProgress
        )
    }

    /// Whether drivers look at `topologyVersion` beside the error: what the server is has changed, or it goes away.
    pub fn is_state_change(self) -> bool {
        self.is_not_primary() || matches!(self, Code::ShutdownInProgress | Code::InterruptedAtShutdown)
    }

    /// Whether the driver specification of retryable writes and reads lets a client try the same statement once more.
    pub fn is_retryable(self) -> bool {
        self.is_not_primary()
            || matches!(
                self,
                Code::HostUnreachable
                    | Code::HostNotFound
                    | Code::NetworkTimeout
                    | Code::ShutdownInProgress
                    | Code::InterruptedAtShutdown
                    | Code::ExceededTimeLimit
                    | Code::Location(9001)
                    | Code::ReadConcernMajorityNotAvailableYet
            )
    }

    /// Whether the code says that the router's table was older than the shard's.
    pub fn is_stale_route(self) -> bool {
        matches!(self, Code::StaleConfig | Code::StaleDbVersion | Code::StaleEpoch)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} ({})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for number in 0..60_000 {
            assert_eq!(Code::from_number(number).number(), number);
        }
        assert_eq!(Code::from_number(11000).name(), "DuplicateKey");
        assert_eq!(Code::from_number(40432).name(), "Location40432");
        assert_eq!(Code::CommandNotFound.number(), 59);
    }
}

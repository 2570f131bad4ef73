//! The fields that every command may carry, whatever it does.

use bson::RawBsonRef;
use std::time::Duration;
use types::{
    Code, Fault, MemberChoice, Namespace, ReadConcern, ReadPreference, SessionId, Timestamp, TxnNumber, Uuid,
    WriteConcern,
};

/// The generic arguments of a command, parsed once at the door.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Envelope {
    /// `$db`.
    pub db: String,
    /// `lsid.id`.
    pub session: Option<SessionId>,
    pub txn_number: Option<TxnNumber>,
    /// `false` inside a multi-document transaction.
    pub autocommit: Option<bool>,
    pub start_transaction: bool,
    pub read_concern: ReadConcern,
    /// `None` where the client named none.
    pub write_concern: Option<WriteConcern>,
    /// A router put the write concern there, because an administrator set it for all.
    pub write_concern_is_default: bool,
    /// `maxTimeMS`; `None` where there is no bound.
    pub max_time: Option<Duration>,
    pub read_preference: ReadPreference,
    /// `$clusterTime.clusterTime`.
    pub cluster_time: Option<Timestamp>,
    /// `helloOk`-era stable API: `apiStrict`.
    pub api_strict: bool,
    pub api_version: Option<String>,
}

/// Names of the fields that [`Envelope::parse`] takes: a typed request must pass over them.
pub const GENERIC_FIELDS: &[&str] = &[
    "$audit",
    "$client",
    "$clusterTime",
    "$configServerState",
    "$configTime",
    "$db",
    "$oplogQueryData",
    "$queryOptions",
    "$readPreference",
    "$replData",
    "$topologyTime",
    "allowImplicitCollectionCreation",
    "apiDeprecationErrors",
    "apiStrict",
    "apiVersion",
    "autocommit",
    "backpressure",
    "clientOperationKey",
    "comment",
    "coordinator",
    "lsid",
    "maxTimeMS",
    "maxTimeMSOpOnly",
    "mayBypassWriteBlocking",
    "rawData",
    "readConcern",
    "startTransaction",
    "txnNumber",
    "writeConcern",
];

impl Envelope {
    /// Reads the generic fields of a command body. Fields of the command itself are left to its typed request.
    ///
    /// # Errors
    /// 40571 without `$db`, `InvalidNamespace` for a bad one, `TypeMismatch` (14) and `BadValue` (2) for wrong values,
    /// `InvalidOptions` (72) for combinations that make no sense.
    pub fn parse(body: &bson::RawDocument) -> Result<Envelope, Fault> {
        let mut envelope = Envelope::default();
        let mut has_db = false;
        for element in body.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("$db", RawBsonRef::String(db)) => {
                    Namespace::check_db(db)?;
                    envelope.db = db.to_owned();
                    has_db = true;
                }
                ("lsid", RawBsonRef::Document(lsid)) => envelope.session = Some(session(lsid)?),
                ("txnNumber", value) => {
                    let number = integer("txnNumber", value)?;
                    if number < 0 {
                        return Err(Fault::new(
                            Code::InvalidOptions,
                            "Transaction number cannot be negative",
                        ));
                    }
                    envelope.txn_number = Some(number);
                }
                ("autocommit", RawBsonRef::Boolean(on)) => envelope.autocommit = Some(on),
                ("startTransaction", RawBsonRef::Boolean(on)) => envelope.start_transaction = on,
                ("readConcern", RawBsonRef::Document(concern)) => {
                    envelope.read_concern = ReadConcern::parse(concern)?;
                }
                ("writeConcern", RawBsonRef::Document(concern)) => {
                    envelope.write_concern = Some(WriteConcern::parse(concern)?);
                    envelope.write_concern_is_default =
                        concern.get_str("provenance").is_ok_and(|source| source == "customDefault");
                }
                ("maxTimeMS", value) => envelope.max_time = max_time(value)?,
                ("$readPreference", RawBsonRef::Document(preference)) => {
                    envelope.read_preference = MemberChoice::parse(preference)?.mode;
                }
                ("$clusterTime", RawBsonRef::Document(time)) => {
                    if let Ok(Some(RawBsonRef::Timestamp(ts))) = time.get("clusterTime") {
                        envelope.cluster_time = Some(ts.into());
                    }
                }
                ("apiVersion", RawBsonRef::String(version)) => {
                    if version != "1" {
                        return Err(Fault::new(Code::APIVersionError, "API version must be \"1\""));
                    }
                    envelope.api_version = Some(version.to_owned());
                }
                ("apiStrict", RawBsonRef::Boolean(on)) => envelope.api_strict = on,
                (
                    name @ ("$db" | "lsid" | "autocommit" | "startTransaction" | "readConcern"
                    | "writeConcern" | "$readPreference" | "$clusterTime" | "apiVersion"
                    | "apiStrict"),
                    _,
                ) => return Err(wrong_type(name)),
                _ => {}
            }
        }
        if !has_db {
            return Err(Fault::new(Code::Location(40571), "OP_MSG requests require a $db argument"));
        }
        if envelope.txn_number.is_some() && envelope.session.is_none() {
            return Err(Fault::new(
                Code::InvalidOptions,
                "Transaction number requires a session ID to also be specified",
            ));
        }
        if envelope.autocommit == Some(true) {
            return Err(Fault::new(Code::InvalidOptions, "Specifying autocommit=true is not allowed."));
        }
        if envelope.autocommit.is_some() && envelope.txn_number.is_none() {
            return Err(Fault::new(
                Code::InvalidOptions,
                "'autocommit' field requires a transaction number to also be specified",
            ));
        }
        Ok(envelope)
    }

    /// Whether the command belongs to a multi-document transaction.
    pub fn in_transaction(&self) -> bool {
        self.autocommit == Some(false)
    }
}

fn session(lsid: &bson::RawDocument) -> Result<SessionId, Fault> {
    let id = lsid.get("id").ok().flatten().ok_or_else(|| {
        Fault::new(Code::Location(40414), "BSON field 'lsid.id' is missing but a required field")
    })?;
    Uuid::from_bson(id).map(SessionId).ok_or_else(|| wrong_type("lsid.id"))
}

fn max_time(value: RawBsonRef<'_>) -> Result<Option<Duration>, Fault> {
    let millis = integer("maxTimeMS", value)?;
    match u64::try_from(millis) {
        Ok(_) if millis > i64::from(i32::MAX) => {
            Err(Fault::bad_value(format!("{millis} value for maxTimeMS is out of range [0, 2147483647]")))
        }
        Ok(0) => Ok(None),
        Ok(millis) => Ok(Some(Duration::from_millis(millis))),
        Err(_) => {
            Err(Fault::bad_value(format!("{millis} value for maxTimeMS is out of range [0, 2147483647]")))
        }
    }
}

fn integer(name: &str, value: RawBsonRef<'_>) -> Result<i64, Fault> {
    match value {
        RawBsonRef::Int32(number) => Ok(i64::from(number)),
        RawBsonRef::Int64(number) => Ok(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e18 => Ok(number as i64),
        _ => Err(wrong_type(name)),
    }
}

fn wrong_type(name: &str) -> Fault {
    Fault::new(Code::TypeMismatch, format!("BSON field '{name}' is the wrong type"))
}

//! `settings` of a configuration: times, chaining and the modes of write concern.
//! Every value has its default here; times are kept in the unit their name says.

use bson::{Bson, Document, doc};
use std::collections::BTreeMap;
use types::{Code, Fault};

/// Longest time a setting may name: a day.
const MILLIS_MAX: i64 = 24 * 3600 * 1000;

/// `settings`, with defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether a secondary may pull from another secondary.
    pub chaining_allowed: bool,
    pub heartbeat_interval_millis: u64,
    pub heartbeat_timeout_seconds: u64,
    /// Outer bound of detection, and how long a primary goes on without a majority.
    pub election_timeout_millis: u64,
    /// How long a new primary catches up before it takes writes; `None` (shown as -1) until it has.
    pub catch_up_timeout_millis: Option<u64>,
    /// How long a fresher secondary waits before it takes over from a primary that is catching up; `None` (shown as -1) for ever.
    pub catch_up_takeover_delay_millis: Option<u64>,
    /// Silence of the primary after which a dry run is asked for; `None` (shown as 0) leaves it to the election timeout.
    pub failure_detection_millis: Option<u64>,
    /// Write concern modes: name, then for each tag how many different values must have the write.
    pub modes: BTreeMap<String, BTreeMap<String, u32>>,
    /// `getLastErrorDefaults`, as given.
    pub defaults: Document,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            chaining_allowed: true,
            heartbeat_interval_millis: 2000,
            heartbeat_timeout_seconds: 10,
            election_timeout_millis: 10_000,
            catch_up_timeout_millis: None,
            catch_up_takeover_delay_millis: Some(30_000),
            failure_detection_millis: Some(1000),
            modes: BTreeMap::new(),
            defaults: doc! { "w": 1, "wtimeout": 0 },
        }
    }
}

impl Settings {
    /// Takes one field; `false` where there is none of that name.
    ///
    /// # Errors
    /// `InvalidReplicaSetConfig` (93) for a value that does not fit.
    pub(super) fn set(&mut self, name: &str, value: Bson) -> Result<bool, Fault> {
        match name {
            "chainingAllowed" => match value {
                Bson::Boolean(on) => self.chaining_allowed = on,
                _ => return Err(invalid(name, "must be true or false")),
            },
            "heartbeatIntervalMillis" => self.heartbeat_interval_millis = positive(name, &value)?,
            "heartbeatTimeoutSecs" => self.heartbeat_timeout_seconds = positive(name, &value)?,
            "electionTimeoutMillis" => self.election_timeout_millis = positive(name, &value)?,
            "catchUpTimeoutMillis" => self.catch_up_timeout_millis = or_never(name, &value)?,
            "catchUpTakeoverDelayMillis" => self.catch_up_takeover_delay_millis = or_never(name, &value)?,
            "failureDetectionMillis" => {
                self.failure_detection_millis = match integer(name, &value)? {
                    0 => None,
                    _ => Some(positive(name, &value)?),
                };
            }
            "getLastErrorModes" => self.modes = modes(name, value)?,
            "getLastErrorDefaults" => match value {
                Bson::Document(defaults) => self.defaults = defaults,
                _ => return Err(invalid(name, "must be a document")),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// As shown.
    pub(super) fn to_document(&self) -> Document {
        let number = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
        let or_never = |value: Option<u64>| value.map_or(-1, number);
        let modes: Document = self
            .modes
            .iter()
            .map(|(mode, tags)| {
                let tags: Document =
                    tags.iter().map(|(tag, count)| (tag.clone(), Bson::Int64(i64::from(*count)))).collect();
                (mode.clone(), Bson::Document(tags))
            })
            .collect();
        doc! {
            "chainingAllowed": self.chaining_allowed,
            "heartbeatIntervalMillis": number(self.heartbeat_interval_millis),
            "heartbeatTimeoutSecs": number(self.heartbeat_timeout_seconds),
            "electionTimeoutMillis": number(self.election_timeout_millis),
            "catchUpTimeoutMillis": or_never(self.catch_up_timeout_millis),
            "catchUpTakeoverDelayMillis": or_never(self.catch_up_takeover_delay_millis),
            "failureDetectionMillis": self.failure_detection_millis.map_or(0, number),
            "getLastErrorModes": modes,
            "getLastErrorDefaults": self.defaults.clone(),
        }
    }
}

fn invalid(name: &str, what: &str) -> Fault {
    Fault::new(Code::InvalidReplicaSetConfig, format!("settings.{name} {what}"))
}

fn integer(name: &str, value: &Bson) -> Result<i64, Fault> {
    match *value {
        Bson::Int32(number) => Ok(i64::from(number)),
        Bson::Int64(number) => Ok(number),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() <= MILLIS_MAX as f64 => {
            Ok(number as i64)
        }
        _ => Err(invalid(name, "must be a whole number")),
    }
}

fn positive(name: &str, value: &Bson) -> Result<u64, Fault> {
    let number = integer(name, value)?;
    u64::try_from(number)
        .ok()
        .filter(|_| (1..=MILLIS_MAX).contains(&number))
        .ok_or_else(|| invalid(name, &format!("must be between 1 and {MILLIS_MAX}")))
}

/// -1 is "never".
fn or_never(name: &str, value: &Bson) -> Result<Option<u64>, Fault> {
    let number = integer(name, value)?;
    match number {
        -1 => Ok(None),
        0..=MILLIS_MAX => Ok(u64::try_from(number).ok()),
        _ => Err(invalid(name, &format!("must be between -1 and {MILLIS_MAX}"))),
    }
}

fn modes(name: &str, value: Bson) -> Result<BTreeMap<String, BTreeMap<String, u32>>, Fault> {
    let wrong = || invalid(name, "must be documents of tags and positive counts");
    let Bson::Document(modes) = value else { return Err(wrong()) };
    let mut parsed = BTreeMap::new();
    for (mode, tags) in modes {
        if mode == "majority" {
            return Err(invalid(name, "must not name a mode majority"));
        }
        let Bson::Document(tags) = tags else { return Err(wrong()) };
        let mut counts = BTreeMap::new();
        for (tag, count) in tags {
            let count =
                u32::try_from(integer(name, &count)?).ok().filter(|count| *count > 0).ok_or_else(wrong)?;
            counts.insert(tag, count);
        }
        parsed.insert(mode, counts);
    }
    Ok(parsed)
}

//! `config.settings`: `{_id: "chunksize", value}`, `{_id: "balancer", mode, stopped, activeWindow}`, `{_id: "automerge", enabled}`.
//! Users write these by hand through mongos, so bad values are met with an error that says what is wrong.

use super::fields::{Fields, document, flag, integer, text};
use crate::Error;
use bson::{Bson, Document, doc};

/// Chunk size of a cluster that sets none.
pub const CHUNK_SIZE_MEGABYTES_DEFAULT: u64 = 128;
const CHUNK_SIZE_MEGABYTES_MAX: i64 = 1024;
const MEBIBYTE: u64 = 1 << 20;
const MINUTES_OF_DAY: u32 = 24 * 60;

/// The chunk size that the setting `chunksize` gives, or the default if there is no such document.
///
/// # Errors
/// [`Error::BadDocument`] for a value that is not 1 to 1024 MB.
pub fn chunk_size_bytes(setting: Option<&Document>) -> Result<u64, Error> {
    let Some(setting) = setting else { return Ok(CHUNK_SIZE_MEGABYTES_DEFAULT * MEBIBYTE) };
    let fields = Fields { collection: "settings", document: setting };
    let megabytes = fields.required("value", integer)?;
    if !(1..=CHUNK_SIZE_MEGABYTES_MAX).contains(&megabytes) {
        return Err(fields.bad(format!("chunk size must be 1 to {CHUNK_SIZE_MEGABYTES_MAX} MB")));
    }
    Ok(megabytes.unsigned_abs() * MEBIBYTE)
}

/// Whether the balancer may run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BalancerMode {
    #[default]
    Full,
    Off,
}

/// A time of day, in minutes, within which the balancer may run; it may span midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveWindow {
    pub start_minute: u32,
    pub stop_minute: u32,
}

impl ActiveWindow {
    /// Whether a minute of the day lies within.
    pub fn contains(&self, minute: u32) -> bool {
        if self.start_minute <= self.stop_minute {
            (self.start_minute..=self.stop_minute).contains(&minute)
        } else {
            minute >= self.start_minute || minute <= self.stop_minute
        }
    }
}

/// The setting `balancer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BalancerSettings {
    pub mode: BalancerMode,
    pub active_window: Option<ActiveWindow>,
    /// Migrations wait for the range to be deleted before the next one begins.
    pub wait_for_delete: bool,
    /// Replication that a migration waits for; kept as users wrote it.
    pub secondary_throttle: Option<Bson>,
    pub attempt_to_balance_jumbo_chunks: bool,
}

impl BalancerSettings {
    /// Reads the document `balancer`, or the defaults if there is none.
    ///
    /// # Errors
    /// [`Error::BadDocument`] for a mode or window that cannot be read.
    pub fn from_document(setting: Option<&Document>) -> Result<BalancerSettings, Error> {
        let Some(setting) = setting else { return Ok(BalancerSettings::default()) };
        let fields = Fields { collection: "settings", document: setting };
        let mode = match fields.optional("mode", text)? {
            Some("full") | None => BalancerMode::Full,
            // Without automatic splits on routers there is nothing left that this mode would do.
            Some("off" | "autoSplitOnly") => BalancerMode::Off,
            Some(other) => return Err(fields.bad(format!("unknown mode '{other}'"))),
        };
        // Either field stops it: older shells write only `stopped`.
        let mode = if fields.flag("stopped", false)? { BalancerMode::Off } else { mode };
        let active_window = match fields.optional("activeWindow", document)? {
            None => None,
            Some(window) => {
                let window = Fields { collection: "settings", document: window };
                let read = |name: &str| {
                    let written = window.required(name, text)?;
                    minute_of_day(written).ok_or_else(|| {
                        window.bad(format!("activeWindow.{name} '{written}' is not a time HH:MM"))
                    })
                };
                let window = ActiveWindow { start_minute: read("start")?, stop_minute: read("stop")? };
                if window.start_minute == window.stop_minute {
                    return Err(fields.bad("activeWindow must not start when it stops"));
                }
                Some(window)
            }
        };
        Ok(BalancerSettings {
            mode,
            active_window,
            wait_for_delete: fields.optional("_waitForDelete", flag)?.unwrap_or(false),
            secondary_throttle: setting.get("_secondaryThrottle").cloned(),
            attempt_to_balance_jumbo_chunks: fields.flag("attemptToBalanceJumboChunks", false)?,
        })
    }

    /// The fields that `balancerStart` and `balancerStop` set.
    pub fn mode_fields(mode: BalancerMode) -> Document {
        match mode {
            BalancerMode::Full => doc! {"mode": "full", "stopped": false},
            BalancerMode::Off => doc! {"mode": "off", "stopped": true},
        }
    }
}

fn minute_of_day(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60).then_some(hours * 60 + minutes).filter(|minute| *minute < MINUTES_OF_DAY)
}

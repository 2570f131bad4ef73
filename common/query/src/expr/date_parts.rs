//! Time zones and the calendar: milliseconds since 1970 to local parts and back. Never panics: what lies beyond
//! the calendar's years is an error.

use super::Value;
use super::array::fail;
use super::value::{is_nullish, type_name};
use bson::Bson;
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use types::{Code, Fault};

/// A year within the range of `chrono`, so that adding any offset stays within it.
const MILLIS_MAX: i64 = 8_200_000_000_000_000;

/// A named zone or a fixed offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Zone {
    Fixed(FixedOffset),
    Named(Tz),
}

impl Zone {
    pub(super) const UTC: Zone = Zone::Named(Tz::UTC);

    /// Reads an Olson name or `±hh[:mm]`.
    pub(super) fn parse(text: &str) -> Result<Zone, Fault> {
        match fixed(text) {
            Some(offset) => Ok(Zone::Fixed(offset)),
            None if text == "Z" => Ok(Zone::UTC),
            None => text
                .parse()
                .map(Zone::Named)
                .or_else(|_| fail(40485, format!("unrecognized time zone identifier: \"{text}\""))),
        }
    }

    /// The zone of a `timezone` operand; `None` for null.
    pub(super) fn from_value(value: &Value, given: bool) -> Result<Option<Zone>, Fault> {
        match value {
            _ if !given => Ok(Some(Zone::UTC)),
            Some(Bson::String(text)) => Zone::parse(text).map(Some),
            other if is_nullish(other) => Ok(None),
            other => fail(40517, format!("timezone must evaluate to a string, found {}", type_name(other))),
        }
    }

    /// Seconds that local time is ahead of UTC.
    pub(super) fn offset(self, millis: i64) -> Result<i32, Fault> {
        let at = utc(millis)?.naive_utc();
        Ok(match self {
            Zone::Fixed(offset) => offset.local_minus_utc(),
            Zone::Named(zone) => zone.offset_from_utc_datetime(&at).fix().local_minus_utc(),
        })
    }

    pub(super) fn is_utc(self) -> bool {
        match self {
            Zone::Fixed(offset) => offset.local_minus_utc() == 0,
            Zone::Named(zone) => matches!(zone, Tz::UTC | Tz::GMT | Tz::Etc__UTC | Tz::Etc__GMT),
        }
    }
}

fn fixed(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "0"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    if !(hours.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

fn utc(millis: i64) -> Result<DateTime<Utc>, Fault> {
    match DateTime::from_timestamp_millis(millis) {
        Some(at) if (-MILLIS_MAX..=MILLIS_MAX).contains(&millis) => Ok(at),
        _ => fail(
            Code::Overflow.number(),
            format!("date {millis} is beyond the years that date expressions can handle"),
        ),
    }
}

/// The wall clock at an instant.
pub(super) fn local(millis: i64, zone: Zone) -> Result<NaiveDateTime, Fault> {
    let offset = TimeDelta::seconds(i64::from(zone.offset(millis)?));
    match utc(millis)?.naive_utc().checked_add_signed(offset) {
        Some(local) => Ok(local),
        None => fail(Code::Overflow.number(), "date overflow"),
    }
}

/// The instant at which the wall clock shows `local`: the first if there are two; if there is none, as if the
/// clock had not yet been put forward.
pub(super) fn instant(local: NaiveDateTime, zone: Zone) -> Result<i64, Fault> {
    let shown = local.and_utc().timestamp_millis();
    utc(shown)?;
    Ok(match zone {
        Zone::Fixed(offset) => shown - i64::from(offset.local_minus_utc()) * 1000,
        Zone::Named(tz) => match tz.offset_from_local_datetime(&local).earliest() {
            Some(offset) => shown - i64::from(offset.fix().local_minus_utc()) * 1000,
            None => shown - i64::from(zone.offset(shown - 24 * 3_600_000)?) * 1000,
        },
    })
}

/// A date and time of day with parts beyond their usual range, such as month 14 or hour -3.
pub(super) fn from_parts(
    date: NaiveDate,
    months: i64,
    days: i64,
    millis: i64,
) -> Result<NaiveDateTime, Fault> {
    let overflow = || Fault::new(Code::Overflow, "date overflow");
    let date = add_months(date, months).ok_or_else(overflow)?;
    let days = TimeDelta::try_days(days).ok_or_else(overflow)?;
    let millis = TimeDelta::try_milliseconds(millis).ok_or_else(overflow)?;
    let midnight = date.checked_add_signed(days).ok_or_else(overflow)?.and_time(chrono::NaiveTime::MIN);
    midnight.checked_add_signed(millis).ok_or_else(overflow)
}

/// The same day some months later, or the last day of that month.
pub(super) fn add_months(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    match u32::try_from(months.unsigned_abs()).ok().map(chrono::Months::new)? {
        months_ if months < 0 => date.checked_sub_months(months_),
        months_ => date.checked_add_months(months_),
    }
}

//! Dates as text: `$dateToString` and `$dateFromString` with their format specifiers, and ISO text without a format.

use super::Value;
use super::array::fail;
use super::date::{from_millis, millis, week};
use super::date_parts::{Zone, instant, local};
use super::operator::{Named, Param, optional, required};
use super::value::{is_nullish, type_name};
use bson::Bson;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike, Weekday};
use std::fmt::Write;
use types::{Code, Fault};

pub(super) const TO_STRING: &[Param] =
    &[required("date"), optional("format"), optional("timezone"), optional("onNull")];
pub(super) const FROM_STRING: &[Param] = &[
    required("dateString"),
    optional("format"),
    optional("timezone"),
    optional("onError"),
    optional("onNull"),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `2020-01-02T03:04:05.678Z`.
pub(super) fn iso(millis: i64) -> Result<String, Fault> {
    format(millis, Zone::UTC, "%Y-%m-%dT%H:%M:%S.%LZ")
}

pub(super) fn to_string(named: &Named<'_>) -> Result<Value, Fault> {
    let on_null = || Ok(if named.given(3) { named.get(3).clone() } else { Some(Bson::Null) });
    let Some(zone) = Zone::from_value(named.get(2), named.given(2))? else { return on_null() };
    let pattern = match named.get(1) {
        _ if !named.given(1) => match zone.is_utc() {
            true => "%Y-%m-%dT%H:%M:%S.%LZ",
            false => "%Y-%m-%dT%H:%M:%S.%L",
        },
        Some(Bson::String(pattern)) => pattern,
        other if is_nullish(other) => return on_null(),
        other => {
            return fail(
                18533,
                format!("$dateToString requires that 'format' be a string, found: {}", type_name(other)),
            );
        }
    };
    if is_nullish(named.get(0)) {
        return on_null();
    }
    format(millis(named.get(0))?, zone, pattern).map(|text| Some(Bson::String(text)))
}

fn format(millis: i64, zone: Zone, pattern: &str) -> Result<String, Fault> {
    let at = local(millis, zone)?;
    let offset = zone.offset(millis)? / 60;
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(specifier) = chars.next() else {
            return fail(18535, "Unmatched '%' at end of format string");
        };
        specify(&mut out, specifier, &at, offset)?;
    }
    Ok(out)
}

fn specify(out: &mut String, specifier: char, at: &NaiveDateTime, offset: i32) -> Result<(), Fault> {
    let year = |year: i32| match year {
        0..=9999 => Ok(format!("{year:04}")),
        _ => fail(18537, format!("$dateToString is only defined on year 0-9999, tried to use year {year}")),
    };
    let month =
        || usize::try_from(at.month0()).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    let sign = if offset < 0 { '-' } else { '+' };
    let written = match specifier {
        '%' => write!(out, "%"),
        'b' => write!(out, "{}", month().get(..3).unwrap_or_default()),
        'B' => write!(out, "{}", month()),
        'd' => write!(out, "{:02}", at.day()),
        'G' => write!(out, "{}", year(at.iso_week().year())?),
        'H' => write!(out, "{:02}", at.hour()),
        'j' => write!(out, "{:03}", at.ordinal()),
        'L' => write!(out, "{:03}", at.nanosecond() / 1_000_000),
        'm' => write!(out, "{:02}", at.month()),
        'M' => write!(out, "{:02}", at.minute()),
        'S' => write!(out, "{:02}", at.second()),
        'u' => write!(out, "{}", at.weekday().number_from_monday()),
        'U' => write!(out, "{:02}", week(at)),
        'V' => write!(out, "{:02}", at.iso_week().week()),
        'w' => write!(out, "{}", at.weekday().number_from_sunday()),
        'Y' => write!(out, "{}", year(at.year())?),
        'z' => write!(out, "{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60),
        'Z' => write!(out, "{sign}{:03}", offset.abs()),
        other => return fail(18536, format!("Invalid format character '%{other}' in format string")),
    };
    written.map_err(|_| Fault::internal("writing to a string failed"))
}

pub(super) fn from_string(named: &Named<'_>) -> Result<Value, Fault> {
    let text = match named.get(0) {
        Some(Bson::String(text)) => text,
        other if is_nullish(other) => {
            return Ok(if named.given(4) { named.get(4).clone() } else { Some(Bson::Null) });
        }
        other => {
            return on_error(
                named,
                failure(&format!(
                    "$dateFromString requires that 'dateString' be a string, found: {}",
                    type_name(other)
                )),
            );
        }
    };
    let Some(zone) = Zone::from_value(named.get(2), named.given(2))? else { return Ok(Some(Bson::Null)) };
    let zone = named.given(2).then_some(zone);
    let parsed = match named.get(1) {
        _ if !named.given(1) => parse_default(text, zone),
        Some(Bson::String(pattern)) => parse_format(text, pattern, zone),
        other if is_nullish(other) => return Ok(Some(Bson::Null)),
        other => {
            return fail(
                40684,
                format!("$dateFromString requires that 'format' be a string, found: {}", type_name(other)),
            );
        }
    };
    match parsed {
        Ok(millis) => Ok(Some(from_millis(millis))),
        Err(fault) => on_error(named, fault),
    }
}

fn on_error(named: &Named<'_>, fault: Fault) -> Result<Value, Fault> {
    match named.given(3) && fault.code == Code::ConversionFailure {
        true => Ok(named.get(3).clone()),
        false => Err(fault),
    }
}

fn failure(reason: &str) -> Fault {
    Fault::new(Code::ConversionFailure, reason)
}

/// Reads text as far as it goes.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn fault(&self) -> Fault {
        failure(&format!("Error parsing date string '{}'; unexpected text at '{}'", self.text, self.rest))
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A number of `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Result<u32, Fault> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return Err(self.fault());
        }
        let (digits, rest) = self.rest.split_at(count);
        let number = digits.parse().map_err(|_| self.fault())?;
        self.rest = rest;
        Ok(number)
    }

    /// Milliseconds: one to three digits of a fraction, more are dropped.
    fn fraction(&mut self) -> Result<u32, Fault> {
        let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Err(self.fault());
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let padded: String = digits.chars().chain("00".chars()).take(3).collect();
        padded.parse().map_err(|_| self.fault())
    }

    /// The rest of a word, for zones.
    fn word(&mut self) -> &str {
        let end = self.rest.find(|c: char| c.is_whitespace()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn zone(&mut self) -> Result<Zone, Fault> {
        let word = self.word().to_owned();
        Zone::parse(&word).map_err(|_| self.fault())
    }
}

/// What was read of a date.
#[derive(Default)]
struct Parts {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    iso_year: Option<u32>,
    iso_week: Option<u32>,
    iso_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    milli: u32,
    zone: Option<Zone>,
}

impl Parts {
    fn millis(&self, reader: &Reader<'_>, zone: Option<Zone>) -> Result<i64, Fault> {
        let signed = |year: u32| i32::try_from(year).map_err(|_| reader.fault());
        let date = match (self.year, self.iso_year) {
            (Some(year), None) => match self.ordinal {
                Some(ordinal) => NaiveDate::from_yo_opt(signed(year)?, ordinal),
                None => {
                    NaiveDate::from_ymd_opt(signed(year)?, self.month.unwrap_or(1), self.day.unwrap_or(1))
                }
            },
            (None, Some(year)) => {
                let day = self.iso_day.unwrap_or(1).checked_sub(1).and_then(|day| u8::try_from(day).ok());
                let day = day.and_then(|day| Weekday::try_from(day).ok());
                let year = signed(year)?;
                day.and_then(|day| NaiveDate::from_isoywd_opt(year, self.iso_week.unwrap_or(1), day))
            }
            _ => None,
        };
        let at = date
            .and_then(|date| date.and_hms_milli_opt(self.hour, self.minute, self.second, self.milli))
            .ok_or_else(|| failure(&format!("Error parsing date string '{}'; no such date", reader.text)))?;
        match (self.zone, zone) {
            (Some(_), Some(_)) => Err(failure(&format!(
                "you cannot pass in a date/time string with time zone information ('{}') together with a timezone argument",
                reader.text
            ))),
            (own, given) => instant(at, own.or(given).unwrap_or(Zone::UTC)),
        }
    }
}

/// Reads ISO text: `2020-01-02[T03:04[:05[.678]]][zone]`.
pub(super) fn parse_default(text: &str, zone: Option<Zone>) -> Result<i64, Fault> {
    let mut reader = Reader { text, rest: text.trim() };
    let mut parts = Parts { year: Some(reader.digits(4, 4)?), ..Parts::default() };
    let dashes = reader.eat('-');
    parts.month = Some(reader.digits(if dashes { 1 } else { 2 }, 2)?);
    if dashes && !reader.eat('-') {
        return Err(reader.fault());
    }
    parts.day = Some(reader.digits(if dashes { 1 } else { 2 }, 2)?);
    let clock = reader.eat('T') || reader.eat('t') || {
        let spaced = reader.rest.trim_start();
        let is_clock = spaced.len() < reader.rest.len() && spaced.starts_with(|c: char| c.is_ascii_digit());
        if is_clock {
            reader.rest = spaced;
        }
        is_clock
    };
    if clock {
        parts.hour = reader.digits(1, 2)?;
        let colons = reader.eat(':');
        parts.minute = reader.digits(2, 2)?;
        if (colons && reader.eat(':')) || (!colons && reader.rest.starts_with(|c: char| c.is_ascii_digit())) {
            parts.second = reader.digits(2, 2)?;
            if reader.eat('.') || reader.eat(',') {
                parts.milli = reader.fraction()?;
            }
        }
    }
    reader.rest = reader.rest.trim_start();
    if !reader.rest.is_empty() {
        parts.zone = Some(reader.zone()?);
    }
    if !reader.rest.is_empty() {
        return Err(reader.fault());
    }
    parts.millis(&reader, zone)
}

fn parse_format(text: &str, pattern: &str, zone: Option<Zone>) -> Result<i64, Fault> {
    let mut reader = Reader { text, rest: text };
    let mut parts = Parts::default();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            if !reader.eat(c) {
                return Err(reader.fault());
            }
            continue;
        }
        let Some(specifier) = chars.next() else {
            return fail(18535, "Unmatched '%' at end of format string");
        };
        match specifier {
            '%' if reader.eat('%') => {}
            '%' => return Err(reader.fault()),
            'b' | 'B' => parts.month = Some(month(&mut reader, specifier == 'b')?),
            'd' => parts.day = Some(reader.digits(1, 2)?),
            'G' => parts.iso_year = Some(reader.digits(4, 4)?),
            'H' => parts.hour = reader.digits(1, 2)?,
            'j' => parts.ordinal = Some(reader.digits(1, 3)?),
            'L' => parts.milli = reader.digits(1, 3)?,
            'm' => parts.month = Some(reader.digits(1, 2)?),
            'M' => parts.minute = reader.digits(1, 2)?,
            'S' => parts.second = reader.digits(1, 2)?,
            'u' => parts.iso_day = Some(reader.digits(1, 1)?),
            'V' => parts.iso_week = Some(reader.digits(1, 2)?),
            'Y' => parts.year = Some(reader.digits(4, 4)?),
            'z' => parts.zone = Some(reader.zone()?),
            'Z' => {
                let negative = reader.eat('-');
                if !negative && !reader.eat('+') {
                    return Err(reader.fault());
                }
                let minutes = i32::try_from(reader.digits(3, 3)?).map_err(|_| reader.fault())?;
                let seconds = if negative { -minutes * 60 } else { minutes * 60 };
                parts.zone = chrono::FixedOffset::east_opt(seconds).map(Zone::Fixed);
            }
            other => return fail(18536, format!("Invalid format character '%{other}' in format string")),
        }
    }
    if !reader.rest.is_empty() {
        return Err(reader.fault());
    }
    parts.millis(&reader, zone)
}

fn month(reader: &mut Reader<'_>, short: bool) -> Result<u32, Fault> {
    for (number, name) in (1..).zip(MONTHS) {
        let wanted = if short { name.get(..3).unwrap_or(name) } else { name };
        if let Some((head, rest)) = reader.rest.split_at_checked(wanted.len())
            && head.eq_ignore_ascii_case(wanted)
        {
            reader.rest = rest;
            return Ok(number);
        }
    }
    Err(reader.fault())
}

//! `$dateAdd`, `$dateSubtract`, `$dateDiff`, `$dateTrunc`: by the calendar of a time zone.

use super::Value;
use super::array::fail;
use super::date::{from_millis, millis};
use super::date_parts::{Zone, add_months, instant, local};
use super::operator::{Named, Param, optional, required};
use super::value::{is_nullish, number, render, type_name};
use bson::Bson;
use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta};
use types::{Code, Fault};
use value::number::Number;

pub(super) const ADD: &[Param] =
    &[required("startDate"), required("unit"), required("amount"), optional("timezone")];
pub(super) const DIFF: &[Param] = &[
    required("startDate"),
    required("endDate"),
    required("unit"),
    optional("timezone"),
    optional("startOfWeek"),
];
pub(super) const TRUNC: &[Param] =
    &[required("date"), required("unit"), optional("binSize"), optional("timezone"), optional("startOfWeek")];

const NULL: Value = Some(Bson::Null);

/// A unit as months, days or milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Months(i64),
    Days(i64),
    Millis(i64),
}

fn unit(name: &str, value: &Value) -> Result<Unit, Fault> {
    let Some(Bson::String(text)) = value else {
        return fail(5439013, format!("{name} requires 'unit' to be a string, but got {}", type_name(value)));
    };
    Ok(match text.as_str() {
        "year" => Unit::Months(12),
        "quarter" => Unit::Months(3),
        "month" => Unit::Months(1),
        "week" => Unit::Days(7),
        "day" => Unit::Days(1),
        "hour" => Unit::Millis(3_600_000),
        "minute" => Unit::Millis(60_000),
        "second" => Unit::Millis(1000),
        "millisecond" => Unit::Millis(1),
        other => {
            return fail(
                Code::FailedToParse.number(),
                format!("{name} parameter 'unit' value cannot be recognized as a time unit: {other}"),
            );
        }
    })
}

fn overflow(name: &str) -> Fault {
    Fault::new(Code::Location(5166406), format!("{name} overflowed"))
}

pub(super) fn add(named: &Named<'_>, sign: i64) -> Result<Value, Fault> {
    let name = if sign > 0 { "$dateAdd" } else { "$dateSubtract" };
    let (start, unit_, amount) = (named.get(0), named.get(1), named.get(2));
    let zone = Zone::from_value(named.get(3), named.given(3))?;
    let Some(zone) = zone.filter(|_| !is_nullish(start) && !is_nullish(unit_) && !is_nullish(amount)) else {
        return Ok(NULL);
    };
    let unit_ = unit(name, unit_)?;
    let Some(amount_) = amount.as_ref().and_then(number).and_then(Number::to_i64_exact) else {
        return fail(
            5166405,
            format!("{name} expects integer amount of time units, found {}", render(amount)),
        );
    };
    let start = millis(start)?;
    let scaled = |size: i64| amount_.checked_mul(size)?.checked_mul(sign);
    let moved = match unit_ {
        Unit::Millis(size) => scaled(size).and_then(|by| start.checked_add(by)),
        Unit::Days(size) => {
            let at = local(start, zone)?;
            let by = scaled(size).and_then(TimeDelta::try_days);
            by.and_then(|by| at.checked_add_signed(by)).map(|at| instant(at, zone)).transpose()?
        }
        Unit::Months(size) => {
            let at = local(start, zone)?;
            let date = scaled(size).and_then(|by| add_months(at.date(), by));
            date.map(|date| instant(date.and_time(at.time()), zone)).transpose()?
        }
    };
    moved.map(|millis| Some(from_millis(millis))).ok_or_else(|| overflow(name))
}

/// The first day of weeks, as days after Monday.
fn start_of_week(value: &Value, given: bool) -> Result<Option<i64>, Fault> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    match value {
        _ if !given => Ok(Some(6)),
        Some(Bson::String(text)) => {
            let text = text.to_ascii_lowercase();
            let found =
                days.iter().position(|day| *day == text || (text.len() == 3 && day.starts_with(&text)));
            match found.and_then(|day| i64::try_from(day).ok()) {
                Some(day) => Ok(Some(day)),
                None => fail(
                    Code::FailedToParse.number(),
                    format!("parameter 'startOfWeek' value cannot be recognized as a day of a week: {text}"),
                ),
            }
        }
        other if is_nullish(other) => Ok(None),
        other => {
            fail(5439015, format!("parameter 'startOfWeek' must be a string, but is {}", type_name(other)))
        }
    }
}

/// Days since Monday, 0001-01-01.
fn day_number(at: &NaiveDateTime) -> i64 {
    i64::from(at.num_days_from_ce()) - 1
}

fn month_number(at: &NaiveDateTime) -> i64 {
    i64::from(at.year()) * 12 + i64::from(at.month0())
}

pub(super) fn diff(named: &Named<'_>) -> Result<Value, Fault> {
    let (start, end, unit_) = (named.get(0), named.get(1), named.get(2));
    let zone = Zone::from_value(named.get(3), named.given(3))?;
    let week = start_of_week(named.get(4), named.given(4))?;
    let (Some(zone), Some(week), false) =
        (zone, week, is_nullish(start) || is_nullish(end) || is_nullish(unit_))
    else {
        return Ok(NULL);
    };
    let unit_ = unit("$dateDiff", unit_)?;
    let (start, end) = (millis(start)?, millis(end)?);
    let (from, to) = (local(start, zone)?, local(end, zone)?);
    // Counts the borders between the two, as a calendar shows them.
    let crossed = match unit_ {
        Unit::Months(size) => month_number(&to).div_euclid(size) - month_number(&from).div_euclid(size),
        Unit::Days(1) => day_number(&to) - day_number(&from),
        Unit::Days(size) => {
            (day_number(&to) - week).div_euclid(size) - (day_number(&from) - week).div_euclid(size)
        }
        Unit::Millis(size) => {
            // Offsets of less than an hour move the borders.
            let shift = |at: i64| -> Result<i64, Fault> { Ok(at + i64::from(zone.offset(at)?) * 1000) };
            let (left, right) = if size >= 60_000 { (shift(start)?, shift(end)?) } else { (start, end) };
            let whole = right.div_euclid(size) - left.div_euclid(size);
            if size == 3_600_000 {
                // Elapsed hours, not those that the clock was put forward or back.
                let change = (right - left) - (end - start);
                whole - change.div_euclid(size)
            } else if size == 60_000 {
                whole - ((right - left) - (end - start)).div_euclid(size)
            } else {
                whole
            }
        }
    };
    Ok(Some(Bson::Int64(crossed)))
}

pub(super) fn trunc(named: &Named<'_>) -> Result<Value, Fault> {
    let (date, unit_, bin) = (named.get(0), named.get(1), named.get(2));
    let zone = Zone::from_value(named.get(3), named.given(3))?;
    let week = start_of_week(named.get(4), named.given(4))?;
    let null = is_nullish(date) || is_nullish(unit_) || (named.given(2) && is_nullish(bin));
    let (Some(zone), Some(week), false) = (zone, week, null) else { return Ok(NULL) };
    let unit_ = unit("$dateTrunc", unit_)?;
    let size = if named.given(2) {
        match bin.as_ref().and_then(number).and_then(Number::to_i64_exact) {
            Some(size) if size > 0 => size,
            Some(_) => return fail(5439018, "$dateTrunc requires 'binSize' to be greater than 0"),
            None => {
                return fail(
                    5439017,
                    format!("$dateTrunc requires 'binSize' to be a 64-bit integer, but got {}", render(bin)),
                );
            }
        }
    } else {
        1
    };
    let at = millis(date)?;
    let wall = local(at, zone)?;
    // Bins are counted from the first of January 2000; weeks from the first such day of that year.
    const EPOCH_YEAR: i64 = 2000;
    const EPOCH_DAY: i64 = 730_119;
    let bins = |unit: i64| size.checked_mul(unit).ok_or_else(|| overflow("$dateTrunc"));
    let start = match unit_ {
        Unit::Months(unit) => {
            let bin = bins(unit)?;
            let months = (month_number(&wall) - EPOCH_YEAR * 12).div_euclid(bin).checked_mul(bin);
            let first = NaiveDate::from_ymd_opt(2000, 1, 1);
            let date = first.zip(months).and_then(|(first, months)| add_months(first, months));
            date.map(|date| date.and_time(chrono::NaiveTime::MIN))
        }
        Unit::Days(unit) => {
            let bin = bins(unit)?;
            let reference = if unit == 7 { EPOCH_DAY + (week - EPOCH_DAY).rem_euclid(7) } else { EPOCH_DAY };
            let days = (day_number(&wall) - reference)
                .div_euclid(bin)
                .checked_mul(bin)
                .and_then(|days| days.checked_add(reference));
            days.and_then(|days| i32::try_from(days + 1).ok())
                .and_then(NaiveDate::from_num_days_from_ce_opt)
                .map(|date| date.and_time(chrono::NaiveTime::MIN))
        }
        Unit::Millis(unit) => {
            let bin = bins(unit)?;
            const EPOCH_MILLIS: i64 = 946_684_800_000;
            let shift = i64::from(zone.offset(at)?) * 1000;
            let whole = (at + shift - EPOCH_MILLIS).div_euclid(bin).checked_mul(bin);
            let millis = whole.and_then(|whole| whole.checked_add(EPOCH_MILLIS)?.checked_sub(shift));
            return millis.map(|millis| Some(from_millis(millis))).ok_or_else(|| overflow("$dateTrunc"));
        }
    };
    match start {
        Some(start) => instant(start, zone).map(|millis| Some(from_millis(millis))),
        None => Err(overflow("$dateTrunc")),
    }
}

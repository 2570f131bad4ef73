//! Dates: parts of them, dates from parts, text from dates and back; arithmetic is in [`super::date_math`].

use super::array::fail;
use super::date_parts::{Zone, from_parts, instant, local};
use super::operator::{Arity, Named, Operator, Param, Shape, optional, required};
use super::value::{is_nullish, number, render, type_name};
use super::{Value, date_format, date_math};
use bson::{Bson, DateTime, doc};
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike, Weekday};
use types::{Code, Fault};
use value::number::Number;

const DATE: &[Param] = &[required("date"), optional("timezone")];
const FROM_PARTS: &[Param] = &[
    optional("year"),
    optional("month"),
    optional("day"),
    optional("hour"),
    optional("minute"),
    optional("second"),
    optional("millisecond"),
    optional("timezone"),
    optional("isoWeekYear"),
    optional("isoWeek"),
    optional("isoDayOfWeek"),
];

const fn part(name: &'static str, function: fn(&Named<'_>) -> Result<Value, Fault>) -> Operator {
    Operator { name, shape: Shape::BareOrNamed(DATE, function) }
}

pub(super) const OPERATORS: &[Operator] = &[
    Operator { name: "$dateAdd", shape: Shape::Named(date_math::ADD, |named| date_math::add(named, 1)) },
    Operator { name: "$dateDiff", shape: Shape::Named(date_math::DIFF, date_math::diff) },
    Operator { name: "$dateFromParts", shape: Shape::Named(FROM_PARTS, date_from_parts) },
    Operator {
        name: "$dateFromString",
        shape: Shape::Named(date_format::FROM_STRING, date_format::from_string),
    },
    Operator {
        name: "$dateSubtract",
        shape: Shape::Named(date_math::ADD, |named| date_math::add(named, -1)),
    },
    Operator {
        name: "$dateToParts",
        shape: Shape::Named(&[required("date"), optional("timezone"), optional("iso8601")], date_to_parts),
    },
    Operator { name: "$dateToString", shape: Shape::Named(date_format::TO_STRING, date_format::to_string) },
    Operator { name: "$dateTrunc", shape: Shape::Named(date_math::TRUNC, date_math::trunc) },
    part("$dayOfMonth", |named| of(named, |at| at.day())),
    part("$dayOfWeek", |named| of(named, |at| at.weekday().number_from_sunday())),
    part("$dayOfYear", |named| of(named, |at| at.ordinal())),
    part("$hour", |named| of(named, |at| at.hour())),
    part("$isoDayOfWeek", |named| of(named, |at| at.weekday().number_from_monday())),
    part("$isoWeek", |named| of(named, |at| at.iso_week().week())),
    part("$isoWeekYear", |named| with_local(named, |at| Bson::Int64(i64::from(at.iso_week().year())))),
    part("$millisecond", |named| of(named, |at| at.nanosecond() / 1_000_000)),
    part("$minute", |named| of(named, |at| at.minute())),
    part("$month", |named| of(named, |at| at.month())),
    part("$second", |named| of(named, |at| at.second())),
    Operator {
        name: "$tsIncrement",
        shape: Shape::Plain(Arity::Exactly(1), |values| timestamp("$tsIncrement", values, |at| at.increment)),
    },
    Operator {
        name: "$tsSecond",
        shape: Shape::Plain(Arity::Exactly(1), |values| timestamp("$tsSecond", values, |at| at.time)),
    },
    part("$week", |named| of(named, week)),
    part("$year", |named| with_local(named, |at| Bson::Int32(at.year()))),
];

fn timestamp(name: &str, operands: &[Value], part: fn(&bson::Timestamp) -> u32) -> Result<Value, Fault> {
    match operands.first() {
        Some(Some(Bson::Timestamp(at))) => Ok(Some(Bson::Int64(i64::from(part(at))))),
        Some(value) if !is_nullish(value) => {
            fail(5687301, format!("Argument to {name} must be a timestamp, but is {}", type_name(value)))
        }
        _ => Ok(Some(Bson::Null)),
    }
}

/// A BSON date.
pub(super) fn from_millis(millis: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(millis))
}

/// Milliseconds since 1970 of what counts as a date: date, timestamp, ObjectId.
pub(super) fn millis(value: &Value) -> Result<i64, Fault> {
    match value {
        Some(Bson::DateTime(at)) => Ok(at.timestamp_millis()),
        Some(Bson::Timestamp(at)) => Ok(i64::from(at.time) * 1000),
        Some(Bson::ObjectId(id)) => Ok(id.timestamp().timestamp_millis()),
        other => fail(16006, format!("can't convert from BSON type {} to Date", type_name(other))),
    }
}

/// Week of the year, counted from its first Sunday.
pub(super) fn week(at: &NaiveDateTime) -> u32 {
    (at.ordinal0() + 7 - at.weekday().num_days_from_sunday()) / 7
}

fn with_local(named: &Named<'_>, of: impl FnOnce(&NaiveDateTime) -> Bson) -> Result<Value, Fault> {
    let date = named.get(0);
    let zone = Zone::from_value(named.get(1), named.given(1))?;
    match zone {
        Some(zone) if !is_nullish(date) => Ok(Some(of(&local(millis(date)?, zone)?))),
        _ => Ok(Some(Bson::Null)),
    }
}

fn of(named: &Named<'_>, part: fn(&NaiveDateTime) -> u32) -> Result<Value, Fault> {
    with_local(named, |at| i32::try_from(part(at)).map_or(Bson::Null, Bson::Int32))
}

fn date_to_parts(named: &Named<'_>) -> Result<Value, Fault> {
    let iso = match named.get(2) {
        _ if !named.given(2) => false,
        Some(Bson::Boolean(iso)) => *iso,
        other if is_nullish(other) => return Ok(Some(Bson::Null)),
        other => return fail(40521, format!("iso8601 must evaluate to a bool, found {}", type_name(other))),
    };
    let int = |part: u32| i32::try_from(part).unwrap_or(i32::MAX);
    with_local(named, |at| {
        let mut parts = if iso {
            doc! {
                "isoWeekYear": at.iso_week().year(),
                "isoWeek": int(at.iso_week().week()),
                "isoDayOfWeek": int(at.weekday().number_from_monday()),
            }
        } else {
            doc! { "year": at.year(), "month": int(at.month()), "day": int(at.day()) }
        };
        parts.extend(doc! {
            "hour": int(at.hour()),
            "minute": int(at.minute()),
            "second": int(at.second()),
            "millisecond": int(at.nanosecond() / 1_000_000),
        });
        Bson::Document(parts)
    })
}

fn date_from_parts(named: &Named<'_>) -> Result<Value, Fault> {
    /// Parts as MongoDB bounds them: 16 bits.
    fn whole(named: &Named<'_>, index: usize, default: i64) -> Result<Option<i64>, Fault> {
        let value = named.get(index);
        if !named.given(index) {
            return Ok(Some(default));
        }
        if is_nullish(value) {
            return Ok(None);
        }
        let name = FROM_PARTS.get(index).map_or("", |param| param.name);
        match value.as_ref().and_then(number).and_then(Number::to_i64_exact) {
            Some(whole)
                if (-32_768..=32_767).contains(&whole) || matches!(name, "second" | "millisecond") =>
            {
                Ok(Some(whole))
            }
            Some(whole) => fail(
                31034,
                format!(
                    "'{name}' must evaluate to a value in the range [-32768, 32767]; value {whole} is not in range"
                ),
            ),
            None => fail(
                40515,
                format!(
                    "'{name}' must evaluate to an integer, found {} with value {}",
                    type_name(value),
                    render(value)
                ),
            ),
        }
    }
    let iso = named.given(8);
    if iso == named.given(0) {
        return fail(40516, "$dateFromParts requires either 'year' or 'isoWeekYear' to be present");
    }
    let mixed = if iso { [1, 2].as_slice() } else { [9, 10].as_slice() };
    if mixed.iter().any(|index| named.given(*index)) {
        return fail(40489, "$dateFromParts does not allow mixing natural dates with ISO dates");
    }
    let Some(zone) = Zone::from_value(named.get(7), named.given(7))? else { return Ok(Some(Bson::Null)) };
    let mut parts = [0; 7];
    let places = if iso { [8, 9, 10, 3, 4, 5, 6] } else { [0, 1, 2, 3, 4, 5, 6] };
    for (slot, (place, default)) in parts.iter_mut().zip(places.into_iter().zip([1970, 1, 1, 0, 0, 0, 0])) {
        match whole(named, place, default)? {
            Some(part) => *slot = part,
            None => return Ok(Some(Bson::Null)),
        }
    }
    let [year, month, day, hour, minute, second, milli] = parts;
    let range =
        || Fault::new(Code::Location(40523), "'year' must evaluate to an integer in the range 1 to 9999");
    if !(1..=9999).contains(&year) {
        return Err(range());
    }
    let year = i32::try_from(year).map_err(|_| range())?;
    let overflow = || Fault::new(Code::Overflow, "$dateFromParts overflows");
    let clock = (|| {
        let seconds = (hour * 3600 + minute * 60).checked_add(second)?;
        seconds.checked_mul(1000)?.checked_add(milli)
    })()
    .ok_or_else(overflow)?;
    let local = if iso {
        let first = NaiveDate::from_isoywd_opt(year, 1, Weekday::Mon).ok_or_else(range)?;
        from_parts(first, 0, (month - 1) * 7 + day - 1, clock)?
    } else {
        let first = NaiveDate::from_ymd_opt(year, 1, 1).ok_or_else(range)?;
        from_parts(first, month - 1, day - 1, clock)?
    };
    instant(local, zone).map(|millis| Some(from_millis(millis)))
}

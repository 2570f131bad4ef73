//! `$currentDate`: the time of the command, as a date or a timestamp.

use super::{Action, kind_name};
use crate::context::ParseContext;
use crate::raw::{Field, fields};
use crate::update::operand::Operand;
use bson::RawBsonRef;
use types::{Fault, Timestamp};

pub(super) fn parse(field: &Field<'_>, ctx: &ParseContext) -> Result<Action, Fault> {
    let mut timestamp = false;
    match field.value()? {
        RawBsonRef::Boolean(_) => {}
        RawBsonRef::Document(doc) => {
            let mut known = false;
            for option in fields(doc) {
                let option = option?;
                if option.name() != "$type" {
                    return Err(Fault::bad_value(format!(
                        "Unrecognized $currentDate option: {}",
                        option.name()
                    )));
                }
                timestamp = match option.value()? {
                    RawBsonRef::String("date") => false,
                    RawBsonRef::String("timestamp") => true,
                    _ => return Err(wrong_type()),
                };
                known = true;
            }
            if !known {
                return Err(wrong_type());
            }
        }
        _ => {
            return Err(Fault::bad_value(format!(
                "{} is not valid type for $currentDate. Please use a boolean ('true') or a $type expression ({{$type: \
                 'timestamp/date'}}).",
                kind_name(field.kind())
            )));
        }
    }
    let value = if timestamp {
        let seconds = u32::try_from(ctx.now_millis / 1000).unwrap_or(0);
        RawBsonRef::Timestamp(ctx.cluster_time.unwrap_or(Timestamp::new(seconds, 1)).into())
    } else {
        RawBsonRef::DateTime(bson::DateTime::from_millis(ctx.now_millis))
    };
    Operand::new(value).map(Action::CurrentDate)
}

fn wrong_type() -> Fault {
    Fault::bad_value(
        "The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {field : {$type: 'date'}}}",
    )
}

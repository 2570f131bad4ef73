//! `replSetStepDown`: the primary hands over.

use crate::parse::Body;
use crate::{Envelope, Request};
use std::time::Duration;
use types::{Code, Fault};

/// How long it stays out where nothing is said.
const PERIOD_SECONDS: i64 = 60;
/// How long it waits for somebody to have everything where nothing is said, if it waits at all.
const CATCH_UP_SECONDS: i64 = 10;

/// A `replSetStepDown` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetStepDown {
    /// How long it stands for no election, from the command on.
    pub period: Duration,
    pub catch_up: Duration,
    /// Steps down even if nobody has everything.
    pub force: bool,
}

impl ReplSetStepDown {
    /// Reads the command.
    ///
    /// # Errors
    /// `BadValue` (2) for periods that make no sense, 40415 for unknown fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetStepDown, Fault> {
        let body = Body::of(request, "replSetStepDown");
        let (mut catch_up, mut force) = (None, false);
        body.each(|field| match field.name {
            "secondaryCatchUpPeriodSecs" => field.integer().map(|seconds| catch_up = Some(seconds)),
            "force" => field.flag().map(|on| force = on),
            "comment" => Ok(()),
            _ => field.unknown(),
        })?;
        let period = seconds(body.integer()?, PERIOD_SECONDS);
        let default = if force { 0 } else { CATCH_UP_SECONDS.min(period) };
        let catch_up = catch_up.unwrap_or(default);
        let bad = |text: &str| Err(Fault::new(Code::BadValue, text));
        if period < 0 {
            return bad("stepdown period must be a positive integer");
        }
        if catch_up < 0 {
            return bad("secondaryCatchUpPeriodSecs period must be a positive or absent");
        }
        if period < catch_up {
            return bad("stepdown period must be longer than secondaryCatchUpPeriodSecs");
        }
        let duration = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Ok(ReplSetStepDown { period: duration(period), catch_up: duration(catch_up), force })
    }
}

/// Zero, and `true` of old shells, stand for the default.
fn seconds(given: i64, default: i64) -> i64 {
    if given == 0 { default } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{envelope, request};
    use bson::{Document, doc};

    fn check(command: Document, expected: Result<(u64, u64, bool), Code>) {
        let parsed = ReplSetStepDown::parse(&request(command.clone()), &envelope());
        let found = parsed.map(|it| (it.period.as_secs(), it.catch_up.as_secs(), it.force));
        assert_eq!(found.map_err(|fault| fault.code), expected, "{command}");
    }

    #[test]
    fn periods_are_checked() {
        check(doc! { "replSetStepDown": 30 }, Ok((30, 10, false)));
        check(doc! { "replSetStepDown": 5 }, Ok((5, 5, false)));
        check(doc! { "replSetStepDown": 0 }, Ok((60, 10, false)));
        check(doc! { "replSetStepDown": 30, "force": true }, Ok((30, 0, true)));
        check(doc! { "replSetStepDown": 30, "secondaryCatchUpPeriodSecs": 20 }, Ok((30, 20, false)));
        check(doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 20 }, Err(Code::BadValue));
        check(doc! { "replSetStepDown": -1 }, Err(Code::BadValue));
        check(doc! { "replSetStepDown": 1, "nope": 1 }, Err(Code::Location(40415)));
    }
}

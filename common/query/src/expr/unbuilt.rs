//! Expressions that MongoDB has and this server has not yet: refused by their name.

use super::operator::{Operator, Shape};

const fn unbuilt(name: &'static str) -> Operator {
    Operator { name, shape: Shape::Unbuilt }
}

pub(super) const OPERATORS: &[Operator] = &[
    unbuilt("$acos"),
    unbuilt("$acosh"),
    unbuilt("$asin"),
    unbuilt("$asinh"),
    unbuilt("$atan"),
    unbuilt("$atan2"),
    unbuilt("$atanh"),
    unbuilt("$cos"),
    unbuilt("$cosh"),
    unbuilt("$degreesToRadians"),
    unbuilt("$function"),
    unbuilt("$median"),
    unbuilt("$meta"),
    unbuilt("$percentile"),
    unbuilt("$radiansToDegrees"),
    unbuilt("$sampleRate"),
    unbuilt("$sin"),
    unbuilt("$sinh"),
    unbuilt("$tan"),
    unbuilt("$tanh"),
];

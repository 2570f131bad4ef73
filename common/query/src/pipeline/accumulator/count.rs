//! `$count: {}`: `$sum: 1`.

use super::{Start, sum};
use crate::expr::Expr;
use crate::pipeline::stage::Parsing;
use bson::{Bson, RawBsonRef};
use std::sync::Arc;
use types::{Code, Fault};

pub(super) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    _: &Parsing<'_>,
) -> Result<(Expr, Start), Fault> {
    match raw {
        RawBsonRef::Document(document) if document.is_empty() => {
            Ok((Expr::constant(Some(Bson::Int32(1))), Arc::new(sum::start)))
        }
        _ => Err(Fault::new(Code::TypeMismatch, format!("{name} takes no arguments, i.e. $count:{{}}"))),
    }
}

//! Constant folding: a call whose operands are constant is its value.

use super::operator::Call;
use super::{Env, Expr, Node, Value};
use bson::RawDocumentBuf;
use std::sync::Arc;

/// The expression, or its value if it does not depend on the document.
/// A call that fails stays a call: a branch that is never taken must not fail the query.
pub(super) fn call(call: Call) -> Expr {
    if call.operands.iter().all(|operand| operand.as_constant().is_some())
        && let Ok(value) = call.eval(&Env::new(&RawDocumentBuf::new()))
    {
        return Expr::constant(value);
    }
    Expr(Node::Call(Arc::new(call)))
}

/// The expression as constant if its parts are.
pub(super) fn literal(expr: Expr, constant_parts: bool) -> Expr {
    if constant_parts && let Some(value) = evaluated(&expr) {
        return Expr::constant(value);
    }
    expr
}

fn evaluated(expr: &Expr) -> Option<Value> {
    expr.eval(&Env::new(&RawDocumentBuf::new())).ok()
}

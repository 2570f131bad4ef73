//! `let` of a command and `c` of an update: expressions that are evaluated once, before the first document is read.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use query::context::{ParseContext, invalid_bson};
use query::expr::{Env, Expr, Variables};
use types::Fault;

/// The variables with their values constant.
///
/// # Errors
/// Those of the expressions.
pub(crate) fn constant(vars: &RawDocument, ctx: &ParseContext) -> Result<RawDocumentBuf, Fault> {
    let empty = RawDocumentBuf::new();
    let scope = Variables::from_context(ctx)?;
    let mut values = Document::new();
    for element in vars.iter() {
        let (name, expression) = element.map_err(invalid_bson)?;
        let value = Expr::parse(expression, &scope, ctx)?.eval(&Env::new(&empty))?;
        values.insert(name.as_str(), value.unwrap_or(Bson::Undefined));
    }
    RawDocumentBuf::try_from(&values).map_err(invalid_bson)
}

/// The context with further variables, which hide those of the same name.
///
/// # Errors
/// Those of the expressions.
pub(crate) fn with_constants(ctx: &ParseContext, constants: &RawDocument) -> Result<ParseContext, Fault> {
    let added = constant(constants, ctx)?;
    let mut vars = RawDocumentBuf::new();
    for element in ctx.let_vars.iter().flat_map(|vars| vars.iter()) {
        let (name, value) = element.map_err(invalid_bson)?;
        if added.get(name.as_str()).map_err(invalid_bson)?.is_none() {
            vars.append(name, value);
        }
    }
    for element in added.iter() {
        let (name, value) = element.map_err(invalid_bson)?;
        vars.append(name, value);
    }
    Ok(ctx.clone().with_let(Some(vars)))
}

//! `$replaceRoot` and `$replaceWith`: another document in place of each.

use super::{Exec, Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::{Env, Expr, Value, render, type_name};
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct ReplaceRoot {
    root: Expr,
    /// How the errors call the expression.
    label: &'static str,
}

pub(in crate::pipeline) fn parse(
    name: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let (raw, label) = if name == "$replaceWith" {
        (raw, "'replacement document'")
    } else {
        (new_root(raw)?, "'newRoot' expression")
    };
    Ok(Stage::ReplaceRoot(ReplaceRoot { root: Expr::parse(raw, parsing.scope, parsing.ctx)?, label }))
}

fn new_root(raw: RawBsonRef<'_>) -> Result<RawBsonRef<'_>, Fault> {
    let Some(spec) = raw.as_document() else {
        return Err(Fault::new(
            Code::Location(40229),
            "expected an object as specification for $replaceRoot stage, got a value of another type",
        ));
    };
    let mut new_root = None;
    for element in spec {
        let (name, value) = element.map_err(invalid_bson)?;
        if name.as_str() != "newRoot" {
            return Err(Fault::new(
                Code::Location(40230),
                format!("unrecognized option to $replaceRoot stage: {name}, only valid option is 'newRoot'."),
            ));
        }
        new_root = Some(value);
    }
    new_root
        .ok_or_else(|| Fault::new(Code::Location(40231), "no newRoot specified for the $replaceRoot stage"))
}

impl ReplaceRoot {
    pub(super) fn start(&self) -> impl Exec + use<> {
        Replacing { stage: self.clone(), out: None }
    }
}

struct Replacing {
    stage: ReplaceRoot,
    out: Option<RawDocumentBuf>,
}

impl Exec for Replacing {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.push_ref(&document)
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        match self.stage.root.eval_ref(&Env::new(document))?.into_raw()? {
            Some(RawBson::Document(root)) => self.out = Some(root),
            other => {
                let found: Value =
                    other.map(|raw| crate::expr::from_raw(raw.as_raw_bson_ref())).transpose()?;
                return Err(Fault::new(
                    Code::Location(40228),
                    format!(
                        "{} must evaluate to an object, but resulting value was: {}. Type of resulting value: '{}'.",
                        self.stage.label,
                        render(&found),
                        type_name(&found)
                    ),
                ));
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        Ok(self.out.take())
    }
}

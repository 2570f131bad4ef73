//! From `{$set: {…}, $inc: {…}}` to the tree.

use super::action::{self, Action};
use super::array_filter::ArrayFilters;
use super::path::{self, Part};
use super::tree::Node;
use crate::context::ParseContext;
use crate::raw::{Field, fields};
use bson::RawDocument;
use types::{Code, Fault};

/// The state of one parse.
pub(super) struct Parser<'a> {
    filters: &'a mut ArrayFilters,
    ctx: &'a ParseContext,
    needs_position: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(filters: &'a mut ArrayFilters, ctx: &'a ParseContext) -> Parser<'a> {
        Parser { filters, ctx, needs_position: false }
    }

    /// Whether a path with `$` came by.
    pub(super) fn needs_position(&self) -> bool {
        self.needs_position
    }

    /// All operators.
    pub(super) fn operators(&mut self, update: &RawDocument) -> Result<Node, Fault> {
        let mut root = Node::root();
        for operator in fields(update) {
            let operator = operator?;
            let Some(parse) = action::find(operator.name()) else {
                return Err(Fault::new(
                    Code::FailedToParse,
                    format!(
                        "Unknown modifier: {}. Expected a valid update modifier or pipeline-style update specified as an \
                         array",
                        operator.name()
                    ),
                ));
            };
            let Some(operands) = operator.document()? else {
                return Err(Fault::new(
                    Code::FailedToParse,
                    format!(
                        "Modifiers operate on fields but we found type {0} instead. For example: {{$mod: {{<field>: ...}}}} \
                         not {{{1}: {0}}}",
                        action::kind_name(operator.kind()),
                        operator.name()
                    ),
                ));
            };
            for operand in fields(operands) {
                let operand = operand?;
                if operator.name() == "$rename" {
                    self.rename(&mut root, &operand)?;
                } else {
                    let action = parse(&operand, self.ctx)?;
                    self.insert(&mut root, operand.name(), action)?;
                }
            }
        }
        Ok(root)
    }

    fn insert(&mut self, root: &mut Node, path: &str, action: Action) -> Result<(), Fault> {
        let parts = path::parse(path)?;
        for part in &parts {
            match part {
                Part::Name(_) => {}
                Part::Positional => self.needs_position = true,
                Part::Filtered(name) => self.filters.mark_used(name, path)?,
            }
        }
        root.insert(path, &parts, action)
    }

    /// A rename is two things at two paths: one gets the value, the other loses it.
    fn rename(&mut self, root: &mut Node, operand: &Field<'_>) -> Result<(), Fault> {
        let from = operand.name();
        let bson::RawBsonRef::String(to) = operand.value()? else {
            return Err(Fault::bad_value(format!(
                "The 'to' field for $rename must be a string: {from}: {}",
                action::show(operand)
            )));
        };
        if to.contains('\0') {
            return Err(Fault::bad_value("The 'to' field for $rename cannot contain an embedded null byte"));
        }
        for (path, which) in [(from, "source"), (to, "destination")] {
            if path::parse(path)?.iter().any(|part| !matches!(part, Part::Name(_))) {
                return Err(Fault::bad_value(format!(
                    "The {which} field for $rename may not be dynamic: {path}"
                )));
            }
        }
        if from == to {
            return Err(Fault::bad_value(format!(
                "The source and target field for $rename must differ: {from}: \"{to}\""
            )));
        }
        let below =
            |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        if below(from, to) || below(to, from) {
            return Err(Fault::bad_value(format!(
                "The source and target field for $rename must not be on the same path: {from}: \"{to}\""
            )));
        }
        self.insert(root, from, Action::RenameFrom { to: to.to_owned() })?;
        self.insert(root, to, Action::RenameTo { from: from.to_owned() })
    }
}

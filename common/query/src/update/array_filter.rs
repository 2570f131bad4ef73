//! `arrayFilters`: which elements `$[name]` stands for.

use crate::context::ParseContext;
use crate::matcher::Matcher;
use crate::raw::{Field, Writer, fields};
use bson::RawDocument;
use types::{Code, Fault};
use value::SharedDoc;

/// The filters of one update, by identifier.
#[derive(Debug, Default)]
pub(super) struct ArrayFilters {
    filters: Vec<Filter>,
}

#[derive(Debug)]
struct Filter {
    name: String,
    matcher: Matcher,
    used: bool,
}

impl ArrayFilters {
    /// Parses all.
    ///
    /// # Errors
    /// As MongoDB: no or several identifiers in one filter, one identifier in several.
    pub(super) fn parse(raw: &[SharedDoc], ctx: &ParseContext) -> Result<ArrayFilters, Fault> {
        let mut filters: Vec<Filter> = Vec::with_capacity(raw.len());
        for filter in raw {
            let matcher =
                Matcher::parse(filter, ctx).map_err(|fault| fault.context("Error parsing array filter"))?;
            let mut name = None;
            identifier(filter, &mut name)?;
            let Some(name) = name else {
                return Err(Fault::new(
                    Code::FailedToParse,
                    "Cannot use an expression without a top-level field name in arrayFilters",
                ));
            };
            if filters.iter().any(|other| other.name == name) {
                return Err(Fault::new(
                    Code::FailedToParse,
                    format!("Found multiple array filters with the same top-level field name {name}"),
                ));
            }
            filters.push(Filter { name, matcher, used: false });
        }
        Ok(ArrayFilters { filters })
    }

    /// Notes that a path uses the identifier.
    pub(super) fn mark_used(&mut self, name: &str, path: &str) -> Result<(), Fault> {
        if name.is_empty() {
            return Ok(());
        }
        match self.filters.iter_mut().find(|filter| filter.name == name) {
            Some(filter) => {
                filter.used = true;
                Ok(())
            }
            None => Err(Fault::bad_value(format!(
                "No array filter found for identifier '{name}' in path '{path}'"
            ))),
        }
    }

    /// Refuses filters that no path uses.
    pub(super) fn check_used(&self) -> Result<(), Fault> {
        match self.filters.iter().find(|filter| !filter.used) {
            None => Ok(()),
            Some(filter) => Err(Fault::new(
                Code::FailedToParse,
                format!("The array filter for identifier '{}' was not used in the update", filter.name),
            )),
        }
    }

    /// Whether `$[name]` stands for the element.
    pub(super) fn matches(&self, name: &str, element: &Field<'_>) -> Result<bool, Fault> {
        if name.is_empty() {
            return Ok(true);
        }
        let filter = self
            .filters
            .iter()
            .find(|filter| filter.name == name)
            .ok_or_else(|| Fault::internal("array filter of a parsed path is gone"))?;
        let mut holder = Writer::with_capacity(element.bytes().len() + name.len() + 8);
        holder.copy_as(name, element);
        filter.matcher.matches(&holder.finish()?)
    }
}

/// Finds the one identifier that the fields of a filter start with.
fn identifier(filter: &RawDocument, found: &mut Option<String>) -> Result<(), Fault> {
    for field in fields(filter) {
        let field = field?;
        match field.name() {
            "$and" | "$or" | "$nor" => {
                let Some(branches) = field.array()? else { continue };
                for branch in fields(branches) {
                    if let Some(branch) = branch?.document()? {
                        identifier(branch, found)?;
                    }
                }
            }
            "$comment" | "$alwaysTrue" | "$alwaysFalse" => {}
            "$expr" => {
                return Err(Fault::new(Code::Location(224), "$expr is not allowed in this context"));
            }
            path => {
                let name = path.split('.').next().unwrap_or_default();
                check_identifier(name)?;
                match found {
                    None => *found = Some(name.to_owned()),
                    Some(first) if first == name => {}
                    Some(first) => {
                        return Err(Fault::new(
                            Code::FailedToParse,
                            format!(
                                "Error parsing array filter :: caused by :: Expected a single top-level field name, found \
                                 '{first}' and '{name}'"
                            ),
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

fn check_identifier(name: &str) -> Result<(), Fault> {
    let lower = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if lower && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Fault::bad_value(format!(
        "Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string beginning with a \
         lowercase letter, found '{name}'"
    )))
}

//! `$pull` and `$pullAll`: elements that match go away.

use super::array::{encoded, write};
use super::{Action, keep, kind_name};
use crate::context::ParseContext;
use crate::matcher::Matcher;
use crate::raw::{Field, Writer, fields};
use bson::spec::ElementType;
use std::collections::HashSet;
use types::Fault;
use value::Collator;

/// Which elements go.
#[derive(Debug)]
pub(in crate::update) enum Pull {
    /// Documents that match, as a filter matches documents.
    Documents(Matcher),
    /// Elements that fulfil a condition; the matcher looks at `{"": [element]}`.
    Condition(Matcher),
    /// Elements that are equal to one of these, in the encoding of keys.
    Equal(HashSet<Vec<u8>>, Option<Collator>),
}

impl Pull {
    pub(super) fn parse(field: &Field<'_>, ctx: &ParseContext) -> Result<Action, Fault> {
        let pull = match field.kind() {
            ElementType::EmbeddedDocument => match field.document()? {
                Some(doc) if is_condition(doc)? => Pull::Condition(condition("$elemMatch", field, ctx)?),
                Some(doc) => Pull::Documents(Matcher::parse(doc, ctx)?),
                None => return Err(Fault::internal("a document that is none")),
            },
            ElementType::RegularExpression => Pull::Condition(condition("$regex", field, ctx)?),
            _ => {
                let value = encoded(field, ctx.collation.as_ref())?;
                Pull::Equal(HashSet::from([value]), ctx.collation.clone())
            }
        };
        Ok(Action::Pull(pull))
    }

    pub(super) fn parse_all(field: &Field<'_>, ctx: &ParseContext) -> Result<Action, Fault> {
        let Some(list) = field.array()? else {
            return Err(Fault::bad_value(format!(
                "$pullAll requires an array argument but was given a {}",
                kind_name(field.kind())
            )));
        };
        let collation = ctx.collation.as_ref();
        let values =
            fields(list).map(|value| encoded(&value?, collation)).collect::<Result<HashSet<_>, Fault>>()?;
        Ok(Action::Pull(Pull::Equal(values, ctx.collation.clone())))
    }

    pub(super) fn apply(
        &self,
        name: &str,
        existing: Option<&Field<'_>>,
        writer: &mut Writer,
    ) -> Result<bool, Fault> {
        let Some(field) = existing else { return Ok(false) };
        let Some(array) = field.array()? else {
            return Err(Fault::bad_value("Cannot apply $pull to a non-array value"));
        };
        let mut kept = Vec::new();
        let mut pulled = false;
        for element in fields(array) {
            let element = element?;
            if self.matches(&element)? {
                pulled = true;
            } else {
                kept.push(element);
            }
        }
        if !pulled {
            return Ok(keep(name, existing, writer));
        }
        write(name, &kept, writer);
        Ok(true)
    }

    fn matches(&self, element: &Field<'_>) -> Result<bool, Fault> {
        match self {
            Pull::Documents(matcher) => match element.document()? {
                Some(doc) => matcher.matches(doc),
                None => Ok(false),
            },
            Pull::Condition(matcher) => {
                let mut holder = Writer::with_capacity(element.bytes().len() + 24);
                holder.begin_array(HOLDER);
                holder.copy_as("0", element);
                holder.end();
                matcher.matches(&holder.finish()?)
            }
            Pull::Equal(values, collation) => Ok(values.contains(&encoded(element, collation.as_ref())?)),
        }
    }
}

/// The field in which an element is shown to a matcher.
const HOLDER: &str = "e";

/// Whether a document is a condition on a value, such as `{$gte: 3}`, rather than a filter of documents.
fn is_condition(doc: &bson::RawDocument) -> Result<bool, Fault> {
    match fields(doc).next().transpose()? {
        Some(first) => Ok(first.name().starts_with('$')
            && !matches!(
                first.name(),
                "$and" | "$or" | "$nor" | "$expr" | "$ref" | "$id" | "$db" | "$comment"
            )),
        None => Ok(false),
    }
}

/// `{e: {$elemMatch: condition}}`: the element itself is tested, never its own elements.
fn condition(operator: &str, field: &Field<'_>, ctx: &ParseContext) -> Result<Matcher, Fault> {
    let mut filter = Writer::new();
    filter.begin_document(HOLDER);
    if operator == "$elemMatch" {
        filter.copy_as(operator, field);
    } else {
        filter.begin_document("$elemMatch");
        filter.copy_as(operator, field);
        filter.end();
    }
    filter.end();
    Matcher::parse(&filter.finish()?, ctx)
}

//! The paths of an update: names, indexes, and the three ways to name array elements by what they hold.

use types::{Code, Fault, limits};

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A field name, or an index of an array.
    Name(&'a str),
    /// `$`: the element that the filter matched.
    Positional,
    /// `$[]` (an empty name) or `$[name]`: all elements, or those that an array filter matches.
    Filtered(&'a str),
}

/// Splits and checks a path.
///
/// # Errors
/// 15 for a path that is too deep, 56 for an empty path or part, 52 for a name with a dollar, 2 for `$` and `$[]` where they cannot stand.
pub(super) fn parse(path: &str) -> Result<Vec<Part<'_>>, Fault> {
    if path.is_empty() {
        return Err(Fault::new(Code::EmptyFieldName, "An empty update path is not valid."));
    }
    check_depth(path)?;
    let mut parts = Vec::with_capacity(4);
    let mut positional = 0;
    for (place, part) in path.split('.').enumerate() {
        let part = match part {
            "" => {
                return Err(Fault::new(
                    Code::EmptyFieldName,
                    format!("The update path '{path}' contains an empty field name, which is not allowed."),
                ));
            }
            "$" => {
                positional += 1;
                Part::Positional
            }
            name if name.starts_with("$[") && name.ends_with(']') => {
                Part::Filtered(name.get(2..name.len() - 1).unwrap_or_default())
            }
            // The fields of a DBRef.
            name if name.starts_with('$') && !matches!(name, "$id" | "$ref" | "$db") => {
                return Err(dollar(name, path));
            }
            name => Part::Name(name),
        };
        if place == 0 {
            refuse_first(&part, path)?;
        }
        parts.push(part);
    }
    if positional > 1 {
        return Err(Fault::bad_value(format!(
            "Too many positional (i.e. '$') elements found in path '{path}'"
        )));
    }
    Ok(parts)
}

/// Refuses a path into more levels than a document can have; what walks a path may then recurse.
///
/// # Errors
/// `Overflow` (15).
pub(super) fn check_depth(path: &str) -> Result<(), Fault> {
    if path.bytes().filter(|byte| *byte == b'.').count() >= limits::BSON_DEPTH_MAX {
        return Err(Fault::new(
            Code::Overflow,
            format!("A path of an update exceeds the maximum nesting depth of {}", limits::BSON_DEPTH_MAX),
        ));
    }
    Ok(())
}

fn refuse_first(part: &Part<'_>, path: &str) -> Result<(), Fault> {
    let what = match part {
        Part::Name(name) if name.starts_with('$') => return Err(dollar(name, path)),
        Part::Name(_) => return Ok(()),
        Part::Positional => "positional (i.e. '$')",
        Part::Filtered(_) => "array filter identifier (i.e. '$[<id>]')",
    };
    Err(Fault::bad_value(format!("Cannot have {what} element in the first position in path '{path}'")))
}

/// Error 52 for a name with a dollar.
pub(super) fn dollar(name: &str, path: &str) -> Fault {
    Fault::new(
        Code::DollarPrefixedFieldName,
        format!(
            "The dollar ($) prefixed field '{name}' in '{path}' is not allowed in the context of an update's replacement \
             document. Consider using an aggregation pipeline with $replaceWith."
        ),
    )
}

/// A number as the elements of arrays are named: no leading zero.
pub(super) fn array_index(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (name.len() == 1 || !name.starts_with('0'))).then(|| name.parse().ok()).flatten()
}

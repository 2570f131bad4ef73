//! Regular expressions of filters: compiled once, linear in the text whatever the pattern.
//! Bytes are searched, so text that is not UTF-8 is no error. [`super::dialect`] translates from PCRE.

use super::dialect;
use crate::raw::Field;
use bson::spec::ElementType;
use regex::bytes::{Regex, RegexBuilder};
use types::{Code, Fault};

/// The longest pattern that MongoDB compiles.
const PATTERN_BYTES_MAX: usize = 32_764;
/// Memory of one compiled pattern.
const COMPILED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A compiled regular expression and how it was written.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    options: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a PCRE pattern with the options `imsxu`.
    ///
    /// # Errors
    /// 51091 for what is no pattern, or one that cannot be matched in linear time; 51108 for an unknown option.
    pub fn new(source: &str, options: &str) -> Result<Pattern, Fault> {
        let regex = compile(source, options)?;
        Ok(Pattern { source: source.to_owned(), options: options.to_owned(), regex })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The options as they were written.
    pub fn options(&self) -> &str {
        &self.options
    }

    /// Whether the pattern occurs in `text`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The literal text with which every match begins, and whether beginning with it is all that the pattern asks.
    /// `None` if the pattern is not anchored or begins with no literal.
    pub fn prefix(&self) -> Option<(String, bool)> {
        dialect::prefix(&self.source, &self.options)
    }

    pub(super) fn test(&self, field: &Field<'_>) -> Result<bool, Fault> {
        Ok(match field.kind() {
            ElementType::String | ElementType::Symbol => {
                let bytes = field.value_bytes();
                // Between the length in front and the NUL behind.
                bytes.get(4..bytes.len().saturating_sub(1)).is_some_and(|text| self.is_match(text))
            }
            ElementType::RegularExpression => match field.value()? {
                bson::RawBsonRef::RegularExpression(value) => {
                    value.pattern.as_str() == self.source && value.options.as_str() == self.options
                }
                _ => false,
            },
            _ => false,
        })
    }
}

/// Compiles a PCRE pattern to one that searches bytes. A dollar that ends the text takes a last line break into the
/// match, where PCRE would stop before it; whether there is a match is the same.
///
/// # Errors
/// As [`Pattern::new`].
pub fn compile(source: &str, options: &str) -> Result<Regex, Fault> {
    if let Some(unknown) = options.chars().find(|option| !"imsxu".contains(*option)) {
        return Err(Fault::new(Code::Location(51108), format!("invalid flag in regex options: {unknown}")));
    }
    if source.len() > PATTERN_BYTES_MAX {
        return Err(invalid("pattern is too large"));
    }
    let has = |option| options.contains(option);
    let translated = dialect::translate(source, has('x'), has('m')).map_err(|reason| invalid(&reason))?;
    RegexBuilder::new(&translated)
        .case_insensitive(has('i'))
        .multi_line(has('m'))
        .dot_matches_new_line(has('s'))
        .ignore_whitespace(has('x'))
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => invalid("pattern is too large"),
            other => invalid(&last_line(&other.to_string())),
        })
}

fn invalid(reason: &str) -> Fault {
    Fault::new(Code::Location(51091), format!("Regular expression is invalid: {reason}"))
}

/// The reason without the drawing of the pattern above it.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

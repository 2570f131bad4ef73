//! Collation: how strings compare where a language says so and not their bytes.
//!
//! A string stands for its sort key, everywhere: two strings compare as their keys do, in filters, sorts, groups and indexes
//! alike, so nothing can disagree with an index. No collator at all is the comparison by bytes, and costs nothing.
//! The rules are those of the Unicode algorithm with CLDR's tailorings (ICU4X); canonically equivalent strings are always equal.

mod document;
mod locale;

use crate::element::{Elements, View};
use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use document::Options;
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering};
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use icu_locale_core::Locale;
use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use types::Fault;

/// Collators that are kept for the next request with the same options: making one reads the data of its locale.
const KEPT_COUNT_MAX: usize = 64;

/// The rules by which strings compare, other than by their bytes. Cheap to clone.
#[derive(Clone)]
pub struct Collator(Arc<Rules>);

struct Rules {
    /// Every option spelled out.
    resolved: RawDocumentBuf,
    collator: CollatorBorrowed<'static>,
}

/// What a request says about collation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Collation {
    /// Nothing: that of the collection is meant.
    #[default]
    Inherited,
    /// By bytes, whatever the collection says: `{locale: "simple"}`.
    Simple,
    By(Collator),
}

impl Collation {
    /// Reads a collation document; an empty one says nothing. `path` is what messages call it.
    ///
    /// # Errors
    /// As MongoDB: 40414 without a locale, 40415 for an unknown field, 14 for a wrong type, 2 for values that are none of the
    /// allowed ones, 161 for another version; 238 for a locale or an option without rules here.
    pub fn parse(doc: &RawDocument, path: &str) -> Result<Collation, Fault> {
        if doc.is_empty() {
            return Ok(Collation::Inherited);
        }
        Ok(match document::parse(doc, path)? {
            None => Collation::Simple,
            Some(options) => Collation::By(Collator::of(&options)?),
        })
    }

    /// The collation that counts over a collection whose own one is `inherited`.
    pub fn over(&self, inherited: Option<&Collator>) -> Option<Collator> {
        match self {
            Collation::Inherited => inherited.cloned(),
            Collation::Simple => None,
            Collation::By(collator) => Some(collator.clone()),
        }
    }

    /// As a request says it; `None` where it says nothing.
    pub fn to_document(&self) -> Option<RawDocumentBuf> {
        match self {
            Collation::Inherited => None,
            Collation::Simple => Some(bson::rawdoc! { "locale": "simple" }),
            Collation::By(collator) => Some(collator.resolved().to_owned()),
        }
    }
}

thread_local! {
    /// Where the sort key of a string is written before it is encoded.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Collator {
    /// From the `collation` that a catalogue holds; `None` where there is none.
    ///
    /// # Errors
    /// As [`Collation::parse`].
    pub fn stored(doc: Option<&RawDocument>) -> Result<Option<Collator>, Fault> {
        Ok(match doc {
            None => None,
            Some(doc) => Collation::parse(doc, "collation")?.over(None),
        })
    }

    /// The document with every option spelled out, as catalogues show it.
    pub fn resolved(&self) -> &RawDocument {
        &self.0.resolved
    }

    /// Hands over the sort key of a string. Bytes that are no UTF-8 count as replacement characters.
    pub fn with_key<R>(&self, text: &[u8], run: impl FnOnce(&[u8]) -> R) -> R {
        SCRATCH.with_borrow_mut(|key| {
            key.clear();
            let Ok(()) = self.0.collator.write_sort_key_utf8_to(text, key);
            run(key)
        })
    }

    /// The string that stands for `text` in keys: one whose characters are the bytes of the sort key, so that the UTF-8 of
    /// two of them sorts as the keys do.
    pub fn text_of(&self, text: &str) -> String {
        self.with_key(text.as_bytes(), |key| key.iter().copied().map(char::from).collect())
    }

    /// The value with every string replaced by what stands for it: encoded by bytes it gives what the value itself gives
    /// under this collation.
    #[must_use]
    pub fn translate(&self, value: &Bson) -> Bson {
        match value {
            Bson::String(text) | Bson::Symbol(text) => Bson::String(self.text_of(text)),
            Bson::Array(values) => Bson::Array(values.iter().map(|value| self.translate(value)).collect()),
            Bson::Document(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), self.translate(value)));
                Bson::Document(fields.collect::<Document>())
            }
            other => other.clone(),
        }
    }

    fn of(options: &Options) -> Result<Collator, Fault> {
        static KEPT: Mutex<Vec<Collator>> = Mutex::new(Vec::new());
        let resolved = options.resolved();
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|kept| *kept.resolved() == *resolved) {
            // The last ones used stay.
            let found = kept.remove(place);
            kept.push(found.clone());
            return Ok(found);
        }
        let made = Collator(Arc::new(Rules { collator: collator(options)?, resolved }));
        if kept.len() >= KEPT_COUNT_MAX {
            kept.remove(0);
        }
        kept.push(made.clone());
        Ok(made)
    }
}

fn collator(options: &Options) -> Result<CollatorBorrowed<'static>, Fault> {
    let failed = |error: &dyn fmt::Display| {
        Fault::internal(format!("no rules for locale '{}': {error}", options.locale))
    };
    let locale: Locale = options.tag.parse().map_err(|error| failed(&error))?;
    let mut preferences = CollatorPreferences::from(&locale);
    preferences.case_first = Some(match options.case_first {
        "upper" => CollationCaseFirst::Upper,
        "lower" => CollationCaseFirst::Lower,
        _ => CollationCaseFirst::False,
    });
    preferences.numeric_ordering = Some(match options.numeric_ordering {
        true => CollationNumericOrdering::True,
        false => CollationNumericOrdering::False,
    });
    let mut rules = CollatorOptions::default();
    rules.strength = Some(match options.strength {
        1 => Strength::Primary,
        2 => Strength::Secondary,
        3 => Strength::Tertiary,
        4 => Strength::Quaternary,
        _ => Strength::Identical,
    });
    rules.alternate_handling = Some(match options.alternate {
        "shifted" => AlternateHandling::Shifted,
        _ => AlternateHandling::NonIgnorable,
    });
    rules.max_variable = Some(match options.max_variable {
        "space" => MaxVariable::Space,
        _ => MaxVariable::Punctuation,
    });
    rules.case_level = Some(if options.case_level { CaseLevel::On } else { CaseLevel::Off });
    CollatorBorrowed::try_new(preferences, rules).map_err(|error| failed(&error))
}

impl PartialEq for Collator {
    fn eq(&self, other: &Collator) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || *self.0.resolved == *other.0.resolved
    }
}

impl Eq for Collator {}

impl Hash for Collator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.resolved.as_bytes().hash(state);
    }
}

impl fmt::Debug for Collator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Collator({:?})", self.0.resolved)
    }
}

/// Whether a collation can make a difference to the value: whether a string is in it.
pub fn is_collatable(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => true,
        RawBsonRef::Document(doc) => holds_strings(doc.as_bytes()),
        RawBsonRef::Array(array) => holds_strings(array.as_bytes()),
        _ => false,
    }
}

/// Whether a string is in an owned value.
pub fn is_collatable_bson(value: &Bson) -> bool {
    match value {
        Bson::String(_) | Bson::Symbol(_) => true,
        Bson::Array(values) => values.iter().any(is_collatable_bson),
        Bson::Document(fields) => fields.values().any(is_collatable_bson),
        _ => false,
    }
}

fn holds_strings(bytes: &[u8]) -> bool {
    Elements::new(bytes).any(|element| match element.view() {
        Some(View::String(_)) => true,
        Some(View::Document(inner) | View::Array(inner)) => holds_strings(inner),
        _ => false,
    })
}

#[cfg(test)]
mod tests;

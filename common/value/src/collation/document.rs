//! MongoDB's collation document: read, checked and written back with every option spelled out.

use super::locale::{self, Found};
use crate::element::type_name;
use crate::number::Number;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use types::{Code, Fault};

/// What MongoDB's collators call themselves; part of every resolved document.
pub(super) const VERSION: &str = "57.1";

const CASE_FIRST: &[&str] = &["lower", "off", "upper"];
const ALTERNATE: &[&str] = &["non-ignorable", "shifted"];
const MAX_VARIABLE: &[&str] = &["punct", "space"];

/// All options, with the defaults for those that were not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) locale: String,
    /// The language tag of the locale.
    pub(super) tag: String,
    pub(super) case_level: bool,
    pub(super) case_first: &'static str,
    pub(super) strength: i32,
    pub(super) numeric_ordering: bool,
    pub(super) alternate: &'static str,
    pub(super) max_variable: &'static str,
    pub(super) normalization: bool,
    pub(super) backwards: bool,
}

/// Reads a document; `None` for the simple collation. `path` is what messages call the document.
pub(super) fn parse(doc: &RawDocument, path: &str) -> Result<Option<Options>, Fault> {
    let mut locale = None;
    let mut version = None;
    let mut backwards = None;
    let mut options = Options {
        locale: String::new(),
        tag: String::new(),
        case_level: false,
        case_first: "off",
        strength: 3,
        numeric_ordering: false,
        alternate: "non-ignorable",
        max_variable: "punct",
        normalization: false,
        backwards: false,
    };
    for element in doc {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        let field = Field { path, name: name.as_str(), value };
        // Null is as good as not given, but for the one option that MongoDB reads by hand.
        let absent = matches!(value, RawBsonRef::Null | RawBsonRef::Undefined) && field.name != "backwards";
        match field.name {
            name if absent && KNOWN.contains(&name) => {}
            "locale" => locale = Some(field.text()?),
            "version" => version = Some(field.text()?),
            "caseLevel" => options.case_level = field.flag()?,
            "numericOrdering" => options.numeric_ordering = field.flag()?,
            "normalization" => options.normalization = field.flag()?,
            "backwards" => backwards = Some(field.flag()?),
            "caseFirst" => options.case_first = field.one_of(CASE_FIRST)?,
            "alternate" => options.alternate = field.one_of(ALTERNATE)?,
            "maxVariable" => options.max_variable = field.one_of(MAX_VARIABLE)?,
            "strength" => options.strength = field.strength()?,
            other => {
                return Err(Fault::new(
                    Code::Location(40415),
                    format!("BSON field '{path}.{other}' is an unknown field."),
                ));
            }
        }
    }
    let Some(locale) = locale else {
        return Err(Fault::new(
            Code::Location(40414),
            format!("BSON field '{path}.locale' is missing but a required field"),
        ));
    };
    if locale == "simple" {
        return Ok(None);
    }
    locale.clone_into(&mut options.locale);
    check(&mut options, doc, version, backwards)?;
    Ok(Some(options))
}

const KNOWN: &[&str] = &[
    "locale",
    "version",
    "caseLevel",
    "numericOrdering",
    "normalization",
    "caseFirst",
    "alternate",
    "maxVariable",
    "strength",
];

fn check(
    options: &mut Options,
    doc: &RawDocument,
    version: Option<&str>,
    backwards: Option<bool>,
) -> Result<(), Fault> {
    let shown = bson::Document::try_from(doc).map(|doc| doc.to_string()).unwrap_or_default();
    if options.locale.is_empty() {
        return Err(Fault::bad_value(format!("Field 'locale' cannot be the empty string in: {shown}")));
    }
    options.tag = match locale::find(&options.locale) {
        Found::Tag(tag) => tag,
        Found::Unbuilt => {
            return Err(Fault::not_implemented(format_args!("collation with locale '{}'", options.locale)));
        }
        Found::Unknown(meant) => {
            let hint = meant.map(|meant| format!(". Did you mean '{meant}'?")).unwrap_or_default();
            return Err(Fault::bad_value(format!("Field 'locale' is invalid in: {shown}{hint}")));
        }
    };
    if let Some(version) = version.filter(|version| *version != VERSION) {
        return Err(Fault::new(
            Code::IncompatibleCollationVersion,
            format!(
                "Requested collation version {version} but the only available collator version was {VERSION}. Requested \
                 collation spec: {shown}"
            ),
        ));
    }
    if options.case_first != "off" && options.strength < 3 && !options.case_level {
        return Err(Fault::bad_value(format!(
            "'caseFirst' is invalid unless 'caseLevel' is on or 'strength' is greater than 2 in: {shown}"
        )));
    }
    if backwards == Some(true) && options.strength == 1 {
        return Err(Fault::bad_value(format!("'backwards' is invalid with 'strength' of 1 in: {shown}")));
    }
    // The direction of accents belongs to the data of a locale.
    let of_locale = options.locale == "fr_CA";
    if backwards.is_some_and(|backwards| backwards != of_locale) {
        return Err(Fault::not_implemented(format_args!(
            "collation option 'backwards: {}' with locale '{}'",
            !of_locale, options.locale
        )));
    }
    options.backwards = of_locale;
    Ok(())
}

impl Options {
    /// The document as catalogues show it.
    pub(super) fn resolved(&self) -> RawDocumentBuf {
        rawdoc! {
            "locale": self.locale.as_str(),
            "caseLevel": self.case_level,
            "caseFirst": self.case_first,
            "strength": self.strength,
            "numericOrdering": self.numeric_ordering,
            "alternate": self.alternate,
            "maxVariable": self.max_variable,
            "normalization": self.normalization,
            "backwards": self.backwards,
            "version": VERSION,
        }
    }
}

struct Field<'a> {
    path: &'a str,
    name: &'a str,
    value: RawBsonRef<'a>,
}

impl<'a> Field<'a> {
    fn text(&self) -> Result<&'a str, Fault> {
        match self.value {
            RawBsonRef::String(text) => Ok(text),
            _ => Err(self.wrong_type("type 'string'")),
        }
    }

    fn flag(&self) -> Result<bool, Fault> {
        match self.value {
            RawBsonRef::Boolean(on) => Ok(on),
            _ => Err(self.wrong_type("type 'bool'")),
        }
    }

    fn one_of(&self, allowed: &[&'static str]) -> Result<&'static str, Fault> {
        let text = self.text()?;
        allowed.iter().copied().find(|value| *value == text).ok_or_else(|| {
            Fault::bad_value(format!(
                "Enumeration value '{text}' for field '{}.{}' is not a valid value.",
                self.path, self.name
            ))
        })
    }

    /// 1 to 5; fractions are cut off.
    fn strength(&self) -> Result<i32, Fault> {
        let Some(number) = Number::from_raw(self.value) else {
            return Err(self.wrong_type("types '[long, int, decimal, double]'"));
        };
        match number.to_i64_truncated() {
            Some(strength @ 1..=5) => Ok(strength as i32),
            Some(0) | None => Err(Fault::bad_value(format!(
                "Enumeration value '0' for field '{}.strength' is not a valid value.",
                self.path
            ))),
            Some(strength) => {
                let bound = if strength > 5 { "<= 5" } else { ">= 0" };
                Err(Fault::bad_value(format!(
                    "BSON field 'strength' value must be {bound}, actual value '{strength}'"
                )))
            }
        }
    }

    fn wrong_type(&self, expected: &str) -> Fault {
        Fault::new(
            Code::TypeMismatch,
            format!(
                "BSON field '{}.{}' is the wrong type '{}', expected {expected}",
                self.path,
                self.name,
                type_name(self.value)
            ),
        )
    }
}

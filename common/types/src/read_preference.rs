//! Which members a read may go to.

use crate::{Code, Fault};
use bson::{RawBsonRef, RawDocument};
use std::fmt;
use std::time::Duration;

/// The least `maxStalenessSeconds`: staleness is not known more exactly than this.
const STALENESS_SECONDS_MIN: i64 = 90;

/// The mode of `$readPreference`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadPreference {
    #[default]
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
    Nearest,
}

impl ReadPreference {
    /// Parses the mode of a `$readPreference` document.
    ///
    /// # Errors
    /// `FailedToParse` (9) for an unknown or missing mode.
    pub fn parse(doc: &RawDocument) -> Result<ReadPreference, Fault> {
        match doc.get_str("mode") {
            Ok("primary") => Ok(ReadPreference::Primary),
            Ok("primaryPreferred") => Ok(ReadPreference::PrimaryPreferred),
            Ok("secondary") => Ok(ReadPreference::Secondary),
            Ok("secondaryPreferred") => Ok(ReadPreference::SecondaryPreferred),
            Ok("nearest") => Ok(ReadPreference::Nearest),
            Ok(other) => {
                Err(Fault::new(Code::FailedToParse, format!("Unrecognized read preference mode '{other}'")))
            }
            Err(_) => Err(Fault::new(Code::FailedToParse, "$readPreference must have a string field 'mode'")),
        }
    }

    /// As in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadPreference::Primary => "primary",
            ReadPreference::PrimaryPreferred => "primaryPreferred",
            ReadPreference::Secondary => "secondary",
            ReadPreference::SecondaryPreferred => "secondaryPreferred",
            ReadPreference::Nearest => "nearest",
        }
    }
}

/// Tags that a member must have, all of them. No tags: any member.
pub type TagSet = Vec<(String, String)>;

/// A whole `$readPreference`: mode, tag sets in order of preference, bound of staleness. `hedge` is checked and has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberChoice {
    pub mode: ReadPreference,
    /// The first set that some member satisfies counts. Empty: tags do not matter.
    pub tag_sets: Vec<TagSet>,
    pub staleness_max: Option<Duration>,
}

impl MemberChoice {
    /// The primary.
    pub const PRIMARY: MemberChoice =
        MemberChoice { mode: ReadPreference::Primary, tag_sets: Vec::new(), staleness_max: None };

    /// Parses a `$readPreference` document.
    ///
    /// # Errors
    /// `FailedToParse` (9), `TypeMismatch` (14), `BadValue` (2) for tags, staleness or hedge with mode primary,
    /// `MaxStalenessOutOfRange` (160) for less than 90 s.
    pub fn parse(doc: &RawDocument) -> Result<MemberChoice, Fault> {
        let mode = ReadPreference::parse(doc)?;
        let mut choice = MemberChoice { mode, ..MemberChoice::default() };
        for element in doc.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            match (name.as_str(), value) {
                ("mode", _) | ("tags" | "hedge" | "maxStalenessSeconds", RawBsonRef::Null) => {}
                ("tags", RawBsonRef::Array(sets)) => {
                    for set in sets {
                        let set = set.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
                        let set =
                            set.as_document().ok_or_else(|| wrong_type("tags", "an array of documents"))?;
                        choice.tag_sets.push(tag_set(set)?);
                    }
                }
                ("tags", _) => return Err(wrong_type("tags", "an array of documents")),
                ("maxStalenessSeconds", value) => choice.staleness_max = staleness(value)?,
                ("hedge", RawBsonRef::Document(_)) if mode == ReadPreference::Primary => {
                    return Err(Fault::new(
                        Code::InvalidOptions,
                        "cannot specify hedge options for mode 'primary'",
                    ));
                }
                ("hedge", RawBsonRef::Document(_)) => {}
                ("hedge", _) => return Err(wrong_type("hedge", "a document")),
                (other, _) => {
                    return Err(Fault::new(
                        Code::FailedToParse,
                        format!("unknown field '{other}' in $readPreference"),
                    ));
                }
            }
        }
        if mode == ReadPreference::Primary {
            if choice.tag_sets.iter().any(|set| !set.is_empty()) {
                return Err(Fault::bad_value("Only empty tags are allowed with primary read preference"));
            }
            if choice.staleness_max.is_some() {
                return Err(Fault::bad_value("maxStalenessSeconds can not be set for the primary mode"));
            }
            choice.tag_sets.clear();
        }
        Ok(choice)
    }

    /// The choice in a command's body; the primary where it names none.
    ///
    /// # Errors
    /// As [`MemberChoice::parse`].
    pub fn of_command(body: &RawDocument) -> Result<MemberChoice, Fault> {
        match body.get("$readPreference") {
            Ok(Some(RawBsonRef::Document(doc))) => MemberChoice::parse(doc),
            Ok(None) => Ok(MemberChoice::PRIMARY),
            _ => Err(wrong_type("$readPreference", "a document")),
        }
    }
}

impl fmt::Display for MemberChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{{ mode: \"{}\"", self.mode.as_str())?;
        if !self.tag_sets.is_empty() {
            let set = |set: &TagSet| {
                let tags: Vec<String> =
                    set.iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
                format!("{{ {} }}", tags.join(", "))
            };
            let sets: Vec<String> = self.tag_sets.iter().map(set).collect();
            write!(out, ", tags: [ {} ]", sets.join(", "))?;
        }
        if let Some(bound) = self.staleness_max {
            write!(out, ", maxStalenessSeconds: {}", bound.as_secs())?;
        }
        out.write_str(" }")
    }
}

fn tag_set(doc: &RawDocument) -> Result<TagSet, Fault> {
    doc.iter()
        .map(|element| match element {
            Ok((name, RawBsonRef::String(value))) => Ok((name.as_str().to_owned(), value.to_owned())),
            Ok((name, _)) => Err(Fault::new(
                Code::FailedToParse,
                format!("tag '{}' in $readPreference must be a string", name.as_str()),
            )),
            Err(error) => Err(Fault::new(Code::InvalidBSON, error.to_string())),
        })
        .collect()
}

/// Seconds; -1 and 0 are no bound.
fn staleness(value: RawBsonRef<'_>) -> Result<Option<Duration>, Fault> {
    let seconds = match value {
        RawBsonRef::Int32(seconds) => i64::from(seconds),
        RawBsonRef::Int64(seconds) => seconds,
        RawBsonRef::Double(seconds) if seconds.fract() == 0.0 && seconds.abs() < 9.0e18 => seconds as i64,
        _ => return Err(wrong_type("maxStalenessSeconds", "a whole number")),
    };
    match seconds {
        -1 | 0 => Ok(None),
        STALENESS_SECONDS_MIN..=2_147_483_647 => {
            Ok(Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default())))
        }
        _ => Err(Fault::new(
            Code::MaxStalenessOutOfRange,
            format!(
                "maxStalenessSeconds value can not be less than {STALENESS_SECONDS_MIN}, but is {seconds}"
            ),
        )),
    }
}

fn wrong_type(name: &str, wanted: &str) -> Fault {
    Fault::new(Code::TypeMismatch, format!("field '{name}' of a read preference must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn preferences_parse() {
        for (doc, shown) in [
            (rawdoc! { "mode": "primary" }, Ok(r#"{ mode: "primary" }"#)),
            (rawdoc! { "mode": "primary", "tags": [{}] }, Ok(r#"{ mode: "primary" }"#)),
            (rawdoc! { "mode": "primary", "tags": [{ "a": "b" }] }, Err(2)),
            (rawdoc! { "mode": "primary", "maxStalenessSeconds": 90 }, Err(2)),
            (rawdoc! { "mode": "primary", "maxStalenessSeconds": -1 }, Ok(r#"{ mode: "primary" }"#)),
            (rawdoc! { "mode": "primary", "hedge": {} }, Err(72)),
            (rawdoc! { "mode": "nearest", "hedge": { "enabled": true } }, Ok(r#"{ mode: "nearest" }"#)),
            (rawdoc! { "mode": "nearest", "hedge": 1 }, Err(14)),
            (
                rawdoc! { "mode": "secondary", "tags": [{ "dc": "x", "use": "y" }, {}], "maxStalenessSeconds": 120 },
                Ok(
                    r#"{ mode: "secondary", tags: [ { dc: "x", use: "y" }, {  } ], maxStalenessSeconds: 120 }"#,
                ),
            ),
            (rawdoc! { "mode": "secondary", "maxStalenessSeconds": 89 }, Err(160)),
            (rawdoc! { "mode": "secondary", "maxStalenessSeconds": -2 }, Err(160)),
            (rawdoc! { "mode": "secondary", "maxStalenessSeconds": "x" }, Err(14)),
            (rawdoc! { "mode": "secondary", "tags": {} }, Err(14)),
            (rawdoc! { "mode": "secondary", "tags": [{ "a": 1 }] }, Err(9)),
            (rawdoc! { "mode": "secondary", "x": 1 }, Err(9)),
            (rawdoc! { "mode": "Secondary" }, Err(9)),
            (rawdoc! {}, Err(9)),
        ] {
            let parsed = MemberChoice::parse(&doc);
            let parsed = parsed.map(|choice| choice.to_string()).map_err(|fault| fault.code.number());
            assert_eq!(parsed.as_deref().map_err(|code| *code), shown, "{doc:?}");
        }
    }
}

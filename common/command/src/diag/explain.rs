//! `explain`: how another command would run.

use crate::crud::{Aggregate, Count, Delete, Distinct, Find, FindAndModify, Update};
use crate::options::Verbosity;
use crate::parse::{Body, wrong_type};
use crate::{Envelope, Request};
use bson::raw::cstr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use types::{Code, Fault};

/// An `explain` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// The inner command as a request of its own, with `$db`.
    pub request: Request,
    pub inner: Explained,
    pub verbosity: Verbosity,
}

/// The command that is explained, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Explained {
    Aggregate(Aggregate),
    Count(Count),
    Delete(Delete),
    Distinct(Distinct),
    Find(Find),
    FindAndModify(FindAndModify),
    Update(Update),
}

impl Explain {
    /// Reads the command and the one it explains.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; the errors of the inner command; `CommandNotFound` (59) for one that cannot be explained.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Explain, Fault> {
        let body = Body::of(request, "explain");
        let inner = match body.value()? {
            RawBsonRef::Document(inner) => inner,
            other => return Err(wrong_type("explain.explain", other, &["object"])),
        };
        let mut verbosity = Verbosity::default();
        body.each(|field| {
            match field.name {
                "verbosity" => {
                    verbosity = match field.string()? {
                        "queryPlanner" => Verbosity::QueryPlanner,
                        "executionStats" => Verbosity::ExecutionStats,
                        "allPlansExecution" => Verbosity::AllPlansExecution,
                        other => {
                            return Err(Fault::bad_value(format!(
                                "Enumeration value '{other}' for field 'explain.verbosity' is not a valid value."
                            ))
                            .into());
                        }
                    };
                }
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let request = inner_request(inner, &envelope.db)?;
        let inner = Explained::parse(&request, envelope)?;
        Ok(Explain { request, inner, verbosity })
    }
}

impl Explained {
    fn parse(request: &Request, envelope: &Envelope) -> Result<Explained, Fault> {
        Ok(match request.name() {
            "aggregate" => Explained::Aggregate(Aggregate::read(request, envelope, true)?),
            "count" => Explained::Count(Count::parse(request, envelope)?),
            "delete" => Explained::Delete(Delete::parse(request, envelope)?),
            "distinct" => Explained::Distinct(Distinct::parse(request, envelope)?),
            "find" => Explained::Find(Find::parse(request, envelope)?),
            "findAndModify" | "findandmodify" => {
                Explained::FindAndModify(FindAndModify::parse(request, envelope)?)
            }
            "update" => Explained::Update(Update::parse(request, envelope)?),
            other => {
                return Err(Fault::new(
                    Code::CommandNotFound,
                    format!("Explain failed due to unknown command: {other}"),
                ));
            }
        })
    }
}

/// The inner command on the outer one's database; its own `$db`, where it names one, must agree.
fn inner_request(inner: &RawDocument, db: &str) -> Result<Request, Fault> {
    let mut body = RawDocumentBuf::new();
    for element in inner.iter() {
        let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        match (name.as_str(), value) {
            ("$db", RawBsonRef::String(name)) if name == db => {}
            ("$db", _) => {
                return Err(Fault::new(
                    Code::InvalidNamespace,
                    format!("Mismatched $db in explain command. Expected {db}"),
                ));
            }
            _ => body.append(name, value),
        }
    }
    body.append(cstr!("$db"), db);
    Ok(Request::from_body(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    #[test]
    fn inner_commands() {
        let parse = |body| Explain::parse(&request(body), &envelope());
        let explain = parse(
            doc! {"explain": {"find": "c", "filter": {"a": 1}}, "verbosity": "queryPlanner", "$db": "d"},
        )
        .unwrap();
        assert_eq!(explain.verbosity, Verbosity::QueryPlanner);
        assert_eq!(explain.request.body.get_str("$db").unwrap(), "d");
        assert!(matches!(explain.inner, Explained::Find(_)));
        let explain = parse(doc! {"explain": {"aggregate": "c", "pipeline": []}}).unwrap();
        assert_eq!(explain.verbosity, Verbosity::AllPlansExecution);
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"explain": 1}, 14, ""),
                (doc! {"explain": {"insert": "c"}}, 59, "Explain failed due to unknown command: insert"),
                (doc! {"explain": {"find": "c", "nope": 1}}, 40415, ""),
                (doc! {"explain": {"find": "c", "$db": "other"}}, 73, ""),
                (doc! {"explain": {"find": "c"}, "verbosity": "loud"}, 2, ""),
            ],
        );
    }
}

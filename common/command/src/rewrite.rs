//! A request again, with some fields changed: how a router forwards what it was asked.
//! All that is not named stays byte for byte, generic fields included.

use crate::{Request, Sequence};
use bson::{RawBson, RawDocumentBuf};
use types::{Code, Fault};
use value::SharedDoc;

/// Changes to a request.
#[derive(Debug, Clone)]
pub struct Rewrite<'a> {
    request: &'a Request,
    removed: Vec<&'a str>,
    set: Vec<(&'a str, RawBson)>,
    appended: Vec<(&'a str, RawBson)>,
    sequences: Option<Vec<Sequence>>,
}

impl<'a> Rewrite<'a> {
    /// No change yet.
    pub fn of(request: &'a Request) -> Rewrite<'a> {
        Rewrite { request, removed: Vec::new(), set: Vec::new(), appended: Vec::new(), sequences: None }
    }

    /// Leaves the field out.
    #[must_use]
    pub fn remove(mut self, name: &'a str) -> Rewrite<'a> {
        self.removed.push(name);
        self
    }

    /// Gives the field another value, in its place, or at the end where it was not.
    #[must_use]
    pub fn set(mut self, name: &'a str, value: impl Into<RawBson>) -> Rewrite<'a> {
        self.set.push((name, value.into()));
        self
    }

    /// Adds the field at the end, whether or not it was removed before.
    #[must_use]
    pub fn append(mut self, name: &'a str, value: impl Into<RawBson>) -> Rewrite<'a> {
        self.appended.push((name, value.into()));
        self
    }

    /// Sends `documents` as the sequence `name`, instead of what body and sequences had under any name.
    #[must_use]
    pub fn sequence(mut self, name: &'a str, documents: Vec<SharedDoc>) -> Rewrite<'a> {
        self.removed.push(name);
        self.sequences = Some(vec![Sequence { name: name.to_owned(), documents }]);
        self
    }

    /// The changed request.
    ///
    /// # Errors
    /// `InvalidBSON` (22) where the body cannot be walked.
    pub fn finish(self) -> Result<Request, Fault> {
        let mut body = RawDocumentBuf::new();
        let mut set: Vec<(&str, Option<RawBson>)> =
            self.set.into_iter().map(|(name, value)| (name, Some(value))).collect();
        for element in self.request.body.iter() {
            let (name, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
            if self.removed.contains(&name.as_str()) {
                continue;
            }
            match set.iter_mut().find(|(changed, _)| *changed == name.as_str()) {
                Some((_, replacement)) => {
                    if let Some(replacement) = replacement.take() {
                        body.append(name, replacement);
                    }
                }
                None => body.append(name, value),
            }
        }
        let missing = set.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        for (name, value) in missing.chain(self.appended) {
            let name = <&bson::raw::CStr>::try_from(name)
                .map_err(|_| Fault::internal("field name with a NUL in a rewritten request"))?;
            body.append(name, value);
        }
        let sequences = self.sequences.unwrap_or_else(|| self.request.sequences.clone());
        Ok(Request { body: body.into(), sequences })
    }
}

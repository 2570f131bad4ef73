//! `$group`: one document per distinct key. Groups hash on the encoded key, so `1` and `1.0` are one group, shown
//! as first seen. A shard makes partial groups (`$willBeMerged`), the router merges them (`$doingMerge`).

use super::{Exec, Parsing, Stage};
use crate::context::invalid_bson;
use crate::expr::{Env, Evaluated, Expr, element_name};
use crate::pipeline::accumulator::{self, Accumulator, State};
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use std::collections::HashMap;
use std::sync::Arc;
use types::{Code, Fault};
use value::{Collator, key};

#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Group {
    part: Part,
    key: Expr,
    fields: Arc<[(String, Accumulator)]>,
    /// Keys that are equal under it are one group.
    collation: Option<Collator>,
}

/// Which part of a split `$group` this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Part {
    Whole,
    /// Gives partial states.
    Partial,
    /// Takes partial states.
    Merge,
}

pub(in crate::pipeline) fn parse(
    _: &'static str,
    raw: RawBsonRef<'_>,
    parsing: &Parsing<'_>,
) -> Result<Stage, Fault> {
    let Some(document) = raw.as_document() else {
        return Err(Fault::new(Code::Location(15947), "a group's fields must be specified in an object"));
    };
    let (mut part, mut key, mut fields) = (Part::Whole, None, Vec::new());
    for element in document {
        let (name, value) = element.map_err(invalid_bson)?;
        match (name.as_str(), value) {
            ("_id", _) if key.is_some() => {
                return Err(Fault::new(Code::Location(15948), "a group's _id may only be specified once"));
            }
            ("_id", value) => key = Some(Expr::parse(value, parsing.scope, parsing.ctx)?),
            ("$willBeMerged", RawBsonRef::Boolean(true)) => part = Part::Partial,
            ("$doingMerge", RawBsonRef::Boolean(true)) => part = Part::Merge,
            (name, value) => {
                check_name(name)?;
                fields.push((name.to_owned(), accumulator::parse(name, value, parsing)?));
            }
        }
    }
    let key =
        key.ok_or_else(|| Fault::new(Code::Location(15955), "a group specification must include an _id"))?;
    Ok(Stage::Group(Group { part, key, fields: fields.into(), collation: parsing.ctx.collation.clone() }))
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.contains('.') {
        return Err(Fault::new(Code::Location(40235), format!("The field name '{name}' cannot contain '.'")));
    }
    if name.starts_with('$') {
        return Err(Fault::new(
            Code::Location(40236),
            format!("The field name '{name}' cannot be an operator name"),
        ));
    }
    Ok(())
}

impl Group {
    /// The same grouping as one part of a split.
    pub(in crate::pipeline) fn as_part(&self, part: Part) -> Group {
        Group { part, ..self.clone() }
    }

    pub(super) fn start(&self, bytes_max: usize) -> impl Exec + use<> {
        Grouping {
            group: self.clone(),
            places: HashMap::new(),
            groups: Vec::new(),
            key: Vec::new(),
            bytes: 0,
            bytes_max,
            drain: None,
        }
    }
}

/// The raw stage of a part of the `$group` in `raw`.
pub(in crate::pipeline) fn raw_part(raw: &RawDocument, part: Part) -> Result<RawDocumentBuf, Fault> {
    let Some(RawBsonRef::Document(spec)) = raw.get("$group").map_err(invalid_bson)? else {
        return Err(Fault::internal("a $group stage lost its specification"));
    };
    let mut spec = spec.to_owned();
    match part {
        Part::Whole => {}
        Part::Partial => spec.append(bson::raw::cstr!("$willBeMerged"), true),
        Part::Merge => spec.append(bson::raw::cstr!("$doingMerge"), true),
    }
    Ok(rawdoc! { "$group": spec })
}

struct Entry {
    key: RawBson,
    states: Vec<Box<dyn State>>,
}

struct Grouping {
    group: Group,
    /// Encoded key to place in `groups`.
    places: HashMap<Box<[u8]>, usize>,
    groups: Vec<Entry>,
    /// Buffer for the key at hand.
    key: Vec<u8>,
    bytes: usize,
    bytes_max: usize,
    drain: Option<std::vec::IntoIter<Entry>>,
}

impl Grouping {
    /// The place of the group of `value`, which is made if it is new.
    fn place(&mut self, value: Evaluated<'_>) -> Result<usize, Fault> {
        self.key.clear();
        let collation = self.group.collation.as_ref();
        match &value {
            Evaluated::Missing => key::encode(&mut self.key, RawBsonRef::Null, false),
            Evaluated::Raw(raw) => key::encode_under(&mut self.key, *raw, false, collation),
            Evaluated::Owned(value) => key::encode_bson_under(&mut self.key, value, false, collation),
        }
        if let Some(place) = self.places.get(self.key.as_slice()) {
            return Ok(*place);
        }
        const GROUP_BYTES: usize = 128;
        const STATE_BYTES: usize = 96;
        let key = value.into_raw()?.unwrap_or(RawBson::Null);
        let states: Vec<_> = self.group.fields.iter().map(|(_, accumulator)| accumulator.start()).collect();
        self.bytes += GROUP_BYTES + 2 * self.key.len() + STATE_BYTES * states.len();
        let place = self.groups.len();
        self.groups.push(Entry { key, states });
        self.places.insert(self.key.as_slice().into(), place);
        Ok(place)
    }

    fn accumulate(&mut self, document: &RawDocument) -> Result<(), Fault> {
        let env = Env::new(document);
        let key = self.group.key.clone();
        let place = self.place(key.eval_ref(&env)?)?;
        let Some(entry) = self.groups.get_mut(place) else { return Ok(()) };
        for (state, (_, accumulator)) in entry.states.iter_mut().zip(self.group.fields.iter()) {
            self.bytes += state.add(accumulator.input.eval_ref(&env)?)?;
        }
        Ok(())
    }

    fn merge(&mut self, document: &RawDocument) -> Result<(), Fault> {
        let mut fields = document.iter();
        let key = match fields.next() {
            Some(field) => field.map_err(invalid_bson)?.1,
            None => return Err(Fault::internal("a partial group without a key")),
        };
        let place = self.place(Evaluated::Raw(key))?;
        let Some(entry) = self.groups.get_mut(place) else { return Ok(()) };
        for state in &mut entry.states {
            // Partial groups carry their states in the order of the specification.
            let (_, partial) = fields
                .next()
                .ok_or_else(|| Fault::internal("a partial group lacks a field"))?
                .map_err(invalid_bson)?;
            self.bytes += state.merge(partial)?;
        }
        Ok(())
    }
}

impl Exec for Grouping {
    fn push(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.push_ref(&document)
    }

    fn push_ref(&mut self, document: &RawDocument) -> Result<(), Fault> {
        match self.group.part {
            Part::Merge => self.merge(document)?,
            Part::Whole | Part::Partial => self.accumulate(document)?,
        }
        if self.bytes > self.bytes_max {
            return Err(Fault::new(
                Code::QueryExceededMemoryLimitNoDiskUseAllowed,
                format!(
                    "Exceeded memory limit for $group of {} bytes, and spilling to disk is not available",
                    self.bytes_max
                ),
            ));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.places = HashMap::new();
        self.drain = Some(std::mem::take(&mut self.groups).into_iter());
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        let Some(entry) = self.drain.as_mut().and_then(Iterator::next) else { return Ok(None) };
        let mut out = RawDocumentBuf::new();
        out.append(bson::raw::cstr!("_id"), entry.key);
        for (mut state, (name, _)) in entry.states.into_iter().zip(self.group.fields.iter()) {
            let value = match self.group.part {
                Part::Partial => state.partial()?,
                Part::Whole | Part::Merge => state.result()?,
            };
            out.append(element_name(name)?, value);
        }
        Ok(Some(out))
    }
}

//! A plan as explain shows it: a tree of stages under MongoDB's names, with counts where the plan was run.

use super::{Access, Bounds, Plan};
use bson::{Bson, Document, RawDocument, doc};
use storage::Direction;
use types::limits;
use value::interval::Interval;

/// What happens to the documents behind the plan's access.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The filter in the parsed form, for the stage that applies it.
    pub(crate) filter: Option<Document>,
    /// Documents of other shards are dropped.
    pub(crate) owned_only: bool,
    /// Pattern of a sort in memory.
    pub(crate) sort: Option<Document>,
    pub(crate) skip: u64,
    pub(crate) limit: Option<u64>,
    /// Stage name and specification.
    pub(crate) projection: Option<(&'static str, Document)>,
}

/// What a run of the plan counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) keys: u64,
    pub(crate) docs: u64,
    /// Documents that passed filter and ownership.
    pub(crate) matched: u64,
    /// Documents after skip and limit.
    pub(crate) returned: u64,
    pub(crate) millis: u64,
}

/// The stages of a plan, outermost first.
pub(crate) fn stages(plan: &Plan, shape: &Shape, counts: Option<&Counts>) -> Document {
    let mut stage = access(plan, shape, counts);
    let matched = counts.map(|counts| counts.matched);
    if shape.owned_only {
        stage = wrap(doc! {"stage": "SHARDING_FILTER"}, matched, stage);
    }
    if let Some(pattern) = &shape.sort {
        let mut sort = doc! {
            "stage": "SORT",
            "sortPattern": pattern.clone(),
            "memLimit": limits::BLOCKING_STAGE_BYTES_MAX as i64,
            "type": "simple",
        };
        if let Some(limit) = shape.limit {
            sort.insert("limitAmount", number(limit.saturating_add(shape.skip)));
        }
        let kept =
            matched.map(|n| n.min(shape.limit.map_or(u64::MAX, |limit| limit.saturating_add(shape.skip))));
        stage = wrap(sort, kept, stage);
    }
    if shape.skip > 0 {
        let left = matched.map(|n| n.saturating_sub(shape.skip));
        stage = wrap(doc! {"stage": "SKIP", "skipAmount": number(shape.skip)}, left, stage);
    }
    let returned = counts.map(|counts| counts.returned);
    if let Some((name, spec)) = &shape.projection {
        stage = wrap(doc! {"stage": *name, "transformBy": spec.clone()}, returned, stage);
    }
    if let (Some(limit), None) = (shape.limit, &shape.sort) {
        stage = wrap(doc! {"stage": "LIMIT", "limitAmount": number(limit)}, returned, stage);
    }
    stage
}

/// `stage` around `input`, with the number of documents that it gave.
pub(crate) fn wrap(mut stage: Document, returned: Option<u64>, input: Document) -> Document {
    if let Some(returned) = returned {
        stage.insert("nReturned", number(returned));
    }
    stage.insert("inputStage", input);
    stage
}

fn access(plan: &Plan, shape: &Shape, counts: Option<&Counts>) -> Document {
    let filter = shape.filter.clone().filter(|_| plan.filter.is_some());
    match (&plan.access, &plan.bounds) {
        (Access::Nothing, _) => counted(doc! {"stage": "EOF"}, counts.map(|_| 0)),
        (Access::Points(keys), None) if keys.len() == 1 => {
            let stage = doc! {"stage": "EXPRESS_IXSCAN", "keyPattern": "{ _id: 1 }", "indexName": "_id_"};
            with_examined(counted(stage, counts.map(|counts| counts.matched)), counts)
        }
        (Access::Records(_), None) | (Access::Points(_), None) => {
            let mut stage = doc! {"stage": "COLLSCAN"};
            if let Some(filter) = filter {
                stage.insert("filter", filter);
            }
            let mut stage = counted(stage, counts.map(|counts| counts.matched));
            stage.insert("direction", direction(plan.direction));
            if let Some(counts) = counts {
                stage.insert("docsExamined", number(counts.docs));
            }
            stage
        }
        (_, Some(bounds)) => {
            let mut fetch = doc! {"stage": "FETCH"};
            if let Some(filter) = filter {
                fetch.insert("filter", filter);
            }
            if let Some(counts) = counts {
                fetch.insert("docsExamined", number(counts.docs));
            }
            let keys = index_scan(plan, bounds, counts);
            wrap(fetch, counts.map(|counts| counts.matched), keys)
        }
        (Access::Index(_), None) => doc! {"stage": "IXSCAN"},
    }
}

/// The stage that counts keys and looks at no document.
pub(crate) fn count_scan(plan: &Plan, bounds: &Bounds, counts: Option<&Counts>) -> Document {
    let mut stage = index_scan(plan, bounds, counts);
    stage.insert("stage", "COUNT_SCAN");
    stage
}

/// The stage that walks keys.
fn index_scan(plan: &Plan, bounds: &Bounds, counts: Option<&Counts>) -> Document {
    let index = match &plan.access {
        Access::Index(access) => Some(&access.index),
        _ => None,
    };
    let mut stage = counted(doc! {"stage": "IXSCAN"}, counts.map(|counts| counts.keys));
    stage.insert("keyPattern", document(&bounds.key_pattern));
    stage.insert("indexName", bounds.index_name.as_str());
    if let Some(collation) = &bounds.collation {
        stage.insert("collation", document(collation.resolved()));
    }
    stage.insert("isMultiKey", index.is_some_and(|index| index.multikey()));
    stage.insert("isUnique", index.is_none_or(|index| index.unique));
    stage.insert("isSparse", index.is_some_and(|index| index.sparse));
    stage.insert("isPartial", false);
    stage.insert("indexVersion", 2);
    stage.insert("direction", direction(plan.direction));
    stage.insert("indexBounds", shown_bounds(plan, bounds));
    if let Some(counts) = counts {
        stage.insert("keysExamined", number(counts.keys));
    }
    stage
}

fn shown_bounds(plan: &Plan, bounds: &Bounds) -> Document {
    let mut shown = Document::new();
    for ((name, value), field) in bounds.key_pattern.iter().flatten().zip(&bounds.fields.fields) {
        let descending = value::number::Number::from_raw(value).is_some_and(|number| number.to_f64() < 0.0);
        let reversed = descending != (plan.direction == Direction::Backward);
        let mut texts: Vec<String> = field
            .intervals
            .iter()
            .map(|interval| text(interval, reversed, bounds.collation.is_some()))
            .collect();
        if reversed {
            texts.reverse();
        }
        shown.insert(name.as_str(), texts);
    }
    shown
}

/// `[1, 5)`; under a collation strings are keys.
fn text(interval: &Interval, reversed: bool, collated: bool) -> String {
    let Interval { min, min_inclusive, max, max_inclusive } = interval;
    let (first, first_in, last, last_in) = match reversed {
        false => (min, min_inclusive, max, max_inclusive),
        true => (max, max_inclusive, min, min_inclusive),
    };
    let open = if *first_in { '[' } else { '(' };
    let close = if *last_in { ']' } else { ')' };
    format!("{open}{}, {}{close}", shell(first, collated), shell(last, collated))
}

/// A value as the shell writes it.
fn shell(value: &Bson, collated: bool) -> String {
    match value {
        Bson::Double(number) if number.is_infinite() => {
            if *number > 0.0 { "inf.0" } else { "-inf.0" }.to_owned()
        }
        Bson::Double(number) if number.is_nan() => "nan.0".to_owned(),
        Bson::Double(number) if number.fract() == 0.0 => format!("{number:.1}"),
        // The empty text is where strings begin, and no key.
        Bson::String(text) if collated && !text.is_empty() => {
            let key: String = text.chars().map(|byte| format!("{:02x}", u32::from(byte))).collect();
            format!("CollationKey(0x{key})")
        }
        Bson::String(text) => format!("\"{text}\""),
        Bson::MinKey => "MinKey".to_owned(),
        Bson::MaxKey => "MaxKey".to_owned(),
        Bson::Undefined => "undefined".to_owned(),
        Bson::ObjectId(id) => format!("ObjectId('{id}')"),
        Bson::DateTime(date) => format!("new Date({})", date.timestamp_millis()),
        Bson::Timestamp(ts) => format!("Timestamp({}, {})", ts.time, ts.increment),
        Bson::RegularExpression(regex) => format!("/{}/{}", regex.pattern.as_str(), regex.options.as_str()),
        Bson::Document(doc) if doc.is_empty() => "{}".to_owned(),
        Bson::Document(doc) => {
            let fields: Vec<String> =
                doc.iter().map(|(name, value)| format!("{name}: {}", shell(value, collated))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Bson::Array(values) if values.is_empty() => "[]".to_owned(),
        Bson::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| shell(value, collated)).collect();
            format!("[ {} ]", values.join(", "))
        }
        other => other.to_string(),
    }
}

fn with_examined(mut stage: Document, counts: Option<&Counts>) -> Document {
    if let Some(counts) = counts {
        stage.insert("keysExamined", number(counts.keys));
        stage.insert("docsExamined", number(counts.docs));
    }
    stage
}

fn counted(mut stage: Document, returned: Option<u64>) -> Document {
    if let Some(returned) = returned {
        stage.insert("nReturned", number(returned));
    }
    stage
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "forward",
        Direction::Backward => "backward",
    }
}

/// The smallest integer type that holds it.
pub(crate) fn number(value: u64) -> Bson {
    match i32::try_from(value) {
        Ok(value) => Bson::Int32(value),
        Err(_) => Bson::Int64(i64::try_from(value).unwrap_or(i64::MAX)),
    }
}

/// A raw document as explain shows it. One that does not decode is shown empty: it was parsed before, so it does.
pub(crate) fn document(raw: &RawDocument) -> Document {
    Document::try_from(raw).unwrap_or_default()
}

/// A filter in the form that explain shows: every condition by its operator.
pub(crate) fn parsed_query(filter: &RawDocument) -> Document {
    let mut conditions: Vec<Document> = Vec::new();
    for (name, value) in document(filter) {
        match value {
            _ if name.starts_with('$') => conditions.push(doc! {name: value}),
            Bson::Document(operators) if operators.keys().next().is_some_and(|key| key.starts_with('$')) => {
                let split = operators.iter().any(|(operator, _)| operator == "$regex");
                if split {
                    conditions.push(doc! {name: operators});
                } else {
                    for (operator, operand) in operators {
                        conditions.push(doc! {&name: {operator: operand}});
                    }
                }
            }
            Bson::RegularExpression(regex) => {
                conditions.push(doc! {name: {"$regex": regex.pattern.as_str()}})
            }
            value => conditions.push(doc! {name: {"$eq": value}}),
        }
    }
    match conditions.len() {
        0 => Document::new(),
        1 => conditions.pop().unwrap_or_default(),
        _ => doc! {"$and": conditions},
    }
}

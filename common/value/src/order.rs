//! The order of BSON values: what `$lt`, sorts, indexes and chunk borders mean.
//! A total order over all types. Numbers compare by value across their types, strings by bytes, embedded documents field by
//! field (type, then name, then value). [`crate::key`] writes bytes that sort the same way.

use crate::collation::{Collator, is_collatable, is_collatable_bson};
use crate::element::{BinaryView, Elements, View, with_view};
use crate::key;
use bson::{Bson, Document, RawBsonRef, RawDocument};
use std::cmp::Ordering;

/// Compares two values of any types.
pub fn compare(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> Ordering {
    match (View::of_raw(left), View::of_raw(right)) {
        (Some(left), Some(right)) => compare_views(&left, &right),
        _ => with_view(left, |left| with_view(right, |right| compare_views(&left, &right))),
    }
}

/// Compares two values under a collation, if there is one: as their keys compare.
pub fn compare_under(left: RawBsonRef<'_>, right: RawBsonRef<'_>, collation: Option<&Collator>) -> Ordering {
    match collation {
        Some(_) if is_collatable(left) && is_collatable(right) => {
            key::of_under(left, collation).cmp(&key::of_under(right, collation))
        }
        _ => compare(left, right),
    }
}

/// Compares two owned values under a collation, if there is one.
pub fn compare_bson_under(left: &Bson, right: &Bson, collation: Option<&Collator>) -> Ordering {
    match collation {
        Some(_) if is_collatable_bson(left) && is_collatable_bson(right) => {
            let bytes = |value: &Bson| {
                let mut bytes = Vec::with_capacity(16);
                key::encode_bson_under(&mut bytes, value, false, collation);
                bytes
            };
            bytes(left).cmp(&bytes(right))
        }
        _ => compare_bson(left, right),
    }
}

/// Compares two documents: field by field by canonical type, then name, then value; the one that ends first is less.
pub fn compare_documents(left: &RawDocument, right: &RawDocument) -> Ordering {
    documents(left.as_bytes(), right.as_bytes())
}

/// Compares two owned values by the same rule.
pub fn compare_bson(left: &Bson, right: &Bson) -> Ordering {
    match (left, right) {
        (Bson::Document(left), Bson::Document(right)) => owned_documents(left, right),
        (Bson::Array(left), Bson::Array(right)) => left
            .iter()
            .zip(right)
            .map(|(left, right)| compare_bson(left, right))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left.len().cmp(&right.len())),
        (Bson::JavaScriptCodeWithScope(left), Bson::JavaScriptCodeWithScope(right)) => left
            .code
            .as_bytes()
            .cmp(right.code.as_bytes())
            .then_with(|| owned_documents(&left.scope, &right.scope)),
        (Bson::DbPointer(_), Bson::DbPointer(_)) => owned_by_bytes(left, right),
        _ => match (View::of_scalar(left), View::of_scalar(right)) {
            (Some(left), Some(right)) => compare_views(&left, &right),
            _ => canonical_type_of(left).cmp(&canonical_type_of(right)),
        },
    }
}

/// The canonical type: values of different canonical types sort by it alone.
pub fn canonical_type(value: RawBsonRef<'_>) -> i32 {
    View::of_raw(value).map_or(DB_POINTER, |view| view.canonical_type())
}

/// The canonical type of an owned value.
pub fn canonical_type_of(value: &Bson) -> i32 {
    match value {
        Bson::Document(_) => 20,
        Bson::Array(_) => 25,
        Bson::DbPointer(_) => DB_POINTER,
        Bson::JavaScriptCodeWithScope(_) => 65,
        other => View::of_scalar(other).map_or(0, |view| view.canonical_type()),
    }
}

const DB_POINTER: i32 = 55;

/// Compares two values by their parts.
pub fn compare_views(left: &View<'_>, right: &View<'_>) -> Ordering {
    match (left, right) {
        (View::Number(left), View::Number(right)) => left.compare(*right),
        (View::String(left), View::String(right)) | (View::Code(left), View::Code(right)) => left.cmp(right),
        (View::ObjectId(left), View::ObjectId(right)) => left.cmp(right),
        (View::Boolean(left), View::Boolean(right)) => left.cmp(right),
        (View::DateTime(left), View::DateTime(right)) => left.cmp(right),
        (View::Timestamp(left), View::Timestamp(right)) => left.cmp(right),
        (View::Document(left), View::Document(right)) => documents(left, right),
        (View::Array(left), View::Array(right)) => arrays(left, right),
        (View::Binary(left), View::Binary(right)) => binaries(left, right),
        (
            View::Regex { pattern: left, options: left_options },
            View::Regex { pattern: right, options: right_options },
        ) => (left, left_options).cmp(&(right, right_options)),
        (
            View::DbPointer { namespace: left, id: left_id },
            View::DbPointer { namespace: right, id: right_id },
        ) => (left.len(), left, left_id).cmp(&(right.len(), right, right_id)),
        (
            View::CodeWithScope { code: left, scope: left_scope },
            View::CodeWithScope { code: right, scope: right_scope },
        ) => left.cmp(right).then_with(|| documents(left_scope, right_scope)),
        _ => left.canonical_type().cmp(&right.canonical_type()),
    }
}

fn binaries(left: &BinaryView<'_>, right: &BinaryView<'_>) -> Ordering {
    (left.declared_len(), left.subtype, left.bytes).cmp(&(right.declared_len(), right.subtype, right.bytes))
}

fn documents(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (Elements::new(left), Elements::new(right));
    loop {
        let (left, right) = match (left.next(), right.next()) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return left.is_some().cmp(&right.is_some()),
        };
        let (Some(left_view), Some(right_view)) = (left.view(), right.view()) else { return Ordering::Equal };
        let order = left_view
            .canonical_type()
            .cmp(&right_view.canonical_type())
            .then_with(|| left.name.cmp(right.name))
            .then_with(|| compare_views(&left_view, &right_view));
        if order.is_ne() {
            return order;
        }
    }
}

fn arrays(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (Elements::new(left), Elements::new(right));
    loop {
        let (left, right) = match (left.next(), right.next()) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return left.is_some().cmp(&right.is_some()),
        };
        let (Some(left), Some(right)) = (left.view(), right.view()) else { return Ordering::Equal };
        let order = compare_views(&left, &right);
        if order.is_ne() {
            return order;
        }
    }
}

fn owned_documents(left: &Document, right: &Document) -> Ordering {
    left.iter()
        .zip(right)
        .map(|((left_name, left), (right_name, right))| {
            canonical_type_of(left)
                .cmp(&canonical_type_of(right))
                .then_with(|| left_name.as_bytes().cmp(right_name.as_bytes()))
                .then_with(|| compare_bson(left, right))
        })
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// Through the raw form, for the one owned type that hides its fields.
fn owned_by_bytes(left: &Bson, right: &Bson) -> Ordering {
    match (bson::RawBson::try_from(left.clone()), bson::RawBson::try_from(right.clone())) {
        (Ok(left), Ok(right)) => compare(left.as_raw_bson_ref(), right.as_raw_bson_ref()),
        (left, right) => left.is_ok().cmp(&right.is_ok()),
    }
}

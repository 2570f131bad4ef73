//! (being written)
pub(super) const OPERATORS: &[super::operator::Operator] = &[];

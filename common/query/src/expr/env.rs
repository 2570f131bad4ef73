//! What an expression is evaluated in: the document and the variables bound around it.

use super::Value;
use bson::RawDocument;
use types::Fault;

/// The document at hand and the bound variables. Cheap to copy; a binding is a frame on the caller's stack.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// `$$ROOT`.
    pub root: &'a RawDocument,
    frame: Option<&'a Frame<'a>>,
}

/// One bound variable.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    slot: usize,
    value: &'a Value,
    up: Option<&'a Frame<'a>>,
}

impl<'a> Env<'a> {
    /// An environment without variables.
    pub fn new(root: &'a RawDocument) -> Env<'a> {
        Env { root, frame: None }
    }

    pub(crate) fn bind(&self, slot: usize, value: &'a Value) -> Frame<'a> {
        Frame { slot, value, up: self.frame }
    }

    pub(crate) fn with<'b>(&self, frame: &'b Frame<'b>) -> Env<'b>
    where
        'a: 'b,
    {
        Env { root: self.root, frame: Some(frame) }
    }

    pub(crate) fn variable(&self, slot: usize) -> Result<&'a Value, Fault> {
        let mut frame = self.frame;
        while let Some(at) = frame {
            if at.slot == slot {
                return Ok(at.value);
            }
            frame = at.up;
        }
        Err(Fault::internal("an expression was evaluated outside of the scope of its variables"))
    }
}

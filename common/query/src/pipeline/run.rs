//! Runs a pipeline push style: documents are pushed in, results are popped out, and nothing blocks or awaits.
//! Bounded: a stage takes a document only when the one before has none waiting, so only blocking stages hold many,
//! and those count their bytes.

use super::Pipeline;
use super::stage::Exec;
use crate::raw;
use bson::{RawDocument, RawDocumentBuf};
use std::collections::VecDeque;
use types::{Code, Fault, limits};

/// A pipeline in execution.
///
/// Push while [`Run::wants_more`], then pop until `None`; call [`Run::finish`] when the input is at its end and pop
/// what is left. Pushing when it does not want more is allowed, and the input waits in memory.
pub struct Run {
    stages: Vec<Running>,
    inbox: VecDeque<RawDocumentBuf>,
    outbox: VecDeque<RawDocumentBuf>,
    finished: bool,
}

struct Running {
    exec: Box<dyn Exec>,
    ended: bool,
    /// Whether results can be nested deeper than the input.
    deepens: bool,
}

impl Run {
    /// Starts a pipeline; each blocking stage may hold `stage_bytes_max`
    /// (usually [`limits::BLOCKING_STAGE_BYTES_MAX`]). The source is not run here.
    pub fn new(pipeline: &Pipeline, stage_bytes_max: usize) -> Run {
        let stages = pipeline
            .stages
            .iter()
            .map(|planned| Running {
                exec: planned.stage.start(stage_bytes_max),
                ended: false,
                deepens: planned.stage.deepens(),
            })
            .collect();
        Run { stages, inbox: VecDeque::new(), outbox: VecDeque::new(), finished: false }
    }

    /// Takes a document. It is copied only if the first stage keeps it.
    ///
    /// # Errors
    /// What the stages complain about; the run is over then.
    pub fn push(&mut self, document: &RawDocument) -> Result<(), Fault> {
        if self.inbox.is_empty() {
            // Hungry unless an earlier document still waits inside.
            self.pump()?;
            if self.outbox.is_empty()
                && let Some(first) = self.stages.first_mut()
            {
                if !first.exec.is_done() {
                    first.exec.push_ref(document)?;
                }
                return self.pump();
            }
        }
        self.inbox.push_back(document.to_owned());
        Ok(())
    }

    /// As [`Run::push`], for a document that the caller gives away.
    ///
    /// # Errors
    /// As [`Run::push`].
    pub fn push_owned(&mut self, document: RawDocumentBuf) -> Result<(), Fault> {
        self.inbox.push_back(document);
        self.pump()
    }

    /// Says that no more input comes.
    ///
    /// # Errors
    /// What the stages complain about.
    pub fn finish(&mut self) -> Result<(), Fault> {
        self.finished = true;
        self.pump()
    }

    /// The next result. `None`: push more, or, after [`Run::finish`], the end.
    ///
    /// # Errors
    /// What the stages complain about, and 10334 for a result that is no legal document by its size.
    pub fn pop(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        if self.outbox.is_empty() {
            self.pump()?;
        }
        let Some(document) = self.outbox.pop_front() else { return Ok(None) };
        check_size(&document)?;
        Ok(Some(document))
    }

    /// Whether another document could change the result and none waits to be popped first.
    pub fn wants_more(&self) -> bool {
        !self.finished
            && self.inbox.is_empty()
            && self.outbox.is_empty()
            && !self.stages.iter().any(|stage| stage.exec.is_done())
    }

    /// Moves documents on until a result waits or the input is used up.
    fn pump(&mut self) -> Result<(), Fault> {
        if self.outbox.is_empty()
            && let Some(document) = self.pull()?
        {
            self.outbox.push_back(document);
        }
        Ok(())
    }

    /// The next document behind the last stage. A loop, not a recursion: pipelines are long and stacks are not.
    fn pull(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        let last = self.stages.len();
        // Asks for what comes out of the first `at` stages.
        let mut at = last;
        loop {
            let document = match at.checked_sub(1).and_then(|index| self.stages.get_mut(index)) {
                None => self.inbox.pop_front(),
                Some(stage) => stage.next()?,
            };
            let over = document.is_none() && self.is_over(at);
            match (document, self.stages.get_mut(at)) {
                (Some(document), None) => return Ok(Some(document)),
                (Some(document), Some(above)) => {
                    above.exec.push(document)?;
                    at += 1;
                }
                (None, None) if over => return Ok(None),
                (None, Some(above)) if over => {
                    if !above.ended {
                        above.exec.end()?;
                        above.ended = true;
                    }
                    at += 1;
                }
                (None, _) => match at.checked_sub(1) {
                    Some(below) => at = below,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Whether nothing more can come out of the first `count` stages, which have just given nothing.
    fn is_over(&self, count: usize) -> bool {
        match count.checked_sub(1).and_then(|index| self.stages.get(index)) {
            None => self.finished,
            Some(stage) => stage.ended || stage.exec.is_done(),
        }
    }
}

impl Running {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        let document = self.exec.next()?;
        if let Some(document) = &document
            && self.deepens
        {
            check_depth(document, limits::BSON_DEPTH_MAX)?;
        }
        Ok(document)
    }
}

/// Many stages could each add a level: nothing deeper than BSON may be is passed on.
fn check_depth(document: &RawDocument, levels: usize) -> Result<(), Fault> {
    let Some(levels) = levels.checked_sub(1) else {
        return Err(Fault::new(
            Code::Overflow,
            format!("a document is nested more than {} levels deep", limits::BSON_DEPTH_MAX),
        ));
    };
    for field in raw::fields(document) {
        let field = field?;
        if let Some(inner) = field.document()?.or(field.array()?) {
            check_depth(inner, levels)?;
        }
    }
    Ok(())
}

fn check_size(document: &RawDocument) -> Result<(), Fault> {
    const RESULT_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX + limits::DOCUMENT_OVERHEAD_BYTES;
    let size = document.as_bytes().len();
    if size > RESULT_BYTES_MAX {
        return Err(Fault::new(
            Code::BSONObjectTooLarge,
            format!(
                "BSONObj size: {size} (0x{size:X}) is invalid. Size must be between 0 and {RESULT_BYTES_MAX}(16MB)"
            ),
        ));
    }
    Ok(())
}

impl std::fmt::Debug for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Run").field("stages", &self.stages.len()).field("finished", &self.finished).finish()
    }
}

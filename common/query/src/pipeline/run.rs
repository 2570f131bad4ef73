//! Runs a pipeline push style: documents are pushed in, results are popped out, and nothing blocks or awaits.
//! Bounded: a stage takes a document only when the one before has none waiting, so only blocking stages hold many,
//! and those count their bytes.

use super::Pipeline;
use super::stage::Exec;
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
}

impl Run {
    /// Starts a pipeline; each blocking stage may hold `stage_bytes_max`
    /// (usually [`limits::BLOCKING_STAGE_BYTES_MAX`]). The source is not run here.
    pub fn new(pipeline: &Pipeline, stage_bytes_max: usize) -> Run {
        let stages = pipeline
            .stages
            .iter()
            .map(|planned| Running { exec: planned.stage.start(stage_bytes_max), ended: false })
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
            && let Some(document) = self.pull(self.stages.len())?
        {
            self.outbox.push_back(document);
        }
        Ok(())
    }

    /// The next document behind the first `count` stages.
    fn pull(&mut self, count: usize) -> Result<Option<RawDocumentBuf>, Fault> {
        let Some(index) = count.checked_sub(1) else { return Ok(self.inbox.pop_front()) };
        loop {
            let stage = &mut self.stages[index];
            if let Some(document) = stage.exec.next()? {
                return Ok(Some(document));
            }
            if stage.ended || stage.exec.is_done() {
                return Ok(None);
            }
            match self.pull(index)? {
                Some(document) => self.stages[index].exec.push(document)?,
                None if self.is_over(index) => {
                    let stage = &mut self.stages[index];
                    stage.exec.end()?;
                    stage.ended = true;
                }
                None => return Ok(None),
            }
        }
    }

    /// Whether nothing more can come out of the first `count` stages, which have just given nothing.
    fn is_over(&self, count: usize) -> bool {
        match count.checked_sub(1) {
            None => self.finished,
            Some(index) => self.stages[index].ended || self.stages[index].exec.is_done(),
        }
    }
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

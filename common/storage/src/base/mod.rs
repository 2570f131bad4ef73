//! The base: what has been checkpointed, in an embedded ordered key-value engine.
//! Behind a small trait; an engine has to keep only a prefix of the writes since its last flush, no more.

mod cached;
mod engine;
mod fjall;
mod guarded;
mod memory;
mod sled;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod syncs;

pub(crate) use cached::Cached;
pub(crate) use engine::{BaseIter, Bounds, Engine, Write};
pub(crate) use guarded::{Guarded, Health, guard};

use crate::Error;
use crate::options::{EngineKind, Options};
use std::path::Path;
use std::sync::Arc;

/// Opens the engine that the options name, in a directory of its own.
pub(crate) fn open(options: &Options, dir: &Path, health: &Arc<Health>) -> Result<Arc<dyn Engine>, Error> {
    Ok(match options.engine {
        EngineKind::Sled => Arc::new(sled::Sled::open(dir, options.engine_cache_bytes(), health)?),
        EngineKind::Fjall => Arc::new(fjall::Fjall::open(dir, options.engine_cache_bytes())?),
        EngineKind::Memory => Arc::new(memory::Memory::default()),
    })
}

//! What every process needs around its work: options, logs and traces, metrics, tasks with an owner, the clock, a clean stop.
//! Knows nothing of databases.

pub mod clock;
pub mod config;
pub mod executor;
pub mod metrics;
pub mod shutdown;
mod tasks;
pub mod telemetry;

pub use tasks::{OnError, Tasks};

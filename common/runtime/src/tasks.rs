//! Background tasks with an owner: every task has a name, hears the stop, and says what its failure means.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the failure of a task means to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Log it; the rest goes on.
    Log,
    /// The process cannot do its work without it: stop everything.
    StopProcess,
}

/// The owner of a process's tasks. Cheap to clone; all clones own the same tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// An owner without tasks.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// The token that is cancelled when the process stops. Tasks select on it and end by themselves.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs a task that cannot fail. It is expected to end soon after the token is cancelled.
    #[allow(clippy::disallowed_methods)]
    pub fn spawn<F>(&self, _name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(task);
    }

    /// Runs a task whose failure is logged, and stops the process where `on_error` says so.
    pub fn spawn_fallible<F, E>(&self, name: &'static str, on_error: OnError, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let token = self.token();
        self.spawn(name, async move {
            if let Err(error) = task.await {
                match on_error {
                    OnError::Log => tracing::warn!(task = name, %error, "task failed"),
                    OnError::StopProcess => {
                        tracing::error!(task = name, %error, "task failed, stopping the process");
                        token.cancel();
                    }
                }
            }
        });
    }

    /// Asks all tasks to end and waits for them; `false` if some were still running at the deadline.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

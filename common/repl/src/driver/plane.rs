//! What is done with the log beside clients' writes: one job at a time, and a newer one ends the one before. So nobody writes to the
//! log of a member that is no primary but the job that is asked for now.

use super::Feed;
use crate::core::config::MemberId;
use crate::core::event::Event;
use crate::shared::{Shared, off_thread};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use types::Fault;

/// From whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) id: MemberId,
    pub(super) host: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// Nothing.
    Idle,
    /// Pull what follows the last entry, and apply it.
    Fetch(Source),
    /// Whatever was begun has ended: say so.
    Drain { term: i64 },
    /// Search for the last entry that both logs have.
    FindCommon(Source),
    /// Copy the data.
    Resync(Source),
}

#[derive(Debug)]
struct Slot {
    next: Option<(u64, Job)>,
    current: CancellationToken,
}

/// Where the driver says what is to be done.
#[derive(Debug)]
pub(super) struct Plane {
    slot: Mutex<Slot>,
    wake: Notify,
    is_idle: AtomicBool,
}

/// Steps that may be under way at a time; more wait.
const STEPS_MAX: u32 = 16;

/// A job at work.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) shared: Arc<Shared>,
    pub(super) generation: u64,
    /// Ended when another job is asked for, or the process stops.
    pub(super) token: CancellationToken,
    steps: Arc<Semaphore>,
}

impl Work {
    /// Work that blocks, on a thread for such work. It comes to its end even if the job does not wait for it, and the next job begins
    /// only then.
    pub(super) async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let permit = self.steps.clone().acquire_owned().await;
        off_thread(move || {
            let _permit = permit;
            work()
        })
        .await
    }

    /// Tells the driver.
    pub(super) async fn tell(&self, event: Event) {
        self.shared.feed(Feed::Plane { generation: self.generation, event, go: None }).await;
    }

    /// Tells the driver, and asks whether entries of that source may be written.
    pub(super) async fn ask(&self, event: Event) -> bool {
        let (go, answer) = oneshot::channel();
        self.shared.feed(Feed::Plane { generation: self.generation, event, go: Some(go) }).await;
        answer.await.unwrap_or(false)
    }

    /// What the future gives, or `None` when the job is ended before.
    pub(super) async fn until_ended<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => None,
            output = future => Some(output),
        }
    }

    /// The process cannot go on.
    pub(super) async fn fail(&self, fault: Fault) {
        self.shared.feed(Feed::Failed(fault)).await;
    }
}

impl Plane {
    pub(super) fn start(shared: Arc<Shared>) -> Arc<Plane> {
        let token = shared.tasks.token();
        let plane = Arc::new(Plane {
            slot: Mutex::new(Slot { next: None, current: token.child_token() }),
            wake: Notify::new(),
            is_idle: AtomicBool::new(true),
        });
        let own = plane.clone();
        let tasks = shared.tasks.clone();
        let steps = Arc::new(Semaphore::new(STEPS_MAX as usize));
        tasks.spawn("replication-plane", async move {
            loop {
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = own.wake.notified() => {}
                }
                while let Some((generation, job, token)) = own.take(&shared) {
                    let work = Work { shared: shared.clone(), generation, token, steps: steps.clone() };
                    run(work, job).await;
                    // What it left behind comes to its end.
                    drop(steps.acquire_many(STEPS_MAX).await);
                }
            }
        });
        plane
    }

    /// The next thing to do; whatever was asked for before ends.
    pub(super) fn plan(&self, generation: u64, job: Job) {
        let mut slot = self.slot.lock();
        slot.current.cancel();
        self.is_idle.store(false, Ordering::Release);
        slot.next = Some((generation, job));
        drop(slot);
        self.wake.notify_one();
    }

    /// Whether nothing is under way or asked for.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Acquire)
    }

    fn take(&self, shared: &Arc<Shared>) -> Option<(u64, Job, CancellationToken)> {
        let mut slot = self.slot.lock();
        let Some((generation, job)) = slot.next.take() else {
            self.is_idle.store(true, Ordering::Release);
            return None;
        };
        slot.current = shared.tasks.token().child_token();
        Some((generation, job, slot.current.clone()))
    }
}

async fn run(work: Work, job: Job) {
    match job {
        Job::Idle => {}
        Job::Fetch(source) => super::fetch::run(&work, &source).await,
        Job::Drain { term } => work.tell(Event::Drained { term }).await,
        Job::FindCommon(source) => super::search::run(&work, &source).await,
        Job::Resync(source) => super::resync::run(&work, &source).await,
    }
}

//! All futures of one connection in one task: HTTP/2 itself, the streams on it, and who reads them. They wake each other many times
//! for one operation; in tasks of their own each wake may cost a hand-over to another thread, here it is a flag.
//! Nothing that blocks or computes for long may run in here: the connection would stand still.

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::{AtomicWaker, Wake};
use runtime::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc;

/// Times that the futures are polled again because they woke each other, before other tasks have their turn.
const ROUNDS_MAX: u32 = 32;

/// Puts futures into one task, which ends with the last handle and the last future. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Together {
    futures: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    /// Operations under way on the connection, roughly.
    operations: Arc<AtomicUsize>,
}

impl Together {
    /// A task of its own, without futures yet. When the tasks are to stop, its futures are dropped.
    pub(crate) fn new(name: &'static str, tasks: &Tasks) -> Together {
        let (futures, added) = mpsc::unbounded_channel();
        let (signal, stop) = (Arc::new(Signal::default()), tasks.token());
        let waker = Waker::from(signal.clone());
        let operations = Arc::new(AtomicUsize::new(0));
        let mut group = Group {
            added: Some(added),
            running: FuturesUnordered::new(),
            signal,
            waker,
            operations: operations.clone(),
        };
        tasks.spawn(name, async move {
            tokio::select! {
                biased;
                () = group.run() => {}
                () = stop.cancelled() => {}
            }
        });
        Together { futures, operations }
    }

    /// The task of the connection that a call came over.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Together> {
        request.extensions().get::<Together>().cloned()
    }

    /// Tells how many operations are under way now.
    pub(crate) fn note_operations(&self, count: usize) {
        self.operations.store(count, Ordering::Relaxed);
    }

    /// Adds a future; it is dropped at once where the task has ended.
    pub fn add(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.futures.send(Box::pin(future)).ok(); // ended: the process stops
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Together {
    fn execute(&self, future: F) {
        self.add(future);
    }
}

const IDLE: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// Wakes the task, unless it is polling just now: then it only has to look once more.
#[derive(Debug)]
struct Signal {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Default for Signal {
    /// Woken: there is a first time to look.
    fn default() -> Signal {
        Signal { state: AtomicU8::new(WOKEN), task: AtomicWaker::new() }
    }
}

impl Signal {
    /// Ready once somebody woke the group since it was last settled.
    fn woken(&self, context: &mut Context<'_>) -> Poll<()> {
        self.task.register(context.waker());
        if self.state.load(Ordering::Acquire) == IDLE { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.task.wake();
        }
    }
}

struct Group {
    /// `None` once all handles are gone.
    added: Option<mpsc::UnboundedReceiver<BoxFuture<'static, ()>>>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    signal: Arc<Signal>,
    /// Of `signal`.
    waker: Waker,
    operations: Arc<AtomicUsize>,
}

/// How far the futures got.
enum Settled {
    /// There are none any more, and no handles.
    Over,
    /// All wait for something outside.
    Idle,
    /// Some have more to do, but other tasks come first.
    OutOfTurn,
}

impl Group {
    async fn run(&mut self) {
        let mut settled = true;
        loop {
            std::future::poll_fn(|context| self.signal.woken(context)).await;
            // Other tasks that are ready now may have more for this connection, and all of it goes out with one system call.
            // With a single operation under way there is nothing to wait for, and yielding may wake an idle thread.
            if !settled || self.operations.load(Ordering::Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
            settled = match self.settle() {
                Settled::Over => return,
                Settled::Idle => true,
                Settled::OutOfTurn => false,
            };
        }
    }

    /// Polls until nothing in here is woken any more, or others should have a turn.
    fn settle(&mut self) -> Settled {
        for _ in 0..ROUNDS_MAX {
            self.signal.state.store(POLLING, Ordering::Release);
            if self.round() {
                return Settled::Over;
            }
            let state = &self.signal.state;
            if state.compare_exchange(POLLING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Settled::Idle;
            }
            if !tokio::task::coop::has_budget_remaining() {
                break;
            }
        }
        Settled::OutOfTurn
    }

    /// Takes new futures in and polls those that were woken; whether all is over.
    fn round(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        while let Some(added) = &mut self.added {
            match added.poll_recv(&mut context) {
                Poll::Ready(Some(future)) => self.running.push(future),
                Poll::Ready(None) => self.added = None,
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(&mut context) {}
        self.added.is_none() && self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    /// Futures that talk to each other and to the outside in both directions, added at different times.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn no_wake_is_lost() {
        const MESSAGES: u32 = 2_000;
        let tasks = Tasks::new();
        let together = Together::new("test", &tasks);
        let heard = Arc::new(AtomicU32::new(0));
        let mut ends = Vec::new();
        for _ in 0..8 {
            let (ask, mut asked) = mpsc::channel::<u32>(4);
            let (pass, mut passed) = mpsc::channel::<u32>(1);
            let (answer, mut answers) = mpsc::channel::<u32>(4);
            let counted = heard.clone();
            let inner = together.clone();
            together.add(async move {
                // A future that a future added.
                inner.add(async move {
                    while let Some(number) = passed.recv().await {
                        counted.fetch_add(1, Ordering::Relaxed);
                        answer.send(number).await.unwrap();
                    }
                });
                while let Some(number) = asked.recv().await {
                    pass.send(number).await.unwrap();
                }
            });
            ends.push(tokio::task::spawn_blocking(move || {
                for number in 0..MESSAGES {
                    ask.blocking_send(number).unwrap();
                    assert_eq!(answers.blocking_recv(), Some(number));
                }
            }));
        }
        drop(together);
        for end in ends {
            tokio::time::timeout(Duration::from_secs(60), end).await.unwrap().unwrap();
        }
        assert_eq!(heard.load(Ordering::Relaxed), 8 * MESSAGES);
        // The last handle and the last future are gone, so the task is.
        assert!(tasks.stop(Duration::from_secs(10)).await);
    }
}

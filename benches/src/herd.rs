//! Many tasks that wait for one refresh.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use token_core::{ConfigError, RefreshError, Refresher, Spends, TokenManager, TokenSet};
use tokio::runtime::{self, Runtime};
use tokio::sync::{Notify, oneshot};

use crate::access_token;

/// How long a refresh takes.
pub const REFRESH: Duration = Duration::from_millis(10);

/// The runtime that every row runs on.
///
/// # Errors
///
/// The system gives no threads.
pub fn runtime() -> std::io::Result<Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()
}

/// A runtime that has everything on the thread that counts allocations.
///
/// # Errors
///
/// The system refuses.
pub fn counting_runtime() -> std::io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_time().build()
}

/// One exchange with a server that takes 10 ms. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Exchange(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many must have asked before the 10 ms begin. The tasks are started one after the other; without this the
    /// first would be answered while the last is not there yet.
    herd: u32,
    asked: AtomicU32,
    all_asked: Notify,
    calls: AtomicU32,
    done: Mutex<Option<Instant>>,
}

impl Exchange {
    /// An exchange whose 10 ms begin when this many have asked.
    pub fn awaiting(herd: u32) -> Self {
        Self(Arc::new(Shared { herd, ..Shared::default() }))
    }

    /// A task is about to wait for the token.
    pub fn asks(&self) {
        if self.0.asked.fetch_add(1, Ordering::Relaxed) + 1 == self.0.herd {
            self.0.all_asked.notify_one();
        }
    }

    /// The exchange itself.
    pub async fn run(&self) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if self.0.herd > 0 {
            self.0.all_asked.notified().await;
        }
        tokio::time::sleep(REFRESH).await;
        *self.0.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How often it was run.
    pub fn calls(&self) -> u32 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// The moment at which its answer was there.
    pub fn done(&self) -> Instant {
        let done = *self.0.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.expect("the exchange was run")
    }
}

/// The floor: a refresh in a task of its own that wakes whoever waits, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Bare(Arc<Landing>);

#[derive(Debug, Default)]
struct Landing {
    landed: Notify,
    is_over: AtomicBool,
}

impl Bare {
    /// Starts the refresh.
    pub fn start(exchange: &Exchange) -> Self {
        let bare = Self::default();
        let (exchange, landing) = (exchange.clone(), Arc::clone(&bare.0));
        tokio::spawn(async move {
            exchange.run().await;
            landing.is_over.store(true, Ordering::Release);
            landing.landed.notify_waiters();
        });
        bare
    }

    /// Waits for the end of the refresh.
    pub async fn wait(&self) {
        let landed = self.0.landed.notified();
        // A task that comes late. `notified` counts from its call, so nothing is missed in between.
        if !self.0.is_over.load(Ordering::Acquire) {
            landed.await;
        }
    }
}

/// What a refresh uses up and how it ends.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "benches fill it in")]
pub struct Terms {
    /// What it uses up.
    pub spends: Spends,
    /// Whether it brings a token.
    pub succeeds: bool,
}

struct Server {
    exchange: Exchange,
    terms: Terms,
}

impl Refresher for Server {
    async fn refresh(&self, _current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let tokens = TokenSet::new(access_token()).with_expires_in(Duration::from_secs(3600));
        self.exchange.run().await;
        if !self.terms.succeeds {
            return Err(RefreshError::rejected("not now"));
        }
        Ok(match self.terms.spends {
            Spends::Nothing => tokens,
            Spends::RefreshToken | Spends::Reusable => tokens.with_refresh_token("next"),
        })
    }

    fn spends(&self, _current: Option<&TokenSet>) -> Spends {
        self.terms.spends
    }
}

/// A manager without a token, over a store in memory. Call it within the runtime.
///
/// # Errors
///
/// The settings cannot work.
pub fn manager(exchange: &Exchange, terms: Terms) -> Result<TokenManager, ConfigError> {
    let builder = TokenManager::builder(Server { exchange: exchange.clone(), terms });
    match terms.spends {
        Spends::Nothing => builder.build(),
        Spends::RefreshToken | Spends::Reusable => {
            builder.seed(TokenSet::from_refresh_token("first")).build()
        }
    }
}

/// Starts `tasks` tasks, and returns when the last one was done. A task tells whether it got what it waited for; all
/// must.
pub async fn last_of<F>(tasks: u32, task: impl Fn() -> F) -> Instant
where
    F: Future<Output = bool> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let finish = Arc::new(Finish {
        left: AtomicU32::new(tasks),
        content: AtomicU32::new(0),
        last: Mutex::new(Some(sender)),
    });
    for _ in 0..tasks {
        let (task, finish) = (task(), Arc::clone(&finish));
        tokio::spawn(async move { finish.done(task.await) });
    }
    let last = receiver.await.expect("a task panicked");
    assert_eq!(
        finish.content.load(Ordering::Relaxed),
        tasks,
        "tasks that got what they waited for"
    );
    last
}

struct Finish {
    left: AtomicU32,
    content: AtomicU32,
    last: Mutex<Option<oneshot::Sender<Instant>>>,
}

impl Finish {
    fn done(&self, content: bool) {
        self.content.fetch_add(u32::from(content), Ordering::Relaxed);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(sender) = self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            let _ = sender.send(Instant::now());
        }
    }
}

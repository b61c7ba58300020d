//! The requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};

use crate::options::Options;
use crate::target::{StampedeClient, Target};

/// More tasks than this would only wait for sockets, longer than the short tokens live.
const SUSTAINED_TASKS: u64 = 256;

/// What came of the requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    pub(crate) ok: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) unauthorized: AtomicU64,
    pub(crate) replayed: AtomicU64,
    pub(crate) first_failure: OnceLock<String>,
}

/// A request extension that counts how often the request was put on the wire.
#[derive(Clone, Default)]
pub(crate) struct Sends(Arc<AtomicU64>);

impl Sends {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all tasks of one part share.
struct Part {
    target: Arc<Target>,
    tally: Arc<Tally>,
    body: Bytes,
    next: AtomicU64,
    done: AtomicU64,
    total: Option<u64>,
    end: Option<Instant>,
    revoke_at: Option<u64>,
}

/// One round: so many requests, as concurrent as asked for.
pub(crate) async fn requests(
    target: &Arc<Target>,
    tally: &Arc<Tally>,
    options: &Options,
    what: &str,
    revoke_at: Option<u64>,
) {
    let part =
        Part { total: Some(options.requests), revoke_at, ..Part::new(target, tally, options) };
    let label = format!("{} requests {what}", options.requests);
    run(part, options.concurrency.min(options.requests), &label, options.json).await;
}

/// Load for so many seconds.
pub(crate) async fn sustained(target: &Arc<Target>, tally: &Arc<Tally>, options: &Options) {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let part = Part { end: Some(end), ..Part::new(target, tally, options) };
    let label = format!("{} s of load over many expiries", options.seconds);
    run(part, options.concurrency.min(SUSTAINED_TASKS), &label, options.json).await;
}

impl Part {
    fn new(target: &Arc<Target>, tally: &Arc<Tally>, options: &Options) -> Self {
        Self {
            target: Arc::clone(target),
            tally: Arc::clone(tally),
            body: Bytes::from(
                (0..options.body_bytes).map(|n| b'a' + (n % 26) as u8).collect::<Vec<_>>(),
            ),
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            total: None,
            end: None,
            revoke_at: None,
        }
    }

    /// The number of the next request, if there is to be one.
    fn next(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let over = self.total.is_some_and(|total| number >= total)
            || self.end.is_some_and(|end| Instant::now() >= end);
        (!over).then_some(number)
    }

    async fn send(&self, client: &mut StampedeClient, number: u64) {
        let tally = &self.tally;
        tally.requests.fetch_add(1, Ordering::Relaxed);
        let sends = Sends::default();
        let failure = self.attempt(client, number, sends.clone()).await.err();
        if sends.0.load(Ordering::Relaxed) > 1 {
            tally.replayed.fetch_add(1, Ordering::Relaxed);
        }
        match failure {
            None => tally.ok.fetch_add(1, Ordering::Relaxed),
            Some(failure) => {
                tally.first_failure.get_or_init(|| failure);
                tally.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn attempt(
        &self,
        client: &mut StampedeClient,
        number: u64,
        sends: Sends,
    ) -> Result<(), String> {
        let method = self.target.method(number);
        let sent = if method == Method::GET { Bytes::new() } else { self.body.clone() };
        let request = Request::builder()
            .method(method)
            .uri(self.target.url.clone())
            .extension(sends)
            .body(Full::new(sent.clone()))
            .map_err(|error| error.to_string())?;
        let client = client.ready().await.map_err(|error| chain(error.as_ref()))?;
        let answer = client.call(request).await.map_err(|error| chain(error.as_ref()))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.tally.unauthorized.fetch_add(1, Ordering::Relaxed);
        }
        if !answer.status().is_success() {
            return Err(format!("the API answered {}", answer.status()));
        }
        if self.target.has_kit() {
            // The kit says what it received: a replayed body must be whole.
            let Ok(body) = answer.into_body().collect().await;
            let echo: serde_json::Value =
                serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            if echo["body_bytes"] != sent.len() {
                return Err(format!(
                    "the API received {} of {} bytes",
                    echo["body_bytes"],
                    sent.len()
                ));
            }
        }
        Ok(())
    }
}

async fn run(part: Part, tasks: u64, label: &str, quiet: bool) {
    let part = Arc::new(part);
    let mut workers = JoinSet::new();
    for _ in 0..tasks {
        let part = Arc::clone(&part);
        workers.spawn(async move {
            let mut client = part.target.client.clone();
            while let Some(number) = part.next() {
                if part.revoke_at == Some(number) {
                    part.target.revoke();
                }
                part.send(&mut client, number).await;
            }
        });
    }
    let start = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    tick.tick().await;
    loop {
        tokio::select! {
            worker = workers.join_next() => if worker.is_none() { break },
            _ = tick.tick(), if !quiet => progress(label, &part, start),
        }
    }
    if !quiet {
        progress(label, &part, start);
        eprintln!();
    }
}

fn progress(label: &str, part: &Part, start: Instant) {
    let done = part.done.load(Ordering::Relaxed);
    eprint!("\r{label}: {done} done in {:.1} s ", start.elapsed().as_secs_f64());
}

/// An error with its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

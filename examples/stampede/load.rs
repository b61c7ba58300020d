//! The requests that one process sends.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use examples::told_whole;
use http::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::adapter::StampedeClient;
use crate::figures::Figures;
use crate::kit::Kit;
use crate::options::Options;
use crate::sockets::share;
use crate::target::Target;

/// A part of a run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Part {
    /// So many requests, as concurrent as asked for.
    Round,
    /// Load for so many seconds. More tasks than sockets would only wait for those, longer than the short tokens live.
    Sustained,
}

/// A request extension that counts how often the request was put on the wire.
#[derive(Clone, Default)]
pub(crate) struct Sends(Arc<AtomicU64>);

impl Sends {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends a part; `revoked_by` revokes every access token when a third of the requests has begun. With a label the
/// progress is shown.
pub(crate) async fn send(
    target: &Arc<Target>,
    options: &Options,
    part: Part,
    revoked_by: Option<&Arc<Kit>>,
    label: Option<&str>,
) -> Figures {
    let (tasks, total, end) = match part {
        Part::Round => (options.concurrency.min(options.requests), Some(options.requests), None),
        Part::Sustained => {
            let end = Instant::now() + Duration::from_secs(options.seconds);
            (options.concurrency.min(share(options.processes).into()), None, Some(end))
        }
    };
    let body = (0..options.body_bytes).map(|n| b'a' + (n % 26) as u8).collect::<Vec<_>>();
    let queue = Arc::new(Queue {
        target: Arc::clone(target),
        body: Bytes::from(body),
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        total,
        end,
        revocation: revoked_by.map(|kit| (options.requests / 3, Arc::clone(kit))),
    });
    let mut figures = work_off(&queue, tasks, label).await;
    figures.seen = target.log.take();
    figures
}

/// What all tasks share.
struct Queue {
    target: Arc<Target>,
    body: Bytes,
    next: AtomicU64,
    done: AtomicU64,
    total: Option<u64>,
    end: Option<Instant>,
    /// Before which request, and by whom.
    revocation: Option<(u64, Arc<Kit>)>,
}

impl Queue {
    /// The number of the next request, if there is to be one.
    fn next(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let over = self.total.is_some_and(|total| number >= total)
            || self.end.is_some_and(|end| Instant::now() >= end);
        (!over).then_some(number)
    }

    async fn send(&self, client: &mut StampedeClient, number: u64, figures: &mut Figures) {
        figures.requests += 1;
        let sends = Sends::default();
        match self.attempt(client, number, sends.clone(), figures).await {
            Ok(()) => figures.ok += 1,
            Err(failure) => {
                figures.failed += 1;
                figures.first_failure.get_or_insert(failure);
            }
        }
        figures.replayed += u64::from(sends.0.load(Ordering::Relaxed) > 1);
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn attempt(
        &self,
        client: &mut StampedeClient,
        number: u64,
        sends: Sends,
        figures: &mut Figures,
    ) -> Result<(), String> {
        let method = self.target.method(number);
        let sent = if method == Method::GET { Bytes::new() } else { self.body.clone() };
        let request = Request::builder()
            .method(method)
            .uri(self.target.url.clone())
            .extension(sends)
            .body(sent.clone())
            .map_err(|error| error.to_string())?;
        let answer = client.send(request).await.map_err(|error| told_whole(error.as_ref()))?;
        figures.unauthorized += u64::from(answer.status() == StatusCode::UNAUTHORIZED);
        if !answer.status().is_success() {
            return Err(format!("the API answered {}", answer.status()));
        }
        if self.target.echoes {
            // A replayed body must be whole.
            let echo: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            // In one dialect it is in an envelope.
            let received = echo.pointer("/datas").unwrap_or(&echo)["body_bytes"].as_u64();
            if received != Some(sent.len() as u64) {
                return Err(format!("the API received {received:?} of {} bytes", sent.len()));
            }
        }
        Ok(())
    }
}

async fn work_off(queue: &Arc<Queue>, tasks: u64, label: Option<&str>) -> Figures {
    let mut workers = JoinSet::new();
    for _ in 0..tasks {
        let queue = Arc::clone(queue);
        workers.spawn(async move {
            let mut client = queue.target.client.clone();
            let mut figures = Figures::default();
            while let Some(number) = queue.next() {
                if let Some((revoke_at, kit)) = &queue.revocation
                    && *revoke_at == number
                {
                    kit.revoke();
                }
                queue.send(&mut client, number, &mut figures).await;
            }
            figures
        });
    }
    let start = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    tick.tick().await;
    let mut figures = Figures::default();
    loop {
        tokio::select! {
            worker = workers.join_next() => match worker {
                Some(Ok(worked)) => figures += worked,
                // A task that panicked has sent a request, and nobody knows what came of it.
                Some(Err(error)) => {
                    figures.failed += 1;
                    figures.first_failure.get_or_insert(error.to_string());
                }
                None => break,
            },
            _ = tick.tick() => progress(label, queue, start),
        }
    }
    progress(label, queue, start);
    if label.is_some() {
        let _ = writeln!(io::stderr());
    }
    figures
}

fn progress(label: Option<&str>, queue: &Queue, start: Instant) {
    if let Some(label) = label {
        let done = queue.done.load(Ordering::Relaxed);
        let seconds = start.elapsed().as_secs_f64();
        // Nobody has to look on.
        let _ = write!(io::stderr(), "\r{label}: {done} done in {seconds:.1} s ");
    }
}

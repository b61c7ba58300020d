//! Every order of poll, wake and drop for three callers on the real flight, which goes on one step at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::{Script, TestStore, builder, settle};
use crate::clock::ManualClock;
use crate::error::Error;
use crate::manager::TokenManager;
use crate::refresher::Spends;
use crate::token::Token;

const CALLERS: usize = 3;

/// Permits that a flight takes: the intent, the exchange, the commit. What comes before is given with the first.
const ADVANCES: usize = 3;
const PERMITS: [usize; ADVANCES] = [3, 1, 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Poll(usize),
    Drop(usize),
    Advance,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

enum Caller {
    New,
    Waiting {
        future: Pin<Box<dyn Future<Output = Result<Token, Error>>>>,
        woken: Arc<Flag>,
        spurious: bool,
    },
    Done(Result<Token, Error>),
    Dropped,
}

struct World {
    runtime: Runtime,
    manager: TokenManager,
    script: Script,
    gate: Arc<Semaphore>,
    callers: [Caller; CALLERS],
    advanced: usize,
    asked: bool,
}

impl World {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let store = TestStore { gate: Some(Arc::clone(&gate)), ..TestStore::default() };
        // One-shot: no driver beside the flight takes permits.
        let manager =
            builder(&script, &ManualClock::new()).store(store).one_shot().build().unwrap();
        Self {
            runtime,
            manager,
            script,
            gate,
            callers: [const { Caller::New }; CALLERS],
            advanced: 0,
            asked: false,
        }
    }

    /// What may happen next. Callers are alike, so they come in one order.
    fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (n, caller) in self.callers.iter().enumerate() {
            let next = n == 0 || !matches!(self.callers[n - 1], Caller::New);
            match caller {
                Caller::New if next => ops.push(Op::Poll(n)),
                Caller::New | Caller::Done(_) | Caller::Dropped => {}
                Caller::Waiting { woken, spurious, .. } => {
                    if woken.0.load(Ordering::SeqCst) || !spurious {
                        ops.push(Op::Poll(n));
                    }
                    ops.push(Op::Drop(n));
                }
            }
        }
        if self.asked && self.advanced < ADVANCES {
            ops.push(Op::Advance);
        }
        ops
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Poll(n) => self.poll(n),
            Op::Drop(n) => self.callers[n] = Caller::Dropped,
            Op::Advance => {
                self.gate.add_permits(PERMITS[self.advanced]);
                self.advanced += 1;
                self.runtime.block_on(settle());
            }
        }
    }

    fn poll(&mut self, n: usize) {
        let _entered = self.runtime.enter();
        self.asked = true;
        if matches!(self.callers[n], Caller::New) {
            let manager = self.manager.clone();
            let future = Box::pin(async move { manager.token().await });
            let woken = Arc::new(Flag(AtomicBool::new(true)));
            self.callers[n] = Caller::Waiting { future, woken, spurious: false };
        }
        let Caller::Waiting { future, woken, spurious } = &mut self.callers[n] else { return };
        if !woken.0.swap(false, Ordering::SeqCst) {
            *spurious = true;
        }
        let waker = Waker::from(Arc::clone(woken));
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.callers[n] = Caller::Done(result);
        }
    }

    /// Lets the flight end, and looks at what became of everybody.
    fn check(mut self, path: &[Op]) {
        while self.asked && self.advanced < ADVANCES {
            self.take(Op::Advance);
        }
        for n in 0..CALLERS {
            if let Caller::Waiting { woken, .. } = &self.callers[n] {
                assert!(woken.0.load(Ordering::SeqCst), "caller {n} was not woken: {path:?}");
                self.poll(n);
            }
            match &self.callers[n] {
                Caller::Done(result) => {
                    let token = result
                        .as_ref()
                        .unwrap_or_else(|error| panic!("caller {n}: {error}: {path:?}"));
                    assert_eq!(token.expose_secret(), "at-1", "{path:?}");
                }
                Caller::Waiting { .. } => {
                    panic!("caller {n} waits after the flight has landed: {path:?}")
                }
                Caller::New | Caller::Dropped => {}
            }
        }
        assert_eq!(self.script.calls(), usize::from(self.asked), "{path:?}");
        if self.asked {
            assert_eq!(
                self.manager.status().version().unwrap().generation(),
                1,
                "not stored: {path:?}"
            );
            assert!(!self.manager.status().is_refreshing(), "{path:?}");
        }
    }
}

#[test]
fn every_order_of_three_callers_ends_in_one_stored_exchange_and_an_answer_for_each() {
    let mut open: Vec<Vec<Op>> = vec![Vec::new()];
    let mut explored = 0;
    while let Some(path) = open.pop() {
        // The real flight cannot be copied: each path is run from its beginning.
        let mut world = World::new();
        for op in &path {
            world.take(*op);
        }
        let ops = world.ops();
        for op in &ops {
            let mut longer = path.clone();
            longer.push(*op);
            open.push(longer);
        }
        // The others are beginnings of these.
        if ops.is_empty() {
            world.check(&path);
            explored += 1;
        }
    }
    assert!(explored > 100_000, "only {explored} orders");
}

/// A future polled `k` times and dropped, for every `k` until it is done: the exchange is finished and stored all the
/// same, and the others get it.
#[test]
fn callers_dropped_after_any_number_of_polls_lose_nothing() {
    for dropped in [&[0][..], &[0, 1, 2]] {
        for polls in 1..=ADVANCES + 2 {
            let mut world = World::new();
            for n in 0..CALLERS {
                world.poll(n);
            }
            for _ in 1..polls {
                if world.advanced < ADVANCES {
                    world.take(Op::Advance);
                }
                for n in dropped {
                    world.poll(*n);
                }
            }
            for n in dropped {
                if matches!(world.callers[*n], Caller::Waiting { .. }) {
                    world.take(Op::Drop(*n));
                }
            }
            world.check(&[Op::Advance]);
        }
    }
}

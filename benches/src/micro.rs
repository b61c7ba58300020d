//! Operations of some nanoseconds, on one thread and on two.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::allocations;
use crate::table::{self, Row};

/// How often an operation runs in one round on each thread.
const OPERATIONS: u32 = 500_000;

/// An operation that is measured.
pub struct Operation<'a> {
    name: &'a str,
    goal: &'a str,
    round: Box<dyn Fn(usize) -> f64 + 'a>,
    allocations: f64,
}

impl<'a> Operation<'a> {
    /// `make` makes the operation for one thread, with the state that is the thread's own.
    pub fn new<F: FnMut()>(name: &'a str, goal: &'a str, make: impl Fn() -> F + Sync + 'a) -> Self {
        let allocations = count(make());
        Self { name, goal, allocations, round: Box::new(move |threads| run(&make, threads)) }
    }

    /// The allocations of one operation.
    pub fn allocations(&self) -> f64 {
        self.allocations
    }
}

impl std::fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Compares operations with the first one, on one thread and on two, and prints the table.
pub fn compare(title: &str, operations: &[Operation<'_>]) {
    let figures = [1, 2].map(|threads| {
        let row = |operation| row(operation, threads);
        table::alternate(operations.iter().map(row).collect())
    });
    let floor = operations[0].allocations;
    let rows: Vec<_> = operations
        .iter()
        .zip(figures[0].iter().zip(&figures[1]))
        .map(|(operation, (one, two))| {
            vec![
                operation.name.to_owned(),
                table::time(one.seconds),
                table::ratio(one),
                table::time(two.seconds),
                table::ratio(two),
                table::allocations(operation.allocations - floor),
                operation.goal.to_owned(),
            ]
        })
        .collect();
    let columns = [
        "",
        "1 thread",
        "× floor",
        "2 threads",
        "× floor",
        "allocations beyond the floor's",
        "goal",
    ];
    table::print(title, &columns, &rows);
    // The floor's threads share nothing, so that nothing of the program's makes one wait for the other.
    if figures[1][0].seconds > 1.2 * figures[0][0].seconds {
        println!("  Something else ran on the second core: what two threads took says nothing.");
    }
}

fn row<'a>(operation: &'a Operation<'_>, threads: usize) -> Row<'a> {
    Row::new(operation.name, move || (operation.round)(threads))
}

/// The seconds of one operation while `threads` threads do nothing else: the threads' mean.
fn run<F: FnMut()>(make: &(impl Fn() -> F + Sync), threads: usize) -> f64 {
    let ready = AtomicUsize::new(0);
    let work = || {
        let mut operation = make();
        operation();
        // Not a `Barrier`: whoever sleeps at it is woken after the others have begun, and may be alone at the end.
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < threads {
            std::thread::yield_now();
        }
        let begin = Instant::now();
        for _ in 0..OPERATIONS {
            operation();
        }
        begin.elapsed()
    };
    let total: Duration = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("an operation panicked")).sum()
    });
    total.as_secs_f64() / threads as f64 / f64::from(OPERATIONS)
}

/// The allocations of one operation, once its thread has its own copies of things.
fn count(mut operation: impl FnMut()) -> f64 {
    const TIMES: u32 = 1_000;
    operation();
    let count = allocations(|| (0..TIMES).for_each(|_| operation()));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let count = count as f64;
    count / f64::from(TIMES)
}

//! What the benchmarks share: rows that take turns, medians, a table of ratios to a floor, and a count of allocations.

pub mod herd;
pub mod micro;
pub mod table;

/// The allocations of this thread while `work` runs.
pub fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// Whether `cargo bench` runs this. `cargo test --all-targets` runs the targets too, and has no time for them.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// An access token of one kilobyte, as signed ones are.
pub fn access_token() -> String {
    "t".repeat(1024)
}

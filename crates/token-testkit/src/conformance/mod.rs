//! What every [`TokenStore`] has to do: one suite for all of them. Feature `conformance`.
//!
//! A store whose clones share the data is tested as it is. Each check becomes a test of its own, on a new, empty store:
//!
//! ```
//! use token_core::store::MemoryStore;
//!
//! token_testkit::conformance_tests!(MemoryStore::new());
//! # fn main() {}
//! ```
//!
//! For any other store, and to have it tested across processes and through failures, implement [`Subject`]. What a store
//! declares in its [`Capabilities`](token_core::store::Capabilities) the suite insists on seeing: one that says its
//! records outlive the process must say how to start a process, one that may regress how to make it. What it does not
//! declare and gives no hook for is reported as not checked.
//!
//! The names of the checks are stable; what is in them grows.

use std::fmt;
use std::future::Future;
use std::process::Command;
use std::time::Duration;

use token_core::store::{StoreErrorKind, StoreKey, TokenStore};

mod cancel;
mod crash;
mod failure;
mod keys;
mod listing;
mod process;
mod record;
mod register;
mod time;
mod watch;

pub use self::cancel::c11_dropped_futures_leave_old_or_new;
pub use self::crash::{
    Storm, Weathered, c07_no_torn_record, c10_what_was_won_survives_a_kill,
    c12_only_the_dead_are_dead,
};
pub use self::failure::{
    c05_indeterminate_is_decided_by_the_stamp, c06_refused_changes_nothing, c17_no_secret_is_told,
    c18_damage_is_never_absence, c19_only_what_cannot_be_read_is_set_aside,
};
pub use self::keys::c14_keys_are_apart;
pub use self::listing::{list_names_every_key, list_names_every_key_while_others_write};
pub use self::process::{started_by_the_suite, write_until_killed};
pub use self::register::{
    c01_load_returns_what_was_won, c02_one_of_many_wins, c03_lost_returns_the_current_record,
    c04_absent_creates_once, c15_any_bytes_come_back,
};
pub use self::time::{c13_regressions_are_declared, c16_no_wall_clock};
pub use self::watch::{c08_changed_misses_nothing, c09_early_ends_do_no_harm};

/// No check takes this long on a store that works, even on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(180);

/// A store under test: how the suite gets more clients of it, and how it makes it suffer.
///
/// Each subject has data of its own, empty at first. Only [`client`](Self::client) is required.
pub trait Subject: Send + Sync + 'static {
    /// The store.
    type Store: TokenStore;

    /// One more client of the same data, as another process would make it.
    fn client(&self) -> impl Future<Output = Self::Store> + Send;

    /// The program that makes a client of the same data and gives it to [`write_until_killed`]; it is killed while it
    /// writes. `None`, the default, for stores whose records do not outlive the process.
    fn process(&self) -> Option<Command> {
        None
    }

    /// Makes every swap of every client fail with this kind from now on, and says whether it can. By default it cannot.
    fn fail(&self, kind: StoreErrorKind) -> bool {
        let _ = kind;
        false
    }

    /// Ends what [`fail`](Self::fail) began.
    fn recover(&self) {}

    /// Damages the stored record of this key so that it cannot be read, and says whether it can. By default it cannot.
    fn damage(&self, key: &StoreKey) -> bool {
        let _ = key;
        false
    }

    /// Sets what the store takes for the wall clock, or the times that it kept, by so many seconds, and says whether it
    /// can. By default it cannot.
    fn jump_clock(&self, seconds: i64) -> bool {
        let _ = seconds;
        false
    }

    /// Takes the store back to a state before the newest write, as a failover does, and says whether it can. By default
    /// it cannot.
    fn regress(&self) -> bool {
        false
    }
}

/// A store whose clones share the data needs nothing else.
impl<S: TokenStore + Clone> Subject for S {
    type Store = S;

    async fn client(&self) -> S {
        self.clone()
    }
}

/// What a check found.
pub type Verdict = Result<Checked, Violation>;

/// A check that found nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checked {
    /// The store does what it should.
    Whole,
    /// Except for this part, which the store does not claim and the subject cannot provoke.
    Without(&'static str),
}

/// What a store did that it must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(String);

impl Violation {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Fails a check with a sentence unless the condition holds.
macro_rules! demand {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Violation::new(format!($($sentence)+)));
        }
    };
}
use demand;

/// Runs one check on a runtime of its own, as the tests of [`conformance_tests!`](crate::conformance_tests) do.
///
/// # Errors
///
/// What the store did that it must not do; to go on for three minutes is one such thing.
pub fn check<S: Subject>(subject: &S, check: impl AsyncFnOnce(&S) -> Verdict) -> Verdict {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| Violation::new(format!("no runtime for the check: {error}")))?;
    let verdict = runtime.block_on(async { tokio::time::timeout(LIMIT, check(subject)).await });
    // What a store left behind on threads of its own is not waited for.
    runtime.shutdown_background();
    verdict.unwrap_or_else(|_| Err(Violation::new(format!("still not over after {LIMIT:?}"))))
}

/// Runs every check, each on a new subject, and returns what each found, by name.
pub fn verdicts<S: Subject>(new: impl Fn() -> S) -> Vec<(&'static str, Verdict)> {
    macro_rules! all {
        ($($name:ident)*) => { vec![$((stringify!($name), check(&new(), $name))),*] };
    }
    crate::for_each_conformance_check!(all)
}

/// Makes one test of each check of the [`conformance`] suite, each on a new subject from this expression.
///
/// [`conformance`]: crate::conformance
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr) => {
        $crate::for_each_conformance_check! { @tests $subject }
    };
}

/// Hands the names of all checks to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_conformance_check {
    (@tests $subject:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                match $crate::conformance::check(&$subject, $crate::conformance::$name) {
                    Ok($crate::conformance::Checked::Without(part)) => println!("not checked: {part}"),
                    Ok(_) => {}
                    Err(violation) => panic!("{violation}"),
                }
            }
        )*
    };
    (@tests $subject:expr) => {
        $crate::for_each_conformance_check! { @list [$crate::for_each_conformance_check] [@tests $subject;] }
    };
    ($with:ident) => {
        $crate::for_each_conformance_check! { @list [$with] [] }
    };
    (@list [$($with:tt)*] [$($before:tt)*]) => {
        $($with)*! { $($before)*
            c01_load_returns_what_was_won
            c02_one_of_many_wins
            c03_lost_returns_the_current_record
            c04_absent_creates_once
            c05_indeterminate_is_decided_by_the_stamp
            c06_refused_changes_nothing
            c07_no_torn_record
            c08_changed_misses_nothing
            c09_early_ends_do_no_harm
            c10_what_was_won_survives_a_kill
            c11_dropped_futures_leave_old_or_new
            c12_only_the_dead_are_dead
            c13_regressions_are_declared
            c14_keys_are_apart
            c15_any_bytes_come_back
            c16_no_wall_clock
            c17_no_secret_is_told
            c18_damage_is_never_absence
            c19_only_what_cannot_be_read_is_set_aside
            list_names_every_key
            list_names_every_key_while_others_write
        }
    };
}

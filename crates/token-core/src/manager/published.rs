use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::clock::Moment;
use crate::freshness::Deadline;
use crate::guard::Guard;
use crate::secret::AccessToken;
use crate::token::Token;
use crate::version::Version;

/// How many grants a thread keeps a copy of at hand. More share the places by their number.
const SLOTS: usize = 8;

/// The token that requests use now. Reading it takes no lock; each thread clones a copy of its own, because threads that
/// share one reference count wait for each other's caches at every request.
#[derive(Debug)]
pub(super) struct Published {
    /// Names this grant within the process.
    id: u64,
    /// Counts publications; a thread's copy with another count is stale.
    count: AtomicU64,
    current: ArcSwapOption<Current>,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) token: Token,
    pub(super) expired: Option<Deadline>,
}

struct Slot {
    id: u64,
    count: u64,
    token: Token,
    expired: Option<Deadline>,
}

std::thread_local! {
    static COPIES: RefCell<[Option<Slot>; SLOTS]> = const { RefCell::new([const { None }; SLOTS]) };
}

impl Published {
    pub(super) fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            count: AtomicU64::new(0),
            current: ArcSwapOption::empty(),
        }
    }

    pub(super) fn set(&self, current: Option<Current>) {
        self.current.store(current.map(Arc::new));
        // After the store: whoever sees the new count finds the new token.
        self.count.fetch_add(1, Ordering::Release);
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.current.load().as_ref().map(|current| current.token.version())
    }

    /// Whether this is what requests use.
    pub(super) fn is(
        &self,
        access: &AccessToken,
        version: Version,
        expired: Option<Deadline>,
    ) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|current| {
            // The text too: where a record was lost, another may have its version.
            current.token.version() == version
                && current.expired == expired
                && current.token.expose_secret() == access.expose_secret()
        })
    }

    /// The token, expired or not.
    pub(super) fn token(&self) -> Option<Token> {
        self.current.load().as_ref().map(|current| current.token.clone())
    }

    /// The token, if it has not expired. `now` is asked after the copy was found, so that a miss costs no clock.
    pub(super) fn cached(&self, now: impl FnOnce() -> Moment) -> Option<Token> {
        let count = self.count.load(Ordering::Acquire);
        let place = usize::try_from(self.id).unwrap_or_default() % SLOTS;
        COPIES
            .try_with(|copies| {
                // Nothing below runs foreign code, so the cell is never borrowed twice.
                let mut copies = copies.try_borrow_mut().ok()?;
                let slot = &mut copies[place];
                match slot {
                    Some(slot) if slot.id == self.id && slot.count == count => {}
                    _ => *slot = self.copy(count),
                }
                let slot = slot.as_ref()?;
                usable(slot.expired, now).then(|| slot.token.clone())
            })
            // A thread that is being torn down has no copies any more; it may ask for the token and wait.
            .unwrap_or(None)
    }

    fn copy(&self, count: u64) -> Option<Slot> {
        let current = self.current.load();
        let current = current.as_ref()?;
        Some(Slot { id: self.id, count, token: current.token.unshared(), expired: current.expired })
    }
}

fn usable(expired: Option<Deadline>, now: impl FnOnce() -> Moment) -> bool {
    !Guard::ExpiryChecked.on() || expired.is_none_or(|deadline| !deadline.passed(now()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment::new(Duration::from_secs(1), Duration::from_secs(1));

    fn current(text: &str, generation: u64) -> Option<Current> {
        let token =
            Token::with_end(&AccessToken::new(text), Version::new(1, generation), None).unwrap();
        Some(Current { token, expired: None })
    }

    #[test]
    fn a_new_token_replaces_the_copies_of_every_thread() {
        let published = Arc::new(Published::new());
        assert!(published.cached(|| NOW).is_none());
        published.set(current("a", 1));
        assert_eq!(published.cached(|| NOW).unwrap().expose_secret(), "a");
        let (seen, next) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(published.cached(|| NOW).unwrap().expose_secret(), "a");
                seen.wait();
                next.wait();
                assert_eq!(published.cached(|| NOW).unwrap().expose_secret(), "b");
            });
            seen.wait();
            published.set(current("b", 2));
            next.wait();
        });
        published.set(None);
        assert!(published.cached(|| NOW).is_none());
    }

    #[test]
    fn grants_that_share_a_place_do_not_share_a_token() {
        let grants: Vec<_> = (0..SLOTS * 2).map(|_| Published::new()).collect();
        for (n, grant) in grants.iter().enumerate() {
            grant.set(current(&format!("token-{n}"), 1));
        }
        for _ in 0..2 {
            for (n, grant) in grants.iter().enumerate() {
                assert_eq!(grant.cached(|| NOW).unwrap().expose_secret(), format!("token-{n}"));
            }
        }
    }
}

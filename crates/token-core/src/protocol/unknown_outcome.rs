//! The rule for a refresh whose outcome nobody knows, as it is configured for each authorization server.

use std::time::Duration;

use crate::guard::Guard;
use crate::record::{DeadReason, State};
use crate::store::Expect;
use crate::version::Version;

use super::action::{Action, Context};
use super::failure::{Failure, LoginReason};
use super::replica::{Note, Replica, Seen};

/// What is done with a refresh token after a refresh whose outcome nobody knows.
///
/// Either the server never got the request, and the token is good; or it did, and the next token was lost with the
/// answer. No client can tell. Where the server has a [`GraceWindow`], that comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownOutcome {
    /// Present it again, once the access token has ended and no answer can arrive any more: there is nothing left to
    /// lose then. The default.
    #[default]
    PresentAgain,
    /// Present it again as soon as no answer can arrive any more, though the access token still serves: for servers that
    /// leave it alone when they revoke a refresh token.
    PresentAgainEarly,
    /// Require a login: for servers that revoke more than this grant when a token is used twice.
    RequireLogin,
}

/// What a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(1);

/// The part of a grace window that is left when clocks do not run alike.
const OPEN_SHARE: f64 = 0.9;

/// For how long an authorization server accepts a refresh token that was used already, and what it answers then.
///
/// Within the window a lost answer is nothing: the token is presented again, by the same process at once if the window is
/// longer than the server may go on with the first request (`server_drain`). Nobody knows
/// when the server began to count, so a token counts as used since it was last known not to be, and the window ends for us
/// a second and a tenth of its length before it does for the server: after 0.9 × `window` − 1 s. What is left must be
/// longer than 1.1 × `server_drain`, or the window would never be used, and
/// [`build`](crate::TokenManagerBuilder::build) says so: with the default of 10 s it takes a window of more than 13.4 s. A
/// process that did not look at the record shortly before somebody else's attempt knows nothing of the kind, and falls back
/// to the rule of [`UnknownOutcome`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use token_core::GraceWindow;
///
/// let auth0 = GraceWindow::previous_only(Duration::from_secs(60));
/// let hydra = GraceWindow::new_pair(Duration::from_secs(300));
/// # let _ = (auth0, hydra);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GraceWindow {
    window: Duration,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    SamePair,
    NewPair,
    PreviousOnly,
}

impl GraceWindow {
    /// The server repeats the answer of the first use, lifetimes and all, as WorkOS does. The lifetimes count from the
    /// first use.
    pub const fn same_pair(window: Duration) -> Self {
        Self { window, kind: Kind::SamePair }
    }

    /// The server answers a new pair, and earlier answers stay good, as Ory Hydra does.
    pub const fn new_pair(window: Duration) -> Self {
        Self { window, kind: Kind::NewPair }
    }

    /// The server answers a new pair as long as no successor was used, as Auth0 does. The token is presented again only
    /// after the first request must be over, or that one could come last.
    pub const fn previous_only(window: Duration) -> Self {
        Self { window, kind: Kind::PreviousOnly }
    }

    /// How long after a use the server accepts the token again.
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// Whether the answer to a second use has the age of the first.
    pub(super) fn repeats(&self) -> bool {
        self.kind == Kind::SamePair
    }

    /// Whether it does no harm if the first request is carried out after the second, up to so much later.
    pub(super) fn is_safe_at_once(&self, settling: Duration) -> bool {
        self.kind != Kind::PreviousOnly && self.open() >= settling
    }

    /// For how long after a use the window is open for sure: less what a request takes to arrive, and what clocks differ.
    pub(super) fn open(&self) -> Duration {
        if !Guard::GraceWindow.on() {
            return Duration::MAX;
        }
        self.window.mul_f64(OPEN_SHARE).saturating_sub(ARRIVAL)
    }

    /// The window that is open for no longer than this.
    pub(super) fn shortest(open: Duration) -> Duration {
        (open + ARRIVAL).div_f64(OPEN_SHARE)
    }
}

/// How long a token with an unknown outcome is not presented.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldOff {
    pub(super) wait: Duration,
    /// The part of it that is left even if there is no access token to lose.
    pub(super) settling: Duration,
}

impl Replica {
    /// Applies the rule to a record's refresh token. `own`: this process presented it. `settled` (monotonic) is when
    /// nothing of that request can be under way any more.
    pub(super) fn outcome_unknown(
        &mut self,
        seen: &Seen,
        own: bool,
        settled: Duration,
        ctx: &Context<'_>,
    ) -> Action {
        match self.hold_off(seen.record.version, own, settled, ctx) {
            None => {
                let left = self.left_to_its_holder(seen, ctx);
                if !own && !left.is_zero() {
                    return self.watch(seen.stamp, left);
                }
                if !own && matches!(seen.record.state, State::InFlight { .. }) {
                    self.notes.push(Note::TakenOver { gone: seen.holder_gone.is_some() });
                }
                let reason = DeadReason::OutcomeUnknown;
                let dead = seen.record.with_state(State::Dead { reason });
                let failure = Failure::needs_login(LoginReason::Dead(reason));
                self.close(Expect::Is(seen.stamp), dead, failure, ctx)
            }
            Some(HoldOff { wait, .. }) if wait.is_zero() => self.acquire(seen, ctx),
            // Waited for here, as an intent is: a process that lives for one call would count anew each time.
            Some(HoldOff { wait, settling }) if !own && wait == settling => {
                self.watch(seen.stamp, wait)
            }
            Some(HoldOff { wait, settling }) => {
                self.finish(Err(Failure::OutcomeUnknown { wait, settling, cause: None }))
            }
        }
    }

    /// Whoever presented a token knows when its grace window began, and may be about to present it again: for how long that
    /// is left to it, as an intent is.
    fn left_to_its_holder(&self, seen: &Seen, ctx: &Context<'_>) -> Duration {
        let (State::Unknown { .. }, Some(grace)) = (&seen.record.state, self.policy.grace) else {
            return Duration::ZERO;
        };
        let time = self.policy.quarantine().min(grace.open());
        seen.since.saturating_add(time).saturating_sub(ctx.now.monotonic())
    }

    /// How long the rule wants nothing to be presented; `None` if it is never to be.
    pub(super) fn hold_off(
        &self,
        version: Version,
        own: bool,
        settled: Duration,
        ctx: &Context<'_>,
    ) -> Option<HoldOff> {
        let now = ctx.now.monotonic();
        let settling = settled.saturating_sub(now);
        if let Some(grace) = self.policy.grace
            && let Some((_, unspent)) = self.unspent.filter(|(unspent, _)| *unspent == version)
        {
            // Another process waits until the one that sent it must have had its chance.
            let at_once = own && grace.is_safe_at_once(self.policy.settling());
            let wait = if at_once { Duration::ZERO } else { settling };
            if now.saturating_add(wait) < unspent.monotonic().saturating_add(grace.open()) {
                return Some(HoldOff { wait, settling });
            }
        }
        if self.policy.unknown_outcome == UnknownOutcome::RequireLogin {
            return None;
        }
        let demand = self.demand();
        // While the access token serves there is something to lose: the server may revoke it on a second use.
        let refused = demand.refused && demand.newer_than == Some(version);
        let holds_off = self.policy.unknown_outcome == UnknownOutcome::PresentAgain;
        let ended = self.known.as_ref().and_then(|known| known.deadlines.ended);
        let wait = match ended {
            Some(ended) if holds_off && !refused && Guard::HoldOff.on() => {
                settling.max(ended.remaining_for_sure(ctx.now))
            }
            _ => settling,
        };
        Some(HoldOff { wait, settling })
    }

    /// Whether a flight that failed goes on at once, which it does once: in a grace window.
    pub(super) fn presents_again_at_once(&mut self, failure: &Failure) -> bool {
        matches!(failure, Failure::OutcomeUnknown { wait, .. } if wait.is_zero())
            && self.phase.as_mut().is_some_and(|phase| !std::mem::replace(&mut phase.again, true))
    }
}

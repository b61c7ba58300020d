//! The rules that keep a grant alive, by name. Each can be switched off in this crate's own tests, which must then fail:
//! a rule that no test misses is either untested or useless.

/// One rule, and what goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// An intent is stored before a one-time refresh token is sent: or two processes send it.
    Intent,
    /// An intent that took too long is not acted on: or it may have been taken over meanwhile.
    SendGate,
    /// An answer is stored over any older generation, whoever holds the intent: or the only copy of the live token is
    /// thrown away (the late commit of a leader that was paused).
    GenerationFence,
    /// Another's intent is left alone until its request must be over: or both send.
    Quarantine,
    /// After an unknown outcome of its own, a process does not send again before the rule allows it.
    OwnAttempt,
    /// After an unknown outcome nothing is sent while the access token still serves: or a good login is risked early.
    HoldOff,
    /// A store that shows an older record than one already seen is repaired, not believed.
    HighWater,
    /// An answer that belongs to an older login is not stored over the newer one.
    EpochWins,
    /// A record that changed while we came is looked at again: or the same expiry is refreshed twice.
    Recheck,
    /// `invalid_grant` is believed only after the record was read again: a sibling may have rotated the token.
    ReloadOnRefusal,
    /// A server that omits the refresh token means "keep it" (RFC 6749 §6).
    KeepRefreshToken,
    /// A seed that a record already took over never overwrites it.
    SeedOnce,
    /// The version of the refused token decides: a late 401 for a replaced token causes nothing.
    RejectedVersion,
    /// Callers join the flight under way.
    SingleFlight,
    /// Nothing is tried during the backoff.
    NegativeCache,
    /// Refusals of new tokens are paced.
    TokenBucket,
    /// A dead grant is not presented again.
    DeadIsFinal,
    /// An expired token is not sent.
    ExpiryChecked,
    /// A token goes to allowed origins only.
    Origin,
    /// A request is replayed once.
    ReplayOnce,
    /// The caller's own `Authorization` stays.
    OwnAuthorization,
    /// A body that was superseded ends with an error, never with an end.
    Superseded,
    /// A body that outgrew the limit is not replayed, rather than replayed in part.
    WholeBody,
}

impl Guard {
    /// Whether the rule is in force: always, outside this crate's own tests.
    #[cfg(not(test))]
    pub(crate) const fn on(self) -> bool {
        true
    }
}

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    use super::Guard;

    std::thread_local! {
        static OFF: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    impl Guard {
        pub(crate) fn on(self) -> bool {
            OFF.get() != Some(self)
        }

        /// Runs `test` with this rule out of force on this thread.
        pub(crate) fn without<T>(self, test: impl FnOnce() -> T) -> T {
            struct Restore;
            impl Drop for Restore {
                fn drop(&mut self) {
                    OFF.set(None);
                }
            }
            OFF.set(Some(self));
            let _restore = Restore;
            test()
        }
    }
}

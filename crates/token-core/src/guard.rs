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
    /// What a process that is gone has sent is given the time to arrive: or it arrives after the token was sent again.
    Drain,
    /// A refresh token that this process sent is not sent again, whatever a store that fell back says of it.
    SpentLedger,
    /// An intent that the store may forget is not acted on.
    DurableIntent,
    /// After a store has fallen back nothing is sent before everybody has had the time to bring back what it lost.
    SettleBarrier,
    /// Within a grace window a token is sent again only while the window is open for sure.
    GraceWindow,
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
    /// Of the processes that find a grant dead, one logs in by itself.
    OneLogin,
    /// One process asks for all also where an exchange uses nothing up.
    Turn,
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::Guard;
    use crate::http::tests as http;
    use crate::manager::tests::{or_login, rules, turns};
    use crate::protocol::UnknownOutcome;
    use crate::protocol::explorer::{self, Scope, TWO};
    use crate::protocol::tests::{flights, settle, takeover, unknown_outcome};

    fn explore(scope: Scope) {
        explorer::explore(scope);
    }

    /// Each guard, and the test that misses it.
    const MISSED: &[(Guard, fn())] = &[
        (Guard::Intent, || explore(Scope { jumps: 0, ..TWO })),
        (Guard::SendGate, || explore(TWO)),
        (Guard::GenerationFence, || explore(Scope { rule: UnknownOutcome::RequireLogin, ..TWO })),
        (Guard::Quarantine, || explore(TWO)),
        (Guard::Drain, || explore(Scope { crashes: 1, tells_dead_holder: true, ..TWO })),
        (
            Guard::SpentLedger,
            takeover::a_token_that_was_sent_is_not_sent_again_because_the_record_says_idle,
        ),
        (Guard::DurableIntent, settle::an_intent_that_does_not_last_is_undone_and_nothing_is_sent),
        (
            Guard::SettleBarrier,
            settle::a_record_from_before_the_fall_is_presented_only_after_the_barrier,
        ),
        (Guard::GraceWindow, unknown_outcome::a_window_that_may_be_over_is_not_used),
        (Guard::OwnAttempt, || explore(Scope { processes: 1, flights: 2, ..TWO })),
        (Guard::HoldOff, || explore(Scope { processes: 1, flights: 2, ..TWO })),
        (Guard::HighWater, flights::a_store_that_fell_back_is_repaired_and_not_believed),
        (Guard::EpochWins, flights::an_answer_that_belongs_to_an_older_login_is_dropped),
        (Guard::Recheck, flights::a_refresh_that_a_sibling_has_just_made_is_not_made_again),
        (
            Guard::ReloadOnRefusal,
            flights::invalid_grant_for_a_token_that_a_sibling_rotated_is_no_death,
        ),
        (
            Guard::KeepRefreshToken,
            flights::a_server_that_omits_the_refresh_token_is_refreshed_a_hundred_times_in_a_row,
        ),
        (Guard::SeedOnce, flights::a_seed_that_was_taken_over_never_overwrites_the_record),
        (Guard::DeadIsFinal, flights::a_dead_grant_is_not_presented_again),
        (
            Guard::OneLogin,
            or_login::who_sees_another_process_find_the_token_dead_leaves_the_login_to_it,
        ),
        (Guard::Turn, turns::of_two_processes_one_asks_though_nothing_is_used_up),
        (Guard::RejectedVersion, rules::a_late_refusal_of_a_token_that_was_replaced_causes_nothing),
        (Guard::SingleFlight, rules::a_thousand_callers_cause_one_refresh),
        (
            Guard::NegativeCache,
            rules::a_failure_is_shared_and_nothing_is_tried_before_the_backoff_is_over,
        ),
        (Guard::TokenBucket, rules::a_server_that_refuses_every_new_token_is_not_asked_in_a_loop),
        (Guard::ExpiryChecked, rules::an_expired_token_is_not_sent),
        (Guard::Origin, http::policy::a_token_goes_to_allowed_origins_only),
        (Guard::OwnAuthorization, http::policy::a_token_does_not_go_over_the_callers_own),
        (Guard::ReplayOnce, http::replay::a_refused_request_is_sent_again_once_if_its_body_can_be),
        (
            Guard::Superseded,
            http::body::a_superseded_body_ends_with_an_error_and_its_replay_has_every_byte,
        ),
        (Guard::WholeBody, http::body::a_body_over_the_limit_is_not_replayed_in_part),
    ];

    #[test]
    fn with_any_guard_off_its_test_fails_and_with_it_on_it_passes() {
        for (guard, test) in MISSED {
            test();
            let missed = guard.without(|| catch_unwind(AssertUnwindSafe(test)).is_err());
            assert!(missed, "nobody misses {guard:?}");
        }
    }

    #[test]
    fn every_guard_is_in_the_list() {
        assert_eq!(
            MISSED.len(),
            Guard::WholeBody as usize + 1,
            "a guard without a test that misses it"
        );
        for (n, (guard, _)) in MISSED.iter().enumerate() {
            assert!(MISSED[..n].iter().all(|(other, _)| other != guard), "{guard:?} twice");
        }
    }
}

//! What happens to both, and what is promised of ours.

use std::ops::RangeInclusive;

use examples::BoxError;

use crate::contender::Contender;
use crate::scenes;
use crate::world::Measured;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Scenario {
    Ended,
    RefusedAtOnce,
    RefusedAndAlwaysRefreshed,
    Restarted,
    LeftByItsCaller,
    AnswerLost,
    Html,
    RequestLost,
    Killed,
    TwoProcesses,
    Hangs,
    Unavailable,
    ErrorIn200,
    RefusesEverything,
    Stream,
    AnotherServer,
    Redirected,
}

/// What ours is held to. Its time is measured and not promised.
pub(crate) struct Promise {
    failed: RangeInclusive<u64>,
    token_requests: RangeInclusive<u64>,
    lives: bool,
}

impl Scenario {
    pub(crate) const ALL: [Self; 17] = [
        Self::Ended,
        Self::RefusedAtOnce,
        Self::RefusedAndAlwaysRefreshed,
        Self::Restarted,
        Self::LeftByItsCaller,
        Self::AnswerLost,
        Self::Html,
        Self::RequestLost,
        Self::Killed,
        Self::TwoProcesses,
        Self::Hangs,
        Self::Unavailable,
        Self::ErrorIn200,
        Self::RefusesEverything,
        Self::Stream,
        Self::AnotherServer,
        Self::Redirected,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ended => "1,000 callers find the token ended",
            Self::RefusedAtOnce => "all tokens are revoked under 1,000 callers",
            Self::RefusedAndAlwaysRefreshed => "the same, if by hand every 401 refreshes",
            Self::Restarted => "started again after a refresh",
            Self::LeftByItsCaller => "the caller that refreshes goes away",
            Self::AnswerLost => "the answer to an early refresh is lost",
            Self::RequestLost => "a token request is lost, the token ended",
            Self::Killed => "killed in a refresh and started again",
            Self::TwoProcesses => "two processes share the tokens",
            Self::Hangs => "the token endpoint hangs",
            Self::Unavailable => "the token endpoint answers 429",
            Self::Html => "a proxy answers early refreshes with a page",
            Self::ErrorIn200 => "the grant has died, said with a 200",
            Self::RefusesEverything => "the API refuses new tokens too",
            Self::Stream => "a request with a stream is refused",
            Self::AnotherServer => "a request to another server",
            Self::Redirected => "a redirect to another server",
        }
    }

    pub(crate) const fn promise(self) -> Promise {
        let (failed, token_requests, lives) = match self {
            Self::Ended
            | Self::RefusedAtOnce
            | Self::RefusedAndAlwaysRefreshed
            | Self::Restarted
            | Self::LeftByItsCaller
            | Self::Html
            | Self::Stream => (0..=0, 1..=1, true),
            // Whoever loses the only copy of the live token needs a login; until its end the old one serves.
            Self::AnswerLost | Self::Killed => (0..=0, 1..=1, false),
            Self::TwoProcesses => (0..=0, 2..=2, true),
            // It waits until the server must be done with what was lost, and the backoff: how many calls that is is a matter of
            // time.
            Self::RequestLost => (1..=u64::MAX, 1..=2, true),
            Self::Hangs | Self::Unavailable => (1_000..=1_000, 1..=1, true),
            Self::ErrorIn200 => (1_000..=1_000, 1..=1, false),
            // Three at once, then one in 10 s.
            Self::RefusesEverything => (100..=100, 3..=4, true),
            Self::AnotherServer | Self::Redirected => (0..=0, 0..=0, true),
        };
        Promise { failed, token_requests, lives }
    }

    pub(crate) async fn play(self, contender: Contender) -> Result<Measured, BoxError> {
        match self {
            Self::Ended => scenes::ended(contender).await,
            Self::RefusedAtOnce => scenes::refused_at_once(contender).await,
            Self::RefusedAndAlwaysRefreshed => {
                let by_hand = Contender::ByHand { always_refresh: true };
                let contender = if contender.is_ours() { contender } else { by_hand };
                scenes::refused_at_once(contender).await
            }
            Self::Restarted => scenes::restarted(contender).await,
            Self::LeftByItsCaller => scenes::left_by_its_caller(contender).await,
            Self::AnswerLost => scenes::answer_lost(contender).await,
            Self::RequestLost => scenes::request_lost(contender).await,
            Self::Killed => scenes::killed(contender).await,
            Self::TwoProcesses => scenes::two_processes(contender).await,
            Self::Hangs => scenes::no_tokens(contender, "hang").await,
            Self::Unavailable => scenes::no_tokens(contender, "status=429").await,
            Self::Html => scenes::html(contender).await,
            Self::ErrorIn200 => scenes::error_in_200(contender).await,
            Self::RefusesEverything => scenes::refuses_everything(contender).await,
            Self::Stream => scenes::stream(contender).await,
            Self::AnotherServer => scenes::another_server(contender).await,
            Self::Redirected => scenes::redirected(contender).await,
        }
    }
}

impl Promise {
    /// What was measured and not promised.
    pub(crate) fn broken_by(&self, measured: &Measured) -> Option<String> {
        let Measured { failed, token_requests, tokens_elsewhere, lives, first_failure, .. } =
            measured;
        if !self.failed.contains(failed) {
            let first = first_failure.as_deref().unwrap_or("none");
            let promised = &self.failed;
            return Some(format!("{failed} requests failed, of {promised:?} that may: {first}"));
        }
        if !self.token_requests.contains(token_requests) {
            return Some(format!(
                "{token_requests} token requests, of {:?} that are allowed",
                self.token_requests
            ));
        }
        if *tokens_elsewhere > 0 {
            return Some(format!("{tokens_elsewhere} tokens went to another server"));
        }
        // Better than promised is well.
        (self.lives && !lives).then(|| "there is no token any more without a login".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_a_row_for_each() {
        let readme = include_str!("../../README.md");
        for scenario in Scenario::ALL {
            let row = format!("\n{} ", scenario.name());
            assert!(readme.contains(&row), "{row}; its table is what the example prints");
        }
    }

    #[test]
    fn each_way_to_break_a_promise_is_noticed() {
        let promise = Promise { failed: 0..=0, token_requests: 1..=1, lives: true };
        let kept = || Measured {
            requests: 9,
            failed: 0,
            token_requests: 1,
            tokens_elsewhere: 0,
            lives: true,
            elapsed_ms: 5,
            first_failure: None,
        };
        assert_eq!(promise.broken_by(&kept()), None);
        for broken in [
            Measured { failed: 1, ..kept() },
            Measured { token_requests: 2, ..kept() },
            Measured { token_requests: 0, ..kept() },
            Measured { tokens_elsewhere: 1, ..kept() },
            Measured { lives: false, ..kept() },
        ] {
            assert!(promise.broken_by(&broken).is_some(), "{broken:?}");
        }
    }
}

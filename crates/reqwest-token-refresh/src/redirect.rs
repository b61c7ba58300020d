#[cfg(feature = "profile")]
use http::Uri;
use reqwest::redirect::Policy;
#[cfg(feature = "profile")]
use reqwest::{Url, redirect::Attempt};
#[cfg(feature = "profile")]
use token_core::http::Policy as Rules;

/// Follows redirects, ten at most, as long as they stay within one origin. One that leads elsewhere is the caller's answer.
pub(crate) fn within_one_origin() -> Policy {
    Policy::custom(|attempt| {
        let stays =
            attempt.previous().last().is_some_and(|last| last.origin() == attempt.url().origin());
        if stays { Policy::default().redirect(attempt) } else { attempt.stop() }
    })
}

/// Stops at what may be a refusal, and otherwise goes on as `then` does.
#[cfg(feature = "profile")]
pub(crate) fn up_to_a_refusal(rules: Rules, then: Policy) -> Policy {
    Policy::custom(move |attempt| {
        if may_be_refusal(&rules, &attempt).unwrap_or(false) {
            attempt.stop()
        } else {
            then.redirect(attempt)
        }
    })
}

#[cfg(feature = "profile")]
fn may_be_refusal(rules: &Rules, attempt: &Attempt<'_>) -> Option<bool> {
    let uri = |url: &Url| url.as_str().parse::<Uri>().ok();
    let (asked, answered_by) =
        (uri(attempt.previous().first()?)?, uri(attempt.previous().last()?)?);
    Some(rules.stops_at(attempt.status(), &asked, &answered_by, &uri(attempt.url())?))
}

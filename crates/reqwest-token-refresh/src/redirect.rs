use reqwest::redirect::Policy;

/// Follows redirects, ten at most, as long as they stay within one origin. One that leads elsewhere is the caller's answer.
pub(crate) fn within_one_origin() -> Policy {
    Policy::custom(|attempt| {
        let stays =
            attempt.previous().last().is_some_and(|last| last.origin() == attempt.url().origin());
        if stays { Policy::default().redirect(attempt) } else { attempt.stop() }
    })
}

use std::borrow::Cow;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode, response};
use http_body::Body;

use super::condition::Condition;
use crate::http::{Peek, Verdict};

/// What a refused token looks like on the API, by a profile: beyond what the
/// [default verdict](crate::http::Policy::judge) knows of every API.
///
/// Pure, but for [`peek`](Self::peek): it judges a head and the first bytes of a body, which whoever calls it passes on
/// intact.
#[derive(Clone, Debug)]
pub struct RefusedToken {
    conditions: Arc<[Condition]>,
}

impl RefusedToken {
    /// The most bytes of a body that are looked at: 8 KiB. An error's answer is small, and a caller's answer is not to wait
    /// for more.
    pub const LARGEST_PREFIX: usize = 8 * 1024;

    pub(super) fn new(conditions: &[Condition]) -> Self {
        Self { conditions: conditions.into() }
    }

    /// Whether the head alone leaves it open, so that the body has to be looked at.
    ///
    /// Only a body that may be JSON is: neither an image nor a stream of events is held up.
    pub fn needs_body(&self, head: &response::Parts) -> bool {
        self.judge(head, &[]) == Verdict::Accepted
            && may_be_json(&head.headers)
            && self.conditions.iter().any(|condition| {
                condition.json.is_some() && condition.fits_head(head.status, &head.headers)
            })
    }

    /// The verdict on an answer whose body begins with `prefix`, of which [`LARGEST_PREFIX`](Self::LARGEST_PREFIX) bytes
    /// are looked at. A value is found also where the body goes on behind it.
    pub fn judge(&self, head: &response::Parts, prefix: &[u8]) -> Verdict {
        self.judge_prefix(head, prefix).unwrap_or(Verdict::Accepted)
    }

    /// The same, or `None` as long as it is open: bytes that follow may decide.
    pub fn judge_prefix(&self, head: &response::Parts, prefix: &[u8]) -> Option<Verdict> {
        let text = text_of(&prefix[..prefix.len().min(Self::LARGEST_PREFIX)]);
        let mut is_open = false;
        for condition in &*self.conditions {
            match condition.holds_for_prefix(head.status, &head.headers, &text) {
                Some(true) => return Some(Verdict::Refused),
                Some(false) => {}
                None => is_open = true,
            }
        }
        (!is_open).then_some(Verdict::Accepted)
    }

    /// Looks at the body of an answer that [needs it](Self::needs_body).
    pub fn peek<R: Body>(&self, answer: Response<R>) -> Peek<R> {
        let refused = self.clone();
        Peek::new(answer, Self::LARGEST_PREFIX, move |head, prefix| {
            refused.judge_prefix(head, prefix)
        })
    }

    /// Whether a redirect of this status to this path may be a refusal: a client that follows redirects has to stop at it,
    /// so that the answer can be judged.
    pub fn may_be_redirect(&self, status: StatusCode, path: &str) -> bool {
        self.conditions.iter().any(|condition| condition.fits_redirect(status, path))
    }

    /// Whether there is a body that [needs](Self::needs_body) to be looked at at all.
    pub fn knows_bodies(&self) -> bool {
        self.conditions.iter().any(|condition| condition.json.is_some())
    }

    /// Whether there is such a redirect at all.
    pub fn knows_redirects(&self) -> bool {
        self.conditions.iter().any(|condition| condition.redirect.is_some())
    }
}

/// A prefix may end in the middle of a character, which is no wrong one.
fn text_of(prefix: &[u8]) -> Cow<'_, str> {
    let cut = prefix.utf8_chunks().last().map_or(0, |last| match str::from_utf8(last.invalid()) {
        Err(error) if error.error_len().is_none() => last.invalid().len(),
        _ => 0,
    });
    String::from_utf8_lossy(&prefix[..prefix.len() - cut])
}

fn may_be_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        let kind = String::from_utf8_lossy(&kind);
        kind.contains("json") || kind.starts_with("text/html") || kind.starts_with("text/plain")
    })
}

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode};

    use super::super::condition::{Expected, JsonTest};
    use super::super::pointer::Pointer;
    use super::*;

    fn err_code_is_not_0() -> RefusedToken {
        let at = Pointer::to_field("err_code");
        let json = Some(JsonTest { at, expected: Expected::NoneOf(vec!["0".to_owned()]) });
        RefusedToken::new(&[
            Condition { status: vec![StatusCode::OK], json, ..Condition::default() },
            Condition { redirect: Some("/login".to_owned()), ..Condition::default() },
        ])
    }

    fn head(status: u16, headers: &[(&str, &str)]) -> response::Parts {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_value_is_looked_for_in_the_first_8_kib() {
        let refused = err_code_is_not_0();
        let head = head(200, &[("content-type", "application/json")]);
        let judge = |body: &str| refused.judge(&head, body.as_bytes());
        assert_eq!(judge(r#"{"err_code":"1"}"#), Verdict::Refused);
        assert_eq!(judge(r#"{"err_code":"0"}"#), Verdict::Accepted);
        assert_eq!(judge("no json"), Verdict::Accepted);
        // The rest of the document does not matter, and may be missing.
        assert_eq!(judge(r#"{"err_code":"1","datas":["#), Verdict::Refused);
        let before = |bytes: usize| format!(r#"{{"x":"{}","err_code":1}}"#, "x".repeat(bytes));
        assert_eq!(judge(&before(RefusedToken::LARGEST_PREFIX - 30)), Verdict::Refused);
        assert_eq!(judge(&before(RefusedToken::LARGEST_PREFIX)), Verdict::Accepted);
        // The cut may go through a character.
        let cut = "é".repeat(RefusedToken::LARGEST_PREFIX);
        assert_eq!(judge(&format!(r#"{{"err_code":1,"x":"{cut}"#)), Verdict::Refused);
    }

    #[test]
    fn as_long_as_more_may_decide_there_is_no_verdict() {
        let refused = err_code_is_not_0();
        let head = head(200, &[]);
        let bodies = [
            "\u{feff}{\"é\":\"é\",\"err_code\":10}",
            r#"{"x":{"err_code":1},"err_code":"0"}"#,
            "{\"x\":1}",
        ];
        for (body, verdict) in
            bodies.into_iter().zip([Verdict::Refused, Verdict::Accepted, Verdict::Accepted])
        {
            let found = (0..=body.len())
                .find_map(|end| refused.judge_prefix(&head, &body.as_bytes()[..end]));
            assert_eq!(found, Some(verdict), "{body}");
        }
        for open in ["", "{", r#"{"err_code":1"#] {
            assert_eq!(refused.judge_prefix(&head, open.as_bytes()), None, "{open}");
        }
        // What is no JSON is known by its first byte.
        assert_eq!(refused.judge_prefix(&head, b"<"), Some(Verdict::Accepted));
        assert_eq!(refused.judge_prefix(&head, &[0xff]), Some(Verdict::Accepted));
    }

    #[test]
    fn a_client_has_to_stop_at_a_redirect_to_the_login_page() {
        let refused = err_code_is_not_0();
        let stops = |status: u16, path| {
            refused.may_be_redirect(StatusCode::from_u16(status).unwrap(), path)
        };
        assert!(refused.knows_redirects() && stops(302, "/login") && stops(307, "/login/sso"));
        assert!(!stops(302, "/home"));
        assert!(!RefusedToken::new(&[]).knows_redirects());
    }

    #[test]
    fn a_body_is_looked_at_only_where_it_decides() {
        let refused = err_code_is_not_0();
        let json = ("content-type", "application/json; charset=utf-8");
        assert!(refused.needs_body(&head(200, &[json])));
        assert!(refused.needs_body(&head(200, &[])));
        assert!(refused.needs_body(&head(200, &[("content-type", "text/html")])));
        assert!(!refused.needs_body(&head(500, &[json])));
        assert!(!refused.needs_body(&head(302, &[("location", "/login")])));
        for other in
            ["text/event-stream", "image/png", "application/grpc", "application/octet-stream"]
        {
            assert!(!refused.needs_body(&head(200, &[("content-type", other)])), "{other}");
        }
        assert!(!RefusedToken::new(&[]).needs_body(&head(200, &[json])));
    }

    #[test]
    fn a_redirect_to_the_login_page_needs_no_body() {
        let refused = err_code_is_not_0();
        assert_eq!(
            refused.judge(&head(302, &[("location", "/login?next=/")]), &[]),
            Verdict::Refused
        );
        assert_eq!(refused.judge(&head(302, &[("location", "/home")]), &[]), Verdict::Accepted);
    }
}

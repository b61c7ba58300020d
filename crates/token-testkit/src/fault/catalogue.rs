//! Every kind of fault once.

use super::Fault;

/// Each as [`Fault`]'s `Display` writes it.
const CATALOGUE: &[&str] = &[
    "none",
    "delay-before=100ms",
    "delay-after=100ms",
    "reset-before",
    "reset-after",
    "hang",
    "hang carried-out",
    "kill-family",
    "status=429",
    "status=429 retry-after=1",
    "status=429 retry-after-date=1",
    "status=429 retry-after=soon",
    "status=500",
    "status=500 carried-out",
    "status=500 retry-after=1",
    "status=500 retry-after-date=1",
    "status=502",
    "status=502 carried-out",
    "status=502 retry-after=1",
    "status=502 retry-after-date=1",
    "status=503",
    "status=503 carried-out",
    "status=503 retry-after=1",
    "status=503 retry-after-date=1",
    "status=504",
    "status=504 carried-out",
    "status=504 retry-after=1",
    "status=504 retry-after-date=1",
    "error=invalid_request",
    "error=invalid_client",
    "error=invalid_grant",
    "error=unauthorized_client",
    "error=unsupported_grant_type",
    "error=invalid_scope",
    "error=server_error",
    "error=temporarily_unavailable",
    "error=slow_down",
    "error=invalid_grant status=200",
    "error=bad_verification_code status=200 form",
    "error=temporarily_unavailable status=503 retry-after=1",
    "wrong-password",
    "wrong-password status=401",
    "disabled-user",
    "form",
    "html",
    "html carried-out",
    "html status=502",
    "html content-type=application/json",
    "empty",
    "empty carried-out",
    "garbage",
    "garbage carried-out",
    "truncated",
    "truncated carried-out",
    "cut-json",
    "cut-json carried-out",
    "body=[]",
    "body={} content-type=application/json",
    "redirect=/token status=301",
    "redirect=/token status=302",
    "redirect=/token status=303",
    "redirect=/token status=307",
    "redirect=/token status=308",
    "huge=4194304",
    "huge=4194304 carried-out",
    "drip=32/5ms",
    "huge=4096 drip=256/5ms",
    "no-expires-in",
    "expires-in=null",
    "expires-in=\"\"",
    "expires-in=0",
    "expires-in=-1",
    "expires-in=\"3600\"",
    "expires-in=3600.5",
    "expires-in=3.6e3",
    "expires-in=2147483648",
    "expires-in=9223372036854775807",
    "expires-in=9223372036854775808",
    "expires-in=1e400",
    "expires-in=true",
    "expires-in=[]",
    "expires-in={}",
    "expires-in=\"soon\"",
    "no-token-type",
    "token-type=mac",
    "token-type=bEaReR",
    "token-type=",
    "no-refresh-token",
    "refresh-token=repeated",
    "refresh-token=null",
    "refresh-token=empty",
    "scope=read",
];

impl Fault {
    /// Every kind of fault with its text, for tests that go through them all.
    ///
    /// It grows with versions. What hangs, hangs until the client gives up; nothing else takes
    /// longer than a second. Redirects lead back to `/token`, so that the history of a server that speaks
    /// OAuth tells who follows them.
    ///
    /// ```
    /// use token_testkit::Fault;
    ///
    /// for (text, fault) in Fault::catalogue() {
    ///     assert_eq!(fault.to_string(), text);
    /// }
    /// ```
    pub fn catalogue() -> impl Iterator<Item = (&'static str, Self)> {
        // A test shows that each is a fault.
        CATALOGUE.iter().filter_map(|text| Some((*text, text.parse().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_text_is_a_fault_and_is_there_once() {
        for text in CATALOGUE {
            assert_eq!(
                text.parse::<Fault>().map(|fault| fault.to_string()),
                Ok((*text).to_owned())
            );
        }
        assert_eq!(Fault::catalogue().count(), CATALOGUE.len());
        assert_eq!(CATALOGUE.iter().collect::<HashSet<_>>().len(), CATALOGUE.len());
    }
}

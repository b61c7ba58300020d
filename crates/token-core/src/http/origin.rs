use http::Uri;
use http::uri::Authority;

use crate::config_error::ConfigError;

/// The origins (scheme, host and port) that a token may be sent to.
///
/// Plain `http` is refused at construction, but for loopback: whoever is on the way could read the token.
///
/// # Example
///
/// ```
/// use token_core::http::Origins;
///
/// # fn main() -> Result<(), token_core::ConfigError> {
/// let origins = Origins::only("https://api.example.com")?.and("https://files.example.com:8443")?;
/// assert!(origins.allow(&"https://API.example.com/v1/items?page=2".parse().unwrap()));
/// assert!(!origins.allow(&"https://example.com/".parse().unwrap()));
/// assert!(Origins::only("http://api.example.com").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    allowed: Vec<Origin>,
    relative: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    /// Lower case.
    host: String,
    port: u16,
}

impl Origins {
    /// Allows this origin alone.
    ///
    /// # Errors
    ///
    /// It is not of the form `https://host` or `https://host:port`, or it is plain `http` to another machine.
    pub fn only(origin: &str) -> Result<Self, ConfigError> {
        Self { allowed: Vec::new(), relative: false }.and(origin)
    }

    /// Allows one more origin.
    ///
    /// # Errors
    ///
    /// As for [`only`](Self::only).
    pub fn and(self, origin: &str) -> Result<Self, ConfigError> {
        let uri = check_url(ORIGIN, origin, false)?;
        self.push(origin, &uri)
    }

    /// Allows one more origin, plain `http` included: for a network that nobody else is on.
    ///
    /// # Errors
    ///
    /// It is not of the form `http://host:port`.
    pub fn and_even_http(self, origin: &str) -> Result<Self, ConfigError> {
        let uri = check_url(ORIGIN, origin, true)?;
        self.push(origin, &uri)
    }

    /// Allows URIs that have no origin (`/v1/items`) too: the service below sends them to one that is allowed, and nowhere
    /// else.
    ///
    /// A tonic client needs this or `with_origin`, for its requests name a path only. Without it such a request passes
    /// without a token, which is logged once.
    #[must_use]
    pub const fn and_relative(mut self) -> Self {
        self.relative = true;
        self
    }

    /// Whether a token may be sent to this URI.
    pub fn allow(&self, uri: &Uri) -> bool {
        if is_relative(uri) {
            // Whoever resolves `//host/path` (RFC 3986 §4.2) sends it to that host, and browsers' rules take `\` for `/`.
            let path = uri.path();
            return self.relative && !path.starts_with("//") && !path.contains('\\');
        }
        let (Some(secure), Some(authority)) =
            (uri.scheme_str().and_then(is_secure), uri.authority())
        else {
            return false;
        };
        let port = authority.port_u16().unwrap_or(default_port(secure));
        self.allowed.iter().any(|origin| {
            origin.secure == secure
                && origin.port == port
                && origin.host.eq_ignore_ascii_case(authority.host())
        })
    }

    fn push(mut self, text: &str, uri: &Uri) -> Result<Self, ConfigError> {
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ConfigError::new(format!(
                "the origin `{}` has a path or a query; give scheme, host and port only",
                shown(text)
            )));
        }
        // Both are there: `check_url` has looked.
        let secure = uri.scheme_str().and_then(is_secure).unwrap_or(true);
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(default_port(secure));
        self.allowed.push(Origin { secure, host, port });
        Ok(self)
    }
}

/// Whether both name one scheme, host and port.
pub(super) fn are_of_one_origin(one: &Uri, other: &Uri) -> bool {
    let parts = |uri: &Uri| {
        let secure = uri.scheme_str().and_then(is_secure)?;
        Some((secure, uri.port_u16().unwrap_or(default_port(secure))))
    };
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    parts(one).is_some() && parts(one) == parts(other) && host(one) == host(other)
}

/// Whether it is up to the service below where this goes.
pub(super) fn is_relative(uri: &Uri) -> bool {
    uri.scheme().is_none() && uri.authority().is_none()
}

/// What an allowed origin is called in errors.
const ORIGIN: &str = "origin";

/// Reads an absolute URL that secrets are sent to, and refuses one where others could read them.
pub(crate) fn check_url(what: &str, text: &str, even_http: bool) -> Result<Uri, ConfigError> {
    let shown = shown(text);
    let form = || {
        ConfigError::new(format!(
            "the {what} `{shown}` is not an https URL with a host, which is no wildcard, and a valid port or none"
        ))
    };
    let uri: Uri = text.parse().map_err(|_| form())?;
    let secure = uri.scheme_str().and_then(is_secure).ok_or_else(form)?;
    let authority = uri.authority().ok_or_else(form)?;
    if authority.as_str().contains('@') {
        return Err(ConfigError::new(format!("the {what} has a user name in it; leave that out")));
    }
    if matches!(authority.host(), "" | "*")
        || authority.host().starts_with("*.")
        || !has_good_port(authority)
    {
        return Err(form());
    }
    if !secure && !even_http && !is_loopback(authority.host()) {
        return Err(ConfigError::new(format!(
            "the {what} `{shown}` is plain http to another machine, where tokens could be read on the way; use https, or \
             allow it with `{}`",
            if what == ORIGIN { "Origins::and_even_http" } else { "TokenEndpoint::even_http" }
        )));
    }
    Ok(uri)
}

/// What may be shown of a URL: its query may be a secret, and what stands before an `@` a password.
fn shown(text: &str) -> &str {
    if text.contains('@') { "…" } else { text.split(['?', '#']).next().unwrap_or_default() }
}

/// Whether there is none, or one that a socket can have: anything else would silently mean the default.
fn has_good_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(port) => {
            let digits = port.strip_prefix(':').unwrap_or_default();
            !digits.starts_with('+') && digits.parse::<u16>().is_ok()
        }
        None => false,
    }
}

fn is_secure(scheme: &str) -> Option<bool> {
    match scheme {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, uri: &str) -> bool {
        Origins::only(origin).unwrap().allow(&uri.parse().unwrap())
    }

    #[test]
    fn scheme_host_and_port_all_count() {
        assert!(allowed("https://a.example", "https://a.example:443/x?y"));
        assert!(allowed("http://127.0.0.1:8080", "http://127.0.0.1:8080/"));
        assert!(allowed("http://[::1]:1", "http://[::1]:1/"));
        for other in [
            "http://a.example/",
            "https://a.example:444/",
            "https://b.a.example/",
            "https://a.example.evil/",
            "https://evil/https://a.example/",
            "/a.example",
            "ftp://a.example/",
        ] {
            assert!(!allowed("https://a.example", other), "{other}");
        }
        // The user name is not the host.
        assert!(!allowed("https://a.example", "https://a.example@evil/"));
    }

    #[test]
    fn a_uri_without_an_origin_has_to_be_allowed_in_so_many_words() {
        let origins = Origins::only("https://a.example").unwrap().and_relative();
        assert!(origins.allow(&"/greeter.Greeter/SayHello".parse().unwrap()));
        for other in ["https://evil/", "a.example:443", "//a.example/x", "/\\evil/x"] {
            assert!(other.parse().map_or(true, |uri| !origins.allow(&uri)), "{other}");
        }
    }

    #[test]
    fn plain_http_to_another_machine_has_to_be_allowed_in_so_many_words() {
        let error = Origins::only("http://10.0.0.1").unwrap_err().to_string();
        assert!(error.contains("plain http"), "{error}");
        assert!(error.ends_with("allow it with `Origins::and_even_http`"), "{error}");
        let error = check_url("token endpoint", "http://10.0.0.1/token", false).unwrap_err();
        assert!(error.to_string().ends_with("allow it with `TokenEndpoint::even_http`"), "{error}");
        let origins = Origins::only("https://a.example")
            .unwrap()
            .and_even_http("http://10.0.0.1:81")
            .unwrap();
        assert!(origins.allow(&"http://10.0.0.1:81/x".parse().unwrap()));
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("a.example", "not an https URL"),
            ("https://", "not an https URL"),
            ("mailto:a@b", "not an https URL"),
            ("https://a.example/v1", "path"),
            ("https://*.example", "not an https URL"),
            ("https://a.example:99999", "not an https URL"),
            ("https://a.example:abc", "not an https URL"),
            ("https://a.example:+443", "not an https URL"),
            ("https://a.example:", "not an https URL"),
            ("https://user:pass@a.example", "user name"),
            ("user:pass@a.example", "not an https URL"),
            ("https://user:pa?pass@a.example", "not an https URL"),
        ] {
            let error = Origins::only(bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{bad}: {error}");
            assert!(!error.contains("pass"), "{error}");
        }
    }
}

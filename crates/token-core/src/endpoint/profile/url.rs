use http::Uri;

use super::description::Url;
use crate::config_error::ConfigError;
use crate::http::check_url;

const WHAT: &str = "URL";

/// Reads the URL of a request: whole, or a path to go behind the base URL. The error is the mend.
pub(super) fn parse(text: &str, even_http: bool) -> Result<Url, String> {
    if text.contains(['?', '#']) {
        return Err(
            "a URL ends before its `?` and `#`; put what is in its query into `query`".to_owned()
        );
    }
    if text.starts_with('/') && !text.starts_with("//") {
        return match text.parse::<Uri>() {
            Ok(_) => Ok(Url::Path(text.to_owned())),
            Err(_) => Err("the path has a character that no URL has; percent-encode it".to_owned()),
        };
    }
    check(text, even_http)?;
    Ok(Url::Whole(text.to_owned()))
}

/// Judges a base URL; the error is the mend.
pub(super) fn check_base(text: &str, even_http: bool) -> Result<(), String> {
    if text.contains(['?', '#']) {
        return Err("a base URL has no query; put that into each request's `query`".to_owned());
    }
    check(text, even_http)
}

fn check(text: &str, even_http: bool) -> Result<(), String> {
    let uri = check_url(WHAT, text, true).map_err(|error| error.to_string())?;
    if !even_http && check_url(WHAT, text, false).is_err() {
        let host = uri.host().unwrap_or_default();
        return Err(format!(
            "`http://{host}` is plain http to another machine, where tokens could be read on the way; use https, or allow \
             it with `even_http = true` in the profile"
        ));
    }
    Ok(())
}

impl Url {
    /// The whole URL, with this query.
    pub(super) fn resolve(&self, base: Option<&str>, query: &str) -> Result<Uri, ConfigError> {
        let mut text = match (self, base) {
            (Self::Whole(text), _) => text.clone(),
            (Self::Path(path), Some(base)) => format!("{}{path}", base.trim_end_matches('/')),
            (Self::Path(path), None) => {
                return Err(ConfigError::new(format!(
                    "the profile names the path `{path}` and no host; set `base_url`, or call `Profile::with_base_url`"
                )));
            }
        };
        if !query.is_empty() {
            text.push('?');
            text.push_str(query);
        }
        // Both parts were judged when they were set, and a query is encoded: no error is left but its length.
        text.parse().map_err(|_| {
            ConfigError::new("the request's URL is too long; see what its query carries")
        })
    }
}

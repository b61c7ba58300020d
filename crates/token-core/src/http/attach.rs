use http::{HeaderValue, header::InvalidHeaderValue};

use crate::config_error::ConfigError;
use crate::token::Token;

/// What stands before the token in its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Bearer,
    Raw,
    Other(String),
}

impl Scheme {
    /// `Bearer <token>` (RFC 6750 §2.1): the default, and the cheapest, because the value is ready-made.
    pub const BEARER: Self = Self(Form::Bearer);

    /// The token alone, for APIs with a header of their own.
    pub const RAW: Self = Self(Form::Raw);

    /// `<name> <token>`. The value is built for each request.
    ///
    /// # Errors
    ///
    /// The name is not a token of RFC 9110 §5.6.2.
    pub fn named(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(ConfigError::new(format!(
                "{name:?} is no authentication scheme; it must be one word such as `Token`"
            )));
        }
        Ok(Self(Form::Other(name)))
    }

    /// The header value of this token, marked as sensitive.
    pub(super) fn value(&self, token: &Token) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = match &self.0 {
            Form::Bearer => return Ok(token.bearer().clone()),
            Form::Raw => HeaderValue::from_str(token.expose_secret())?,
            Form::Other(name) => {
                HeaderValue::try_from(format!("{name} {}", token.expose_secret()))?
            }
        };
        value.set_sensitive(true);
        Ok(value)
    }

    /// The scheme's name in a challenge, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.0 {
            Form::Bearer => Some("Bearer"),
            Form::Raw => None,
            Form::Other(name) => Some(name),
        }
    }
}

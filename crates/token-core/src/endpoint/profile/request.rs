//! The requests to the token endpoint, byte for byte.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::description::{Body, Current, RequestRule, Value};
use crate::refresher::RefreshError;
use crate::secret::{AccessToken, RefreshToken, Secret};
use crate::token::TokenSet;

/// A value at hand, for one request.
enum Given<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Truth(bool),
    Secret(Secret),
}

impl RequestRule {
    /// Builds the request. Secrets are read now.
    ///
    /// # Errors
    ///
    /// Nothing is sent: a secret is not there (and may be, the next time), or a token is missing.
    pub(super) fn build(
        &self,
        base_url: Option<&str>,
        current: Option<&TokenSet>,
    ) -> Result<Request<Bytes>, RefreshError> {
        let configuration =
            |error: crate::ConfigError| RefreshError::configuration(error.to_string());
        let query = form(&self.query, current)?;
        let uri = self.url.resolve(base_url, &query).map_err(configuration)?;
        let (kind, body) = match &self.body {
            None => (None, Bytes::new()),
            Some(Body::Form(fields)) => (
                Some("application/x-www-form-urlencoded"),
                wiped(form(fields, current)?.into_bytes()),
            ),
            Some(Body::Json(fields)) => (Some("application/json"), wiped(json(fields, current)?)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in &self.headers {
            let given = value.given(name.as_str(), current)?;
            insert(headers, name.clone(), given.text().as_ref(), value.is_secret())?;
        }
        if let Some(value) = &self.bearer {
            let given = value.given("bearer", current)?;
            let text = Zeroizing::new(format!("Bearer {}", given.text()));
            insert(headers, AUTHORIZATION, &text, true)?;
        }
        Ok(request)
    }

    /// Reads every secret once, to see that it is there.
    pub(super) fn check_secrets(&self) -> Result<(), String> {
        self.values().try_for_each(|(name, value)| match value {
            Value::Secret(secret) => {
                secret.read().map(drop).map_err(|missing| no_secret(name, &missing))
            }
            _ => Ok(()),
        })
    }
}

impl Value {
    fn is_secret(&self) -> bool {
        matches!(self, Self::Current(_) | Self::Secret(_))
    }

    fn given<'a>(
        &'a self,
        name: &str,
        current: Option<&'a TokenSet>,
    ) -> Result<Given<'a>, RefreshError> {
        let token = |which| {
            let tokens = current?;
            match which {
                Current::AccessToken => tokens.access_token().map(AccessToken::expose_secret),
                Current::RefreshToken => tokens.refresh_token().map(RefreshToken::expose_secret),
            }
        };
        match self {
            Self::Text(text) => Ok(Given::Text(text.into())),
            Self::Number(number) => Ok(Given::Number(*number)),
            Self::Truth(truth) => Ok(Given::Truth(*truth)),
            Self::Secret(secret) => match secret.read() {
                Ok(secret) => Ok(Given::Secret(secret)),
                // Nothing is sent, so no account is locked by a try after the backoff, which may find it there.
                Err(missing) => Err(RefreshError::not_sent(no_secret(name, &missing))),
            },
            Self::Current(which) => token(*which).map(|text| Given::Text(text.into())).ok_or_else(|| {
                RefreshError::configuration(match which {
                    Current::AccessToken => {
                        "there is no access token to present; bring one by a login or `update`, or in the seed"
                    }
                    Current::RefreshToken => "there is no refresh token to present; log in again",
                })
            }),
        }
    }
}

impl Given<'_> {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Secret(secret) => Cow::Borrowed(secret.expose_secret()),
            Self::Number(number) => number.to_string().into(),
            Self::Truth(truth) => truth.to_string().into(),
        }
    }
}

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => json.serialize_str(text),
            Self::Secret(secret) => json.serialize_str(secret.expose_secret()),
            Self::Number(number) => json.serialize_i64(*number),
            Self::Truth(truth) => json.serialize_bool(*truth),
        }
    }
}

fn no_secret(name: &str, missing: &str) -> String {
    format!("there is no `{name}` to present: {missing}")
}

fn given<'a>(
    fields: &'a [(String, Value)],
    current: Option<&'a TokenSet>,
) -> Result<Vec<(&'a str, Given<'a>)>, RefreshError> {
    fields.iter().map(|(name, value)| Ok((name.as_str(), value.given(name, current)?))).collect()
}

fn form(fields: &[(String, Value)], current: Option<&TokenSet>) -> Result<String, RefreshError> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in given(fields, current)? {
        form.append_pair(name, &value.text());
    }
    Ok(form.finish())
}

fn json(fields: &[(String, Value)], current: Option<&TokenSet>) -> Result<Vec<u8>, RefreshError> {
    let mut json = Vec::with_capacity(1024);
    let fields = given(fields, current)?;
    serde_json::Serializer::new(&mut json)
        .collect_map(fields)
        .map_err(|_| RefreshError::configuration("the request's fields make no JSON"))?;
    Ok(json)
}

/// A body that is wiped when the client is done with it.
fn wiped(body: Vec<u8>) -> Bytes {
    Bytes::from_owner(Zeroizing::new(body))
}

fn insert(
    headers: &mut HeaderMap,
    name: HeaderName,
    text: &str,
    secret: bool,
) -> Result<(), RefreshError> {
    let Ok(mut value) = HeaderValue::from_str(text) else {
        return Err(RefreshError::configuration(format!(
            "what is to go into the header `{name}` has a character that no header can carry; correct it where it is kept"
        )));
    };
    value.set_sensitive(secret);
    headers.insert(name, value);
    Ok(())
}

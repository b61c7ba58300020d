//! Judges the requests.

use std::collections::BTreeMap;
use std::ops::Range;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Method};
use toml::Spanned;

use super::super::description::{Body, Current, RequestRule, Value};
use super::super::document::{RequestTable, Scalar, ValueField};
use super::super::literal;
use super::super::secret::SecretRef;
use super::{Loaded, Loader};

impl Loader<'_> {
    pub(super) fn login(
        &self,
        table: Spanned<RequestTable>,
        even_http: bool,
    ) -> Loaded<RequestRule> {
        let span = table.span();
        let rule = self.request(table.into_inner(), even_http)?;
        if rule.presents(Current::AccessToken) || rule.presents(Current::RefreshToken) {
            return Err(self.error(
                span,
                "a login has no tokens to present; a request with `from` is the one of `[refresh]`",
            ));
        }
        Ok(rule)
    }

    pub(super) fn refresh(
        &self,
        table: Spanned<RequestTable>,
        even_http: bool,
    ) -> Loaded<RequestRule> {
        let span = table.span();
        let rule = self.request(table.into_inner(), even_http)?;
        if !rule.presents(Current::AccessToken) && !rule.presents(Current::RefreshToken) {
            return Err(self.error(
                span,
                "a refresh presents a token that it has; add one as `{ from = \"refresh_token\" }` or \
                 `{ from = \"access_token\" }`, or name the table `[login]`",
            ));
        }
        Ok(rule)
    }

    fn request(&self, table: RequestTable, even_http: bool) -> Loaded<RequestRule> {
        let url = self.url(table.url, even_http)?;
        let method = match &table.method {
            None => Method::POST,
            Some(method) => match method.get_ref().as_str() {
                "GET" => Method::GET,
                "PATCH" => Method::PATCH,
                "POST" => Method::POST,
                "PUT" => Method::PUT,
                _ => {
                    return Err(
                        self.error(method.span(), "the method is one of GET, PATCH, POST and PUT")
                    );
                }
            },
        };
        let body_span =
            table.form.as_ref().or(table.json.as_ref()).map(Spanned::span).unwrap_or_default();
        let body = match (table.form, table.json) {
            (Some(_), Some(json)) => {
                return Err(
                    self.error(json.span(), "a request has one body; leave out `form` or `json`")
                );
            }
            (Some(form), None) => Some(Body::Form(self.fields(form.into_inner())?)),
            (None, Some(json)) => Some(Body::Json(self.fields(json.into_inner())?)),
            (None, None) => None,
        };
        if method == Method::GET && body.is_some() {
            return Err(self.error(body_span, "a GET has no body; use `query`, or another method"));
        }
        let bearer = match table.bearer {
            None => None,
            Some(value) => {
                let span = value.span();
                match self.value("bearer", value)? {
                    Value::Text(_) | Value::Number(_) | Value::Truth(_) => {
                        return Err(self.error(span, literal::mend("bearer")));
                    }
                    value => Some(value),
                }
            }
        };
        let mut headers: Vec<(HeaderName, Value)> = Vec::new();
        for (name, value) in table.header {
            let span = value.span();
            let (name, value) = self.header(&name, value, bearer.is_some())?;
            // TOML tells A from a, and HTTP does not.
            if headers.iter().any(|(other, _)| *other == name) {
                return Err(self.error(span, format!("`{name}` is there twice; leave out one")));
            }
            headers.push((name, value));
        }
        Ok(RequestRule { method, url, bearer, headers, query: self.fields(table.query)?, body })
    }

    fn header(
        &self,
        name: &str,
        value: Spanned<ValueField>,
        has_bearer: bool,
    ) -> Loaded<(HeaderName, Value)> {
        let span = value.span();
        let name = self.own_header_name(name, &span)?;
        if name == AUTHORIZATION && has_bearer {
            return Err(self.error(span, "`bearer` is the same header; leave out one of the two"));
        }
        let value = self.value(name.as_str(), value)?;
        if let Value::Text(text) = &value
            && HeaderValue::from_str(text).is_err()
        {
            return Err(self.error(
                span,
                format!("no header can carry this value of `{name}`; leave out line breaks and other control characters"),
            ));
        }
        Ok((name, value))
    }

    /// The name of a header that a request may be given.
    pub(super) fn own_header_name(&self, name: &str, span: &Range<usize>) -> Loaded<HeaderName> {
        let name = self.header_name(name, span)?;
        let framing =
            [&HOST, &CONTENT_LENGTH, &TRANSFER_ENCODING, &CONNECTION, &UPGRADE, &TE, &TRAILER];
        if framing.contains(&&name) {
            return Err(self
                .error(span.clone(), format!("`{name}` is the HTTP client's own; leave it out")));
        }
        Ok(name)
    }

    pub(super) fn header_name(&self, name: &str, span: &Range<usize>) -> Loaded<HeaderName> {
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            self.error(span.clone(), format!("`{name}` is no header's name; use A-Z a-z 0-9 and -"))
        })
    }

    fn fields(
        &self,
        fields: BTreeMap<String, Spanned<ValueField>>,
    ) -> Loaded<Vec<(String, Value)>> {
        fields
            .into_iter()
            .map(|(name, value)| {
                let value = self.value(&name, value)?;
                Ok((name, value))
            })
            .collect()
    }

    fn value(&self, name: &str, value: Spanned<ValueField>) -> Loaded<Value> {
        let span = value.span();
        match value.into_inner() {
            ValueField::Literal(Scalar::Truth(truth)) => Ok(Value::Truth(truth)),
            ValueField::Literal(Scalar::Number(number)) => {
                let open = !literal::is_secret(name, &number.to_string());
                open.then_some(Value::Number(number))
                    .ok_or_else(|| self.error(span, literal::mend(name)))
            }
            ValueField::Literal(Scalar::Text(text)) => {
                let open = !literal::is_secret(name, &text);
                open.then_some(Value::Text(text))
                    .ok_or_else(|| self.error(span, literal::mend(name)))
            }
            ValueField::Reference(reference) => {
                match (reference.from, reference.env, reference.file) {
                    (Some(current), None, None) => Ok(Value::Current(current)),
                    (None, Some(name), None) if is_variable(&name) => {
                        Ok(Value::Secret(SecretRef::Env(name)))
                    }
                    (None, Some(_), None) => Err(self.error(
                        span,
                        "`env` is the name of an environment variable, of A-Z a-z 0-9 and _",
                    )),
                    (None, None, Some(path)) if !path.as_os_str().is_empty() => {
                        Ok(Value::Secret(SecretRef::File(path)))
                    }
                    _ => Err(self.error(
                        span,
                        format!(
                            "`{name}` comes from one place: give one of `from`, `env` and `file`"
                        ),
                    )),
                }
            }
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

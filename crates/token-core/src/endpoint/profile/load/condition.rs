//! Judges the conditions.

use http::StatusCode;
use toml::Spanned;

use super::super::condition::{Condition, Expected, HeaderTest, JsonTest};
use super::super::document::{ConditionTable, OneOrMany, Scalar};
use super::super::pointer::Pointer;
use super::{Loaded, Loader};

impl Loader<'_> {
    pub(super) fn condition(&self, table: Spanned<ConditionTable>) -> Loaded<Condition> {
        let span = table.span();
        let table = table.into_inner();
        if table.status.is_none()
            && table.header.is_none()
            && table.redirect.is_none()
            && table.json.is_none()
        {
            return Err(self.error(
                span,
                "this would fit every answer; add `status`, `header`, `redirect` or `json`",
            ));
        }
        let status_span = table.status.as_ref().map(Spanned::span).unwrap_or_default();
        let status = match table.status {
            None => Vec::new(),
            Some(status) => {
                let span = status.span();
                let known = |status: i64| {
                    u16::try_from(status)
                        .ok()
                        .filter(|status| *status < 600)
                        .and_then(|status| StatusCode::from_u16(status).ok())
                };
                let statuses: Option<Vec<_>> =
                    status.into_inner().into_vec().into_iter().map(known).collect();
                statuses
                    .filter(|statuses| !statuses.is_empty())
                    .ok_or_else(|| self.error(span, "an HTTP status lies between 100 and 599"))?
            }
        };
        let header = table
            .header
            .map(|header| {
                let name = self.header_name(header.name.get_ref(), &header.name.span())?;
                Ok(HeaderTest { name, contains: header.contains })
            })
            .transpose()?;
        if let Some(path) = &table.redirect {
            if !path.get_ref().starts_with('/') || path.get_ref().contains(['?', '#']) {
                return Err(
                    self.error(path.span(), "a redirect is known by its path, as in \"/login\"")
                );
            }
            if !status.is_empty() && !status.iter().any(StatusCode::is_redirection) {
                return Err(self.error(
                    status_span,
                    "a redirect has a status of 300 to 399; correct it, or leave it out",
                ));
            }
        }
        let json = table
            .json
            .map(|json| {
                let span = json.span();
                let json = json.into_inner();
                let texts = |values: OneOrMany<Scalar>| {
                    let texts: Vec<_> =
                        values.into_vec().into_iter().map(Scalar::into_text).collect();
                    if texts.is_empty() {
                        let mend = "`is` and `is_not` name at least one value; leave it out to ask whether there is any";
                        return Err(self.error(span.clone(), mend));
                    }
                    Ok(texts)
                };
                let expected = match (json.is, json.is_not) {
                    (None, None) => Expected::There,
                    (Some(is), None) => Expected::OneOf(texts(is)?),
                    (None, Some(is_not)) => Expected::NoneOf(texts(is_not)?),
                    (Some(_), Some(_)) => {
                        return Err(self.error(span, "`is` says it already; leave `is_not` out"));
                    }
                };
                Ok(JsonTest { at: self.checked(&json.at, Pointer::parse)?, expected })
            })
            .transpose()?;
        Ok(Condition { status, header, redirect: table.redirect.map(Spanned::into_inner), json })
    }
}

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
        if let Some(path) = table.redirect.as_ref().filter(|path| !path.get_ref().starts_with('/'))
        {
            return Err(
                self.error(path.span(), "a redirect is known by its path, as in \"/login\"")
            );
        }
        let json = table
            .json
            .map(|json| {
                let span = json.span();
                let json = json.into_inner();
                let texts = |values: OneOrMany<Scalar>| {
                    values.into_vec().into_iter().map(Scalar::into_text).collect()
                };
                let expected = match (json.is, json.is_not) {
                    (None, None) => Expected::There,
                    (Some(is), None) => Expected::OneOf(texts(is)),
                    (None, Some(is_not)) => Expected::NoneOf(texts(is_not)),
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

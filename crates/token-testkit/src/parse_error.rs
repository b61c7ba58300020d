//! Why a text is not what it should be.

use std::fmt;

/// A text that is no [`Fault`](crate::Fault), [`ApiFault`](crate::ApiFault), [`Dialect`](crate::Dialect),
/// [`Grace`](crate::Grace) or [`Rotation`](crate::Rotation); its message says what is wrong and what
/// is expected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseError(String);

impl ParseError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn expected(what: &str, got: &str) -> Self {
        Self(format!("`{got}` is not {what}"))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

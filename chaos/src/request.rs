//! A token request as the server's history has it.

use token_testkit::{Answer, Presentation};

use crate::mark::Mark;
use crate::time::At;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) arrived: At,
    /// The exchange that it belongs to: process, grant, and number.
    pub(crate) id: Option<(u32, u32, u64)>,
    pub(crate) presented: Mark,
    /// The family of the presented token, if the server knows it.
    pub(crate) family: Option<u64>,
    /// When the server's rules decided, and what.
    pub(crate) decided: Option<(At, Decision)>,
    /// When the tokens were handed to the connection, whole; `None` if they never were.
    pub(crate) answered: Option<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// New tokens, with this refresh token.
    Issued(Mark),
    /// The family ended.
    Reuse,
    /// The token is of no use: `invalid_grant`.
    Refused,
    /// Anything else, such as a request that no server understands.
    Other,
}

impl Request {
    /// Reads an entry of a server that started at this moment; `None` if it presented no refresh token.
    pub(crate) fn read(entry: &Presentation, started: At) -> Option<Self> {
        let decision = entry.decided.as_ref().map(|decided| match decided {
            Answer::Issued { refresh: Some(refresh), .. } => Decision::Issued((*refresh).into()),
            Answer::ReuseDetected => Decision::Reuse,
            Answer::Refused { error, .. } if error == "invalid_grant" => Decision::Refused,
            _ => Decision::Other,
        });
        // A fault that cuts an answer off, or keeps it back for too long, is in its place here.
        let whole = matches!(entry.answer, Answer::Issued { .. });
        Some(Self {
            arrived: started.after(entry.at),
            id: entry.request_id.as_deref().and_then(parse),
            presented: entry.presented?.into(),
            family: entry.family,
            decided: entry.decided_at.map(|at| started.after(at)).zip(decision),
            answered: entry.answered_at.filter(|_| whole).map(|at| started.after(at)),
        })
    }
}

/// The text of a request's id.
pub(crate) fn id(process: u32, grant: u32, n: u64) -> String {
    format!("{process}.{grant}.{n}")
}

/// Process, grant and number out of a request's id.
pub(crate) fn parse(id: &str) -> Option<(u32, u32, u64)> {
    let mut parts = id.split('.');
    let parsed =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back() {
        assert_eq!(parse(&id(7, 0, 12)), Some((7, 0, 12)));
        for other in ["", "7.0", "7.0.x", "7.0.1.2"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}

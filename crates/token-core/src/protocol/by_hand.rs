//! Grants that only new tokens from outside keep alive: what they are, and when somebody has to know. Pure.

use std::time::Duration;

use crate::endpoint::jwt;
use crate::record::{Record, State};
use crate::refresher::Spends;
use crate::token::TokenSet;
use crate::version::Version;

/// The longest time before the end at which the first warning comes, and the part of the life that it is at most.
const DEFAULT_WARN_BEFORE: Duration = Duration::from_secs(7 * 86_400);
const DEFAULT_WARN_PART: u32 = 5;

/// A warning is repeated after this: what was said once, a week ago, was overlooked.
const REPEAT: Duration = Duration::from_secs(86_400);

type SpendsOf<'a> = &'a dyn Fn(Option<&TokenSet>) -> Spends;

/// Whether nothing can be exchanged for the next access token: there is no refresh token, and no login.
pub(crate) fn cannot_refresh(record: &Record, spends: SpendsOf<'_>) -> bool {
    record.tokens.refresh_token().is_none()
        && spends(Some(&record.tokens)) == Spends::RefreshToken
        && spends(None) != Spends::Nothing
}

/// When (wall) this grant ends unless somebody brings new tokens; `None` where that is not known, or it goes on by itself.
///
/// A one-time refresh token has no such end: each refresh replaces it. One that the server takes again and again does.
fn ends(record: &Record, spends: SpendsOf<'_>) -> Option<Duration> {
    if matches!(record.state, State::Dead { .. }) {
        return None;
    }
    if cannot_refresh(record, spends) {
        return record.tokens.ends();
    }
    let reusable = record.tokens.refresh_token().is_some()
        && spends(Some(&record.tokens)) == Spends::Reusable
        && spends(None) != Spends::Nothing;
    reusable.then(|| record.tokens.refresh_ends()).flatten()
}

/// What was said last: of which tokens, and how often.
pub(crate) type Warned = (Version, u128);

/// A warning that is due now, or when the next one is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    Now { ends: Duration, warned: Warned },
    In(Duration),
    Never,
}

/// What is to be said at `now` (wall) of a grant of which `warned` was said last.
pub(crate) fn warning(
    record: &Record,
    spends: SpendsOf<'_>,
    warn_before: Option<Duration>,
    warned: Option<Warned>,
    now: Duration,
) -> Warning {
    let Some(ends) = ends(record, spends).filter(|ends| *ends > now) else { return Warning::Never };
    let life = ends.saturating_sub(begins(record));
    let before = warn_before.unwrap_or_else(|| DEFAULT_WARN_BEFORE.min(life / DEFAULT_WARN_PART));
    if before.is_zero() {
        return Warning::Never;
    }
    let first = ends.saturating_sub(before);
    if now < first {
        return Warning::In(first - now);
    }
    let stage = (now - first).as_nanos() / REPEAT.as_nanos();
    if warned.is_some_and(|(version, said)| version == record.version && said >= stage) {
        let since = (now - first).as_nanos() % REPEAT.as_nanos();
        // Below a day, so it fits.
        return Warning::In(
            REPEAT - Duration::from_nanos(u64::try_from(since).unwrap_or_default()),
        );
    }
    Warning::Now { ends, warned: (record.version, stage) }
}

/// When (wall) the life of these tokens began. Of an access token alone that is a JWT it is when that was issued: it may have
/// been brought here at every start of a process.
fn begins(record: &Record) -> Duration {
    let alone = record.tokens.access_token().filter(|_| record.tokens.refresh_token().is_none());
    let issued = alone.and_then(|access| jwt::issued(access.expose_secret()));
    issued.unwrap_or(record.obtained_at).min(record.obtained_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn record(tokens: TokenSet, life: Duration) -> Record {
        let mut tokens = tokens;
        let ends = Some(crate::token::Expiry::At(DAY + life));
        if tokens.refresh_token().is_some() {
            tokens.refresh_expires = ends
        } else {
            tokens.expires = ends
        }
        Record::brought(Version::FIRST, tokens, DAY)
    }

    fn at(record: &Record, spends: Spends, warned: Option<Warned>, now: Duration) -> Warning {
        warning(record, &|_| spends, None, warned, DAY + now)
    }

    #[test]
    fn it_comes_a_week_before_the_end_or_a_fifth_of_the_life_and_then_daily() {
        for (life, first) in [(90 * DAY, 83 * DAY), (10 * DAY, 8 * DAY), (DAY, DAY.mul_f64(0.8))] {
            let record = record(TokenSet::new("a"), life);
            let at = |warned, now| at(&record, Spends::RefreshToken, warned, now);
            assert_eq!(at(None, Duration::ZERO), Warning::In(first), "{life:?}");
            let warned = (Version::FIRST, 0);
            assert_eq!(at(None, first), Warning::Now { ends: DAY + life, warned });
            assert_eq!(at(Some(warned), first + DAY / 24), Warning::In(DAY.mul_f64(23.0 / 24.0)));
            if life > 2 * DAY {
                let warned_again = (Version::FIRST, 1);
                let again = Warning::Now { ends: DAY + life, warned: warned_again };
                assert_eq!(at(Some(warned), first + DAY), again);
            }
            // After a restart once more, for nobody may have seen it; after the end it is no warning any more.
            assert!(matches!(at(None, life - DAY / 24), Warning::Now { .. }));
            assert_eq!(at(None, life), Warning::Never);
        }
    }

    #[test]
    fn only_what_no_refresh_and_no_login_averts_is_worth_a_warning() {
        let (alone, both) = (TokenSet::new("a"), TokenSet::new("a").with_refresh_token("r"));
        let soon = |tokens: &TokenSet, spends| {
            let record = record(tokens.clone(), 10 * DAY);
            matches!(at(&record, spends, None, 9 * DAY), Warning::Now { .. })
        };
        assert!(soon(&alone, Spends::RefreshToken));
        assert!(!soon(&alone, Spends::Nothing));
        assert!(!soon(&alone, Spends::Reusable), "the access token itself is presented");
        assert!(!soon(&both, Spends::RefreshToken), "each refresh brings another");
        assert!(soon(&both, Spends::Reusable));
        let logs_in = |tokens: Option<&TokenSet>| match tokens {
            Some(_) => Spends::Reusable,
            None => Spends::Nothing,
        };
        let record = record(both, 10 * DAY);
        assert_eq!(warning(&record, &logs_in, None, None, 10 * DAY), Warning::Never);
    }
}

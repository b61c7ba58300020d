//! Clocks and histories.

use std::time::{Duration, Instant};

use token_core::store::{Expect, Liveness, TokenStore, Versioned};

use super::record::{expect, failed, fresh, key, load, win};
use super::{Checked, Subject, Verdict, Violation, demand};

const HOUR: i64 = 3600;

/// C13. A store that may fall back to an earlier state says so, and tells by the provenance that it did; one that does not
/// say so never changes its history.
pub async fn c13_regressions_are_declared<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let key = key("c13");
    let first = fresh();
    win(&store, &key, Expect::Absent, &first).await?;
    let newest = fresh();
    win(&store, &key, Expect::Is(first.stamp()), &newest).await?;
    for store in [&store, &other] {
        let loaded = store.load(&key).await.map_err(|error| failed("load", &key, &error))?;
        let Some((_, provenance)) = loaded else {
            return Err(Violation::new("the record is gone"));
        };
        demand!(
            provenance.written_in == provenance.read_in,
            "the history changed without a failover: {provenance:?}"
        );
    }
    let declared = store.capabilities().may_regress;
    if !subject.regress() {
        demand!(!declared, "the store may regress: implement `Subject::regress`");
        return Ok(Checked::Whole);
    }
    let loaded = other.load(&key).await.map_err(|error| failed("load", &key, &error))?;
    let Some((record, provenance)) = loaded else {
        demand!(declared, "the record is gone, and the store does not say that it may regress");
        return Ok(Checked::Whole);
    };
    if record.stamp() == newest.stamp() {
        return Ok(Checked::Whole);
    }
    demand!(declared, "the store fell back to {record:?} and does not say that it may regress");
    demand!(
        provenance.written_in != provenance.read_in,
        "the store fell back to {record:?}, and its provenance does not tell: {provenance:?}"
    );
    Ok(Checked::Whole)
}

/// C16. A wall clock that jumps by an hour, forward or back, changes nothing: no record ends, no write is too old, no wait
/// becomes longer, nobody is taken for dead.
pub async fn c16_no_wall_clock<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let key = key("c16");
    let mut current: Option<Versioned> = None;
    for seconds in [HOUR, -HOUR, -HOUR, HOUR] {
        let new = fresh();
        win(&store, &key, expect(current.as_ref()), &new).await?;
        if !subject.jump_clock(seconds) {
            return Ok(Checked::Without("jumps of the wall clock: the subject cannot make one"));
        }
        let found = load(&other, &key).await?;
        demand!(found.as_ref() == Some(&new), "after a jump by {seconds} s {new:?} is {found:?}");
        let liveness = other.holder(&key, new.stamp()).await;
        demand!(liveness != Liveness::Dead, "after a jump by {seconds} s a live holder is dead");
        let start = Instant::now();
        let timeout = Duration::from_millis(50);
        let watched = other.changed(&key, Some(new.stamp()), timeout);
        let ended = tokio::time::timeout(Duration::from_secs(60), watched).await;
        demand!(
            ended.is_ok(),
            "after a jump by {seconds} s `changed` goes on for {:?}; its timeout was {timeout:?}",
            start.elapsed()
        );
        let next = fresh();
        win(&other, &key, Expect::Is(new.stamp()), &next).await?;
        let found = load(&store, &key).await?;
        demand!(found.as_ref() == Some(&next), "after a jump by {seconds} s {next:?} is {found:?}");
        current = Some(next);
    }
    Ok(Checked::Whole)
}

//! What an error means for the record, and what it may say.

use std::error::Error;

use bytes::Bytes;
use token_core::store::{
    Durability, Expect, Stamp, StoreError, StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};

use super::record::{fresh, is_whole, key, load, win};
use super::{Checked, Subject, Verdict, Violation, demand};

const TRIES: usize = 5;

/// C5. After an indeterminate swap a load decides: the own stamp is there if and only if the swap was applied, with its
/// bytes, and then nobody else's swap of the same record won.
pub async fn c05_indeterminate_is_decided_by_the_stamp<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let key = key("c05");
    let mut current = fresh();
    win(&store, &key, Expect::Absent, &current).await?;
    for _ in 0..TRIES {
        if !subject.fail(StoreErrorKind::Indeterminate) {
            return Ok(Checked::Without("indeterminate swaps: the subject cannot provoke one"));
        }
        let new = fresh();
        let swap = try_swap(&store, &key, Expect::Is(current.stamp()), &new).await;
        subject.recover();
        let error = match swap {
            Err(error) => error,
            Ok(swap) => {
                return Err(Violation::new(format!("a swap that was to fail ended as {swap:?}")));
            }
        };
        demand!(
            error.kind() == StoreErrorKind::Indeterminate,
            "a swap that was to be indeterminate failed with {error:?}"
        );
        let Some(found) = load(&other, &key).await? else {
            return Err(Violation::new("an indeterminate swap removed the record"));
        };
        demand!(
            found == current || found == new,
            "an indeterminate swap of {current:?} to {new:?} left {found:?}"
        );
        let next = fresh();
        let rival = try_swap(&other, &key, Expect::Is(current.stamp()), &next).await;
        let rival =
            rival.map_err(|error| super::record::failed("compare_and_swap", &key, &error))?;
        let applied = found == new;
        demand!(
            applied != matches!(rival, Swap::Won { .. }),
            "the load after an indeterminate swap showed {found:?}, and a swap of the old record ended as {rival:?}"
        );
        current = if applied { new } else { next };
    }
    Ok(Checked::Whole)
}

/// C6. A refused swap has changed nothing and never will; else a refresh that was called off is under way.
pub async fn c06_refused_changes_nothing<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let (key, unwritten) = (key("c06"), key("c06-unwritten"));
    let current = fresh();
    win(&store, &key, Expect::Absent, &current).await?;
    for _ in 0..TRIES {
        if !subject.fail(StoreErrorKind::Refused) {
            return Ok(Checked::Without("refused swaps: the subject cannot provoke one"));
        }
        let results = [
            try_swap(&store, &key, Expect::Is(current.stamp()), &fresh()).await,
            try_swap(&store, &unwritten, Expect::Absent, &fresh()).await,
        ];
        subject.recover();
        for result in results {
            let refused = matches!(&result, Err(error) if error.kind() == StoreErrorKind::Refused);
            demand!(refused, "a swap that was to be refused ended as {result:?}");
        }
        let found = load(&other, &key).await?;
        demand!(found.as_ref() == Some(&current), "a refused swap of {current:?} left {found:?}");
        let found = load(&other, &unwritten).await?;
        demand!(found.is_none(), "a refused swap created {found:?}");
    }
    win(&store, &key, Expect::Is(current.stamp()), &fresh()).await?;
    Ok(Checked::Whole)
}

/// C17. Nothing that is stored shows in an error or in `Debug`, whatever goes wrong; they end up in logs.
pub async fn c17_no_secret_is_told<S: Subject>(subject: &S) -> Verdict {
    const SECRET: &str = "rt-5ecret-5ecret";
    let store = subject.client().await;
    let key = key("c17");
    let json = format!("{{\"refresh_token\":\"{SECRET}\"}}");
    let current = Versioned::new(Stamp::random(), Bytes::from(json));
    let mut said = Vec::new();
    win(&store, &key, Expect::Absent, &current).await?;
    let lost = try_swap(&store, &key, Expect::Absent, &current).await;
    said.push(format!("{lost:?}"));
    said.push(format!("{:?}", store.load(&key).await));
    for kind in [StoreErrorKind::Refused, StoreErrorKind::Indeterminate] {
        if subject.fail(kind) {
            let failed = try_swap(&store, &key, Expect::Is(current.stamp()), &current).await;
            said.extend(failed.as_ref().err().map(told));
            said.push(format!("{failed:?}"));
            subject.recover();
        }
    }
    let damaged = subject.damage(&key);
    if damaged {
        said.extend(store.load(&key).await.as_ref().err().map(told));
        let failed = try_swap(&store, &key, Expect::Absent, &current).await;
        said.extend(failed.as_ref().err().map(told));
    }
    for text in said {
        // Whole, or the part that a parser quotes.
        demand!(!text.contains("5ecret"), "a secret is told: {text}");
    }
    Ok(if damaged {
        Checked::Whole
    } else {
        Checked::Without("what is said of damaged records: the subject cannot damage one")
    })
}

/// C18. A record that cannot be read is an error, never "no record": a seed written over it is a refresh token that was
/// already used. It stays as it is, and other keys are not affected.
pub async fn c18_damage_is_never_absence<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let (key, neighbour) = (key("c18"), key("c18-neighbour"));
    let (current, beside) = (fresh(), fresh());
    win(&store, &key, Expect::Absent, &current).await?;
    win(&store, &neighbour, Expect::Absent, &beside).await?;
    if !subject.damage(&key) {
        return Ok(Checked::Without("damaged records: the subject cannot damage one"));
    }
    for expect in [Expect::Absent, Expect::Is(current.stamp()), Expect::Is(Stamp::random())] {
        let loaded = other.load(&key).await;
        demand!(is_corrupt(&loaded), "a damaged record is loaded as {loaded:?}");
        let swap = try_swap(&store, &key, expect, &fresh()).await;
        demand!(
            is_corrupt(&swap),
            "a swap of a damaged record that expected {expect:?} ended as {swap:?}"
        );
    }
    let found = load(&other, &neighbour).await?;
    demand!(
        found.as_ref().is_some_and(is_whole) && found.as_ref() == Some(&beside),
        "damage to {key} changed {neighbour} to {found:?}"
    );
    Ok(Checked::Whole)
}

/// C19. What cannot be read makes way for a login, and nothing else does: not a record that can be read, and not one that
/// somebody wrote meanwhile. Nobody finds "no record" on the way.
pub async fn c19_only_what_cannot_be_read_is_set_aside<S: Subject>(subject: &S) -> Verdict {
    let (store, other, reader) =
        (subject.client().await, subject.client().await, subject.client().await);
    let (key, unwritten) = (key("c19"), key("c19-unwritten"));
    let current = fresh();
    win(&store, &key, Expect::Absent, &current).await?;
    match store.set_aside(&key, None, &fresh()).await {
        Err(error) if error.kind() == StoreErrorKind::Refused => {
            return Ok(Checked::Without("setting records aside: the store does not do it"));
        }
        result => unmoved(result, "a record that can be read")?,
    }
    unmoved(store.set_aside(&key, Some(Stamp::random()), &fresh()).await, "another's record")?;
    unmoved(store.set_aside(&unwritten, None, &fresh()).await, "a record that is not there")?;
    let found = (load(&other, &key).await?, load(&other, &unwritten).await?);
    demand!(found == (Some(current.clone()), None), "to set nothing aside left {found:?}");

    let new = fresh();
    let moved = store.set_aside(&key, Some(current.stamp()), &new).await;
    demand!(
        matches!(&moved, Ok(Some(place)) if !place.is_empty()),
        "setting aside ended as {moved:?}"
    );
    let found = load(&other, &key).await?;
    demand!(found.as_ref() == Some(&new), "{new:?} was written, and {found:?} is there");

    if !subject.damage(&key) {
        return Ok(Checked::Without("damaged records: the subject cannot damage one"));
    }
    let (one, two) = (fresh(), fresh());
    let reading = async {
        loop {
            match reader.load(&key).await {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    tokio::task::yield_now().await
                }
                Ok(Some((record, _))) if record == one || record == two => return Ok(()),
                found => {
                    return Err(Violation::new(format!(
                        "while a damaged record was set aside, {found:?} was there"
                    )));
                }
            }
        }
    };
    let (first, second, read) =
        tokio::join!(store.set_aside(&key, None, &one), other.set_aside(&key, None, &two), reading);
    let winner = match (&first, &second) {
        (Ok(Some(_)), Ok(None)) => one.clone(),
        (Ok(None), Ok(Some(_))) => two.clone(),
        _ => {
            return Err(Violation::new(format!(
                "two that set one record aside ended as {first:?} and {second:?}"
            )));
        }
    };
    read?;
    let found = load(&other, &key).await?;
    demand!(found.as_ref() == Some(&winner), "{winner:?} was written, and {found:?} is there");
    Ok(Checked::Whole)
}

fn unmoved(result: Result<Option<String>, StoreError>, what: &str) -> Result<(), Violation> {
    demand!(matches!(result, Ok(None)), "setting {what} aside ended as {result:?}");
    Ok(())
}

fn is_corrupt<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(error) if error.kind() == StoreErrorKind::Corrupt)
}

async fn try_swap(
    store: &impl TokenStore,
    key: &StoreKey,
    expect: Expect,
    new: &Versioned,
) -> Result<Swap, StoreError> {
    store.compare_and_swap(key, expect, new, Durability::Durable).await
}

/// All that a log could show of an error.
fn told(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut below = error.source();
    while let Some(source) = below {
        text.push_str(&format!(" {source} {source:?}"));
        below = source.source();
    }
    text
}

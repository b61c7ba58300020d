//! Listing: whoever keeps idle grants alive has to find all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use token_core::store::{Cursor, Expect, Page, StoreKey, TokenStore, Versioned};
use tokio::task::JoinSet;

use super::record::{fresh, key, tenant_key, win};
use super::{Checked, Subject, Verdict, Violation, demand};

/// More than fit into one page of any store that we know.
const KEYS: usize = 300;

/// A listing that goes on for longer repeats itself.
const MOST_PAGES: usize = 10_000;

/// Every key that has a record is listed once, page by page, with the keys as they were written; none that was only asked
/// for.
pub async fn list_names_every_key<S: Subject>(subject: &S) -> Verdict {
    let store = subject.client().await;
    let page = next_page(&store, None).await?;
    demand!(page.keys().is_empty() && page.next().is_none(), "a new store lists {page:?}");
    let written = fill(subject).await?;
    let _ = store.load(&key("only-asked-for")).await;
    let _ = super::record::swap(
        &store,
        &key("only-tried"),
        Expect::Is(token_core::store::Stamp::random()),
        &fresh(),
    )
    .await?;
    let mut listed = Vec::new();
    let mut after = None;
    for _ in 0..MOST_PAGES {
        let page = next_page(&subject.client().await, after).await?;
        listed.extend(page.keys().iter().cloned());
        after = page.next().cloned();
        if after.is_none() {
            break;
        }
    }
    demand!(after.is_none(), "the listing of {KEYS} keys does not end");
    let found: BTreeSet<StoreKey> = listed.iter().cloned().collect();
    demand!(found.len() == listed.len(), "the listing names some keys twice");
    compare(&found, &written.into_iter().map(|(key, _)| key).collect())?;
    Ok(Checked::Whole)
}

/// Writes between two pages, to keys that are there and to new ones, take no key out of the listing.
pub async fn list_names_every_key_while_others_write<S: Subject>(subject: &S) -> Verdict {
    let (store, writer) = (subject.client().await, subject.client().await);
    let mut written = fill(subject).await?;
    let there: BTreeSet<StoreKey> = written.iter().map(|(key, _)| key.clone()).collect();
    let mut new_keys = BTreeSet::new();
    let mut listed = BTreeSet::new();
    let mut after = None;
    for round in 0..MOST_PAGES {
        let page = next_page(&store, after).await?;
        listed.extend(page.keys().iter().cloned());
        after = page.next().cloned();
        if after.is_none() {
            break;
        }
        if round >= 5 {
            continue;
        }
        // Before and after every order that a store may have.
        for name in [format!("0{round}"), format!("k1500{round}"), format!("zz{round}")] {
            win(&writer, &key(&name), Expect::Absent, &fresh()).await?;
            new_keys.insert(key(&name));
        }
        for (key, record) in written.iter_mut().step_by(40) {
            let new = fresh();
            win(&writer, key, Expect::Is(record.stamp()), &new).await?;
            *record = new;
        }
    }
    demand!(after.is_none(), "the listing of {KEYS} keys does not end");
    listed.retain(|key| !new_keys.contains(key));
    compare(&listed, &there)?;
    Ok(Checked::Whole)
}

async fn fill<S: Subject>(subject: &S) -> Result<Vec<(StoreKey, Versioned)>, Violation> {
    let store = Arc::new(subject.client().await);
    let mut writers: JoinSet<Result<Vec<_>, Violation>> = JoinSet::new();
    for part in 0..8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mut written = Vec::new();
            for n in (part..KEYS).step_by(8) {
                let key = tenant_key(&format!("k{n:04}"), (n % 2 == 0).then_some("a/B"));
                let record = fresh();
                win(&*store, &key, Expect::Absent, &record).await?;
                written.push((key, record));
            }
            Ok(written)
        });
    }
    let mut written = Vec::new();
    while let Some(part) = writers.join_next().await {
        written.extend(part.map_err(|error| Violation::new(format!("a swap panicked: {error}")))??);
    }
    written.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(written)
}

async fn next_page(store: &impl TokenStore, after: Option<Cursor>) -> Result<Page, Violation> {
    store
        .list(after)
        .await
        .map_err(|error| Violation::new(format!("list failed ({:?}): {error}", error.kind())))
}

fn compare(found: &BTreeSet<StoreKey>, there: &BTreeSet<StoreKey>) -> Result<(), Violation> {
    let missed: Vec<_> = there.difference(found).take(3).map(StoreKey::as_str).collect();
    let invented: Vec<_> = found.difference(there).take(3).map(StoreKey::as_str).collect();
    demand!(
        missed.is_empty() && invented.is_empty(),
        "of {} keys the listing names {}; it lacks {missed:?} and invents {invented:?} (three at most are named)",
        there.len(),
        found.len()
    );
    Ok(())
}

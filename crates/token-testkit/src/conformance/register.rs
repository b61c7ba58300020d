//! The register itself: what was written is there, and one writer wins.

use std::sync::Arc;

use bytes::Bytes;
use token_core::store::{Expect, Stamp, Swap, Versioned};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::record::{expect, fresh, key, load, swap, win};
use super::{Checked, Subject, Verdict, Violation, demand};

const RACERS: usize = 16;
const ROUNDS: usize = 10;

/// C1. What a won swap wrote is what the same and every other client loads next; else a process presents a refresh
/// token that is spent.
pub async fn c01_load_returns_what_was_won<S: Subject>(subject: &S) -> Verdict {
    let (writer, reader) = (subject.client().await, subject.client().await);
    let key = key("c01");
    demand!(load(&writer, &key).await?.is_none(), "a new store has a record of {key}");
    let mut current: Option<Versioned> = None;
    for _ in 0..5 {
        let new = fresh();
        win(&writer, &key, expect(current.as_ref()), &new).await?;
        for (store, who) in [(&writer, "its writer"), (&reader, "another client")] {
            let loaded = load(store, &key).await?;
            demand!(loaded.as_ref() == Some(&new), "{new:?} was won, and {who} loads {loaded:?}");
        }
        let late = load(&subject.client().await, &key).await?;
        demand!(late.as_ref() == Some(&new), "{new:?} was won, and a new client loads {late:?}");
        current = Some(new);
    }
    Ok(Checked::Whole)
}

/// C2. Of many clients that swap the same record at once exactly one wins; else two present one refresh token.
pub async fn c02_one_of_many_wins<S: Subject>(subject: &S) -> Verdict {
    let key = key("c02");
    let mut stores = Vec::new();
    for _ in 0..RACERS {
        stores.push(Arc::new(subject.client().await));
    }
    let mut current: Option<Versioned> = None;
    for round in 0..ROUNDS {
        let start = Arc::new(Barrier::new(RACERS));
        let expect = expect(current.as_ref());
        let mut racers = JoinSet::new();
        for store in &stores {
            let (store, start, key) = (Arc::clone(store), Arc::clone(&start), key.clone());
            racers.spawn(async move {
                let new = fresh();
                start.wait().await;
                swap(&*store, &key, expect, &new).await.map(|swap| (new, swap))
            });
        }
        let mut winner = None;
        while let Some(racer) = racers.join_next().await {
            let (new, swap) =
                racer.map_err(|error| Violation::new(format!("a swap panicked: {error}")))??;
            if matches!(swap, Swap::Won { .. }) {
                demand!(
                    winner.is_none(),
                    "two of {RACERS} swaps of one record won in round {round}"
                );
                winner = Some(new);
            }
        }
        let loaded = load(&*stores[0], &key).await?;
        demand!(winner.is_some(), "none of {RACERS} swaps of one record won in round {round}");
        demand!(loaded == winner, "{winner:?} won against {RACERS}, and {loaded:?} is there");
        current = winner;
    }
    Ok(Checked::Whole)
}

/// C3. Who loses is told what is there, so that it need not present anything to find out.
pub async fn c03_lost_returns_the_current_record<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let key = key("c03");
    let lost = swap(&store, &key, Expect::Is(Stamp::random()), &fresh()).await?;
    demand!(lost == Swap::Lost(None), "a swap of a record that does not exist ended as {lost:?}");
    let current = fresh();
    win(&store, &key, Expect::Absent, &current).await?;
    for expect in [Expect::Absent, Expect::Is(Stamp::random())] {
        let lost = swap(&other, &key, expect, &fresh()).await?;
        demand!(
            lost == Swap::Lost(Some(current.clone())),
            "a swap that expected {expect:?} where {current:?} is ended as {lost:?}"
        );
    }
    let loaded = load(&store, &key).await?;
    demand!(loaded.as_ref() == Some(&current), "after swaps that lost {loaded:?} is there");
    Ok(Checked::Whole)
}

/// C4. `Absent` creates and never replaces; else a restart puts the seed over the live refresh token.
pub async fn c04_absent_creates_once<S: Subject>(subject: &S) -> Verdict {
    let store = subject.client().await;
    let key = key("c04");
    let first = fresh();
    win(&store, &key, Expect::Absent, &first).await?;
    for _ in 0..3 {
        let again = swap(&subject.client().await, &key, Expect::Absent, &fresh()).await?;
        demand!(matches!(again, Swap::Lost(_)), "`Absent` replaced a record");
    }
    let loaded = load(&store, &key).await?;
    demand!(loaded.as_ref() == Some(&first), "{first:?} was created, and {loaded:?} is there");
    Ok(Checked::Whole)
}

/// C15. Records of 0 bytes to 64 KiB come back byte by byte, whatever the bytes are: an encrypted record is no text.
pub async fn c15_any_bytes_come_back<S: Subject>(subject: &S) -> Verdict {
    let (writer, reader) = (subject.client().await, subject.client().await);
    let key = key("c15");
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let mut random = vec![0; 64 * 1024];
    fastrand::Rng::with_seed(15).fill(&mut random);
    let nested = [vec![b'['; 2000], vec![b']'; 2000]].concat();
    let samples: [&[u8]; 16] = [
        b"",
        b"\0",
        b"\n",
        b"null",
        b"{}",
        b" {} ",
        b"{\"a\":1}\n",
        b"{\"a\":1e2, \"a\":  2}",
        b"\"\\ud800\"",
        b"\xEF\xBB\xBF{}",
        b"\r\n--\r\n",
        "\u{2028}\u{FEFF}".as_bytes(),
        &nested,
        &every_byte,
        &[b'x'; 64 * 1024],
        &random,
    ];
    let mut current: Option<Versioned> = None;
    for sample in samples {
        let new = Versioned::new(Stamp::random(), Bytes::copy_from_slice(sample));
        win(&writer, &key, expect(current.as_ref()), &new).await?;
        let start = String::from_utf8_lossy(&sample[..sample.len().min(20)]);
        let loaded = load(&reader, &key).await?;
        demand!(
            loaded.as_ref() == Some(&new),
            "{} bytes that begin with {start:?} came back as {loaded:?}",
            sample.len()
        );
        current = Some(new);
    }
    Ok(Checked::Whole)
}

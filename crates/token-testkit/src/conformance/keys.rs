//! Keys that are easily taken for each other.

use token_core::store::{Expect, StoreKey};

use super::record::{fresh, key, load, tenant_key, win};
use super::{Checked, Subject, Verdict, demand};

/// C14. Each key has a record of its own: keys that differ in case, in a separator, at the 600th byte, or that mean
/// something to a file system or a protocol. Else one tenant gets another's token.
pub async fn c14_keys_are_apart<S: Subject>(subject: &S) -> Verdict {
    let store = subject.client().await;
    let other = subject.client().await;
    let mut written = Vec::new();
    for key in awkward() {
        let found = load(&store, &key).await?;
        demand!(found.is_none(), "{key} has a record before it is written: {found:?}");
        let record = fresh();
        win(&store, &key, Expect::Absent, &record).await?;
        written.push((key, record));
    }
    // Replacing one leaves the others.
    for n in 0..written.len() {
        let new = fresh();
        win(&store, &written[n].0, Expect::Is(written[n].1.stamp()), &new).await?;
        written[n].1 = new;
        let (key, record) = &written[(n + 1) % written.len()];
        let found = load(&other, key).await?;
        demand!(found.as_ref() == Some(record), "a write to {} changed {key}", written[n].0);
    }
    for (key, record) in &written {
        let found = load(&other, key).await?;
        demand!(found.as_ref() == Some(record), "{key} holds {found:?} instead of {record:?}");
    }
    Ok(Checked::Whole)
}

fn awkward() -> Vec<StoreKey> {
    let long = "x".repeat(255);
    let plain = [
        "a", "A", "a.", "a-", "a_", "-a", ".a", "..", "con", "NUL", "a.lock", "a.json", "a.tmp",
        "aA", "Aa",
    ];
    let tenants = [
        "a",
        "A",
        "/",
        "../a",
        "a/audience=b",
        "%2F",
        "{a}",
        "{}",
        "a:b",
        "a\0b",
        "a b",
        "\u{e9}",
        "e\u{301}",
        "*",
        "[a]",
        "\u{1f600}",
    ];
    let mut keys: Vec<StoreKey> = plain.iter().map(|name| key(name)).collect();
    keys.extend(tenants.iter().map(|tenant| tenant_key("a", Some(tenant))));
    // Percent-encoded these are three times as long.
    keys.extend(
        ["1", "2"].map(|end| tenant_key(&long, Some(&format!("{}{end}", "/".repeat(255))))),
    );
    keys.extend(["y", "Y"].map(|end| key(&format!("{long}{end}"))));
    keys
}

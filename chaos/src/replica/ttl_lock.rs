//! What people write by hand: a lock that ends by itself, and tokens that are written blindly. It is here to lose grants,
//! and to show that the checker sees it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use token_core::store::{Durability, Expect, Stamp, StoreKey, Swap, TokenStore, Versioned};
use token_core::{AccessToken, Outcome, RefreshToken, Refresher, TokenKey, TokenSet};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::time::ACCESS_LIFETIME;

use super::Login;
use super::grant::Grant;
use super::refresher::Stepping;
use super::store::Recorded;

/// How long the lock holds: ten times an ordinary exchange, and less than the slowest ones.
const TTL: Duration = Duration::from_secs(1);

/// The deadline that HTTP clients come with.
const HTTP_DEADLINE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(40);

/// The tokens as they are stored: the same names as in token-core's records, so that the checker reads both.
#[derive(Clone, Serialize, Deserialize)]
struct Tokens {
    epoch: u64,
    generation: u64,
    state: String,
    expires_ms: u64,
    access_token: String,
    refresh_token: String,
}

/// The lock: who holds it, and until when.
#[derive(Serialize, Deserialize)]
struct Held {
    owner: String,
    until_ms: u64,
}

/// Keeps one grant's tokens fresh, and takes logins.
pub(super) async fn hold<S: TokenStore>(
    store: Recorded<S>,
    refresher: Stepping,
    key: TokenKey,
    grant: Arc<Grant>,
    mut logins: mpsc::UnboundedReceiver<Login>,
) {
    let lock_key = TokenKey::new(format!("{key}.lock")).map(|key| StoreKey::from(&key));
    let (key, Ok(lock_key)) = (StoreKey::from(&key), lock_key) else { return };
    let me = Stamp::random().to_string();
    loop {
        sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
        if let Ok(Login { refresh, access }) = logins.try_recv() {
            grant.login_begins(&refresh);
            let epoch = read(&store, &key).await.map_or(0, |tokens| tokens.epoch) + 1;
            write(&store, &key, &Tokens::new(epoch, 0, access, refresh)).await;
            grant.login_ended(true);
        }
        let Some(tokens) = read(&store, &key).await.filter(Tokens::is_stale) else { continue };
        if !lock(store.silent(), &lock_key, &me).await {
            continue;
        }
        // It reads again under the lock, as a careful person does.
        if let Some(current) = read(&store, &key).await
            && current.refresh_token == tokens.refresh_token
        {
            refresh(&store, &refresher, &key, current).await;
        }
        unlock(store.silent(), &lock_key).await;
    }
}

async fn refresh<S: TokenStore>(
    store: &Recorded<S>,
    refresher: &Stepping,
    key: &StoreKey,
    tokens: Tokens,
) {
    let set = TokenSet::new(tokens.access_token.as_str())
        .with_refresh_token(tokens.refresh_token.as_str());
    match timeout(HTTP_DEADLINE, refresher.refresh(Some(&set))).await {
        Ok(Ok(new)) => {
            let access = new.access_token().map(AccessToken::expose_secret);
            let refresh = new.refresh_token().map(RefreshToken::expose_secret);
            let (Some(access), Some(refresh)) = (access, refresh) else { return };
            let next = Tokens::new(
                tokens.epoch,
                tokens.generation + 1,
                access.to_owned(),
                refresh.to_owned(),
            );
            write(store, key, &next).await;
        }
        Ok(Err(error)) if error.outcome() == Outcome::InvalidGrant => {
            let current = read(store, key).await;
            if current.is_some_and(|current| current.refresh_token == tokens.refresh_token) {
                write(store, key, &Tokens { state: "dead".to_owned(), ..tokens }).await;
            }
        }
        // The next round tries again.
        Ok(Err(_)) | Err(_) => {}
    }
}

impl Tokens {
    fn new(epoch: u64, generation: u64, access_token: String, refresh_token: String) -> Self {
        let expires_ms = now_ms() + millis(ACCESS_LIFETIME);
        let state = "idle".to_owned();
        Self { epoch, generation, state, expires_ms, access_token, refresh_token }
    }

    fn is_stale(&self) -> bool {
        self.state == "idle" && now_ms() + millis(ACCESS_LIFETIME) / 5 >= self.expires_ms
    }
}

async fn read<S: TokenStore>(store: &Recorded<S>, key: &StoreKey) -> Option<Tokens> {
    let (versioned, _) = store.load(key).await.ok()??;
    serde_json::from_slice(versioned.bytes()).ok()
}

/// Writes over whatever is there.
async fn write<S: TokenStore>(store: &Recorded<S>, key: &StoreKey, tokens: &Tokens) {
    let Ok(bytes) = serde_json::to_vec(tokens) else { return };
    loop {
        let current = store.silent().load(key).await.ok().flatten();
        let expect = current.map_or(Expect::Absent, |(versioned, _)| Expect::Is(versioned.stamp()));
        let new = Versioned::new(Stamp::random(), Bytes::from(bytes.clone()));
        match store.compare_and_swap(key, expect, &new, Durability::Durable).await {
            Ok(Swap::Lost(_)) => {}
            Ok(Swap::Won { .. }) | Err(_) => return,
        }
    }
}

async fn lock<S: TokenStore>(store: &S, key: &StoreKey, me: &str) -> bool {
    let Ok(current) = store.load(key).await else { return false };
    let held = current
        .as_ref()
        .and_then(|(versioned, _)| serde_json::from_slice::<Held>(versioned.bytes()).ok());
    if held.is_some_and(|held| held.until_ms > now_ms()) {
        return false;
    }
    let expect = current.map_or(Expect::Absent, |(versioned, _)| Expect::Is(versioned.stamp()));
    put(store, key, expect, &Held { owner: me.to_owned(), until_ms: now_ms() + millis(TTL) }).await
}

/// Whoever holds it by now.
async fn unlock<S: TokenStore>(store: &S, key: &StoreKey) {
    if let Ok(Some((current, _))) = store.load(key).await {
        let free = Held { owner: String::new(), until_ms: 0 };
        put(store, key, Expect::Is(current.stamp()), &free).await;
    }
}

async fn put<S: TokenStore>(store: &S, key: &StoreKey, expect: Expect, held: &Held) -> bool {
    let Ok(bytes) = serde_json::to_vec(held) else { return false };
    let new = Versioned::new(Stamp::random(), Bytes::from(bytes));
    let swapped = store.compare_and_swap(key, expect, &new, Durability::Visible).await;
    matches!(swapped, Ok(Swap::Won { .. }))
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

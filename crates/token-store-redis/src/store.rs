use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use token_core::store::{
    Capabilities, Cursor, Durability, Expect, Page, Provenance, Stamp, StoreError, StoreKey, Swap,
    TokenStore, Versioned,
};
use tokio::time::Instant;

use crate::builder::{Builder, Settings};
use crate::failure::{self, Place};
use crate::key_name::Namespace;
use crate::link::Trouble;
use crate::listing;
use crate::nodes::Nodes;
use crate::record::{Found, Unreadable};
use crate::script;
use crate::wake::Wakes;

/// The pauses between two looks: short at first, for those who wait for a refresh that is under way.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Records as keys of a Redis or Valkey server, or of a cluster, for the processes of any number of hosts.
///
/// Each write is a compare-and-swap in one script. See the [crate docs](crate) for what is on the server, which rights
/// its user needs, and what happens when something goes wrong.
///
/// Clones share everything: two connections to each server, made when they are needed, made anew when they fail. A request that has its
/// token causes no command.
///
/// # Example
///
/// ```no_run
/// use token_core::endpoint::{HttpEndpoint, TokenEndpoint};
/// use token_core::{TokenKey, TokenManager, TokenSet};
/// use token_store_redis::RedisStore;
///
/// async fn manager<H: HttpEndpoint>(endpoint: TokenEndpoint<H>) -> Result<TokenManager, Box<dyn std::error::Error>> {
///     let store = RedisStore::open("redis://tokens:secret@redis.internal:6379").await?;
///     let tokens = TokenManager::builder(endpoint)
///         .key(TokenKey::new("billing-api")?)
///         .store(store)
///         .seed(TokenSet::from_refresh_token("the first one"))
///         .build()?;
///     Ok(tokens)
/// }
/// ```
///
/// # Cancel safety
///
/// A command whose future is dropped is answered by the server all the same: a write that was sent happens or not, as a
/// whole.
#[derive(Clone, Debug)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: String,
    namespace: Namespace,
    nodes: Nodes,
    replicas: Replicas,
    wakes: Arc<Wakes>,
}

/// How many replicas have to have a record.
#[derive(Debug)]
struct Replicas {
    set: Option<u32>,
    /// How many were online when the server was last asked.
    online: AtomicU32,
}

impl Replicas {
    fn wanted(&self) -> u32 {
        self.wanted_of(self.online.load(Ordering::Relaxed))
    }

    /// Of so many that are online.
    fn wanted_of(&self, online: u32) -> u32 {
        self.set.unwrap_or(online.min(1))
    }

    /// Whether fewer follow the server than have to. `None`: none has to.
    fn are_missed(&self, found: &Found) -> Option<bool> {
        self.set.filter(|set| *set > 0).map(|set| found.replicas < set)
    }

    fn saw(&self, found: &Found) {
        self.online.store(found.replicas, Ordering::Relaxed);
    }
}

impl RedisStore {
    /// Connects to the server of this URL, `redis://user:password@host:6379/0`, and looks whether it keeps what it is
    /// given.
    ///
    /// # Errors
    ///
    /// The URL cannot be read; the server is not there, wants a login, denies a right, is a replica or another kind of
    /// server, is older than Redis 7.0, or would drop records when its memory is full (`maxmemory-policy allkeys-…`).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn open(url: impl AsRef<str>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Settings for the store behind this URL.
    pub fn builder(url: impl AsRef<str>) -> Builder {
        Builder::new(url.as_ref())
    }

    pub(crate) async fn connect(settings: Settings) -> Result<Self, StoreError> {
        let Settings { nodes, server, namespace, replicas, wakes } = settings;
        let replicas = Replicas { set: replicas, online: AtomicU32::new(0) };
        let store = Self { inner: Arc::new(Inner { server, namespace, nodes, replicas, wakes }) };
        store.try_out().await?;
        Ok(store)
    }

    /// Whether the server lets us run what the store is made of; better now than at the first refresh.
    async fn try_out(&self) -> Result<(), StoreError> {
        let Inner { server, namespace, nodes, replicas, .. } = &*self.inner;
        let nobodys = namespace.nobodys();
        let failed = |trouble| failure::server(server, trouble);
        let answer = nodes.read(&nobodys, &script::read(&nobodys)).await.map_err(failed)?;
        let found = script::what_was_read(answer).ok_or_else(|| failed(Trouble::Odd))?;
        replicas.saw(&found);
        // For no replica, which is there at once.
        nodes.read(&nobodys, redis::cmd("WAIT").arg(0).arg(1)).await.map_err(failed)?;
        Ok(())
    }

    async fn look(&self, place: Place<'_>) -> Result<Found, StoreError> {
        let mut found = self.ask(place).await?;
        // After a failover the old master may go on for many seconds, and what it shows is of no use to anybody. Its replicas
        // follow another by then.
        if let (true, Some(missed)) = (found.is_master, self.inner.replicas.are_missed(&found))
            && self.inner.nodes.doubt(missed).await
        {
            found = self.ask(place).await?;
        }
        if found.is_master {
            return Ok(found);
        }
        // What a replica shows may be old, and behind the same address there may be the new master.
        self.inner.nodes.leave(place.key).await;
        Err(failure::replica(place))
    }

    async fn ask(&self, place: Place<'_>) -> Result<Found, StoreError> {
        let answer = self.inner.nodes.read(place.key, &script::read(place.key)).await;
        let answer = answer.map_err(|trouble| failure::read(place, trouble))?;
        let found =
            script::what_was_read(answer).ok_or_else(|| failure::read(place, Trouble::Odd))?;
        self.inner.replicas.saw(&found);
        Ok(found)
    }

    /// The stamp alone would do, and a record is small.
    async fn stamp(&self, place: Place<'_>) -> Result<Option<Stamp>, StoreError> {
        let found = self.look(place).await?;
        let record = found.record(place.grant).map_err(|why| failure::unreadable(place, &why))?;
        Ok(record.map(|(record, _)| record.stamp()))
    }

    fn place<'a>(&'a self, key: &'a str, grant: &'a StoreKey) -> Place<'a> {
        Place { server: &self.inner.server, key, grant }
    }
}

impl TokenStore for RedisStore {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.may_regress = true;
        capabilities.crosses_hosts = true;
        capabilities.outlives_process = true;
        capabilities
    }

    async fn load(&self, grant: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        let key = self.inner.namespace.key(grant);
        let place = self.place(&key, grant);
        let found = self.look(place).await?;
        found.record(grant).map_err(|why| failure::unreadable(place, &why))
    }

    async fn compare_and_swap(
        &self,
        grant: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let key = self.inner.namespace.key(grant);
        let place = self.place(&key, grant);
        let Inner { nodes, replicas, .. } = &*self.inner;
        let durable = durability == Durability::Durable;
        let wanted = if durable { replicas.wanted() } else { 0 };
        let command = script::swap(&key, grant, expect, new);
        let failed = |trouble| failure::write(place, trouble);
        let (mut written, node) = nodes.write(&key, &command, wanted).await.map_err(failed)?;
        let answer = std::mem::take(&mut written.answer);
        let (won, before) = script::whether_swapped(answer).ok_or_else(|| failed(Trouble::Odd))?;
        replicas.saw(&before);
        if replicas.are_missed(&before) == Some(true) {
            // It may be a former master, whether it has written or shows what nobody needs any more.
            node.writes.leave(&written).await;
        }
        let record = before.record(grant);
        if won {
            // The first one may have come since the server was last asked.
            let needed = replicas.wanted_of(before.replicas);
            let mut on = written.on;
            if durable && wanted < needed {
                on = node.writes.spread(&written, needed).await;
            }
            if durable && on < needed {
                node.writes.leave(&written).await;
            }
            let durable = durable && on >= needed;
            let replaced = record.ok().flatten().map(|(_, provenance)| provenance);
            return Ok(Swap::Won { durable, replaced: replaced.unwrap_or_default() });
        }
        match record {
            Ok(current) => Ok(Swap::Lost(current.map(|(record, _)| record))),
            Err(why) => Err(failure::unreadable(place, &why)),
        }
    }

    async fn set_aside(
        &self,
        grant: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> Result<Option<String>, StoreError> {
        let key = self.inner.namespace.key(grant);
        let place = self.place(&key, grant);
        let found = self.look(place).await?;
        match (found.record(grant), unreadable) {
            (Err(Unreadable::Damaged { .. } | Unreadable::OtherGrant { .. }), None) => {}
            (Ok(Some((record, _))), Some(stamp)) if record.stamp() == stamp => {}
            (Err(why), _) => return Err(failure::unreadable(place, &why)),
            (Ok(_), _) => return Ok(None),
        }
        let aside = Namespace::aside(&key, new.stamp());
        let command = script::set_aside(&key, &aside, grant, found.fields(), new);
        let Inner { nodes, replicas, .. } = &*self.inner;
        let wanted = replicas.wanted();
        let written = nodes.write(&key, &command, wanted).await;
        let (written, node) = written.map_err(|trouble| failure::write(place, trouble))?;
        if written.on < wanted {
            node.writes.leave(&written).await;
        }
        match script::whether_set_aside(&written.answer) {
            Some(true) => Ok(Some(aside)),
            Some(false) => Ok(None),
            None => Err(failure::write(place, Trouble::Odd)),
        }
    }

    /// Looks at the record when a message says that it has changed, and without one after 10 ms, then at intervals that
    /// grow to a second.
    async fn changed(
        &self,
        grant: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let key = self.inner.namespace.key(grant);
        let place = self.place(&key, grant);
        let waiting = self.inner.wakes.wait(&key);
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            // Before the look, or a message in between would be missed.
            let mut message = pin!(waiting.message());
            message.as_mut().enable();
            let left = timeout.saturating_sub(start.elapsed());
            let look = async {
                waiting.subscribe(&self.inner.nodes).await;
                self.stamp(place).await
            };
            // A server that hangs does not prolong the wait.
            let Ok(current) = tokio::time::timeout(left, look).await else { return Ok(()) };
            if current? != since {
                return Ok(());
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            // Apart from each other, many who began together.
            let spread = pause.mul_f64(0.75 + fastrand::f64() / 2.0).min(left);
            let _ = tokio::time::timeout(spread, message).await;
            pause = (pause * 6 / 5).min(LONGEST_PAUSE);
        }
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        let Inner { server, namespace, nodes, .. } = &*self.inner;
        listing::page(nodes, server, namespace, after.as_ref()).await
    }
}

//! The handle of a running server.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    ApiFault, ApiRequest, Builder, Counters, Fault, Grace, Held, Login, Presentation, RandomFaults,
    Rotation, Stage, listener::Listener, shared::Shared,
};

/// A running authorization server and the API that it protects.
///
/// It serves until it is dropped; then the listener and all connections are closed and its thread
/// has ended. See the [crate docs](crate) for its rules and an example.
///
/// | path | answers |
/// |---|---|
/// | `POST /token` | the token endpoint; bodies over 64 KiB get 413 |
/// | `GET /authorize` | the authorization endpoint, with PKCE: sent back at once with a code, for somebody who agrees |
/// | `/api`, `/api/…`, any method | 200 and what was received, as JSON: `method`, `path`, `query`, `body_bytes`, `body_sha256`, `token` (a [`Fingerprint`](crate::Fingerprint)) |
/// | `/api/early` | the same, but a 401 is answered before the request's body has been read |
/// | `/api/forbidden` | `403 insufficient_scope` to a valid token |
/// | `/control`, `/control/…` | if [`Builder::control`] is on: what this handle can do, by HTTP |
///
/// Without a valid access token the API answers 401: with `WWW-Authenticate: Bearer` if there was
/// no token, and with `error="invalid_token"` if it is unknown, expired or revoked. Two
/// `Authorization` headers get 400. Another [`Dialect`](crate::Dialect) has other paths and other refusals.
#[must_use = "the server stops when it is dropped"]
pub struct AuthorizationServer {
    origin: String,
    shared: Arc<Shared>,
    _listener: Listener,
}

impl AuthorizationServer {
    pub(crate) fn new(shared: Arc<Shared>, listener: Listener) -> Self {
        Self { origin: format!("http://{}", listener.address()), shared, _listener: listener }
    }

    /// Starts a server with every default of [`Builder`].
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Sets a server up before it starts.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where tokens are renewed: `http://127.0.0.1:PORT/token`, or the path that the dialect has in its place.
    pub fn token_url(&self) -> String {
        // Every dialect has one.
        let path = self.shared.wire.endpoints().first().map_or("", |endpoint| endpoint.path);
        format!("{}{path}", self.origin)
    }

    /// The protected API: `http://127.0.0.1:PORT/api`.
    pub fn api_url(&self) -> String {
        format!("{}/api", self.origin)
    }

    /// Lets a person log in: opens a new family for this client, without a token request. In a
    /// [`Dialect`](crate::Dialect) without clients it is for this user.
    ///
    /// The id is not checked: a client or user that the server does not know cannot renew what it gets.
    pub fn sign_in(&self, id: &str) -> Login {
        self.shared.sign_in(id)
    }

    /// Makes a service token of this user, as [`Dialect::Nocturna`](crate::Dialect::Nocturna) knows them; `None` is for ever.
    ///
    /// [`revoke_family_of`](Self::revoke_family_of) ends it.
    pub fn service_token(&self, user: &str, lifetime: Option<Duration>) -> String {
        self.shared.service_token(user, lifetime)
    }

    /// Says whether this user gets tokens from now on; those that are out live on. False if there is no such user.
    pub fn set_user_active(&self, user: &str, active: bool) -> bool {
        self.shared.state().users.set_active(user, active)
    }

    /// Refuses every access token issued so far from now on; refresh tokens live on.
    pub fn revoke_access_tokens(&self) {
        self.shared.state().tokens.revoke_access_tokens();
    }

    /// Ends the family of this refresh or access token, as reuse would. False if there is no such
    /// token, or its family had ended before.
    pub fn revoke_family_of(&self, token: &str) -> bool {
        self.shared.state().revoke_family_of(token)
    }

    /// Sets how long access tokens issued from now on are valid.
    pub fn set_access_lifetime(&self, lifetime: Duration) {
        self.shared.state().policy.access_lifetime = lifetime;
    }

    /// Sets how long refresh tokens issued from now on are valid; `None` is for ever.
    pub fn set_refresh_lifetime(&self, lifetime: Option<Duration>) {
        self.shared.state().policy.refresh_lifetime = lifetime;
    }

    /// Sets what becomes of refresh tokens presented from now on.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.shared.state().policy.rotation = rotation;
    }

    /// Sets what becomes of spent refresh tokens presented from now on.
    ///
    /// It holds for tokens that were spent before as well.
    pub fn set_grace(&self, grace: Grace) {
        self.shared.state().policy.grace = grace;
    }

    /// Sets by how many seconds the `Date` of every answer is off, as
    /// [`Builder::date_skew`](Builder::date_skew) does.
    pub fn set_date_skew(&self, seconds: i64) {
        self.shared.state().policy.date_skew = seconds;
    }

    /// Closes the listener: new clients are refused by the system, as if no server was there.
    ///
    /// Requests in progress are still answered; then their connections close, as idle ones do at
    /// once. The port stays reserved.
    ///
    /// # Errors
    ///
    /// The system did not give the port back after the listener had closed, which then is closed
    /// all the same.
    pub fn refuse_connections(&self) -> io::Result<()> {
        self.shared.doors.turn_from_outside(false)
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    ///
    /// Another program has taken the port meanwhile.
    pub fn accept_connections(&self) -> io::Result<()> {
        self.shared.doors.turn_from_outside(true)
    }

    /// Appends faults to the script; each token request uses up one, front first.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        // The caller's iterator may call the server itself: it must not run under the lock.
        let faults: Vec<_> = faults.into_iter().collect();
        self.shared.state().script.append(faults);
    }

    /// Draws the faults of token requests that the script has none for, in place of those of
    /// [`always`](Self::always). `None` ends it. Default: `None`.
    pub fn random(&self, faults: Option<RandomFaults>) {
        self.shared.state().random = faults;
    }

    /// Sets the fault of every token request that the script has none for. Default: `None`.
    pub fn always(&self, fault: Option<Fault>) {
        self.shared.state().script.set_always(fault);
    }

    /// Makes each API request wait before its token is looked at. Default: no delay.
    pub fn api_delay(&self, delay: Duration) {
        self.shared.state().api_delay = delay;
    }

    /// Appends faults to the API's script; each API request uses up one, front first.
    pub fn api_script(&self, faults: impl IntoIterator<Item = ApiFault>) {
        let faults: Vec<_> = faults.into_iter().collect();
        self.shared.state().api_script.append(faults);
    }

    /// Sets the fault of every API request that its script has none for. Default: `None`.
    pub fn api_always(&self, fault: Option<ApiFault>) {
        self.shared.state().api_script.set_always(fault);
    }

    /// Keeps an account of each API request from now on, for [`api_history`](Self::api_history). Default: none is kept,
    /// for a load test sends millions.
    pub fn record_api(&self) {
        self.shared.state().api_history.recording = true;
    }

    /// The API requests since [`record_api`](Self::record_api), in the order of arrival.
    pub fn api_history(&self) -> Vec<ApiRequest> {
        self.shared.state().api_history.requests().to_vec()
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        self.shared.state().counters
    }

    /// Every token request so far, in the order of arrival.
    pub fn history(&self) -> Vec<Presentation> {
        self.shared.state().history.presentations().to_vec()
    }

    /// How often the refresh token of each (family, generation) was presented to the token
    /// endpoint, faulty requests included; those never presented are left out.
    ///
    /// A careful client of a server that rotates leaves nothing but ones here.
    pub fn presentations_per_generation(&self) -> BTreeMap<(u64, u64), u64> {
        self.shared.state().history.per_generation()
    }

    /// When the server started: what the times of the history count from.
    pub fn started_at(&self) -> Instant {
        self.shared.started_at()
    }

    /// Holds the next token request that comes to this stage, from this call on, and ends when one has: the moment to kill
    /// its sender. Who asks first gets the first. `None` if the server is dropped before.
    ///
    /// ```
    /// # async fn act(server: &token_testkit::AuthorizationServer, client: &mut std::process::Child) -> std::io::Result<()> {
    /// use token_testkit::Stage;
    ///
    /// if let Some(mut held) = server.hold(Stage::CarriedOut).await {
    ///     client.kill()?; // rotated, and not answered
    ///     held.sender_left().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, no request is held for it, and one that is held already goes on.
    pub fn hold(&self, stage: Stage) -> impl Future<Output = Option<Held>> + Send + use<> {
        let held = self.shared.state().holds.ask(stage);
        async move { held.await.ok() }
    }

    /// Waits until `n` token requests have arrived since the start, answered or not: the moment to
    /// act in mid-flight. Ends early if the server is dropped.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub fn token_requests_seen(&self, n: u64) -> impl Future<Output = ()> + Send + use<> {
        let mut arrivals = self.shared.arrivals();
        async move {
            // The error says that the server is gone.
            _ = arrivals.wait_for(|seen| *seen >= n).await;
        }
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

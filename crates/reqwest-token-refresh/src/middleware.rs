use std::fmt;

use async_trait::async_trait;
#[cfg(feature = "profile")]
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderName, Uri, response};
#[cfg(feature = "profile")]
use reqwest::redirect;
use reqwest::{Body, ClientBuilder, Request, Response};
use reqwest_middleware::{Middleware, Next, Result};
#[cfg(feature = "profile")]
use token_core::endpoint::profile::Profile;
use token_core::http::{Drain, Origins, Policy, ReplayBody, Scheme, Sent, Verdict};
use token_core::{TokenManager, TokenSource};

use crate::error::not_sent;
use crate::parts::{with_answer, with_head};
use crate::redirect::within_one_origin;
#[cfg(feature = "profile")]
use crate::{parts::peek, redirect::up_to_a_refusal};

/// Attaches tokens, renews them and replays what was refused. See the [crate's documentation](crate).
#[derive(Clone)]
#[must_use]
pub struct TokenRefreshMiddleware<T = TokenManager> {
    source: T,
    policy: Policy,
}

impl<T> TokenRefreshMiddleware<T> {
    /// A middleware that sends tokens of this source to these origins and to no other.
    pub fn new(source: T, origins: Origins) -> Self {
        Self { source, policy: Policy::new(origins) }
    }

    /// Sets the header that carries the token, and builds the client that goes with it. Default: `Authorization`.
    ///
    /// reqwest takes `Authorization` off a request that is redirected to another origin, and would carry any other header
    /// there. This client follows redirects within one origin only; one that leads elsewhere is the caller's answer. Nor does it
    /// log what goes over its connections, whatever the builder says of `connection_verbose`: the token is in it.
    ///
    /// # Errors
    ///
    /// The client cannot be built.
    ///
    /// # Example
    ///
    /// ```
    /// use http::HeaderName;
    /// use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
    /// use reqwest_token_refresh::TokenRefreshMiddleware;
    /// use token_core::http::{Origins, Scheme};
    /// use token_core::TokenManager;
    ///
    /// fn client(tokens: TokenManager) -> Result<ClientWithMiddleware, Box<dyn std::error::Error>> {
    ///     let origins = Origins::only("https://api.example.com")?;
    ///     let name = HeaderName::from_static("x-auth-token");
    ///     let (client, middleware) = TokenRefreshMiddleware::new(tokens, origins)
    ///         .scheme(Scheme::RAW)
    ///         .header(name, reqwest::Client::builder())?;
    ///     Ok(ClientBuilder::new(client).with(middleware).build())
    /// }
    /// ```
    pub fn header(
        mut self,
        name: HeaderName,
        client: ClientBuilder,
    ) -> reqwest::Result<(reqwest::Client, Self)> {
        let client = client.redirect(within_one_origin()).connection_verbose(false).build()?;
        self.policy = self.policy.header(name);
        Ok((client, self))
    }

    /// Goes by this profile of an API: its header, its scheme, and what a refused token looks like, beside what the
    /// classifier says; and builds the client that goes with it.
    ///
    /// Where a value in the body decides, an answer that may be JSON is held up until that value was found or cannot come any
    /// more, at most for its first 8 KiB, and then passes whole. Where a redirect does, such as one to a login page, the client
    /// does not follow it, and stops at it also for a request to these origins that carries no token. In both cases of
    /// redirects, this one and [`header`](Self::header)'s, the builder's own redirect policy is replaced. `connection_verbose` is
    /// switched off.
    ///
    /// # Errors
    ///
    /// The client cannot be built.
    ///
    /// # Example
    ///
    /// ```
    /// use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
    /// use reqwest_token_refresh::TokenRefreshMiddleware;
    /// use token_core::TokenManager;
    /// use token_core::endpoint::profile::Profile;
    /// use token_core::http::Origins;
    ///
    /// fn hub(tokens: TokenManager, akuvox: &Profile) -> Result<ClientWithMiddleware, Box<dyn std::error::Error>> {
    ///     let origins = Origins::only("https://gate.ecloud.akuvox.com:8600")?;
    ///     let (client, middleware) =
    ///         TokenRefreshMiddleware::new(tokens, origins).for_profile(akuvox, reqwest::Client::builder())?;
    ///     Ok(ClientBuilder::new(client).with(middleware).build())
    /// }
    /// ```
    #[cfg(feature = "profile")]
    pub fn for_profile(
        mut self,
        profile: &Profile,
        mut client: ClientBuilder,
    ) -> reqwest::Result<(reqwest::Client, Self)> {
        self.policy = profile.apply_to(self.policy);
        let leaves = *self.policy.header_name() == AUTHORIZATION;
        if self.policy.knows_redirects() {
            let then = if leaves { redirect::Policy::default() } else { within_one_origin() };
            client = client.redirect(up_to_a_refusal(self.policy.clone(), then));
        } else if !leaves {
            client = client.redirect(within_one_origin());
        }
        Ok((client.connection_verbose(false).build()?, self))
    }

    /// Sets what stands before the token. Default: `Bearer`.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.policy = self.policy.scheme(scheme);
        self
    }

    /// Sets what counts as a refusal, from the answer's head. Default: see [`token_core::http`].
    pub fn classifier(
        mut self,
        classifier: impl Fn(&response::Parts) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.policy = self.policy.classifier(classifier);
        self
    }

    /// Sets up to how many bytes of a request's body are remembered for a replay. A longer body is sent once; refused, its
    /// caller gets the refusal. Default: 64 KiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.policy = self.policy.body_limit(bytes);
        self
    }
}

#[async_trait]
impl<T: TokenSource> Middleware for TokenRefreshMiddleware<T> {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let policy = &self.policy;
        let Ok(uri) = request.url().as_str().parse::<Uri>() else {
            // reqwest says what is wrong with it.
            return next.run(request, extensions).await;
        };
        if !with_head(&mut request, extensions, &uri, |head| policy.wants_token(head)) {
            return next.run(request, extensions).await;
        }
        let token = match self.source.cached() {
            Some(token) => token,
            None => self.source.token().await.map_err(not_sent)?,
        };
        let timeout = request.timeout().copied();
        let has_body = request.body().is_some();
        let body = request.body_mut().take().unwrap_or_default();
        let (body, sent) = with_head(&mut request, extensions, &uri, |head| {
            let (body, replay) = ReplayBody::new(body, policy.limit_for(head));
            (body, Sent::with_token(policy, head, replay, token))
        });
        *request.body_mut() = has_body.then(|| client_body(body));
        let mut answer = next.clone().run(request, extensions).await?;

        let verdict = with_answer(&mut answer, |head, answered_by| {
            policy.judge_answer_from(head, &uri, || answered_by.as_str().parse().ok())
        });
        #[cfg(feature = "profile")]
        let (verdict, answer) = match verdict {
            Verdict::Refused => (verdict, answer),
            Verdict::Accepted => look_at_body(policy, &uri, answer).await,
        };
        let is_redirected = || answer.url().as_str().parse::<Uri>().is_ok_and(|by| by != uri);
        let sent =
            if verdict == Verdict::Refused && is_redirected() { sent.redirected() } else { sent };
        let Some(refused) = sent.answered(verdict) else { return Ok(answer) };
        let Ok(token) = self.source.renew(refused.token()).await else { return Ok(answer) };
        let Some(replay) = refused.replay(policy, &token) else { return Ok(answer) };
        Drain::new(Body::from(answer)).await;
        let mut replay = replay.map(client_body);
        *extensions = std::mem::take(replay.extensions_mut());
        let mut replay = Request::try_from(replay)?;
        *replay.timeout_mut() = timeout;
        if !has_body {
            *replay.body_mut() = None;
        }
        next.run(replay, extensions).await
    }
}

/// The verdict on an answer that its head does not refuse.
#[cfg(feature = "profile")]
async fn look_at_body(policy: &Policy, asked: &Uri, mut answer: Response) -> (Verdict, Response) {
    let open = with_answer(&mut answer, |head, answered_by| {
        policy.left_open_by_answer_from(head, asked, || answered_by.as_str().parse().ok())
    });
    match open {
        Some(refused) => peek(refused, answer).await,
        None => (Verdict::Accepted, answer),
    }
}

/// A body in memory is reqwest's own again, so that a retry below can clone it.
fn client_body(body: ReplayBody<Body>) -> Body {
    body.into_client_body(Body::from, Body::wrap)
}

impl<T> fmt::Debug for TokenRefreshMiddleware<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRefreshMiddleware")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

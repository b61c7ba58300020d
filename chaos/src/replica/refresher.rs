//! A thin layer over the stock token endpoint that tells each exchange and waits before it sends.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::{ConfigError, Outcome, RefreshError, RefreshToken, Refresher, Spends, TokenSet};
use token_testkit::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tower_token_refresh::HyperEndpoint;

use crate::history::{ExchangeEnd, What};
use crate::mark::Mark;
use crate::step::Step;

use super::grant::Grant;

pub(super) struct Stepping {
    endpoint: TokenEndpoint<Named>,
    grant: Arc<Grant>,
}

/// The HTTP client, with an id on each request by which the server's history is read.
struct Named {
    http: HyperEndpoint<Client<HttpConnector, Full<Bytes>>>,
    grant: Arc<Grant>,
}

impl Stepping {
    pub(super) fn new(origin: &str, grant: Arc<Grant>) -> Self {
        let http = HyperEndpoint::new(HttpConnector::new());
        let named = Named { http, grant: Arc::clone(&grant) };
        let auth = ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
        Self {
            endpoint: TokenEndpoint::refresh_token(named, format!("{origin}/token"), auth),
            grant,
        }
    }
}

impl Refresher for Stepping {
    async fn refresh(&self, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let n = self.grant.next_exchange();
        let presented = Mark::of(refresh_token(current).unwrap_or_default());
        self.grant.tell(What::Exchange { n, presented });
        let mut told = Told { grant: &self.grant, n, end: ExchangeEnd::Dropped };
        self.grant.reach(Step::BeforeSend).await;
        let result = self.endpoint.refresh(current).await;
        told.end = match &result {
            Ok(tokens) => {
                let refresh = refresh_token(Some(tokens)).map(Mark::of);
                self.grant.answered(refresh);
                ExchangeEnd::Tokens { refresh }
            }
            Err(error) => match error.outcome() {
                Outcome::NotSent => ExchangeEnd::NotSent,
                Outcome::Rejected => ExchangeEnd::Rejected,
                Outcome::InvalidGrant => ExchangeEnd::InvalidGrant,
                Outcome::Configuration => ExchangeEnd::Configuration,
                Outcome::Ambiguous => ExchangeEnd::Ambiguous,
            },
        };
        result
    }

    fn spends(&self, current: Option<&TokenSet>) -> Spends {
        self.endpoint.spends(current)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.endpoint.check()
    }
}

impl HttpEndpoint for Named {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        if let Ok(id) = HeaderValue::from_str(&self.grant.request_id()) {
            request.headers_mut().insert("x-request-id", id);
        }
        self.grant.tell(What::Sending { n: self.grant.this_exchange() });
        self.http.send(request).await
    }
}

/// Tells how an exchange ended, also when nobody waits for it any more.
struct Told<'a> {
    grant: &'a Grant,
    n: u64,
    end: ExchangeEnd,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.grant.tell(What::Exchanged { n: self.n, end: self.end.clone() });
    }
}

fn refresh_token(tokens: Option<&TokenSet>) -> Option<&str> {
    tokens?.refresh_token().map(RefreshToken::expose_secret)
}

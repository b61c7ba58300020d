//! Those who use the tokens: they ask for one, call the API with it, and renew it when it is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use token_core::event::Event;
use token_core::{Error, Token, TokenManager};
use tokio::time::{sleep, timeout};

use crate::history::{CallEnd, Heard, What};
use crate::record::Version;
use crate::time::At;

use super::grant::Grant;

/// How many callers each grant has in each process.
const CALLERS: usize = 2;

/// Who waits longer than this says so, or a wait that a kill ends would be in no history.
const LONG: Duration = Duration::from_secs(1);

/// A call to the API that takes longer has failed, as when the server refuses connections.
const API_PATIENCE: Duration = Duration::from_millis(500);

/// Starts the callers and the listener of one grant. They run for as long as the runtime, which must be entered.
pub(super) fn start(tokens: &TokenManager, grant: &Arc<Grant>, api: String) {
    let seen = Arc::new(Mutex::new(None));
    let http = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    for _ in 0..CALLERS {
        let caller = Caller {
            tokens: tokens.clone(),
            grant: Arc::clone(grant),
            seen: Arc::clone(&seen),
            http: http.clone(),
            api: api.clone(),
        };
        tokio::spawn(caller.run());
    }
    let (mut events, grant) = (tokens.events(), Arc::clone(grant));
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            grant.tell(What::Event(heard(&event)));
        }
    });
}

struct Caller {
    tokens: TokenManager,
    grant: Arc<Grant>,
    /// The newest version that any caller of this process and grant has told.
    seen: Arc<Mutex<Option<Version>>>,
    http: Client<HttpConnector, Full<Bytes>>,
    api: String,
}

impl Caller {
    async fn run(self) {
        loop {
            if let Ok(token) = self.ask(self.tokens.token()).await
                && self.is_refused(&token).await
            {
                self.grant.tell(What::Refused { version: token.version().into() });
                let _ = self.ask(self.tokens.renew(&token)).await;
            }
            sleep(Duration::from_millis(fastrand::u64(20..120))).await;
        }
    }

    /// Waits for a token, and tells what came of it: not where it is the version that was told before, at once.
    async fn ask(&self, call: impl Future<Output = Result<Token, Error>>) -> Result<Token, Error> {
        let began = At::now();
        let mut call = std::pin::pin!(call);
        let result = match timeout(LONG, call.as_mut()).await {
            Ok(result) => result,
            Err(_) => {
                self.grant.tell(What::Waiting { began });
                call.await
            }
        };
        let end = match &result {
            Ok(token) => CallEnd::Token { version: token.version().into() },
            Err(error) => CallEnd::Error { kind: format!("{:?}", error.kind()) },
        };
        let waited = At::now().since(began);
        let news = match end {
            CallEnd::Token { version } => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let known = *seen == Some(version);
                *seen = (*seen).max(Some(version));
                !known
            }
            CallEnd::Error { .. } => false,
        };
        if news || waited > Duration::from_millis(50) {
            self.grant.tell(What::Call { began, end });
        }
        result
    }

    async fn is_refused(&self, token: &Token) -> bool {
        let mut request = Request::new(Full::default());
        let Ok(uri) = self.api.parse() else { return false };
        *request.uri_mut() = uri;
        request.headers_mut().insert(AUTHORIZATION, token.bearer().clone());
        match timeout(API_PATIENCE, self.http.request(request)).await {
            Ok(Ok(answer)) => answer.status() == StatusCode::UNAUTHORIZED,
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

fn heard(event: &Event) -> Heard {
    match event {
        Event::Refreshed { version } => Heard::Refreshed { version: (*version).into() },
        Event::Adopted { version } => Heard::Adopted { version: (*version).into() },
        Event::RefreshFailed { error, .. } => Heard::Failed { kind: format!("{:?}", error.kind()) },
        Event::TakenOver => Heard::TakenOver,
        Event::NeedsLogin { .. } => Heard::NeedsLogin,
        other => {
            let text = format!("{other:?}");
            let name = text.split([' ', '{']).next().unwrap_or_default();
            Heard::Other { name: name.to_owned() }
        }
    }
}

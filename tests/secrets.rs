//! Secrets stay where they belong: none is in a log line, and none in anything that can be printed.

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::time::Duration;

use base64::Engine;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use integration_tests::{ApiClient, BoxError, Gate, GatedStore, Kit, Log, poll_once, soon, whole};
use reqwest_token_refresh::ReqwestEndpoint;
use token_core::clock::ManualClock;
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::http::{Origins, ReplayBody};
use token_core::store::{MemoryStore, TokenStore, Versioned};
use token_core::{RefreshError, TokenKey, TokenManager, TokenSet};
use token_testkit::{AuthorizationServer, Fault};
use tower::{Layer, Service};
use tower_token_refresh::{HyperEndpoint, TokenRefreshLayer};

/// A secret that each encoding changes.
const CLIENT_SECRET: &str = "canary/secret+with ünusual=characters&more?";

/// Everything that must not be seen, and everything that was.
#[derive(Default)]
struct Watch {
    canaries: Vec<(String, String)>,
    seen: Vec<(String, String)>,
}

impl Watch {
    fn hide(&mut self, what: &str, secret: &str) {
        let url: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let percent = url.replace('+', "%20");
        let mut forms = vec![secret.to_owned(), url, percent];
        for engine in
            [&BASE64_STANDARD, &BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE, &BASE64_URL_SAFE_NO_PAD]
        {
            forms.push(engine.encode(secret));
        }
        // In the middle of something longer, base 64 looks different by its place.
        for shift in 1..3 {
            let shifted = BASE64_STANDARD_NO_PAD.encode(format!("{}{secret}", "x".repeat(shift)));
            forms.push(shifted[4..shifted.len() - 4].to_owned());
        }
        // Bytes as a list of numbers, which is how a derived `Debug` shows a buffer.
        forms.push(format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned());
        self.canaries.extend(forms.into_iter().map(|form| (what.to_owned(), form)));
    }

    /// Hides every token that a kit ever mints, also those whose answer was lost: all begin alike, in base 64 too.
    fn hide_tokens(&mut self) {
        for (what, prefix) in [("access token", "kit-at-"), ("refresh token", "kit-rt-")] {
            self.canaries.push((what.to_owned(), prefix.to_owned()));
            for shift in 0..3 {
                let encoded =
                    BASE64_STANDARD_NO_PAD.encode(format!("{}{prefix}", "x".repeat(shift)));
                // Without the digits that what stands around it has a part in.
                let (first, end) = ((shift * 8).div_ceil(6), (shift + prefix.len()) * 8 / 6);
                self.canaries.push((what.to_owned(), encoded[first..end].to_owned()));
            }
            let numbers = format!("{:?}", prefix.as_bytes());
            self.canaries.push((what.to_owned(), numbers.trim_matches(['[', ']']).to_owned()));
        }
    }

    fn see(&mut self, what: &str, text: String) {
        self.seen.push((what.to_owned(), text));
    }

    fn debug(&mut self, what: &str, value: &dyn Debug) {
        self.see(what, format!("{value:?} {value:#?}"));
    }

    fn error(&mut self, what: &str, error: &(dyn StdError + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.show(what, &error);
            cause = error.source();
        }
    }

    fn show<T: Debug + Display>(&mut self, what: &str, value: &T) {
        self.see(what, format!("{value} {value:?} {value:#?}"));
    }

    fn check(&self) {
        for (where_, text) in &self.seen {
            for (what, canary) in &self.canaries {
                let shown: Vec<&str> =
                    text.lines().filter(|line| line.contains(canary.as_str())).collect();
                assert!(shown.is_empty(), "{where_} shows a {what}: {shown:?}");
            }
        }
    }
}

/// A token endpoint over HTTP/2, whose library logs every frame.
fn http2() -> HyperEndpoint<Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>>
{
    HyperEndpoint::over(Client::builder(TokioExecutor::new()).http2_only(true).build_http())
}

/// What the store holds of its only grant.
async fn record(store: &MemoryStore) -> Versioned {
    let page = store.list(None).await.expect("an answer");
    store.load(&page.keys()[0]).await.expect("an answer").expect("a record").0
}

/// Answers with its own request, secrets and all, in every place that an answer has.
struct Mirror;

impl HttpEndpoint for Mirror {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let mut answer = Response::builder().status(400).header("retry-after", &body);
        if let Some(value) = request.headers().get("authorization") {
            answer = answer.header("www-authenticate", value);
        }
        let body =
            serde_json::json!({ "error": body, "error_description": body, "error_uri": body });
        answer.body(Bytes::from(body.to_string())).map_err(|_| RefreshError::invalid_grant())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_a_log_or_in_anything_that_can_be_printed() {
    let log = Log::of_this_process();
    let mut watch = Watch::default();
    watch.hide("client secret", CLIENT_SECRET);
    watch.hide_tokens();
    let client = token_testkit::Client::confidential("canary-client", CLIENT_SECRET);
    let server = AuthorizationServer::builder().client(client).start().unwrap();
    let login = server.sign_in("canary-client");
    let key = TokenKey::new("canary").unwrap();
    let clock = ManualClock::new();
    let origins = Origins::only(server.origin()).unwrap();

    for auth in [
        ClientAuth::basic("canary-client", CLIENT_SECRET),
        ClientAuth::form("canary-client", CLIENT_SECRET),
    ] {
        let login = server.sign_in("canary-client");
        let seed = TokenSet::new(login.access_token()).with_refresh_token(login.refresh_token());
        watch.debug("a token set", &seed);
        watch.debug("client authentication", &auth);
        let endpoint = TokenEndpoint::refresh_token(http2(), server.token_url(), auth)
            .with_parameter("api_key", CLIENT_SECRET);
        watch.debug("the endpoint", &endpoint);
        let store = MemoryStore::new();
        let builder = TokenManager::builder(endpoint)
            .store(store.clone())
            .key(key.clone())
            .seed(seed)
            .clock(clock.clone());
        watch.debug("the builder", &builder);
        let tokens = builder.build().unwrap();
        let mut events = tokens.events();
        let layer = TokenRefreshLayer::new(tokens.clone(), origins.clone());
        watch.debug("the layer", &layer);
        let api = ApiClient::http2(layer.clone(), server.api_url());
        watch.debug("the client", &api);

        // The whole life of a grant: refreshes, refusals, replays, failures of each kind, a login, a logout.
        assert_eq!(api.post("", "body").await.status, 200);
        server.revoke_access_tokens();
        assert_eq!(api.post("", "body").await.status, 200);
        let unreadable = format!("{{\"access_token\":\"{CLIENT_SECRET}\"");
        let unreadable = ("unreadable", Fault::body(200, "application/json", unreadable));
        for (text, fault) in Fault::catalogue().chain([unreadable]) {
            let fresh = server.sign_in("canary-client");
            let fresh =
                TokenSet::new(fresh.access_token()).with_refresh_token(fresh.refresh_token());
            tokens.login(fresh).await.unwrap();
            server.script([fault]);
            let requests = server.counters().token_requests;
            let refresh = tokio::spawn({
                let tokens = tokens.clone();
                async move { tokens.refresh_now().await }
            });
            if text.starts_with("hang") {
                soon(server.token_requests_seen(requests + 1)).await;
                clock.advance(Duration::from_secs(10));
            }
            if let Err(error) = soon(refresh).await.unwrap() {
                watch.error(text, &error);
            }
            let _ = api.send(api.request("POST", "", whole("body"))).await;
            watch.debug(text, &tokens.status());
        }
        let another = server.sign_in("canary-client");
        let another =
            TokenSet::new(another.access_token()).with_refresh_token(another.refresh_token());
        tokens.login(another.clone()).await.unwrap();
        let token = tokens.token().await.unwrap();
        watch.debug("a token", &token);
        watch.debug("its header", &token.bearer());
        watch.debug("an access token", &another.access_token());
        watch.debug("a refresh token", &another.refresh_token());
        watch.debug("the manager", &tokens);
        watch.debug("the store", &store);
        watch.debug("its record", &record(&store).await);
        tokens.logout().await.unwrap();
        let error: BoxError = api.send(api.request("GET", "", whole(""))).await.unwrap_err();
        watch.error("the layer's error", error.as_ref());
        while let std::task::Poll::Ready(Some(event)) = poll_once(std::pin::pin!(events.next())) {
            watch.debug("an event", &event);
        }
    }

    // A server that sends back what it got.
    let endpoint = TokenEndpoint::refresh_token(
        Mirror,
        server.token_url(),
        ClientAuth::basic("canary-client", CLIENT_SECRET),
    );
    let seed = TokenSet::from_refresh_token(login.refresh_token());
    let tokens = TokenManager::builder(endpoint).seed(seed).build().unwrap();
    watch.error("the error of a server that mirrors", &tokens.token().await.unwrap_err());
    watch.debug("the status after it", &tokens.status());

    // URLs with secrets in them: refused ones, and one that nobody listens at.
    for url in [
        format!("http://example.com/token?key={}", login.refresh_token()),
        format!("http://user:{}@127.0.0.1/token", login.refresh_token()),
        format!("http://127.0.0.1:1/token?key={}", login.refresh_token()),
    ] {
        let endpoint =
            TokenEndpoint::refresh_token(http2(), url, ClientAuth::none("canary-client"));
        watch.debug("an endpoint with a secret in its URL", &endpoint);
        let seed = TokenSet::from_refresh_token(login.refresh_token());
        match TokenManager::builder(endpoint).seed(seed).build() {
            Err(error) => watch.error("the error of a URL", &error),
            Ok(tokens) => {
                watch.error("the error of a connection", &tokens.token().await.unwrap_err())
            }
        }
    }

    // A client of reqwest's shows the headers that it adds to each request.
    let mut headers = http::HeaderMap::new();
    headers.insert("x-api-key", login.refresh_token().parse().unwrap());
    let client = || reqwest::Client::builder().default_headers(headers.clone());
    let endpoint = ReqwestEndpoint::new(client()).unwrap();
    watch.debug("an endpoint over reqwest", &endpoint);
    let auth = ClientAuth::none("canary-client");
    let endpoint = TokenEndpoint::refresh_token(endpoint, server.token_url(), auth);
    watch.debug("a token endpoint over it", &endpoint);
    let shown = format!("{:?}", client().build().unwrap());
    assert!(shown.contains(login.refresh_token()), "nothing has to be hidden: {shown}");

    // A request and its body on the way.
    let gated = GatedStore::new(&MemoryStore::new(), &Gate::closed(), 0);
    let kit = Kit::start();
    let waiting = kit.manager().store(gated).build().unwrap();
    let (body, replay) = ReplayBody::new(Full::new(Bytes::from(CLIENT_SECRET)), Some(1024));
    watch.debug("a body", &(&body, &replay));
    let inner = tower::service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    });
    let request =
        Request::get(kit.server.api_url()).body(Full::new(Bytes::from(CLIENT_SECRET))).unwrap();
    let future = kit.layer(&waiting).layer(inner).call(request);
    watch.debug("a request on the way", &future);

    let log = log.text();
    for expected in
        ["access token refreshed", "refresh failed", "login needed", "tokens changed by hand", "h2"]
    {
        assert!(log.contains(expected), "the log is worth looking at: {expected}");
    }
    watch.see("the log", log);
    watch.check();
}

#[test]
fn the_watch_notices_a_secret_in_every_form_that_it_looks_for() {
    for leak in [
        CLIENT_SECRET.to_owned(),
        form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect(),
        BASE64_STANDARD.encode(CLIENT_SECRET),
        BASE64_STANDARD.encode(format!("canary-client:{CLIENT_SECRET}")),
        format!("{:?}", CLIENT_SECRET.as_bytes()),
    ] {
        let mut watch = Watch::default();
        watch.hide("client secret", CLIENT_SECRET);
        watch.see("a line", format!("before\nand {leak} in it\nafter"));
        assert!(std::panic::catch_unwind(|| watch.check()).is_err(), "{leak}");
    }
    let login = AuthorizationServer::start().unwrap().sign_in("canary-client");
    for token in [login.access_token(), login.refresh_token()] {
        for leak in [
            token.to_owned(),
            BASE64_STANDARD.encode(token),
            BASE64_URL_SAFE.encode(format!("Bearer {token}")),
            BASE64_STANDARD.encode(format!("a={token}&b")),
            format!("{:?}", Bytes::copy_from_slice(token.as_bytes())),
            format!("{:?}", token.as_bytes()),
        ] {
            let mut watch = Watch::default();
            watch.hide_tokens();
            watch.see("a line", leak.clone());
            assert!(std::panic::catch_unwind(|| watch.check()).is_err(), "{leak}");
        }
    }
}

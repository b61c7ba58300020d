//! Which requests get a token, which answers are ours to act on, and how the service below is called.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use integration_tests::{ApiClient, Kit, TestBody, empty, soon, whole};
use token_core::TokenManager;
use token_core::http::{NoReplay, NoToken, Origins, ReplayBody, Scheme, Verdict};
use tokio::task::JoinSet;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_token_refresh::TokenRefreshLayer;

const CHALLENGE_WITHOUT_TOKEN: &str = "Bearer";

type Body = Full<Bytes>;

/// A manager with a token that the kit's API takes.
async fn ready(kit: &Kit) -> TokenManager {
    let tokens = kit.manager().build().expect("a manager");
    tokens.ready().await.expect("a token");
    tokens
}

#[tokio::test]
async fn a_header_of_the_callers_own_is_left_alone_and_so_is_its_refusal() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let client = kit.client(&tokens);
    for value in ["Bearer the-callers-own", "Basic dXNlcjpwYXNz"] {
        let mut request = client.request("GET", "", empty());
        request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
        assert_eq!(client.send(request).await.unwrap().status, 401);
    }
    // One that is good is as good as any.
    let own = kit.server.sign_in(token_testkit::DEFAULT_CLIENT_ID);
    let mut request = client.request("GET", "", empty());
    let value = format!("Bearer {}", own.access_token());
    request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.token(), token_testkit::Fingerprint::of(own.access_token()).to_string());
    let counters = kit.server.counters();
    assert_eq!((counters.token_requests, counters.api_requests), (1, 3), "no refresh, no replay");
}

#[tokio::test]
async fn a_request_can_opt_out_of_the_token() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let client = kit.client(&tokens);
    let mut request = client.request("GET", "", empty());
    request.extensions_mut().insert(NoToken::new());
    let answer = client.send(request).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("www-authenticate")),
        (401, Some(CHALLENGE_WITHOUT_TOKEN))
    );
    let counters = kit.server.counters();
    assert_eq!((counters.token_requests, counters.api_requests), (0, 1));
}

#[tokio::test]
async fn a_token_never_goes_to_an_origin_that_is_not_allowed() {
    let (kit, other) = (Kit::start(), Kit::start());
    let tokens = ready(&kit).await;
    let client: ApiClient<TestBody> = ApiClient::new(kit.layer(&tokens), other.server.api_url());
    for method in ["GET", "POST"] {
        let answer = client.send(client.request(method, "", whole("body"))).await.unwrap();
        // The kit tells no token from a wrong one by its challenge.
        assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE_WITHOUT_TOKEN));
    }
    // The same machine by another name is another origin.
    let port = kit.server.origin().rsplit(':').next().unwrap().to_owned();
    let mut request = client.request("GET", "", empty());
    *request.uri_mut() = format!("http://localhost:{port}/api").parse().unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE_WITHOUT_TOKEN));
    assert_eq!((kit.token_requests(), other.token_requests()), (1, 0));
    assert_eq!(other.server.counters().api_requests, 2, "none was replayed");
}

#[tokio::test]
async fn a_scope_that_does_not_suffice_is_the_callers_affair() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let answer = kit.client(&tokens).get("/forbidden").await;
    assert_eq!(answer.status, 403);
    assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
    let counters = kit.server.counters();
    assert_eq!((counters.token_requests, counters.api_requests), (1, 1));
}

/// What the layer makes of one answer, from a service that answers it to the first request and 200 to the second.
async fn calls_after(
    layer: impl FnOnce(TokenRefreshLayer) -> TokenRefreshLayer,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
) -> (usize, u64) {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let service = service_fn({
        let calls = Arc::clone(&calls);
        move |_: Request<ReplayBody<Body>>| {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let mut answer = Response::builder().status(if first { status } else { 200 });
                for (name, value) in headers {
                    answer = answer.header(*name, *value);
                }
                answer.body(Body::default())
            }
        }
    });
    let service = layer(kit.layer(&tokens)).layer(service);
    let request = Request::get(kit.server.api_url()).body(Body::default()).expect("a request");
    soon(service.oneshot(request)).await.expect("an answer");
    (calls.load(Ordering::SeqCst), kit.token_requests() - 1)
}

#[tokio::test]
async fn only_a_refusal_of_our_token_is_renewed_and_replayed() {
    const WWW: &str = "www-authenticate";
    for (status, headers, refused) in [
        (401, &[][..], true),
        (401, &[(WWW, "Bearer")], true),
        (401, &[(WWW, r#"Bearer realm="x", error="invalid_token""#)], true),
        (
            401,
            &[(WWW, r#"Basic realm="a, Bearer b""#), (WWW, r#"bearer error=invalid_token"#)],
            true,
        ),
        (401, &[(WWW, r#"Bearer error="insufficient_scope""#)], false),
        (401, &[(WWW, r#"Basic realm="Bearer""#)], false),
        (403, &[(WWW, r#"Bearer error="invalid_token""#)], false),
        (407, &[], false),
        (500, &[], false),
        (200, &[("content-type", "application/grpc"), ("grpc-status", "16")], true),
        (200, &[("content-type", "application/grpc"), ("grpc-status", "7")], false),
        (200, &[("content-type", "application/json"), ("grpc-status", "16")], false),
    ] {
        let expected = if refused { (2, 1) } else { (1, 0) };
        assert_eq!(
            calls_after(|layer| layer, status, headers).await,
            expected,
            "{status} {headers:?}"
        );
    }
}

#[tokio::test]
async fn a_classifier_of_the_users_own_decides_alone() {
    let own = |layer: TokenRefreshLayer| {
        layer.classifier(|head| match head.status {
            StatusCode::FORBIDDEN => Verdict::Refused,
            _ => Verdict::Accepted,
        })
    };
    assert_eq!(calls_after(own, 403, &[]).await, (2, 1));
    assert_eq!(calls_after(own, 401, &[]).await, (1, 0));
}

#[tokio::test]
async fn header_and_scheme_are_the_apis_and_everything_else_is_the_callers() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let name = HeaderName::from_static("x-auth-token");
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let service = service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<ReplayBody<Body>>| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let first = seen.lock().is_ok_and(|seen| seen.is_empty());
                seen.lock().unwrap().push((head, body));
                let status = if first { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
                Ok::<_, Infallible>(
                    Response::builder().status(status).body(Body::default()).expect("an answer"),
                )
            }
        }
    });
    let layer = kit.layer(&tokens).header(name.clone()).scheme(Scheme::RAW);
    let first = tokens.cached().unwrap();
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(format!("{}/thing?a=1&b=%20", kit.server.api_url()))
        .version(http::Version::HTTP_10)
        .header("x-own", "one")
        .header("x-own", "two")
        .header(AUTHORIZATION, "Basic proxy")
        .extension(42_u8)
        .body(Body::from("the body"))
        .unwrap();
    let answer = soon(layer.layer(service).oneshot(request)).await.unwrap();
    assert_eq!(answer.status(), 200);

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    let token_of = |at: usize| seen[at].0.headers[&name].clone();
    assert_eq!(token_of(0), first.expose_secret());
    assert_eq!(token_of(1), tokens.cached().unwrap().expose_secret());
    assert!(token_of(0).is_sensitive() && token_of(1).is_sensitive());
    for (head, body) in seen.iter() {
        assert_eq!((&head.method, head.version), (&Method::PATCH, http::Version::HTTP_10));
        assert!(head.uri.to_string().ends_with("/api/thing?a=1&b=%20"));
        assert_eq!(head.headers.get_all("x-own").iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(head.headers[AUTHORIZATION], "Basic proxy");
        assert_eq!(head.headers.len(), 4);
        assert_eq!(head.extensions.get(), Some(&42_u8));
        assert_eq!(body, "the body");
    }
}

#[tokio::test]
async fn connect_passes_untouched() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let service = service_fn(|request: Request<ReplayBody<Body>>| async move {
        assert!(request.headers().is_empty());
        let answer = Response::builder().status(401).header(WWW_AUTHENTICATE, "Bearer");
        answer.body(Body::default())
    });
    let request = Request::connect(kit.server.origin()).body(Body::default()).unwrap();
    assert_eq!(
        soon(kit.layer(&tokens).layer(service).oneshot(request)).await.unwrap().status(),
        401
    );
    assert_eq!(kit.token_requests(), 1);
}

/// A service that may be called once after each time that it was polled ready, and only on that instance.
struct Strict {
    ready: bool,
    refusals: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, refusals: Arc::clone(&self.refusals) }
    }
}

impl Service<Request<ReplayBody<Body>>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReplayBody<Body>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        let refuse = self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let mut answer = Response::new(Body::default());
        if refuse.is_ok() {
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
        }
        std::future::ready(Ok(answer))
    }
}

#[tokio::test]
async fn only_the_instance_that_was_polled_ready_is_called() {
    for cloned in [false, true] {
        let kit = Kit::start();
        let tokens = kit.manager().build().unwrap();
        let refusals = Arc::new(AtomicUsize::new(0));
        let mut service =
            kit.layer(&tokens).layer(Strict { ready: false, refusals: Arc::clone(&refusals) });
        if cloned {
            service = service.ready().await.unwrap().clone();
        }
        let request = || Request::post(kit.server.api_url()).body(Body::from("body")).unwrap();
        let refuse_one = || refusals.store(1, Ordering::SeqCst);

        // Without a token at hand, then with one.
        assert!(tokens.cached().is_none());
        assert_eq!(
            soon(service.ready().await.unwrap().call(request())).await.unwrap().status(),
            200
        );
        assert_eq!(
            soon(service.ready().await.unwrap().call(request())).await.unwrap().status(),
            200
        );
        // With a replay.
        refuse_one();
        assert_eq!(
            soon(service.ready().await.unwrap().call(request())).await.unwrap().status(),
            200
        );
        // With the opt-outs.
        let mut untouched = request();
        untouched.extensions_mut().insert(NoToken::new());
        assert_eq!(
            soon(service.ready().await.unwrap().call(untouched)).await.unwrap().status(),
            200
        );
        refuse_one();
        let mut once = request();
        once.extensions_mut().insert(NoReplay::new());
        assert_eq!(soon(service.ready().await.unwrap().call(once)).await.unwrap().status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_does_not_wait_for_a_place_that_its_own_request_takes() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http();
    // One place for everybody: each replay has to get it after its first call has given it back.
    let service = kit.layer(&tokens).layer(ConcurrencyLimit::new(client, 1));
    kit.server.revoke_access_tokens();
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (service, url) = (service.clone(), kit.server.api_url());
        let request = Request::post(url).body(Full::new(Bytes::from_static(b"x"))).unwrap();
        tasks.spawn(async move { service.oneshot(request).await.map(|answer| answer.status()) });
    }
    for status in soon(tasks.join_all()).await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(kit.token_requests(), 2);
}

#[test]
fn an_origin_over_plain_http_is_refused_unless_it_is_loopback() {
    assert!(Origins::only("http://api.example.com").is_err());
    assert!(Origins::only("http://127.0.0.1:8080").is_ok());
    assert!(Origins::only("http://api.example.com@127.0.0.1:1").is_err());
}

//! Redirects: each hop is judged anew if they are followed above the layer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, response};
use http_body_util::Full;
use hyper::body::Incoming;
use integration_tests::{BoxError, soon};
use token_core::http::{NoToken, Origins, Scheme, Verdict};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::policy::{FilterCredentials, Limited, PolicyExt, SameOrigin};
use tower_http::follow_redirect::{FollowRedirectLayer, RequestUri, policy};
use tower_token_refresh::TokenRefreshLayer;

use crate::support::{Echo, Server, Whole, arrived, http1, pattern};

/// A server that sends its callers on to `?to=`, or answers 401 where there is none.
struct Redirector {
    server: Server,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Redirector {
    async fn start() -> Self {
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        Self { server: Server::start(router).await, seen }
    }

    /// A URL of this server that leads to another one.
    fn to(&self, url: &str) -> String {
        let to: String = form_urlencoded::byte_serialize(url.as_bytes()).collect();
        format!("{}/?to={to}", self.server.origin)
    }

    /// For each request, whether it had this header.
    fn had(&self, name: &str) -> Vec<bool> {
        self.seen.lock().expect("no panic").iter().map(|head| head.contains_key(name)).collect()
    }
}

async fn answer(
    State(seen): State<Arc<Mutex<Vec<HeaderMap>>>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<axum::body::Body> {
    seen.lock().expect("no panic").push(headers);
    let query = uri.query().unwrap_or_default().as_bytes();
    let answer = match form_urlencoded::parse(query).next() {
        Some((_, to)) => {
            Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, &*to)
        }
        None => Response::builder().status(StatusCode::UNAUTHORIZED),
    };
    answer.body(axum::body::Body::empty()).expect("an answer")
}

async fn get(
    service: &mut impl Service<Request<Whole>, Response = Response<Incoming>, Error = BoxError>,
    url: &str,
) -> Response<Incoming> {
    let request = Request::get(url).body(Whole::default()).expect("a request");
    soon(service.ready().await.expect("ready").call(request)).await.expect("an answer")
}

fn both(echo: &Echo, other: &Redirector) -> TokenRefreshLayer {
    let origins = Origins::only(echo.origin())
        .expect("an origin")
        .and(&other.server.origin)
        .expect("an origin");
    TokenRefreshLayer::new(echo.tokens.clone(), origins)
}

#[tokio::test]
async fn above_the_layer_each_hop_is_judged_anew() {
    let echo = Echo::start().await;
    let (ours, foreign) = (Redirector::start().await, Redirector::start().await);
    let mut service = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(both(&echo, &ours))
        .service(http1());
    // Allowed, not allowed, allowed.
    let url = ours.to(&foreign.to(&format!("{}/echo", echo.origin())));
    for refused in [false, true] {
        if refused {
            echo.revoke();
        }
        arrived(get(&mut service, &url).await, b"").await;
    }
    assert_eq!(ours.had("authorization"), [true, true]);
    assert_eq!(foreign.had("authorization"), [false, false]);
    assert_eq!(echo.counts(), (3, 2), "only the hop that was refused is sent again");

    // Nor is another origin's 401 a reason to renew.
    let url = ours.to(&foreign.server.origin);
    assert_eq!(get(&mut service, &url).await.status(), 401);
    assert_eq!((foreign.had("authorization").len(), echo.kit.token_requests()), (3, 2));
}

#[tokio::test]
async fn above_the_layer_a_body_goes_along_whole_if_the_policy_clones_it() {
    let echo = Echo::start().await;
    let ours = Redirector::start().await;
    let clone = policy::clone_body_fn(|body: &Whole| Some(body.clone()));
    let policy = Limited::default().and::<_, _, BoxError>(clone);
    let service = ServiceBuilder::new()
        .layer(FollowRedirectLayer::with_policy(policy))
        .layer(both(&echo, &ours))
        .service(http1());
    let url = ours.to(&format!("{}/echo", echo.origin()));
    echo.exercise_with(service, |body| Request::post(&url).body(Full::new(body)).unwrap()).await;
}

/// tower-http's policy drops extensions when the origin changes, and `NoToken` is one.
#[tokio::test]
async fn above_the_layer_no_token_has_to_be_let_through() {
    let echo = Echo::start().await;
    let foreign = Redirector::start().await;
    let policy = Limited::default()
        .and::<_, Whole, BoxError>(FilterCredentials::new().allow_extension::<NoToken>());
    let service = ServiceBuilder::new()
        .layer(FollowRedirectLayer::with_policy(policy))
        .layer(echo.layer())
        .service(http1());
    let mut request = Request::get(foreign.to(&format!("{}/echo", echo.origin())));
    request.extensions_mut().unwrap().insert(NoToken::new());
    let answer = soon(service.oneshot(request.body(Whole::default()).unwrap())).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(echo.seen(|seen| !seen.heads[0].contains_key(AUTHORIZATION)));
}

/// tower-http drops the caller's own `Authorization` on the way, and an allowed origin gets the token.
#[tokio::test]
async fn above_the_layer_the_callers_own_authorization_does_not_survive_a_change_of_origin() {
    let echo = Echo::start().await;
    let foreign = Redirector::start().await;
    let service = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(echo.layer())
        .service(http1());
    let request = Request::get(foreign.to(&format!("{}/echo", echo.origin())))
        .header(AUTHORIZATION, "Basic b3duOm93bg==");
    let answer = soon(service.oneshot(request.body(Whole::default()).unwrap())).await.unwrap();
    arrived(answer, b"").await;
    assert_eq!((foreign.had("authorization"), echo.counts()), (vec![true], (1, 1)));
}

/// The lines of `docs/composition.md`.
fn only_of(api: Uri) -> impl Fn(&response::Parts) -> Verdict + Send + Sync {
    move |head| match head.extensions.get::<RequestUri>() {
        Some(RequestUri(uri)) if uri.authority() != api.authority() => Verdict::Accepted,
        _ => Verdict::of(head),
    }
}

#[tokio::test]
async fn below_the_layer_another_origins_401_looks_like_the_apis_unless_a_classifier_tells() {
    let echo = Echo::start().await;
    let (ours, foreign) = (Redirector::start().await, Redirector::start().await);
    let url = ours.to(&foreign.server.origin);
    let stack = |layer| {
        ServiceBuilder::new().layer(layer).layer(FollowRedirectLayer::new()).service(http1())
    };
    let told = both(&echo, &ours).classifier(only_of(ours.server.origin.parse().unwrap()));
    assert_eq!(get(&mut stack(told.clone()), &url).await.status(), 401);
    assert_eq!(
        (ours.had("authorization"), foreign.had("authorization")),
        (vec![true], vec![false])
    );
    assert_eq!(echo.kit.token_requests(), 1);
    // The API's own refusal is still one.
    let own = echo.layer().classifier(only_of(echo.origin().parse().unwrap()));
    let service = stack(own);
    echo.exercise(service).await;

    // Without those lines.
    assert_eq!(get(&mut stack(both(&echo, &ours)), &url).await.status(), 401);
    assert_eq!(foreign.had("authorization"), [false; 3]);
    assert_eq!(echo.kit.token_requests(), 3, "a renewal for nothing");
}

#[tokio::test]
async fn below_the_layer_a_header_of_the_apis_own_stays_only_with_the_policy_same_origin() {
    let echo = Echo::start().await;
    let (ours, foreign) = (Redirector::start().await, Redirector::start().await);
    let url = ours.to(&foreign.to(&format!("{}/x", foreign.server.origin)));
    let layer = || {
        let name = HeaderName::from_static("x-api-token");
        both(&echo, &ours).header(name).scheme(Scheme::RAW).classifier(|_| Verdict::Accepted)
    };
    let mut same_origin = ServiceBuilder::new()
        .layer(layer())
        .layer(FollowRedirectLayer::with_policy(SameOrigin::new()))
        .service(http1());
    assert_eq!(get(&mut same_origin, &url).await.status(), 307);
    assert!(foreign.had("x-api-token").is_empty());
    // tower-http knows `Authorization`, and cannot know this one: why redirects are followed above.
    let mut standard =
        ServiceBuilder::new().layer(layer()).layer(FollowRedirectLayer::new()).service(http1());
    get(&mut standard, &url).await;
    assert_eq!(foreign.had("x-api-token"), [true, true]);
    let mut above =
        ServiceBuilder::new().layer(FollowRedirectLayer::new()).layer(layer()).service(http1());
    get(&mut above, &url).await;
    assert_eq!(foreign.had("x-api-token"), [true, true, false, false]);
    assert_eq!(ours.had("x-api-token"), [true; 3]);
}

/// A body is sent on by no policy below the layer: the caller gets the redirect, whole or not at all.
#[tokio::test]
async fn below_the_layer_a_request_with_a_body_is_not_redirected() {
    let echo = Echo::start().await;
    let ours = Redirector::start().await;
    let service = ServiceBuilder::new()
        .layer(both(&echo, &ours))
        .layer(FollowRedirectLayer::new())
        .service(http1());
    let request = Request::post(ours.to(&format!("{}/echo", echo.origin())));
    let answer = service.oneshot(request.body(Full::new(pattern(100))).unwrap());
    assert_eq!(soon(answer).await.unwrap().status(), 307);
    assert_eq!(echo.counts(), (0, 1));
}

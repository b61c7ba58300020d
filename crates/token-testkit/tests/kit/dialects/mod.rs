//! Each dialect as its clients see it, and what holds in all of them.

use http::{Method, Request};
use serde_json::{Value, json};
use token_testkit::{
    AKUVOX_USER_AGENT, Answer, ApiFault, AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_PASSWORD,
    DEFAULT_USER, Dialect, Fault, Fingerprint, Login,
};

use crate::support::{Caller, Received};

mod akuvox;
mod high_level;
mod jwt_refresh;
mod nocturna;
mod pos_connector;

/// A request as a client writes it, and where it is to go.
struct Call {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Call {
    fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: String::new() }
    }

    fn post(url: String) -> Self {
        Self::new(Method::POST, url)
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.header("content-type", "application/json")
    }

    fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        self.body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    async fn send(self) -> Received {
        let mut request = Request::builder().method(self.method).uri(self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body.into()).expect("a valid request");
        Caller::http1().send(request).await.expect("an answer")
    }
}

impl Received {
    /// The status and one member, wherever it is.
    fn at(&self, pointer: &str) -> (u16, Value) {
        let json = self.json();
        let member = json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json}"));
        (self.status.as_u16(), member.clone())
    }
}

fn start(dialect: Dialect) -> AuthorizationServer {
    AuthorizationServer::builder().dialect(dialect).start().expect("a server")
}

fn holder(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OAuth | Dialect::HighLevel => DEFAULT_CLIENT_ID,
        _ => DEFAULT_USER,
    }
}

/// How a client of this dialect gets the next tokens.
fn renewal(dialect: Dialect, server: &AuthorizationServer, access: &str, refresh: &str) -> Call {
    let call = Call::post(server.token_url());
    match dialect {
        Dialect::PosConnector => {
            call.json(&json!({ "email": DEFAULT_USER, "password": DEFAULT_PASSWORD }))
        }
        Dialect::Akuvox => call
            .header("user-agent", AKUVOX_USER_AGENT)
            .header("x-auth-token", access)
            .json(&json!({ "refresh_token": refresh })),
        Dialect::JwtRefresh => call.json(&json!({ "token": refresh })),
        Dialect::Nocturna => Call::post(format!("{}?refresh_token={refresh}", server.token_url())),
        _ => call.form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", DEFAULT_CLIENT_ID),
            ("client_secret", "kit-secret"),
        ]),
    }
}

fn renewal_of(dialect: Dialect, server: &AuthorizationServer, login: &Login) -> Call {
    renewal(dialect, server, login.access_token(), login.refresh_token())
}

/// Where the good answer has the access token and what tells its expiry.
fn members(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::PosConnector => ("/token", "/token_expiry"),
        Dialect::Akuvox => ("/datas/token", "/datas/token_valid"),
        _ => ("/access_token", "/expires_in"),
    }
}

fn api(dialect: Dialect, server: &AuthorizationServer, access: &str) -> Call {
    let call = Call::new(Method::GET, format!("{}/thing", server.api_url()));
    match dialect {
        Dialect::Akuvox => {
            call.header("user-agent", AKUVOX_USER_AGENT).header("x-auth-token", access)
        }
        _ => call.bearer(access),
    }
}

/// What the API says to a token that is not valid.
fn is_refused(dialect: Dialect, received: &Received) -> bool {
    match dialect {
        Dialect::Akuvox => received.at("/err_code") == (200, json!("-1")),
        _ => received.status == 401,
    }
}

#[tokio::test]
async fn in_every_dialect_a_login_is_renewed_and_the_api_takes_what_came() {
    for dialect in Dialect::all() {
        let server = start(dialect);
        let login = server.sign_in(holder(dialect));
        let answer = renewal_of(dialect, &server, &login).send().await;
        let (token, expiry) = members(dialect);
        let (status, access) = answer.at(token);
        assert_eq!(status, 200, "{dialect}");
        answer.at(expiry);
        let access = access.as_str().unwrap();
        let accepted = api(dialect, &server, access).send().await;
        assert!(accepted.status == 200 && !is_refused(dialect, &accepted), "{dialect}");
        let shown = Fingerprint::of(access).to_string();
        assert!(String::from_utf8_lossy(&accepted.bytes).contains(&shown), "{dialect}");

        server.revoke_access_tokens();
        let refused = api(dialect, &server, access).send().await;
        assert!(is_refused(dialect, &refused), "{dialect}: {:?}", refused.bytes);
        let counters = server.counters();
        assert_eq!((counters.api_ok, counters.api_unauthorized), (1, 1), "{dialect}");
        let entry = &server.history()[0];
        let issued = Fingerprint::of(access);
        assert!(
            matches!(&entry.answer, Answer::Issued { access, .. } if *access == issued),
            "{dialect}: {entry:?}"
        );
    }
}

#[tokio::test]
async fn faults_are_the_same_in_every_dialect() {
    for dialect in Dialect::all() {
        let server = start(dialect);
        let login = server.sign_in(holder(dialect));
        let ask = async || renewal_of(dialect, &server, &login).send().await;
        server.script([
            Fault::status(503).retry_after(7),
            Fault::html(),
            Fault::redirect(302, "/login"),
            Fault::without_expires_in().and(Fault::repeated_refresh_token()),
        ]);
        let unavailable = ask().await;
        assert_eq!(
            (unavailable.status.as_u16(), unavailable.header("retry-after")),
            (503, Some("7"))
        );
        assert!(ask().await.bytes.starts_with(b"<!DOCTYPE html>"));
        let redirect = ask().await;
        assert_eq!((redirect.status.as_u16(), redirect.header("location")), (302, Some("/login")));
        let (token, expiry) = members(dialect);
        let odd = ask().await.json();
        assert!(odd.pointer(token).is_some() && odd.pointer(expiry).is_none(), "{dialect}: {odd}");
        assert_eq!(server.counters().tokens_issued, 1, "{dialect}");

        server.api_script([ApiFault::refused(), "status=302 redirect=/login".parse().unwrap()]);
        let call = || api(dialect, &server, login.access_token());
        assert!(is_refused(dialect, &call().send().await), "{dialect}");
        assert_eq!(call().send().await.status, 302);
        assert_eq!(call().send().await.status, 200);
    }
}

#[tokio::test]
async fn refusals_have_the_words_of_their_dialect() {
    for (dialect, pointer, wrong, disabled, scripted) in [
        (Dialect::OAuth, "/error", 400, 400, (400, "slow_down")),
        (Dialect::PosConnector, "/message", 422, 403, (400, "slow_down")),
        (Dialect::Akuvox, "/err_code", 200, 200, (200, "slow_down")),
        (Dialect::HighLevel, "/error", 401, 401, (400, "slow_down")),
        (Dialect::JwtRefresh, "/detail", 401, 403, (400, "slow_down")),
        (Dialect::Nocturna, "/detail", 401, 403, (400, "slow_down")),
    ] {
        let server = start(dialect);
        let login = server.sign_in(holder(dialect));
        let ask = async || renewal_of(dialect, &server, &login).send().await;
        server.script([
            Fault::wrong_password(),
            Fault::disabled_user(),
            Fault::oauth_error("slow_down"),
        ]);
        assert_eq!(ask().await.at(pointer).0, wrong, "{dialect}");
        assert_eq!(ask().await.at(pointer).0, disabled, "{dialect}");
        assert_eq!(ask().await.at(pointer), (scripted.0, json!(scripted.1)), "{dialect}");
        assert_eq!(server.counters().tokens_issued, 0);
        assert_eq!(ask().await.status, 200, "nothing was spent: {dialect}");
    }
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_family_in_every_dialect_that_rotates() {
    for dialect in [Dialect::Akuvox, Dialect::HighLevel, Dialect::Nocturna] {
        let server = start(dialect);
        let login = server.sign_in(holder(dialect));
        let answer = renewal_of(dialect, &server, &login).send().await;
        let next = answer.at(members(dialect).0).1;
        let again = renewal_of(dialect, &server, &login).send().await;
        let refused = match dialect {
            Dialect::Akuvox => again.at("/err_code") == (200, json!("-1")),
            _ => again.status == 401,
        };
        assert!(refused, "{dialect}: {:?}", again.bytes);
        assert_eq!(server.counters().reuse_detected, 1, "{dialect}");
        assert_eq!(server.presentations_per_generation()[&(login.family(), 0)], 2);
        let dead = api(dialect, &server, next.as_str().unwrap()).send().await;
        assert!(is_refused(dialect, &dead), "{dialect}");
    }
}

#[tokio::test]
async fn a_disabled_user_is_refused_until_active_again() {
    for dialect in [Dialect::PosConnector, Dialect::Akuvox, Dialect::JwtRefresh, Dialect::Nocturna]
    {
        let server = start(dialect);
        let login = server.sign_in(DEFAULT_USER);
        assert!(server.set_user_active(DEFAULT_USER, false));
        assert!(!server.set_user_active("nobody", false));
        let refused = renewal_of(dialect, &server, &login).send().await;
        let status = if dialect == Dialect::Akuvox { 200 } else { 403 };
        assert_eq!(refused.status, status, "{dialect}");
        assert_eq!(server.counters().tokens_issued, 0, "{dialect}");
        assert!(!is_refused(dialect, &api(dialect, &server, login.access_token()).send().await));
        server.set_user_active(DEFAULT_USER, true);
        renewal_of(dialect, &server, &login).send().await.at(members(dialect).0);
    }
}

#[test]
fn what_a_dialect_cannot_have_is_told_at_the_start() {
    let builder = || AuthorizationServer::builder().dialect(Dialect::PosConnector);
    let error = builder().time_zone("Mars/Olympus").start().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let error = builder().token_header("no header").start().unwrap_err();
    assert!(error.to_string().contains("`no header`"), "{error}");
}

/// The parts of a JWT that anybody can read.
fn claims(jwt: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    let parts: Vec<_> = jwt.split('.').collect();
    let [header, claims, _] = parts[..] else { panic!("no JWT: {jwt}") };
    let read = |part| {
        let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&json).expect("JSON")
    };
    let header: Value = read(header);
    assert_eq!(header["alg"], "HS256");
    read(claims)
}

fn unix_now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs()
}

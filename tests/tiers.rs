//! Two tiers on the wire: a service token gets short access tokens, and is replaced in time by a login that serves for that
//! alone.

use std::path::Path;
use std::time::Duration;

use integration_tests::{ApiClient, BoxError, Http, Kit, TestBody, empty, event, until};
use tempfile::TempDir;
use token_core::clock::ManualClock;
use token_core::endpoint::profile::{Profile, ProfileEndpoint, SHIPPED};
use token_core::endpoint::{AfterLogin, WithBearer};
use token_core::event::Event;
use token_core::http::Origins;
use token_core::{
    ErrorKind, NoRefresh, TokenKey, TokenManager, TokenManagerBuilder, TokenSet, UnknownOutcome,
};
use token_store_file::FileStore;
use token_testkit::{Answer, AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Fault};
use tower_token_refresh::TokenRefreshLayer;

const DAY: Duration = Duration::from_secs(86_400);

/// A server with service tokens, the secrets of its administrator, and a directory for records.
struct Nocturna {
    server: AuthorizationServer,
    directory: TempDir,
}

impl Nocturna {
    fn start() -> Self {
        let server =
            AuthorizationServer::builder().dialect(Dialect::Nocturna).start().expect("a server");
        let nocturna = Self { server, directory: tempfile::tempdir().expect("a directory") };
        nocturna.set_secret("NOCTURNA_USERNAME", DEFAULT_USER);
        nocturna.set_secret("NOCTURNA_PASSWORD", DEFAULT_PASSWORD);
        nocturna
    }

    fn set_secret(&self, name: &str, text: &str) {
        write_secret(&self.directory.path().join(name), text);
    }

    /// A shipped profile with its secrets in files: a test cannot set the environment of its process.
    fn profile(&self, name: &str) -> Profile {
        let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (_, text) = found.expect("a shipped profile");
        let directory = self.directory.path().to_str().expect("a path in UTF-8").replace('\\', "/");
        let text = text.replace("{ env = \"", &format!("{{ file = \"{directory}/"));
        let profile: Profile = text.parse().expect("a profile");
        profile.with_base_url(self.server.api_url()).expect("a URL")
    }

    fn endpoint(&self, name: &str) -> ProfileEndpoint<Http> {
        ProfileEndpoint::new(Kit::http(), self.profile(name))
    }

    /// Service tokens, each made with a login.
    fn service(&self) -> TokenManagerBuilder {
        let over = AfterLogin::new(Kit::http(), self.endpoint("nocturna"));
        ProfileEndpoint::new(over, self.profile("nocturna-new-service-token"))
            .manager()
            .key(TokenKey::new("service").expect("a key"))
    }

    /// Access tokens, got with what the lower tier holds.
    fn access(&self, lower: &TokenManager) -> TokenManagerBuilder {
        let over = WithBearer::new(Kit::http(), lower.clone());
        ProfileEndpoint::new(over, self.profile("nocturna-access"))
            .manager()
            .key(TokenKey::new("access").expect("a key"))
    }

    /// What was asked of the token endpoints since the last look, and whether it was granted.
    fn asked(&self, since: &mut usize) -> Vec<(String, bool)> {
        let history = self.server.history();
        let asked = history.iter().skip(*since).map(|one| {
            (
                one.grant_type.clone().expect("every request has one"),
                matches!(one.answer, Answer::Issued { .. }),
            )
        });
        let asked = asked.collect();
        *since = history.len();
        asked
    }

    fn store(&self) -> FileStore {
        FileStore::open(self.directory.path().join("records")).expect("a store")
    }

    async fn get(&self, tokens: &TokenManager) -> Result<u16, BoxError> {
        let origins = Origins::only(self.server.origin())?;
        let layer = TokenRefreshLayer::new(tokens.clone(), origins);
        let client = ApiClient::<TestBody>::new(layer, self.server.api_url());
        let answer = client.send(client.request("GET", "", empty())).await?;
        Ok(answer.status.as_u16())
    }
}

fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }
}

fn granted<const N: usize>(grants: [&str; N]) -> Vec<(String, bool)> {
    grants.map(|grant| (grant.to_owned(), true)).to_vec()
}

#[tokio::test]
async fn both_tiers_begin_with_one_login_and_outlive_a_restart() {
    let (nocturna, mut since) = (Nocturna::start(), 0);
    let service = nocturna.service().store(nocturna.store()).build().unwrap();
    let access = nocturna.access(&service).store(nocturna.store()).build().unwrap();
    assert_eq!(nocturna.get(&access).await.unwrap(), 200);
    let all = granted(["password", "new_service_token", "service_token"]);
    assert_eq!(nocturna.asked(&mut since), all);
    let days = service.status().days_left();
    assert_eq!((days, access.status().days_left()), (Some(89), Some(0)));
    drop((access, service));

    let service = nocturna.service().store(nocturna.store()).build().unwrap();
    let access = nocturna.access(&service).store(nocturna.store()).build().unwrap();
    assert_eq!(nocturna.get(&access).await.unwrap(), 200);
    assert_eq!(nocturna.asked(&mut since), []);
    // The API refuses the access token: the service token gets the next.
    nocturna.server.revoke_access_tokens();
    assert_eq!(nocturna.get(&access).await.unwrap(), 200);
    assert_eq!(nocturna.asked(&mut since), granted(["service_token"]));
}

#[tokio::test]
async fn a_401_of_the_token_endpoint_renews_the_service_token_once() {
    let (nocturna, mut since) = (Nocturna::start(), 0);
    let service = nocturna.service().build().unwrap();
    let access = nocturna.access(&service).build().unwrap();
    access.ready().await.unwrap();
    nocturna.asked(&mut since);
    let old = service.token().await.unwrap();
    assert!(nocturna.server.revoke_family_of(old.expose_secret()));
    access.refresh_now().await.unwrap();
    let mut expected = granted(["service_token", "password", "new_service_token", "service_token"]);
    expected[0].1 = false;
    assert_eq!(nocturna.asked(&mut since), expected);
    assert_ne!(service.token().await.unwrap().expose_secret(), old.expose_secret());

    // Where the newer one is refused as well, it ends there.
    nocturna.server.script([Fault::status(401), Fault::none(), Fault::none(), Fault::status(401)]);
    let error = access.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("the service token expired or is invalid"), "{error}");
    assert_eq!(nocturna.asked(&mut since).len(), 4);
}

#[tokio::test]
async fn a_service_token_is_replaced_a_week_before_its_end_whatever_the_tier_above_does() {
    let (nocturna, clock, mut since) = (Nocturna::start(), ManualClock::new(), 0);
    let service = nocturna.service().clock(clock.clone()).build().unwrap();
    let access = nocturna.access(&service).build().unwrap();
    access.ready().await.unwrap();
    nocturna.asked(&mut since);
    let first = service.token().await.unwrap();
    let mut events = service.events();
    // A week, and the jitter of a fifth.
    clock.advance(81 * DAY);
    assert_eq!(service.status().days_left(), Some(9));
    clock.advance(4 * DAY);
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    assert_eq!(nocturna.asked(&mut since), granted(["password", "new_service_token"]));
    assert_eq!(service.status().days_left(), Some(90));
    assert_ne!(service.token().await.unwrap().expose_secret(), first.expose_secret());
    access.refresh_now().await.unwrap();
    assert_eq!(nocturna.asked(&mut since), granted(["service_token"]));
}

#[tokio::test]
async fn a_login_that_fails_is_told_by_its_cause_and_the_service_token_is_used_on() {
    let (nocturna, clock, mut since) = (Nocturna::start(), ManualClock::new(), 0);
    let service = nocturna.service().clock(clock.clone()).build().unwrap();
    let access = nocturna.access(&service).build().unwrap();
    access.ready().await.unwrap();
    nocturna.set_secret("NOCTURNA_PASSWORD", "wrong");
    let mut events = service.events();
    let failed = |event: &Event| matches!(event, Event::RefreshFailed { .. });
    nocturna.asked(&mut since);
    clock.advance(85 * DAY);
    let Event::RefreshFailed { error, .. } = event(&mut events, failed).await else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("wrong name or password"), "{error}");
    // Not in a loop: only what asks by hand asks again, for each of the causes.
    clock.advance(DAY);
    access.refresh_now().await.unwrap();
    assert_eq!(
        nocturna.asked(&mut since),
        [("password".to_owned(), false), ("service_token".to_owned(), true)]
    );
    nocturna.set_secret("NOCTURNA_PASSWORD", DEFAULT_PASSWORD);
    nocturna.server.set_user_active(DEFAULT_USER, false);
    let error = service.refresh_now().await.unwrap_err();
    assert!(error.to_string().contains("the user is disabled"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    nocturna.server.set_user_active(DEFAULT_USER, true);
    nocturna.server.script([Fault::html()]);
    let error = service.refresh_now().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("a page of HTML"), "{error}");
    nocturna.server.refuse_connections().unwrap();
    let error = service.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    nocturna.server.accept_connections().unwrap();
    service.refresh_now().await.unwrap();
    assert_eq!(nocturna.get(&access).await.unwrap(), 200);
}

#[tokio::test]
async fn a_service_token_that_somebody_brings_is_told_when_it_ends_and_the_next_is_taken_at_once() {
    let nocturna = Nocturna::start();
    let bring = |lifetime| TokenSet::new(nocturna.server.service_token(DEFAULT_USER, lifetime));
    // Its end is in it.
    let service = TokenManager::builder(NoRefresh)
        .key(TokenKey::new("service").unwrap())
        .seed(bring(Some(2 * DAY)))
        .build()
        .unwrap();
    let clock = ManualClock::new();
    let access = nocturna
        .access(&service)
        .clock(clock.clone())
        .unknown_outcome(UnknownOutcome::RequireLogin)
        .build()
        .unwrap();
    assert_eq!(nocturna.get(&access).await.unwrap(), 200);
    assert_eq!(service.status().days_left(), Some(1));

    service.login(bring(Some(Duration::ZERO))).await.unwrap();
    until(|| service.status().needs_login()).await;
    let before = nocturna.server.counters().token_requests;
    let error = access.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for part in
        ["grant `service`: the access token has ended", "bring new tokens by `login` or `update`"]
    {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(nocturna.server.counters().token_requests, before, "nothing was sent");

    service.update(bring(None)).await.unwrap();
    assert_eq!(service.status().days_left(), None, "for ever");
    clock.advance(Duration::from_secs(60));
    access.refresh_now().await.unwrap();

    // One that is revoked is told by the server.
    let token = service.token().await.unwrap();
    assert!(nocturna.server.revoke_family_of(token.expose_secret()));
    let error = access.refresh_now().await.unwrap_err();
    assert!(error.to_string().contains("refused the lower tier's token"), "{error}");
    assert!(error.is_transient());
    service.update(bring(None)).await.unwrap();
    access.refresh_now().await.unwrap();
    assert_eq!(nocturna.get(&access).await.unwrap(), 200);
}

#[tokio::test]
async fn without_a_lower_tier_a_dead_service_token_has_an_error_of_its_own() {
    let nocturna = Nocturna::start();
    let bring = |lifetime| {
        let token = nocturna.server.service_token(DEFAULT_USER, lifetime);
        nocturna.set_secret("NOCTURNA_SERVICE_TOKEN", &token);
    };
    bring(Some(Duration::ZERO));
    let tokens = nocturna.endpoint("nocturna-service").manager().build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("the service token expired or is invalid"), "{error}");
    bring(None);
    tokens.refresh_now().await.unwrap();
    assert_eq!(nocturna.get(&tokens).await.unwrap(), 200);
}

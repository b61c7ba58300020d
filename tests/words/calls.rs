//! What they call, and what is called here: the code of the table, run.

use std::time::{Duration, SystemTime};

use integration_tests::{BoxError, Kit, soon, until};
use token_core::clock::ManualClock;
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::endpoint::{AfterLogin, WithBearer, jwt_expires_at};
use token_core::http::Verdict;
use token_core::store::MemoryStore;
use token_core::{NoRefresh, TokenKey, TokenManager, TokenSet};
use token_testkit::DEFAULT_USER;

use crate::api::Api;
use crate::document::{Row, run, table};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn each_call_has_a_counterpart_that_does_it() -> Result<(), BoxError> {
    for row in table("What it calls") {
        soon(call(row, Api::named(row.api))).await.map_err(|error| format!("{row:?}: {error}"))?;
    }
    Ok(())
}

async fn call(row: Row, api: Api) -> Result<(), BoxError> {
    let tokens = api.manager().build()?;
    match row.theirs {
        "`ensure_valid_token()`" | "`TokenManager.get_access_token()`" => {
            let tokens = api.ended().build()?;
            run!(row, tokens.token().await)?;
            run!(row, tokens.token().await)?;
            assert_eq!(api.token_requests(), 1);
        }
        "`refresh_token()`"
        | "`authenticate(force_refresh=True)`"
        | "`async_refresh_token()`, the service `akuvox.refresh_tokens` (`async_refresh_tokens_service()`)"
        | "`refresh_ghl_token()` with its `(success, message)`"
        | "`refreshToken(expiredToken)`"
        | "`_refresh_access_token()`" => {
            let before = tokens.token().await?;
            let requests = api.token_requests();
            let after = run!(row, tokens.refresh_now().await)?;
            assert_ne!(after.expose_secret(), before.expose_secret());
            assert_eq!(api.token_requests(), requests + 1);
        }
        "`is_token_expiring_soon(minutes_threshold=30)`" => {
            for (life, soon) in [(29 * 60, true), (31 * 60, false)] {
                api.server.set_access_lifetime(Duration::from_secs(life));
                tokens.refresh_now().await?;
                let is = run!(row, tokens.status().expires_within(Duration::from_secs(30 * 60)));
                assert_eq!(is, soon, "{life}");
            }
        }
        "`authenticate()`" => {
            run!(row, tokens.ready().await)?;
            assert_eq!(api.token_requests(), 1);
        }
        "`token_expiry`" | "`auth.expires_in`" | "`access_token_expires_at`" => {
            tokens.refresh_now().await?;
            let end = run!(row, tokens.status().expires_at()).ok_or("no end")?;
            let left = end.duration_since(SystemTime::now())?;
            // A `Date` has whole seconds.
            let lifetime = api.login.expires_in() + Duration::from_secs(1);
            assert!(left <= lifetime && left > lifetime - Duration::from_secs(120), "{left:?}");
        }
        "a simulated expiry, to try it out" => {
            tokens.ready().await?;
            run!(row, tokens.expire_locally());
            tokens.token().await?;
            assert_eq!(api.token_requests(), 2);
        }
        "`base_url`" => {
            let (profile, base_url) = (api.profile.clone(), "https://pos.example");
            run!(row, profile.with_base_url(base_url)?);
            let plain = api.profile.clone().with_base_url("http://pos.example");
            assert!(plain.err().ok_or("in plain text")?.to_string().contains("plain http"));
        }
        "`password` in `config.json`, `--setup-password`" => {
            row.is_in_profile("pos-connector");
            let error = Profile::shipped("pos-connector")?.with_base_url(api.server.origin())?;
            let built = ProfileEndpoint::new(Kit::http(), error).manager().build();
            let error = built.err().ok_or("it was built")?.to_string();
            assert!(error.contains("POS_EMAIL_FILE"), "{error}");
        }
        "a call of the API to see that the token is valid" => {
            let (profile, http, token) = (&api.profile, Kit::http(), tokens.token().await?);
            assert_eq!(run!(row, profile.probe(&http, &token).await)?, Verdict::Accepted);
            api.server.revoke_access_tokens();
            assert_eq!(run!(row, profile.probe(&http, &token).await)?, Verdict::Refused);
        }
        "`create_invoice()`, `submit_invoice()`, `get_invoice_status()`, `download_invoice_pdf()`" =>
        {
            let (client, invoices) =
                (api.client(&tokens), format!("{}/invoices", api.server.api_url()));
            let invoices = invoices.as_str();
            assert_eq!(run!(row, client.post(invoices).send().await)?.status(), 201);
            api.server.revoke_access_tokens();
            // It is there when the third look says so.
            let status = ("GET", "status");
            for (method, path) in [("POST", "submit"), status, status, status, ("GET", "pdf")] {
                let request = client.request(method.parse()?, format!("{invoices}/1/{path}"));
                assert!(request.send().await?.status().is_success(), "{path}");
            }
            assert_eq!(api.token_requests(), 2);
        }
        "`async_check_and_refresh_tokens()`" => {
            row.is_in_profile("akuvox");
            refreshed_unasked_after(&api, 6 * 24 * HOUR).await?;
        }
        "the service `akuvox.update_tokens` (`async_update_tokens_service()`) with `token`" => {
            let token = api.server.sign_in(DEFAULT_USER);
            let token = token.access_token();
            run!(row, tokens.update(TokenSet::new(token)).await)?;
            assert_eq!(tokens.token().await?.expose_secret(), token);
        }
        "the same with `refresh_token`" => {
            let other = api.server.sign_in(DEFAULT_USER);
            let (token, refresh_token) = (other.access_token(), other.refresh_token());
            run!(row, tokens.update(TokenSet::new(token).with_refresh_token(refresh_token)).await)?;
            tokens.refresh_now().await?;
            assert_eq!(api.server.presentations_per_generation()[&(other.family(), 0)], 1);
        }
        "`last_token_refresh`" | "`auth.updated_at`" => {
            assert_eq!(tokens.status().last_refreshed_at(), None);
            let before = SystemTime::now();
            tokens.refresh_now().await?;
            let at = run!(row, tokens.status().last_refreshed_at()).ok_or("no time")?;
            assert!(at >= before - Duration::from_secs(1) && at <= SystemTime::now());
        }
        "the tokens of the login by SMS, or of `servers_list`" => {
            let url = format!(
                "{}/sms_login?phone={}&code={}",
                api.server.origin(),
                DEFAULT_USER,
                token_testkit::DEFAULT_PASSWORD
            );
            let answer = reqwest::Client::builder()
                .user_agent(token_testkit::AKUVOX_USER_AGENT)
                .build()?
                .get(url)
                .send()
                .await?
                .bytes()
                .await?;
            let (profile, tokens) = (&api.profile, api.endpoint().manager().build()?);
            run!(row, tokens.login(profile.read(&answer)?).await)?;
            tokens.refresh_now().await?;
        }
        "`/api/auth/connect`" => {
            let answer = connect(&api).await?;
            let (profile, tokens) = (&api.profile, api.endpoint().manager().build()?);
            run!(row, tokens.login(profile.read(&answer)?).await)?;
            tokens.refresh_now().await?;
        }
        "`entry_id`" => {
            let entry_id = "01234567890abcdef";
            let key = run!(row, TokenKey::new("akuvox")?.with_tenant(entry_id)?);
            assert_eq!(key.to_string(), "akuvox/tenant=01234567890abcdef");
        }
        "`refresh_ghl_token_periodic`, `setup_periodic_tasks`, Celery Beat" => {
            row.is_in_profile("highlevel");
            refreshed_unasked_after(&api, 20 * HOUR).await?;
        }
        "`GHLAuthCredentials.objects.first()`" => {
            let location = "ve9EPM428h8vShlRW1KT";
            let key = run!(row, TokenKey::new("highlevel")?.with_tenant(location)?);
            assert_eq!(api.manager().key(key.clone()).build()?.key(), &key);
        }
        "`timedelta(minutes=5)`" => row.is_in_profile("nocturna"),
        "`data.get(\"expires_in\", 900)`" => {
            row.is_in_profile("nocturna");
            row.is_in_profile("nocturna-service");
            api.server.script(["no-expires-in".parse()?]);
            tokens.refresh_now().await?;
            let left =
                tokens.status().expires_at().ok_or("no end")?.duration_since(SystemTime::now())?;
            assert!(
                left > Duration::from_secs(780) && left <= Duration::from_secs(900),
                "{left:?}"
            );
        }
        "the service token used directly" => {
            let service_token = api.server.service_token(DEFAULT_USER, None);
            let tokens = run!(
                row,
                TokenManager::builder(NoRefresh).seed(TokenSet::new(service_token)).build()?
            );
            let answer = api.client(&tokens).get(api.server.api_url()).send().await?;
            assert_eq!((answer.status().as_u16(), api.token_requests()), (200, 0));
        }
        "`TokenManager(api_url, service_token)`" => {
            let service = TokenSet::new(api.server.service_token(DEFAULT_USER, None));
            let service = TokenManager::builder(NoRefresh).seed(service).build()?;
            let http = Kit::http();
            let http = run!(row, WithBearer::new(http, service));
            let profile =
                Profile::shipped("nocturna-access")?.with_base_url(api.server.api_url())?;
            let tokens = ProfileEndpoint::new(http, profile).manager().build()?;
            let answer = api.client(&tokens).get(api.server.api_url()).send().await?;
            assert_eq!((answer.status().as_u16(), api.token_requests()), (200, 1));
        }
        "`ensure_valid_token(api_url, admin_email, admin_password)`, `create_remote_token.py`" => {
            let (http, admin) = (Kit::http(), api.endpoint());
            let http = run!(row, AfterLogin::new(http, admin));
            let profile = Profile::shipped("nocturna-new-service-token")?;
            let profile = profile.with_base_url(api.server.api_url())?;
            let service = ProfileEndpoint::new(http, profile).manager().build()?;
            service.ready().await?;
            assert!(service.status().days_left() > Some(7), "{:?}", service.status());
            // The login, and the new token.
            assert_eq!(api.token_requests(), 2);
        }
        "`days_left`" => {
            let life = 5 * 24 * HOUR + HOUR;
            let seed = TokenSet::new("a service token").with_expires_in(life);
            let tokens = TokenManager::builder(NoRefresh).seed(seed).build()?;
            tokens.ready().await?;
            assert_eq!(run!(row, tokens.status().days_left()), Some(5));
        }
        "`check_token_expiry(token)`" => {
            let token = api.server.service_token(DEFAULT_USER, Some(90 * 24 * HOUR));
            let token = token.as_str();
            let end = run!(row, jwt_expires_at(token)).ok_or("no end")?;
            let days_left = end.duration_since(SystemTime::now())?.as_secs() / (24 * 3600);
            assert_eq!(days_left, 89);
        }
        "`if response.status_code == 401:` refresh and send again" => {
            tokens.ready().await?;
            api.server.revoke_access_tokens();
            let (client, url) = (api.client(&tokens), api.server.api_url());
            assert_eq!(run!(row, client.get(url).send().await)?.status(), 200);
            assert_eq!((api.token_requests(), api.server.counters().api_unauthorized), (1, 1));
        }
        "the whole login once the refresh token has ended" => {
            let tokens = api.ended().build()?;
            api.server.revoke_family_of(api.login.refresh_token());
            run!(row, tokens.token().await)?;
            let grants: Vec<_> =
                api.server.history().into_iter().map(|one| one.grant_type).collect();
            assert_eq!(grants, [Some("refresh_token".into()), Some("password".into())]);
        }
        other => panic!("nobody tests what {other} comes to"),
    }
    Ok(())
}

/// Nobody asks for a token, and there is a new one just when it is due.
async fn refreshed_unasked_after(api: &Api, interval: Duration) -> Result<(), BoxError> {
    let (clock, store) = (ManualClock::new(), MemoryStore::new());
    let tokens = api.manager().clock(clock.clone()).store(store).build()?;
    tokens.ready().await?;
    let before = tokens.status().version();
    clock.advance(interval - Duration::from_secs(60));
    assert!(!tokens.status().expires_within(Duration::ZERO));
    assert_eq!((tokens.status().version(), api.token_requests()), (before, 0));
    clock.advance(Duration::from_secs(120));
    until(|| tokens.status().version() != before).await;
    assert_eq!(api.token_requests(), 1);
    Ok(())
}

/// Connects a location: the answer to the code that a person's consent brought.
async fn connect(api: &Api) -> Result<bytes::Bytes, BoxError> {
    const CALLBACK: &str = "http://127.0.0.1/callback";
    // RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let pairs = |pairs: &[(&str, &str)]| -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let query = pairs(&[
        ("client_id", token_testkit::DEFAULT_CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let url = format!("{}/oauth/chooselocation?{query}", api.server.origin());
    let answer = http.get(url).send().await?;
    let back: reqwest::Url = answer.headers()["location"].to_str()?.parse()?;
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").ok_or("no code")?;
    let form = pairs(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", token_testkit::DEFAULT_CLIENT_ID),
        ("client_secret", token_testkit::DEFAULT_CLIENT_SECRET),
    ]);
    let request = http
        .post(api.server.token_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    Ok(request.send().await?.bytes().await?)
}

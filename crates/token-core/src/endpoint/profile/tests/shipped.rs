use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::super::description::Ask;
use super::super::{Profile, RefusedToken, SHIPPED};
use super::{Script, answer, profile, shown};
use crate::http::{Origins, Verdict};
use crate::refresher::Outcome;
use crate::token::{Expiry, Token, TokenSet};
use crate::version::Version;

/// A shipped profile whose secrets are in files of this directory, each with its variable's name as its text: a test cannot
/// set the environment of its process.
pub(super) fn shipped(name: &str, directory: &Path) -> Profile {
    let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name).unwrap();
    let mut parts = text.split("{ env = \"");
    let mut changed = parts.next().unwrap().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('"').unwrap();
        let path = directory.join(variable);
        write_secret(&path, variable);
        changed += &format!("{{ file = {path:?}{rest}");
    }
    profile(&changed)
}

pub(super) fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn request(profile: &Profile, ask: Ask) -> String {
    let current = TokenSet::new("the access token").with_refresh_token("the refresh token");
    shown(&profile.request(ask, Some(&current)).unwrap())
}

/// What an answer comes to: the outcome and the message, or the lifetime of the tokens in seconds.
fn read(
    profile: &Profile,
    ask: Ask,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<u64, (Outcome, String)> {
    match profile.description.read(ask, &answer(status, headers, body), UNIX_EPOCH) {
        Ok(tokens) => match tokens.expires {
            Some(Expiry::In(lifetime)) => Ok(lifetime.as_secs()),
            Some(Expiry::At(end)) => Ok(end.as_secs()),
            None => Ok(0),
        },
        Err(error) => Err((error.outcome(), error.to_string())),
    }
}

fn refuses(profile: &Profile, ask: Ask, status: u16, body: &str, outcome: Outcome, message: &str) {
    let (is, shown) = read(profile, ask, status, &[], body).unwrap_err();
    assert_eq!(is, outcome, "{status} {body}: {shown}");
    assert!(shown.contains(message), "{status} {body}: {shown}");
}

fn judge(refused: &RefusedToken, status: u16, headers: &[(&str, &str)], body: &str) -> Verdict {
    let (head, body) = answer(status, headers, body).into_parts();
    refused.judge(&head, &body)
}

#[test]
fn the_pos_connector_logs_in_with_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let connector =
        shipped("pos-connector", directory.path()).with_base_url("http://127.0.0.1:8000/").unwrap();
    assert_eq!(
        request(&connector, Ask::Login),
        "POST http://127.0.0.1:8000/api/login\naccept: application/json\ncontent-type: application/json\n\n\
         {\"email\":\"POS_EMAIL\",\"password\":\"POS_PASSWORD\"}"
    );
    let body = r#"{"token":"1|abc","token_expiry":"2025-07-12T15:52:00.000000"}"#;
    let date = [("date", "Sat, 12 Jul 2025 07:52:00 GMT")];
    assert_eq!(read(&connector, Ask::Login, 200, &date, body), Ok(8 * 3_600));
    let berlin = connector.clone().with_zone("Europe/Berlin").unwrap();
    assert_eq!(read(&berlin, Ask::Login, 200, &date, body), Ok(6 * 3_600));
    refuses(&connector, Ask::Login, 401, "", Outcome::Configuration, "wrong e-mail or password");
    refuses(&connector, Ask::Login, 422, "", Outcome::Configuration, "wrong e-mail or password");
    refuses(&connector, Ask::Login, 403, "", Outcome::Configuration, "the user is disabled");
    refuses(&connector, Ask::Login, 200, "<html>", Outcome::Ambiguous, "a page of HTML");
    let (_, redirected) =
        read(&connector, Ask::Login, 302, &[("location", "http://127.0.0.1:8000/login")], "")
            .unwrap_err();
    assert!(redirected.contains("a redirect to the login page"), "{redirected}");

    let refused = connector.refused_token();
    assert_eq!(judge(&refused, 302, &[("location", "/login")], ""), Verdict::Refused);
    assert_eq!(judge(&refused, 302, &[("location", "/invoices/7")], ""), Verdict::Accepted);
}

#[test]
fn akuvox_presents_both_tokens_and_says_everything_with_a_200() {
    let akuvox = Profile::shipped("akuvox").unwrap();
    assert_eq!(
        request(&akuvox, Ask::Refresh),
        "POST https://gate.ecloud.akuvox.com:8600/refresh_token\naccept: application/json\ncontent-type: application/json\n\
         user-agent: VBell/6.61.2 (iPhone; iOS 16.6; Scale/3.00)\nx-auth-token: the access token (sensitive)\n\n\
         {\"refresh_token\":\"the refresh token\"}"
    );
    let body = r#"{"datas":{"refresh_token":"r","token":"t","token_valid":"604800"},"err_code":"0","message":"success"}"#;
    assert_eq!(read(&akuvox, Ask::Refresh, 200, &[], body), Ok(604_800));
    refuses(
        &akuvox,
        Ask::Refresh,
        200,
        r#"{"err_code":"1007","message":"x"}"#,
        Outcome::Rejected,
        "(/err_code 1007)",
    );
    let refused = r#"{"err_code":"1007"}"#;
    refuses(&akuvox, Ask::Login, 200, refused, Outcome::Rejected, "refused the login");
    refuses(&akuvox, Ask::Refresh, 401, "", Outcome::InvalidGrant, "refused the refresh token");
    // Without the access token the refresh token is not sent.
    let alone = TokenSet::from_refresh_token("r");
    let error = akuvox.request(Ask::Refresh, Some(&alone)).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Configuration);
    assert!(error.to_string().contains("no access token to present"), "{error}");

    let refused = akuvox.refused_token();
    assert_eq!(judge(&refused, 200, &[], r#"{"err_code":"6"}"#), Verdict::Refused);
    assert_eq!(judge(&refused, 200, &[], r#"{"err_code":"0","datas":{}}"#), Verdict::Accepted);
    let token = Token::new(&"t".into(), Version::FIRST, None).unwrap();
    let mut headers = http::HeaderMap::new();
    akuvox
        .policy(Origins::only("https://gate.ecloud.akuvox.com:8600").unwrap())
        .attach(&mut headers, &token);
    assert_eq!(headers["x-auth-token"], "t");
}

#[test]
fn highlevel_is_oauth_with_the_client_in_the_form() {
    let directory = tempfile::tempdir().unwrap();
    let highlevel = shipped("highlevel", directory.path());
    assert_eq!(
        request(&highlevel, Ask::Refresh),
        "POST https://services.leadconnectorhq.com/oauth/token\naccept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         client_id=GHL_CLIENT_ID&client_secret=GHL_CLIENT_SECRET&grant_type=refresh_token&refresh_token=the+refresh+token"
    );
    let body = r#"{"access_token":"a","token_type":"Bearer","expires_in":86399,"refresh_token":"r","scope":"s","locationId":"l1"}"#;
    assert_eq!(read(&highlevel, Ask::Refresh, 200, &[], body), Ok(86_399));
    let tokens = highlevel.read(body.as_bytes()).unwrap();
    assert_eq!(tokens.extra()["locationId"], "l1");
    assert_eq!((tokens.token_type(), tokens.scope()), (Some("Bearer"), Some("s")));
    refuses(
        &highlevel,
        Ask::Refresh,
        400,
        r#"{"error":"invalid_grant"}"#,
        Outcome::InvalidGrant,
        "invalid_grant",
    );
    refuses(
        &highlevel,
        Ask::Refresh,
        401,
        r#"{"message":"x"}"#,
        Outcome::InvalidGrant,
        "connected again",
    );
    refuses(
        &highlevel,
        Ask::Refresh,
        401,
        r#"{"error":"invalid_client"}"#,
        Outcome::Configuration,
        "GHL_CLIENT_ID",
    );
    let client = r#"{"error":"UnAuthorized!","error_description":"Invalid client credentials!"}"#;
    refuses(&highlevel, Ask::Refresh, 401, client, Outcome::Configuration, "GHL_CLIENT_ID");
}

#[test]
fn a_jwt_is_refreshed_with_itself() {
    let jwt =
        Profile::shipped("jwt-refresh").unwrap().with_base_url("http://localhost:8000").unwrap();
    assert_eq!(
        request(&jwt, Ask::Refresh),
        "POST http://localhost:8000/api/auth/refresh\naccept: application/json\ncontent-type: application/json\n\n\
         {\"token\":\"the access token\"}"
    );
    let body = r#"{"access_token":"new.jwt.token","token_type":"bearer","expires_in":1800}"#;
    assert_eq!(read(&jwt, Ask::Refresh, 200, &[], body), Ok(1_800));
    refuses(
        &jwt,
        Ask::Refresh,
        401,
        r#"{"detail":"Invalid token"}"#,
        Outcome::InvalidGrant,
        "log in again",
    );
    refuses(&jwt, Ask::Refresh, 403, "", Outcome::Configuration, "the user is disabled");
    refuses(&jwt, Ask::Refresh, 429, "", Outcome::Rejected, "fewer requests");
}

#[test]
fn nocturna_wants_the_refresh_token_in_the_query() {
    let directory = tempfile::tempdir().unwrap();
    let nocturna =
        shipped("nocturna", directory.path()).with_base_url("https://n.example/api").unwrap();
    assert_eq!(
        request(&nocturna, Ask::Refresh),
        "POST https://n.example/api/auth/refresh?refresh_token=the+refresh+token\naccept: application/json\n\n"
    );
    assert_eq!(
        request(&nocturna, Ask::Login),
        "POST https://n.example/api/auth/login\naccept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\npassword=NOCTURNA_PASSWORD&username=NOCTURNA_USERNAME"
    );
    let body = r#"{"access_token":"a","refresh_token":"r","token_type":"bearer"}"#;
    assert_eq!(read(&nocturna, Ask::Refresh, 200, &[], body), Ok(900));
    refuses(&nocturna, Ask::Refresh, 401, "", Outcome::InvalidGrant, "refresh token was refused");
    refuses(&nocturna, Ask::Login, 401, "", Outcome::Configuration, "wrong name or password");
    refuses(&nocturna, Ask::Login, 403, "", Outcome::Configuration, "the user is disabled");
}

#[test]
fn a_service_token_is_the_bearer_of_its_own_request() {
    let directory = tempfile::tempdir().unwrap();
    let service = shipped("nocturna-service", directory.path())
        .with_base_url("https://n.example/api")
        .unwrap();
    assert_eq!(
        request(&service, Ask::Login),
        "POST https://n.example/api/auth/service-token/refresh\naccept: application/json\n\
         authorization: Bearer NOCTURNA_SERVICE_TOKEN (sensitive)\n\n"
    );
    assert_eq!(read(&service, Ask::Login, 200, &[], r#"{"access_token":"a"}"#), Ok(900));
    assert_eq!(
        read(&service, Ask::Login, 200, &[], r#"{"access_token":"a","expires_in":60}"#),
        Ok(60)
    );
    refuses(
        &service,
        Ask::Login,
        401,
        "",
        Outcome::Configuration,
        "the service token expired or is invalid",
    );
}

#[test]
fn each_is_refreshed_when_it_says() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    for (name, lifetime, left) in [
        ("pos-connector", minutes(24 * 60), minutes(30)),
        ("akuvox", minutes(7 * 24 * 60), minutes(24 * 60)),
        ("highlevel", minutes(24 * 60), minutes(4 * 60)),
        ("nocturna", minutes(15), minutes(5)),
        ("nocturna-service", minutes(15), minutes(5)),
        ("nocturna-access", minutes(15), minutes(5)),
        ("nocturna-new-service-token", minutes(90 * 24 * 60), minutes(7 * 24 * 60)),
    ] {
        let obtained = Duration::from_secs(1_000_000);
        let now = crate::clock::Moment::new(Duration::from_secs(1_000), obtained);
        let freshness = Profile::shipped(name).unwrap().freshness();
        let deadlines = freshness.deadlines(obtained, true, Some(obtained + lifetime), now, 0.5);
        let stale = deadlines.stale.unwrap().remaining(now);
        assert_eq!(lifetime - stale, left, "{name}");
    }
}

#[tokio::test]
async fn a_probe_says_whether_the_api_takes_the_token() {
    let connector =
        Profile::shipped("pos-connector").unwrap().with_base_url("https://pos.example").unwrap();
    let token = Token::new(&"t".into(), Version::FIRST, None).unwrap();
    let http = Script::answering([(200, "{}"), (401, ""), (500, "")]);
    for verdict in [Verdict::Accepted, Verdict::Refused, Verdict::Accepted] {
        assert_eq!(connector.probe(&http, &token).await.unwrap(), verdict);
    }
    http.then(Ok(answer(302, &[("location", "https://pos.example/login")], "")));
    assert_eq!(connector.probe(&http, &token).await.unwrap(), Verdict::Refused);
    assert_eq!(
        http.asked()[0],
        "GET https://pos.example/api/user\nauthorization: Bearer t (sensitive)\n\n"
    );
    let akuvox = Profile::shipped("akuvox").unwrap();
    assert!(akuvox.probe(&http, &token).await.unwrap_err().to_string().contains("no probe"));
}

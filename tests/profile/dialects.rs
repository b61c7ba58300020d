//! Shipped profiles end to end: tokens and API are one of the kit's dialects.

use std::path::Path;

use bytes::Bytes;
use http::{Request, StatusCode};
use integration_tests::Kit;
use reqwest_token_refresh::ReqwestEndpoint;
use serde_json::Value;
use token_core::endpoint::profile::{Profile, ProfileEndpoint, SHIPPED};
use token_core::{TokenManager, TokenSet};
use token_testkit::{
    AKUVOX_USER_AGENT, ApiFault, AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect,
};

use crate::adapter::{ALL, Adapter, Through, text};

fn shipped(name: &str) -> &'static str {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).expect("it comes with the crate").1
}

fn with_origin(text: &str, server: &AuthorizationServer) -> Profile {
    let profile: Profile = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    profile.with_base_url(server.origin()).expect("loopback")
}

/// The manager over each adapter's own endpoint.
fn manager(adapter: Adapter, profile: &Profile, seed: Option<TokenSet>) -> TokenManager {
    let builder = match adapter {
        Adapter::Tower => ProfileEndpoint::new(Kit::http(), profile.clone()).manager(),
        Adapter::Reqwest => {
            let http = ReqwestEndpoint::new(reqwest::Client::builder()).expect("a client");
            ProfileEndpoint::new(http, profile.clone()).manager()
        }
    };
    let builder = match seed {
        Some(seed) => builder.seed(seed),
        None => builder,
    };
    builder.build().expect("a manager")
}

fn akuvox(server: &AuthorizationServer) -> Profile {
    with_origin(shipped("akuvox"), server)
}

async fn get(client: &Through, server: &AuthorizationServer) -> (StatusCode, Value) {
    let request = Request::get(server.api_url()).header("user-agent", AKUVOX_USER_AGENT);
    let request = request.body(Bytes::new()).expect("a request");
    let answer = client.send(request).await.expect("an answer");
    let status = answer.status();
    (status, serde_json::from_str(&text(answer).await).unwrap_or_default())
}

#[tokio::test]
async fn akuvox_refuses_in_the_body_of_a_200() {
    for (adapter, version) in ALL {
        let server = AuthorizationServer::builder().dialect(Dialect::Akuvox).start().unwrap();
        let login = server.sign_in(DEFAULT_USER);
        let seed = TokenSet::new(login.access_token()).with_refresh_token(login.refresh_token());
        let profile = akuvox(&server);
        let tokens = manager(adapter, &profile, Some(seed));
        let client = adapter.client(version, &profile, &tokens, server.origin());
        let (status, good) = get(&client, &server).await;
        assert_eq!((status.as_u16(), &good["err_code"]), (200, &"0".into()), "{good}");
        assert_eq!(server.counters().token_requests, 0);

        server.revoke_access_tokens();
        let (_, good) = get(&client, &server).await;
        assert_eq!(good["err_code"], "0", "{adapter:?} {version:?}: {good}");
        let counters = server.counters();
        assert_eq!((counters.api_requests, counters.token_requests), (3, 1));

        // Refused twice: the second refusal is the caller's, in the API's own words.
        server.api_script([ApiFault::refused(), ApiFault::refused()]);
        let (status, refusal) = get(&client, &server).await;
        assert_eq!((status.as_u16(), &refusal["err_code"]), (200, &"-1".into()));
        let counters = server.counters();
        assert_eq!((counters.api_requests, counters.token_requests), (5, 2));
    }
}

fn pos_connector(server: &AuthorizationServer, directory: &Path) -> Profile {
    let password = directory.join("password");
    std::fs::write(&password, DEFAULT_PASSWORD).expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&password, mode).expect("its owner's");
    }
    let text = shipped("pos-connector")
        .replace("{ env = \"POS_EMAIL\" }", &format!("{DEFAULT_USER:?}"))
        .replace("{ env = \"POS_PASSWORD\" }", &format!("{{ file = {password:?} }}"));
    with_origin(&text, server)
}

#[tokio::test]
async fn the_pos_connector_redirects_to_its_login_page() {
    for (adapter, version) in ALL {
        let directory = tempfile::tempdir().unwrap();
        let server = AuthorizationServer::builder().dialect(Dialect::PosConnector).start().unwrap();
        server.record_api();
        let profile = pos_connector(&server, directory.path());
        let tokens = manager(adapter, &profile, None);
        let client = adapter.client(version, &profile, &tokens, server.origin());
        // A redirect, and then what Laravel says to a call of its API.
        server.api_script([ApiFault::redirect(302, "/login")]);
        let (status, _) = get(&client, &server).await;
        assert_eq!(status, 200, "{adapter:?} {version:?}");
        server.revoke_access_tokens();
        assert_eq!(get(&client, &server).await.0, 200);
        let counters = server.counters();
        assert_eq!((counters.api_requests, counters.token_requests), (4, 3), "a login each time");
        let history = server.api_history();
        assert!(history.iter().all(|seen| seen.path == "/api"), "{history:?}");
    }
}

//! A refresh token in the query, which a URL in an error or a log would show, under every fault.

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use integration_tests::{Log, poll_once};
use token_core::store::MemoryStore;
use token_core::{TokenManager, TokenSet};
use token_testkit::{DEFAULT_PASSWORD, DEFAULT_USER, Fault};

use crate::adapter::{Adapter, talkative};
use crate::api::{self, User};

/// All that anybody was told.
#[derive(Default)]
struct Told(String);

impl Told {
    fn debug(&mut self, what: &dyn Debug) {
        writeln!(self.0, "{what:?} {what:#?}").expect("a string");
    }

    fn error(&mut self, error: &(dyn StdError + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            writeln!(self.0, "{error}").expect("a string");
            self.debug(&error);
            cause = error.source();
        }
    }

    /// One request, and what there is to know after it.
    async fn of_a_request(&mut self, user: &User, tokens: &TokenManager) {
        let mut events = tokens.events();
        match user.client(tokens).send(user.request("x")).await {
            Ok(answer) => self.debug(&answer.status()),
            Err(error) => self.error(error.as_ref()),
        }
        if let Err(error) = tokens.refresh_now().await {
            self.error(&error);
        }
        let status = tokens.status();
        self.debug(&status);
        if let Some(error) = status.last_error() {
            self.error(error);
        }
        self.debug(&(tokens, &user.profile));
        while let Poll::Ready(Some(event)) = poll_once(pin!(events.next())) {
            self.debug(&event);
        }
    }
}

/// A grant of its own, whose access token has ended and whose refresh token is good.
fn ended(user: &User) -> TokenManager {
    let login = user.server.sign_in(DEFAULT_USER);
    assert!(login.access_token().starts_with("eyJ"), "a JWT");
    assert!(login.refresh_token().starts_with("kit-rt-"));
    let seed = TokenSet::new(login.access_token())
        .with_refresh_token(login.refresh_token())
        .with_expires_in(Duration::ZERO);
    let manager = user.adapter.manager(user.profile.clone()).store(MemoryStore::new());
    manager.seed(seed).build().expect("a manager")
}

// One thread: the log is this thread's.
#[tokio::test]
async fn a_refresh_token_in_the_query_is_in_no_error_no_status_no_event_and_no_log() {
    let log = Log::of_this_thread();
    let mut told = Told::default();
    for adapter in Adapter::ALL {
        let user = User::new(api::NOCTURNA, adapter);
        let mut faults: usize = 0;
        for (_, fault) in Fault::catalogue().filter(|(text, _)| !text.starts_with("hang")) {
            faults += 1;
            let tokens = ended(&user);
            // The login that may follow has it too.
            user.server.always(Some(fault));
            told.of_a_request(&user, &tokens).await;
            user.server.always(None);
        }
        // It takes a refresh token from the query alone.
        let history = user.server.history();
        let presented = history.iter().filter(|request| {
            request.grant_type.as_deref() == Some("refresh_token") && request.generation.is_some()
        });
        assert!(presented.count() >= faults, "{user}: {history:?}");

        let tokens = ended(&user);
        user.server.refuse_connections().expect("closed");
        told.of_a_request(&user, &tokens).await;
        user.server.accept_connections().expect("open");

        let tokens = ended(&user);
        tokens.ready().await.expect("a refresh");
        user.server.revoke_access_tokens();
        told.of_a_request(&user, &tokens).await;
        user.server.revoke_family_of(tokens.token().await.expect("one").expose_secret());
        told.of_a_request(&user, &tokens).await;
        user.set_secret("NOCTURNA_PASSWORD", "a-wrong-password");
        user.server.revoke_family_of(tokens.token().await.expect("one").expose_secret());
        told.of_a_request(&user, &tokens).await;
    }
    // What a client of reqwest's would have told.
    let user = User::new(api::NOCTURNA, Adapter::Reqwest);
    let plain = talkative().build().expect("a client");
    let answer = plain.get(user.server.api_url()).header("x-canary", "canary").send().await;
    assert_eq!(answer.expect("an answer").status(), 401);

    for (what, text, lines) in [
        (
            "the log",
            log.text(),
            &["refresh failed", "access token refreshed", "hyper_util", "x-canary: canary"][..],
        ),
        (
            "what was told",
            told.0,
            &["wrong name or password", "could not be reached", "did not answer", "RefreshFailed"],
        ),
    ] {
        for line in lines {
            assert!(text.contains(line), "{what} is worth looking at: {line}");
        }
        for secret in ["eyJ", "kit-rt-", "refresh_token=", DEFAULT_PASSWORD, "a-wrong-password"] {
            let shown: Vec<_> = text.lines().filter(|line| line.contains(secret)).collect();
            assert!(shown.is_empty(), "{what} shows {secret}: {shown:?}");
        }
    }
}

//! What they do, and what is done here instead.

use std::time::{Duration, SystemTime};

use integration_tests::{BoxError, event, soon};
use token_core::endpoint::profile::{Profile, SHIPPED};
use token_core::event::Event;
use token_core::store::MemoryStore;
use token_core::{NoRefresh, TokenKey, TokenManager, TokenSet};
use token_store_file::FileStore;
use token_testkit::DEFAULT_CLIENT_ID;

use crate::api::{Api, write_secret};
use crate::document::{Row, run, table};

#[tokio::test]
async fn each_habit_has_a_safe_default_in_its_place() -> Result<(), BoxError> {
    for row in table("Habits, and what is done instead") {
        soon(instead(row, Api::named(row.api)))
            .await
            .map_err(|error| format!("{row:?}: {error}"))?;
    }
    Ok(())
}

async fn instead(row: Row, api: Api) -> Result<(), BoxError> {
    let tokens = api.manager().build()?;
    match row.theirs {
        "a password in plain text in `config.json`" => {
            let error = read_with("{ env = \"POS_PASSWORD\" }", "\"hunter2\"")?.parse::<Profile>();
            let error = error.err().ok_or("it was loaded")?.to_string();
            assert!(error.contains(row.span(0)) && !error.contains("hunter2"), "{error}");
        }
        "the file's permissions are a recommendation" => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let directory = tempfile::tempdir()?;
                let file = directory.path().join("password");
                write_secret(&file, "hunter2");
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
                let from_file = format!("{{ file = {file:?} }}");
                let profile: Profile = read_with("{ env = \"POS_PASSWORD\" }", &from_file)?
                    .replace("{ env = \"POS_EMAIL\" }", "\"a@b.c\"")
                    .parse()?;
                let profile = profile.with_base_url(api.server.origin())?;
                let http = integration_tests::Kit::http();
                let built =
                    token_core::endpoint::profile::ProfileEndpoint::new(http, profile).manager();
                let error = built.build().err().ok_or("it was built")?.to_string();
                assert!(error.contains(row.span(0)) && !error.contains("hunter2"), "{error}");
            }
        }
        "a local time without its zone" => {
            let profile = api.profile.clone();
            let _ = run!(row, profile.with_zone("Europe/Berlin")?);
            assert!(api.profile.clone().with_zone("Nowhere").is_err());
        }
        "the first and last three characters of a token in the log" => {
            let other = TokenSet::new("uvwTOKENxyz").with_refresh_token("uvwREFRESHxyz");
            let shown = format!("{:?} {:?}", other, other.access_token());
            assert!(shown.contains(row.span(1)), "{shown}");
            assert!(!shown.contains("uvw") && !shown.contains("xyz"), "{shown}");
        }
        "`auth.access_token[:20]` on the screen" => {
            let before = tokens.refresh_now().await?;
            let shown = format!("{:?}", run!(row, tokens.status()));
            assert!(shown.contains("expires_at") && shown.contains("last_refreshed_at"), "{shown}");
            assert!(!shown.contains(&before.expose_secret()[..20]), "{shown}");
        }
        "the first record wins" => {
            let store = MemoryStore::new();
            let mut shown = Vec::new();
            for location in ["one", "another"] {
                let login = api.server.sign_in(DEFAULT_CLIENT_ID);
                let key = run!(row, TokenKey::new("highlevel")?.with_tenant(location)?);
                let seed = TokenSet::from_refresh_token(login.refresh_token());
                let manager = api.endpoint().manager().key(key).store(store.clone()).seed(seed);
                shown.push((manager.build()?, login.family()));
            }
            for (manager, family) in &shown {
                manager.refresh_now().await?;
                let last = api.server.history().pop().ok_or("no request")?;
                assert_eq!(last.family, Some(*family));
            }
        }
        "each worker reads the tokens and refreshes by itself" => {
            let directory = tempfile::tempdir()?;
            let worker = || -> Result<_, BoxError> {
                let (manager, directory) = (api.ended(), directory.path());
                Ok(run!(row, manager.store(FileStore::open(directory)?)).build()?)
            };
            let workers = [worker()?, worker()?, worker()?];
            for token in futures_util::future::join_all(workers.iter().map(|one| one.token())).await
            {
                token?;
            }
            assert_eq!(api.token_requests(), 1);
        }
        "a schedule of 30 seconds to try it out, to be changed back" => {
            run!(row, tokens.refresh_now().await)?;
            assert_eq!(api.token_requests(), 1);
        }
        "check the logs regularly" => {
            let mut events = run!(row, tokens.events());
            api.server.revoke_family_of(api.login.refresh_token());
            assert!(tokens.refresh_now().await.is_err());
            event(&mut events, |event| matches!(event, Event::NeedsLogin { .. })).await;
        }
        "a script with the administrator's password on its command line" => {
            let (_, service) = shipped("nocturna-service")?;
            assert!(service.contains(&format!("bearer = {{ env = \"{}\" }}", row.span(0))));
            let api = Api::service();
            let tokens = api.endpoint().manager().build()?;
            tokens.token().await?;
            // The next one is read where it is kept.
            let next = api.server.service_token(token_testkit::DEFAULT_USER, None);
            api.set_secret(row.span(0), &next);
            tokens.refresh_now().await?;
            let shown = token_testkit::Fingerprint::of(&next);
            assert_eq!(api.server.history().pop().and_then(|one| one.presented), Some(shown));
        }
        "a refresh token in the query" => {
            row.is_in_profile("nocturna");
            let tokens = api
                .endpoint()
                .manager()
                .seed(api.tokens().with_expires_at(SystemTime::now() - Duration::from_secs(60)))
                .build()?;
            api.server.refuse_connections()?;
            let error = tokens.token().await.err().ok_or("there is a token")?;
            let shown = format!("{error} {error:?} {:?}", error.refresh_error());
            assert!(!shown.contains(&api.login.refresh_token()[..8]), "{shown}");
            api.server.accept_connections()?;
            tokens.refresh_now().await?;
        }
        "`if days_left and days_left < 7:`, which is false on the last day" => {
            let seed = TokenSet::new("a service token").with_expires_in(Duration::from_secs(3600));
            let tokens = TokenManager::builder(NoRefresh).seed(seed).build()?;
            tokens.ready().await?;
            assert_eq!(format!("{:?}", run!(row, tokens.status().days_left())), row.span(1));
        }
        "each 401 refreshes" => {
            let refused = tokens.token().await?;
            api.server.revoke_access_tokens();
            for _ in 0..100 {
                run!(row, tokens.renew(&refused).await)?;
            }
            assert_eq!(api.token_requests(), 1);
        }
        other => panic!("nobody tests what is done in place of {other}"),
    }
    Ok(())
}

fn shipped(name: &str) -> Result<&'static (&'static str, &'static str), BoxError> {
    Ok(SHIPPED.iter().find(|(shipped, _)| *shipped == name).ok_or("no profile")?)
}

/// The POS connector's profile, changed.
fn read_with(from: &str, to: &str) -> Result<String, BoxError> {
    let (_, text) = shipped("pos-connector")?;
    assert!(text.contains(from));
    Ok(text.replace(from, to))
}

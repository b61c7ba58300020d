use std::collections::BTreeMap;

use token_testkit::{Answer, DEFAULT_CLIENT_ID, Fault, Fingerprint};

use crate::support::{Caller, default_basic, start};

#[tokio::test]
async fn the_history_tells_every_request_in_order() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let first = caller.refresh(&server, login.refresh_token()).await.unwrap();
    let first_refresh = first.text("refresh_token");
    server.script([Fault::status(503)]);
    caller.refresh(&server, &first_refresh).await.unwrap();
    caller.refresh(&server, &first_refresh).await.unwrap();
    caller.refresh(&server, "unknown").await.unwrap();
    caller.refresh(&server, &first_refresh).await.unwrap();
    let form = [("grant_type", "client_credentials")];
    caller.token(&server, Some("nobody:s"), &form).await.unwrap();

    let history = server.history();
    let family = Some(login.family());
    let lineage: Vec<_> = history.iter().map(|entry| (entry.family, entry.generation)).collect();
    let (zero, one) = ((family, Some(0)), (family, Some(1)));
    assert_eq!(lineage, [zero, one, one, (None, None), one, (None, None)]);

    assert_eq!(history[0].presented, Some(Fingerprint::of(login.refresh_token())));
    match &history[0].answer {
        Answer::Issued { generation, access, refresh, .. } => {
            assert_eq!(*generation, 1);
            assert_eq!(*access, Fingerprint::of(&first.text("access_token")));
            assert_eq!(*refresh, Some(Fingerprint::of(&first_refresh)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(history[1].answer, Answer::Fault { status: 503, .. }));
    assert!(matches!(history[2].answer, Answer::Issued { generation: 2, .. }));
    assert!(
        matches!(&history[3].answer, Answer::Refused { error, .. } if error == "invalid_grant")
    );
    assert_eq!(history[4].answer, Answer::ReuseDetected);
    assert!(
        matches!(&history[5].answer, Answer::Refused { error, .. } if error == "invalid_client")
    );

    assert_eq!(history[0].client.as_deref(), Some(DEFAULT_CLIENT_ID));
    assert_eq!(history[0].grant_type.as_deref(), Some("refresh_token"));
    assert_eq!(history[5].client.as_deref(), Some("nobody"));
    assert_eq!(history[5].grant_type.as_deref(), Some("client_credentials"));
    for (place, entry) in history.iter().enumerate() {
        assert_eq!(entry.sequence, place as u64);
        assert!(entry.answered_at.unwrap() >= entry.at);
    }
    assert!(history.is_sorted_by_key(|entry| entry.at));

    let counts = BTreeMap::from([((login.family(), 0), 1), ((login.family(), 1), 3)]);
    assert_eq!(server.presentations_per_generation(), counts);
}

#[tokio::test]
async fn no_debug_output_shows_a_token_or_a_secret() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let first = caller.refresh(&server, login.refresh_token()).await.unwrap();
    let shown = format!("{server:?} {login:?} {:?} {:?}", server.history(), server.counters());
    for secret in [
        login.refresh_token(),
        login.access_token(),
        &first.text("refresh_token"),
        &first.text("access_token"),
        default_basic().split_once(':').unwrap().1,
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains(&Fingerprint::of(login.refresh_token()).to_string()));
}

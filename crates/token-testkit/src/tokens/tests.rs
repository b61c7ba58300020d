use super::*;
use crate::{Rotation, refusal::Refusal};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Duration = Duration::from_secs(10);

fn policy() -> Policy {
    Policy { access_lifetime: HOUR, ..Policy::default() }
}

fn tokens() -> Tokens {
    Tokens::new(Mint::new([7; 32]))
}

fn refresh_of(issued: &Issued) -> String {
    issued.refresh.clone().unwrap()
}

#[test]
fn each_refresh_is_one_generation_up_and_earlier_access_tokens_live_on() {
    let mut tokens = tokens();
    let login = tokens.sign_in(&policy(), "a", NOW);
    assert_eq!(login.generation, 0);
    let first = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();
    let second = tokens.refresh(&policy(), "a", &refresh_of(&first), NOW).ok().unwrap();
    assert_eq!((first.generation, second.generation), (1, 2));
    assert_eq!(tokens.lineage(&refresh_of(&second)), Some((login.family, 2)));
    for issued in [&login, &first, &second] {
        assert_eq!(tokens.check_access(&issued.access, NOW), Some(Fingerprint::of(&issued.access)));
    }
}

#[test]
fn reuse_ends_the_family_and_no_other() {
    let mut tokens = tokens();
    let other = tokens.sign_in(&policy(), "a", NOW);
    let login = tokens.sign_in(&policy(), "a", NOW);
    let first = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();

    let reuse = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).err();
    assert_eq!(reuse, Some(Refusal::ReuseDetected));
    for issued in [&login, &first] {
        assert_eq!(tokens.check_access(&issued.access, NOW), None);
        let refused = tokens.refresh(&policy(), "a", &refresh_of(issued), NOW).err();
        assert!(matches!(refused, Some(Refusal::InvalidGrant(_))));
    }
    assert!(tokens.check_access(&other.access, NOW).is_some());
    assert!(tokens.refresh(&policy(), "a", &refresh_of(&other), NOW).is_ok());
}

#[test]
fn another_client_is_refused_and_harms_nobody() {
    let mut tokens = tokens();
    let login = tokens.sign_in(&policy(), "a", NOW);
    tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();
    let refused = tokens.refresh(&policy(), "b", &refresh_of(&login), NOW).err();
    assert!(matches!(refused, Some(Refusal::InvalidGrant(_))));
    assert!(tokens.check_access(&login.access, NOW).is_some());
}

#[test]
fn tokens_end_at_their_expiry_not_after_it() {
    let mut tokens = tokens();
    let policy = Policy { refresh_lifetime: Some(HOUR * 2), ..policy() };
    let login = tokens.sign_in(&policy, "a", NOW);
    let tick = Duration::from_nanos(1);
    assert!(tokens.check_access(&login.access, NOW + HOUR - tick).is_some());
    assert!(tokens.check_access(&login.access, NOW + HOUR).is_none());
    let refused = tokens.refresh(&policy, "a", &refresh_of(&login), NOW + HOUR * 2).err();
    assert!(matches!(refused, Some(Refusal::InvalidGrant(_))));
    assert!(
        tokens.refresh(&policy, "a", &refresh_of(&login), NOW + HOUR * 2 - tick).is_ok(),
        "a refusal spends nothing"
    );
}

#[test]
fn the_longest_lifetime_does_not_overflow() {
    let mut tokens = tokens();
    let policy = Policy {
        access_lifetime: Duration::MAX,
        refresh_lifetime: Some(Duration::MAX),
        ..policy()
    };
    let login = tokens.sign_in(&policy, "a", NOW);
    assert!(tokens.check_access(&login.access, NOW).is_some());
    assert!(tokens.refresh(&policy, "a", &refresh_of(&login), NOW).is_ok());
}

#[test]
fn a_server_that_repeats_or_omits_refreshes_for_ever() {
    for rotation in [Rotation::Repeat, Rotation::Omit] {
        let mut tokens = tokens();
        let policy = Policy { rotation, ..policy() };
        let login = tokens.sign_in(&policy, "a", NOW);
        for _ in 0..100 {
            let issued = tokens.refresh(&policy, "a", &refresh_of(&login), NOW).ok().unwrap();
            assert_eq!(issued.generation, 0);
            let expected = (rotation == Rotation::Repeat).then(|| refresh_of(&login));
            assert_eq!(issued.refresh, expected);
        }
    }
}

#[test]
fn a_refresh_can_revoke_what_was_issued_before() {
    let mut tokens = tokens();
    let policy = Policy { revoke_on_refresh: true, ..policy() };
    let login = tokens.sign_in(&policy, "a", NOW);
    let first = tokens.refresh(&policy, "a", &refresh_of(&login), NOW).ok().unwrap();
    assert!(tokens.check_access(&login.access, NOW).is_none());
    assert!(tokens.check_access(&first.access, NOW).is_some());
}

#[test]
fn all_access_tokens_can_be_revoked_at_once() {
    let mut tokens = tokens();
    let login = tokens.sign_in(&policy(), "a", NOW);
    let own = tokens.client_credentials(&policy(), "a", NOW);
    tokens.revoke_access_tokens();
    assert!(tokens.check_access(&login.access, NOW).is_none());
    assert!(tokens.check_access(&own.access, NOW).is_none());
    let first = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();
    assert!(tokens.check_access(&first.access, NOW).is_some());
}

#[test]
fn a_family_is_revoked_by_any_of_its_tokens_once() {
    let mut tokens = tokens();
    let login = tokens.sign_in(&policy(), "a", NOW);
    let own = tokens.client_credentials(&policy(), "a", NOW);
    assert!(!tokens.revoke_family_of("unknown"));
    assert!(tokens.revoke_family_of(&refresh_of(&login)));
    assert!(!tokens.revoke_family_of(&login.access));
    assert!(tokens.revoke_family_of(&own.access));
    assert!(tokens.check_access(&own.access, NOW).is_none());
}

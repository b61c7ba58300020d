//! Keys as text, from the environment and from files.

use super::*;
use crate::config_error::ConfigError;

const ONE: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TWO: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";

fn parse(text: &str) -> Result<KeyRing, ConfigError> {
    text.parse()
}

#[test]
fn the_first_key_is_the_primary_and_the_others_are_readers() {
    for text in [
        format!("one:{ONE},two:{TWO}"),
        format!(" one:{ONE} , two:{TWO} ,\n"),
        format!(
            "# since May\r\none:{ONE} # the new one\r\n\r\ntwo:{}\r\n",
            TWO.trim_end_matches('=')
        ),
    ] {
        let ring = parse(&text).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["one", "two"], "{text}");
        assert_eq!(ring.get("one").unwrap().bytes(), b"0123456789abcdef0123456789abcdef");
        assert_eq!(ring.get("two").unwrap().bytes(), b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef");
    }
}

#[test]
fn what_is_no_ring_is_told_by_its_place_and_never_quoted() {
    let short = &ONE[..40];
    let long = format!("{}QUFB", ONE.trim_end_matches('='));
    for (text, says) in [
        (String::new(), "has no sealing key"),
        ("# none\n,\n".to_owned(), "has no sealing key"),
        (ONE.to_owned(), "entry 1 is not of the form `id:key`"),
        (format!("one:{ONE}\n{TWO}"), "entry 2 is not of the form"),
        (format!("one:{short}"), "entry 1 has a key that is not 32 bytes long"),
        (format!("one:{long}"), "entry 1 has a key that is not 32 bytes long"),
        ("one:".to_owned(), "not 32 bytes long"),
        (format!("one:{}", ONE.replace('M', "*")), "entry 1 has a key that is not base64"),
        (format!("one:{}é", &ONE[..42]), "not base64"),
        (format!("{ONE}:one"), "entry 1 has a key id that cannot be one"),
        (format!("{}:one", ONE.trim_end_matches('=')), "has a key id that cannot be one"),
        (format!(":{ONE}"), "key id that cannot be one"),
        (format!("o ne:{ONE}"), "key id that cannot be one"),
        (format!("one:{ONE},one:{TWO}"), "two sealing keys have the id `one`"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
        for secret in [&ONE[..6], &TWO[..6]] {
            assert!(!error.contains(secret), "{error}");
        }
    }
}

#[test]
fn a_key_id_is_short_and_plain() {
    for id in ["k", "2026-11", "A.b_c-9", &"x".repeat(32)] {
        assert_eq!(SealingKey::random(id).unwrap().id(), id);
    }
    for id in ["", "a b", "a:b", "a/b", "é", "a\"b", &"x".repeat(33)] {
        let error = SealingKey::random(id).unwrap_err().to_string();
        assert!(error.contains("1 to 32"), "{id}: {error}");
    }
}

#[test]
fn a_ring_has_no_two_keys_of_one_id() {
    let error = ring("k", 1).with_reader(key("k", 2)).unwrap_err().to_string();
    assert!(error.contains("`k`"), "{error}");
}

/// A process cannot set its own environment without `unsafe`, so this test starts itself again.
#[test]
fn a_ring_is_read_from_the_environment() {
    const CHILD: &str = "TOKEN_CORE_TEST_SEALING_KEYS";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(KeyRing::from_env("KEYS").unwrap().ids().collect::<Vec<_>>(), ["one", "two"]);
        let error = |name| KeyRing::from_env(name).unwrap_err().to_string();
        assert!(error("WRONG").contains("the environment variable `WRONG`: entry 1 is not"));
        assert!(!error("WRONG").contains(&ONE[..6]));
        assert!(error("EMPTY").contains("`EMPTY` has no sealing key"));
        assert!(error("NOT_SET").contains("`NOT_SET` is not set; set it"));
        return;
    }
    let name = std::thread::current().name().expect("a test's thread").to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name])
        .env(CHILD, "1")
        .env("KEYS", format!("one:{ONE},two:{TWO}"))
        .env("WRONG", ONE)
        .env("EMPTY", "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
mod file {
    use std::fs::{Permissions, create_dir, hard_link, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().expect("a directory") }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn file(&self, name: &str, mode: u32, text: &[u8]) -> PathBuf {
            let path = self.path(name);
            write(&path, text).expect("a file");
            set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
            path
        }
    }

    fn error(path: &std::path::Path) -> String {
        let error = KeyRing::from_file(path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains(&ONE[..6]), "{error}");
        error
    }

    #[test]
    fn a_ring_is_read_from_a_file_of_this_user_alone() {
        let place = Place::new();
        let text = format!("# ours\none:{ONE}\ntwo:{TWO}\n");
        for mode in [0o600, 0o400] {
            let path = place.file(&format!("{mode:o}"), mode, text.as_bytes());
            let ring = KeyRing::from_file(path).unwrap();
            assert_eq!(ring.ids().collect::<Vec<_>>(), ["one", "two"]);
        }
        for mode in [0o640, 0o604, 0o660, 0o602, 0o610] {
            let path = place.file(&format!("{mode:o}"), mode, text.as_bytes());
            assert!(error(&path).contains("`chmod 600` it"), "{mode:o}");
        }
    }

    #[test]
    fn what_is_not_the_file_itself_is_refused_and_not_waited_for() {
        let place = Place::new();
        let file = place.file("keys", 0o600, format!("one:{ONE}").as_bytes());
        symlink(&file, place.path("link")).unwrap();
        create_dir(place.path("directory")).unwrap();
        let pipe = place.path("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(error(&place.path("link")).contains("is a symbolic link"));
        assert!(error(&place.path("directory")).contains("is no file"));
        assert!(error(&pipe).contains("is no file"));
        assert!(error(&place.path("missing")).contains("cannot be read"));
        hard_link(&file, place.path("second")).unwrap();
        assert!(error(&file).contains("a second name"));
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_not_quoted() {
        let place = Place::new();
        let long = format!("one:{ONE}\n").repeat(2000);
        for (name, text, says) in [
            ("empty", &b""[..], "has no sealing key"),
            ("bytes", b"\xff\xfe", "is not UTF-8"),
            ("long", long.as_bytes(), "is longer than"),
            ("bare", ONE.as_bytes(), "entry 1 is not of the form"),
        ] {
            let path = place.file(name, 0o600, text);
            assert!(error(&path).contains(says), "{name}: {}", error(&path));
        }
    }

    /// Only root can give a file away.
    #[test]
    fn a_file_of_another_user_is_refused() {
        let place = Place::new();
        let path = place.file("keys", 0o600, format!("one:{ONE}").as_bytes());
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            assert!(error(&path).contains("belongs to user 12345"));
        }
    }
}

//! A token whose end is not known is never refreshed ahead, and nobody would know.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::super::ProfileEndpoint;
use super::{Script, profile};
use crate::refresher::Refresher;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// One thread: the log is this thread's.
#[tokio::test]
async fn an_end_that_cannot_be_read_is_told_once_and_again_when_the_reason_changes() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let local = r#"{"access_token":"canary","until":"2050-07-12T15:52:00.000000"}"#;
    let absent = r#"{"access_token":"canary"}"#;
    let known = r#"{"access_token":"canary","until":"2050-07-12T15:52:00Z"}"#;
    let script = Script::answering([
        (200, local),
        (200, local),
        (200, absent),
        (200, known),
        (200, absent),
        (200, known),
    ]);
    let text = "name = \"parking\"\n[login]\nurl = \"https://a.example/login\"\n\
                [answer]\nexpires = { form = \"iso8601\", at = \"/until\" }";
    let endpoint = ProfileEndpoint::new(script, profile(text));
    let mut seen = 0;
    for told in ["names no zone", "", "nothing is there", "", "nothing is there", ""] {
        endpoint.refresh(None).await.unwrap();
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let new = &log[seen..];
        seen = log.len();
        assert_eq!(new.is_empty(), told.is_empty(), "{new}");
        assert!(new.contains(told) && !new.contains("canary"), "{new}");
        for part in ["WARN token_core::profile", "profile=\"parking\"", "at=\"/until\"", "mend="] {
            assert!(told.is_empty() || new.contains(part), "{part}: {new}");
        }
    }
}

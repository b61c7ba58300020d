//! One fault: a thousand callers under it, a thousand more, and how it ends.

use std::fmt;
use std::time::Duration;

use integration_tests::{Kit, soon, until};
use token_core::clock::ManualClock;
use token_core::endpoint::HttpEndpoint;
use token_core::{Error, ErrorKind, Token, TokenManager};
use token_testkit::Fault;

const CALLERS: usize = 1000;
const DEADLINE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

/// A line of the table.
pub(crate) struct Row {
    pub(crate) fault: String,
    pub(crate) expected: Seen,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What all of the first thousand got, and of the second.
    callers: String,
    /// Token requests that the first thousand caused, and the second.
    calls: String,
    /// How it went on once the fault was gone.
    end: String,
}

impl Row {
    pub(crate) fn read(line: &str) -> Self {
        let mut words = line.trim_matches('|').split(" | ").map(str::trim);
        let mut word = || words.next().unwrap_or_default().to_owned();
        let fault = word().trim_matches('`').to_owned();
        Self { fault, expected: Seen { callers: word(), calls: word(), end: word() } }
    }
}

impl Seen {
    pub(crate) async fn under(http: impl HttpEndpoint, text: &str, fault: Option<Fault>) -> Self {
        let (kit, clock) = (Kit::start(), ManualClock::new());
        let tokens = TokenManager::builder(kit.endpoint_over(http))
            .seed(kit.seed())
            .clock(clock.clone())
            .exchange_deadline(DEADLINE)
            .build()
            .expect("a manager");
        if fault.is_none() {
            kit.server.refuse_connections().expect("the port stays reserved");
        }
        kit.server.always(fault.clone());
        let callers = call(&tokens);
        if text.starts_with("hang") {
            soon(kit.server.token_requests_seen(1)).await;
            clock.advance(DEADLINE);
        }
        let (first, first_error) = the_one_answer(callers).await;
        let first_calls = kit.token_requests();
        let (second, _) = the_one_answer(call(&tokens)).await;
        assert_eq!(first, second, "{text}");
        let second_calls = kit.token_requests() - first_calls;
        if fault.is_none() {
            kit.server.accept_connections().expect("the port was reserved");
        }
        kit.server.always(None);
        let end = match first_error {
            None => "-".to_owned(),
            Some(error) => end(&kit, &clock, &tokens, &error).await,
        };
        assert_eq!(kit.server.counters().token_requests_in_flight_max, 1, "{text}");
        Self { callers: first, calls: format!("{first_calls}, {second_calls}"), end }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {} | {}", self.callers, self.calls, self.end)
    }
}

type Callers = Vec<tokio::task::JoinHandle<Result<Token, Error>>>;

fn call(tokens: &TokenManager) -> Callers {
    (0..CALLERS)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { soon(tokens.token()).await })
        })
        .collect()
}

/// What all of them got.
async fn the_one_answer(callers: Callers) -> (String, Option<Error>) {
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.expect("no panic"));
    }
    let words: Vec<_> = answers.iter().map(word).collect();
    assert!(words.iter().all(|word| *word == words[0]), "not one answer for all: {words:?}");
    (words[0].to_owned(), answers.swap_remove(0).err())
}

fn word(answer: &Result<Token, Error>) -> &'static str {
    match answer {
        Ok(_) => "token",
        Err(error) => match error.kind() {
            ErrorKind::NeedsLogin => "needs login",
            ErrorKind::Configuration => "configuration",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::OutcomeUnknown => "outcome unknown",
            other => panic!("{other:?}: {error}"),
        },
    }
}

/// The fault is gone: what brings the next token?
async fn end(kit: &Kit, clock: &ManualClock, tokens: &TokenManager, error: &Error) -> String {
    let calls = kit.token_requests();
    // Never before the time that the error named.
    if let Some(wait) = error.retry_after() {
        clock.advance(wait.saturating_sub(Duration::from_millis(1)));
        assert!(tokens.token().await.is_err());
        assert_eq!(kit.token_requests(), calls, "asked before its time");
    }
    clock.advance(HOUR);
    let answer = soon(tokens.token()).await;
    if answer.is_ok() {
        assert_eq!(kit.token_requests(), calls + 1);
        return "by itself".to_owned();
    }
    if error.is_transient() {
        // It was presented once more, as the rule for unknown outcomes has it, and that was once too often.
        assert_eq!(word(&answer), "needs login");
        assert_eq!((kit.token_requests(), kit.server.counters().reuse_detected), (calls + 1, 1));
        return revived_by_a_login(kit, tokens).await;
    }
    assert_eq!(kit.token_requests(), calls, "asked without anybody's doing");
    if soon(tokens.refresh_now()).await.is_ok() {
        assert_eq!(kit.token_requests(), calls + 1);
        return "by hand".to_owned();
    }
    revived_by_a_login(kit, tokens).await
}

async fn revived_by_a_login(kit: &Kit, tokens: &TokenManager) -> String {
    tokens.login(kit.another_login()).await.expect("a login");
    soon(tokens.token()).await.expect("a token");
    until(|| tokens.cached().is_some()).await;
    "login".to_owned()
}

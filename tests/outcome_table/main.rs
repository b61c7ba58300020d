//! Every fault of the kit's catalogue, with a thousand callers, against the table in `docs/outcomes.md`. The document is
//! the table: there is no other.

mod row;

use std::fmt::Write;

use integration_tests::Kit;
use reqwest_token_refresh::ReqwestEndpoint;
use token_core::endpoint::HttpEndpoint;
use token_testkit::Fault;

use self::row::{Row, Seen};

const DOCUMENT: &str = include_str!("../../docs/outcomes.md");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_causes_the_calls_that_the_table_allows_and_no_more() {
    every_fault(Kit::http).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_does_so_over_reqwest() {
    every_fault(|| ReqwestEndpoint::new(reqwest::Client::builder()).expect("a client")).await;
}

async fn every_fault<H: HttpEndpoint>(http: impl Fn() -> H) {
    let rows: Vec<Row> = DOCUMENT
        .lines()
        .skip_while(|line| !line.starts_with("| fault |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(Row::read)
        .collect();
    let mut wrong = String::new();
    // A server that is down is no fault of a request.
    let faults = Fault::catalogue().map(|(text, fault)| (text, Some(fault)));
    for (text, fault) in faults.chain([("connections refused", None)]) {
        let seen = Seen::under(http(), text, fault).await;
        if rows.iter().find(|row| row.fault == text).is_none_or(|row| row.expected != seen) {
            writeln!(wrong, "| `{text}` | {seen} |").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "what was seen is not what the table says:\n{wrong}");
    assert_eq!(rows.len(), Fault::catalogue().count() + 1, "the table has rows that are no faults");
}

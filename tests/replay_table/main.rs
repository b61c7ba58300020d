//! Every cell of the table in `docs/replay.md`, through each adapter, over HTTP/1.1 and HTTP/2, against a server that keeps
//! an account of what it received. The document is the table: there is no other.

mod adapter;
mod answer;
mod body;
mod cell;
mod document;

use http::Version;
use tokio::task::JoinSet;

use self::adapter::Adapter;
use self::document::Table;

/// Cells that run at once.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_through_the_tower_layer_over_http_1() {
    run(Adapter::Tower, Version::HTTP_11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_through_the_tower_layer_over_http_2() {
    run(Adapter::Tower, Version::HTTP_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_through_the_reqwest_middleware_over_http_1() {
    run(Adapter::Reqwest, Version::HTTP_11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_through_the_reqwest_middleware_over_http_2() {
    run(Adapter::Reqwest, Version::HTTP_2).await;
}

async fn run(adapter: Adapter, version: Version) {
    let table = Table::read();
    let mut wrong = Vec::new();
    let mut running: JoinSet<Result<(), String>> = JoinSet::new();
    for cell in table.cells(adapter, version) {
        if running.len() == AT_ONCE {
            wrong.extend(running.join_next().await.expect("a cell").expect("no panic").err());
        }
        running.spawn(async move {
            let result = tokio::spawn(cell.run()).await;
            result.unwrap_or_else(|panic| Err(format!("{cell:?}: {panic}")))
        });
    }
    for result in running.join_all().await {
        wrong.extend(result.err());
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

//! The table of `docs/replay.md`.

use http::Version;

use crate::adapter::Adapter;
use crate::answer::Answer;
use crate::body::Body;
use crate::cell::{Cell, Outcome};

const DOCUMENT: &str = include_str!("../../docs/replay.md");

pub(crate) struct Table(Vec<(Answer, Body, Outcome)>);

impl Table {
    pub(crate) fn read() -> Self {
        let mut lines = DOCUMENT
            .lines()
            .skip_while(|line| !line.starts_with("| the first answer |"))
            .take_while(|line| line.starts_with('|'))
            .map(words);
        let bodies: Vec<Body> =
            lines.next().expect("a head").iter().skip(1).map(|name| Body::named(name)).collect();
        assert_eq!(bodies, Body::ALL, "the columns");
        lines.next().expect("a ruler");
        let mut cells = Vec::new();
        let mut answers = Vec::new();
        for row in lines {
            let answer = Answer::named(row[0]);
            answers.push(answer);
            assert_eq!(row.len(), 1 + bodies.len(), "{row:?}");
            cells.extend(
                bodies
                    .iter()
                    .zip(&row[1..])
                    .map(|(body, word)| (answer, *body, Outcome::named(word))),
            );
        }
        assert_eq!(answers, Answer::ALL, "the rows");
        Self(cells)
    }

    pub(crate) fn cells(self, adapter: Adapter, version: Version) -> impl Iterator<Item = Cell> {
        let cell = move |(answer, body, outcome)| Cell { answer, body, outcome, version, adapter };
        self.0.into_iter().map(cell)
    }
}

fn words(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

//! The tables of `docs/words.md`.

use token_core::endpoint::profile::SHIPPED;

const DOCUMENT: &str = include_str!("../../docs/words.md");

/// A row: theirs, the API, and ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) theirs: &'static str,
    pub(crate) api: &'static str,
    ours: &'static str,
}

/// The rows of the table below this heading.
pub(crate) fn table(heading: &str) -> Vec<Row> {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).expect("a section");
    let section = section.split("\n## ").next().expect("its text");
    let rows: Vec<Row> =
        section.lines().filter(|line| line.starts_with('|')).skip(2).map(Row::read).collect();
    assert!(!rows.is_empty(), "{heading}");
    rows
}

impl Row {
    fn read(line: &'static str) -> Self {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let mut cell = || cells.next().unwrap_or_else(|| panic!("too few cells: {line}"));
        Self { theirs: cell(), api: cell(), ours: cell() }
    }

    /// The text of the n-th code span of our cell.
    pub(crate) fn span(&self, n: usize) -> &'static str {
        let mut rest = self.ours;
        for _ in 0..n {
            rest = take_span(rest).unwrap_or_else(|| panic!("no such text: {self:?}")).1;
        }
        take_span(rest).unwrap_or_else(|| panic!("no such text: {self:?}")).0
    }

    /// Whether there is nothing in our cell.
    pub(crate) fn is_dash(&self) -> bool {
        self.ours == "-"
    }

    /// That our cell begins with this code. Its layout does not count.
    pub(crate) fn has_code(&self, code: &str) {
        let plain =
            |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        assert_eq!(plain(self.span(0)), plain(code), "{self:?}");
    }

    /// That our cell begins with what stands in this profile.
    pub(crate) fn is_in_profile(&self, name: &str) {
        let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name).expect("a profile");
        assert!(text.contains(self.span(0)), "{self:?}");
    }
}

/// Runs code that has to be our cell's.
macro_rules! run {
    ($row:expr, $code:expr) => {{
        $row.has_code(stringify!($code));
        $code
    }};
}
pub(crate) use run;

/// What is between the first backticks, one or two, and what is behind it.
fn take_span(text: &'static str) -> Option<(&'static str, &'static str)> {
    let (_, opened) = text.split_once('`')?;
    let (span, rest) = match opened.strip_prefix('`') {
        Some(opened) => opened.split_once("``")?,
        None => opened.split_once('`')?,
    };
    Some((span.trim(), rest))
}

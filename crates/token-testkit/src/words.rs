//! What is written as words joined by spaces: `status=503 retry-after=7`.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use crate::ParseError;

/// What a value writes as `%XX`: what would end a word or a fault, and the sign itself. Bytes
/// outside ASCII always are.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b';');

/// A kind of fault, by its words.
pub(crate) trait Worded: Clone + fmt::Display {
    /// What an error calls it.
    const NAME: &str;
    /// Every word, and what follows its `=`, if anything.
    const WORDS: &[(&str, Option<&str>)];

    /// What a word without a value says.
    fn bare(key: &str) -> Option<Self>;

    /// What a word with this value says; `None` if the value is wrong.
    fn with_value(key: &str, value: &[u8]) -> Option<Self>;

    /// Both in one; `None` if they contradict each other.
    fn joined(self, other: Self) -> Option<Self>;
}

pub(crate) fn read<T: Worded>(text: &str) -> Result<T, ParseError> {
    let mut fault = None;
    for word in text.split_ascii_whitespace() {
        let new = read_word::<T>(word)?;
        let joined = match fault {
            None => new,
            Some(known) => T::joined(T::clone(&known), new)
                .ok_or_else(|| ParseError::new(format!("`{word}` contradicts `{known}`")))?,
        };
        fault = Some(joined);
    }
    fault.ok_or_else(|| {
        ParseError::new(format!("{} has at least one word, such as `none`", T::NAME))
    })
}

fn read_word<T: Worded>(word: &str) -> Result<T, ParseError> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (word, None),
    };
    let Some((_, expected)) = T::WORDS.iter().find(|(known, _)| *known == key) else {
        let known: Vec<_> = T::WORDS.iter().map(|(known, _)| *known).collect();
        return Err(ParseError::new(format!(
            "`{key}` is no word of {}; known are {}",
            T::NAME,
            known.join(", ")
        )));
    };
    let fault = match (value, expected) {
        (None, None) => T::bare(key),
        (Some(value), Some(_)) => {
            T::with_value(key, &percent_decode_str(value).collect::<Vec<u8>>())
        }
        (Some(_), None) => return Err(ParseError::new(format!("`{key}` takes no value"))),
        (None, Some(expected)) => {
            return Err(ParseError::new(format!("`{key}` needs a value, `{key}=` and {expected}")));
        }
    };
    fault.ok_or_else(|| {
        let expected = expected.unwrap_or_default();
        ParseError::new(format!("`{word}` is wrong: after `{key}=` comes {expected}"))
    })
}

/// Words to write; without any it is `none`.
#[derive(Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn bare(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    pub(crate) fn value(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.0.push(format!("{key}={}", percent_encode(value.as_ref(), ESCAPED)));
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(" ")) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeSet, str::FromStr};

    use super::*;

    /// Every word is in the README's table after this mark, and in the catalogue, as it is written.
    pub(crate) fn check_documents<T>(mark: &str, catalogue: impl Iterator<Item = &'static str>)
    where
        T: Worded + FromStr<Err = ParseError>,
    {
        let known: BTreeSet<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let readme = include_str!("../README.md");
        let table = readme.split(mark).nth(1).expect("a table of words");
        let rows = table.trim_start().lines().take_while(|line| line.starts_with('|'));
        // The first words of its rows.
        let documented: BTreeSet<_> = rows
            .filter_map(|row| row.strip_prefix("| `")?.split('`').next())
            .inspect(|word| assert_eq!(word.parse::<T>().unwrap().to_string(), *word))
            .map(|word| word.split('=').next().unwrap())
            .collect();
        assert_eq!(documented, known);
        let words = catalogue.flat_map(|text| text.split(' '));
        let used: BTreeSet<_> = words.flat_map(|word| word.split('=').next()).collect();
        assert_eq!(used, known);
    }
}

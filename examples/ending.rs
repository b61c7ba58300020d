//! How an example ends.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::BoxError;

/// The status of a program that came to this, after its last words on stderr. Where nobody reads its output any more (`| head`)
/// it has failed, for it was not carried to its end, but says nothing.
pub fn end(program: &str, outcome: Result<(), BoxError>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    if !is_unread(&error) {
        // Nor is there anybody to tell that stderr is closed.
        let _ = writeln!(io::stderr(), "{program}: {}", told_whole(error.as_ref()));
    }
    ExitCode::FAILURE
}

/// An error with those of its causes that it does not tell itself.
pub fn told_whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

fn is_unread(error: &BoxError) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_output_that_nobody_reads_goes_without_words() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert!(is_unread(&writer.write_all(b"too late").unwrap_err().into()));

        assert!(!is_unread(&io::Error::other("a replica is lost").into()));
        assert!(!is_unread(&"10 calls failed".into()));
    }
}

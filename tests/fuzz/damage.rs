//! Lines of a corpus, damaged.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::Index;

/// What parsers stumble over.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b",",
    b"=",
    b" ",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"true",
    b"-",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"\xff",
    b"\0",
    "\u{fffd}".as_bytes(),
    "é".as_bytes(),
    b"\\ud800",
    b"%zz",
    b"%00",
    b"&",
    b".",
    b"access_token",
    b"expires_in",
    b"error",
    b"Bearer",
];

#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Delete(Index, Index),
    /// So many times more.
    Repeat(Index, Index, usize),
    Insert(Index, Index),
    CutOff(Index),
}

/// A line of this corpus, with up to eight kinds of damage; whole in one case of nine.
pub(crate) fn damaged(corpus: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<&[u8]> = corpus.lines().map(str::as_bytes).collect();
    let line = prop::sample::select(lines);
    (line, prop::collection::vec(damage(), 0..9)).prop_map(|(line, damages)| {
        damages.iter().fold(line.to_vec(), |line, damage| damage.applied_to(line))
    })
}

/// Without padding, as JWTs have it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (at(), at()).prop_map(|(from, to)| Damage::Delete(from, to)),
        (at(), at(), 1..200_usize).prop_map(|(from, to, times)| Damage::Repeat(from, to, times)),
        (at(), at()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        at().prop_map(Damage::CutOff),
    ]
}

impl Damage {
    fn applied_to(&self, mut line: Vec<u8>) -> Vec<u8> {
        if line.is_empty() {
            return line;
        }
        let span = |from: &Index, to: &Index| {
            let (from, to) = (from.index(line.len()), to.index(line.len()));
            from.min(to)..from.max(to) + 1
        };
        match self {
            Self::Replace(at, byte) => {
                let at = at.index(line.len());
                line[at] = *byte;
            }
            Self::Delete(from, to) => drop(line.drain(span(from, to))),
            // Not without end: repeats of repeats grow fast.
            Self::Repeat(from, to, times) if line.len() < 50_000 => {
                let span = span(from, to);
                let again = line[span.clone()].repeat(*times);
                line.splice(span.end..span.end, again);
            }
            Self::Repeat(..) => {}
            Self::Insert(at, piece) => {
                let (at, piece) = (at.index(line.len()), PIECES[piece.index(PIECES.len())]);
                line.splice(at..at, piece.iter().copied());
            }
            Self::CutOff(at) => line.truncate(at.index(line.len())),
        }
        line
    }
}

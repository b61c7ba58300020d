use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A JSON pointer (RFC 6901): where in a document a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    path: Vec<String>,
}

impl Pointer {
    /// The pointer to a field of the document itself.
    pub(super) fn to_field(name: &str) -> Self {
        Self { text: format!("/{name}"), path: vec![name.to_owned()] }
    }

    /// Reads a pointer's text; the error is the mend.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("a JSON pointer begins with `/`, as `/datas/token` does".to_owned());
        };
        let path = path.split('/').map(unescape).collect::<Option<_>>().ok_or_else(|| {
            "after `~` a JSON pointer has `0` (for `~`) or `1` (for `/`)".to_owned()
        })?;
        Ok(Self { text: text.to_owned(), path })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The value that this points at, also in a document that breaks off behind it. `null` is no value.
    pub(super) fn find(&self, text: &str) -> Option<Value> {
        self.follow(text).0.flatten().filter(|value| !value.is_null())
    }

    /// The same, where a `null` says something too.
    pub(super) fn find_or_null(&self, text: &str) -> Option<Value> {
        self.follow(text).0.flatten()
    }

    /// As [`find`](Self::find) in the beginning of a document: `None` if what follows may have the value, or change it.
    pub(super) fn find_in_prefix(&self, text: &str) -> Option<Option<Value>> {
        match self.follow(without_last_number(text)) {
            (None, true) => None,
            (found, _) => Some(found.flatten().filter(|value| !value.is_null())),
        }
    }

    /// What this points at, if the search came to its end, and whether the text had ended before the parser did.
    fn follow(&self, text: &str) -> (Option<Option<Value>>, bool) {
        let mut found = None;
        let mut json = serde_json::Deserializer::from_str(without_mark(text));
        // The search stops in the middle of the document, which is an error to the parser and none here.
        let end = Follow { path: &self.path, found: &mut found }.deserialize(&mut json);
        (found, end.is_err_and(|error| error.is_eof()))
    }

    /// The text that this points at, if it is one and not empty.
    pub(super) fn find_text(&self, text: &str) -> Option<String> {
        match self.find(text) {
            Some(Value::String(found)) if !found.is_empty() => Some(found),
            _ => None,
        }
    }
}

/// Whether this is a whole JSON document. Values that no machine holds do not matter.
pub(super) fn is_whole(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(without_mark(text)).is_ok()
}

/// What keeps a text from being a [whole](is_whole) JSON document.
pub(super) fn flaw(text: &str) -> Option<&'static str> {
    let error = serde_json::from_str::<IgnoredAny>(without_mark(text)).err()?;
    Some(match error.is_eof() {
        true if text.trim().is_empty() => "is empty",
        true => "breaks off",
        false => "is not JSON",
    })
}

fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// A number at the end goes on with the next byte, or does not: it is left out until that is known. One that breaks off
/// within, such as `-` or `1.`, would be a mistake to the parser and not an end.
fn without_last_number(text: &str) -> &str {
    let before = text.trim_end_matches(|c: char| c.is_ascii_digit() || "+-.eE".contains(c));
    // What looks so inside a text is cut off without harm: the text has not ended.
    if before.ends_with([':', ',', '[', ' ', '\t', '\r', '\n']) { before } else { text }
}

fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push(match part.chars().next()? {
            '0' => '~',
            '1' => '/',
            _ => return None,
        });
        plain.push_str(&part[1..]);
    }
    Some(plain)
}

/// Goes down the path, and over all that is beside it without reading it.
struct Follow<'a> {
    path: &'a [String],
    /// The outer one is there once the search is over.
    found: &'a mut Option<Option<Value>>,
}

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return json.deserialize_any(self);
        }
        *self.found = Some(Some(Value::deserialize(json)?));
        Ok(())
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Some((step, rest)) = self.path.split_first() else { return Ok(()) };
        while let Some(name) = map.next_key::<String>()? {
            if name == *step {
                return map.next_value_seed(Follow { path: rest, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        *self.found = Some(None);
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        let Some((step, rest)) = self.path.split_first() else { return Ok(()) };
        let Some(index) = index(step) else {
            *self.found = Some(None);
            return Ok(());
        };
        for _ in 0..index {
            if list.next_element::<IgnoredAny>()?.is_none() {
                *self.found = Some(None);
                return Ok(());
            }
        }
        if list.next_element_seed(Follow { path: rest, found: &mut *self.found })?.is_none() {
            *self.found = Some(None);
        }
        Ok(())
    }
}

/// RFC 6901 §4: digits without a leading zero.
fn index(step: &str) -> Option<usize> {
    let plain = step.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (step == "0" || !step.starts_with('0'))).then(|| step.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(pointer: &str, text: &str) -> Option<Value> {
        Pointer::parse(pointer).unwrap().find(text)
    }

    #[test]
    fn values_are_found_at_any_depth() {
        let text = "\u{feff}{\"a\":{\"b\":[1,{\"c/d\":\"x\"}],\"~\":2},\"\":3}";
        assert_eq!(find("/a/b/0", text), Some(1.into()));
        assert_eq!(find("/a/b/1/c~1d", text), Some("x".into()));
        assert_eq!(find("/a/~0", text), Some(2.into()));
        assert_eq!(find("/", text), Some(3.into()));
        for pointer in
            ["/b", "/a/b/2", "/a/b/00", "/a/b/-", "/a/b/c", "/a/b/0/x", "/a/b/99999999999999999999"]
        {
            assert_eq!(find(pointer, text), None, "{pointer}");
        }
    }

    #[test]
    fn what_stands_beside_or_behind_a_value_does_not_hide_it() {
        for text in [
            r#"{"t":"x","#,
            r#"{"t":"x","rest":["#,
            r#"{"huge":1e999,"t":"x"}"#,
            r#"{"name":"\ud83d","t":"x"}"#,
            r#"{"deep":{"t":"y"},"t":"x"}"#,
            "{\"name\":\"M\u{fffd}ller\",\"t\":\"x\"}",
        ] {
            assert_eq!(find("/t", text), Some("x".into()), "{text}");
        }
        for text in
            ["", "<html>", "[]", "{", r#"{"t":"x"#, r#"{"t":null}"#, r#"{"t":1e999}"#, "\"t\""]
        {
            assert_eq!(find("/t", text), None, "{text}");
        }
    }

    #[test]
    fn a_document_that_breaks_off_is_not_whole() {
        assert!(is_whole("\u{feff}{\"a\":1e999,\"b\":\"\\ud83d\"} "));
        for text in ["", "{", r#"{"a":1"#, "{} {}", "<html>"] {
            assert!(!is_whole(text), "{text}");
        }
    }

    #[test]
    fn a_wrong_pointer_is_refused_with_the_mend() {
        for (text, mend) in
            [("", "`/`"), ("a/b", "`/`"), ("/a~", "`~`"), ("/~2", "`~`"), ("/~é", "`~`")]
        {
            assert!(Pointer::parse(text).unwrap_err().contains(mend), "{text}");
        }
    }

    #[test]
    fn in_the_beginning_of_a_document_what_is_missing_may_still_come() {
        let find = |text: &str| Pointer::parse("/t").unwrap().find_in_prefix(text);
        for open in [
            "",
            " ",
            "{",
            "{\"t",
            "{\"t\":",
            "{\"t\":1",
            "{\"t\":nul",
            "{\"t\":\"1",
            "{\"a\":[1",
            "{\"a\":1,",
        ] {
            assert_eq!(find(open), None, "{open}");
        }
        for (found, value) in [
            ("{\"t\":1,", Some(1.into())),
            ("{\"t\":1 ", Some(1.into())),
            ("{\"t\":\"1\"", Some("1".into())),
        ] {
            assert_eq!(find(found), Some(value), "{found}");
        }
        for without in ["{}", "[1", "<", "1", "[", "{\"t\":null", "{\"a\":1}\n{", "{\"t\":tru "] {
            assert_eq!(find(without), Some(None), "{without}");
        }
    }

    #[test]
    fn a_beginning_that_ends_anywhere_in_a_value_is_judged_as_the_whole_or_not_yet() {
        let find = Pointer::parse("/t").unwrap();
        for value in
            ["-10.25e-3", "0.5E+2", "true", "null", "\"\\ud83d\\ude00é\\n\"", "[1.5,{\"t\":-1}]"]
        {
            for text in [
                format!("{{\"a\":{value},\"t\":7}}"),
                format!("{{ \"a\" : [ {value} , {value} ] , \"t\" : 7 }}"),
                format!("{{\"t\":{value}}}"),
            ] {
                for (end, _) in text.char_indices() {
                    if let Some(found) = find.find_in_prefix(&text[..end]) {
                        assert_eq!(found, find.find(&text), "{}", &text[..end]);
                    }
                }
                assert_eq!(find.find_in_prefix(&text), Some(find.find(&text)), "{text}");
            }
        }
    }

    proptest! {
        /// Whoever is shown more and more of a document comes to what a reader of the whole finds.
        #[test]
        fn a_prefix_is_judged_as_the_whole_or_not_yet(pointer in "(/[a0-1]){1,2}", text in r#"\{"[ab]":(\[(1|\{"a":23\}),[0-9]{1,3}\]|\{"a":"x"\}|null|-1\.5e3)\}"#) {
            let pointer = Pointer::parse(&pointer).unwrap();
            for end in 0..=text.len() {
                if let Some(found) = pointer.find_in_prefix(&text[..end]) {
                    prop_assert_eq!(found, pointer.find(&text), "{}", &text[..end]);
                } else {
                    prop_assert!(end < text.len());
                }
            }
        }

        #[test]
        fn it_finds_what_a_reader_of_the_whole_finds(pointer in "(/[a0-1]){1,3}", text in r#"\{"[ab]":(\[(1|\{"a":2\}),[0-9]\]|\{"a":"x"\}|null)\}"#) {
            let whole: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(find(&pointer, &text), whole.pointer(&pointer).filter(|value| !value.is_null()).cloned());
        }

        #[test]
        fn no_document_makes_it_panic(text in "\\PC*", pointer in "/\\PC*") {
            if let Ok(pointer) = Pointer::parse(&pointer) {
                let _ = pointer.find(&text);
            }
        }
    }
}

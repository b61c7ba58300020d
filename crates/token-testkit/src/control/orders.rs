//! What the bodies of control requests say.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use crate::{Fault, Grace, Rotation, duration_text, shared::State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// The default client, or the default user, when it is left out.
    pub(super) client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserActive {
    pub(super) user: String,
    pub(super) active: bool,
}

#[derive(Deserialize)]
#[serde(bound = "Text<F>: Deserialize<'de>", deny_unknown_fields)]
pub(super) struct Faults<F> {
    pub(super) faults: Vec<Text<F>>,
}

#[derive(Deserialize)]
#[serde(bound = "Text<F>: Deserialize<'de>", deny_unknown_fields)]
pub(super) struct Always<F> {
    // With a function of its own it may be null, but not left out.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) fault: Option<Text<F>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Random {
    pub(super) rate: f64,
    pub(super) seed: Option<u64>,
    #[serde(default)]
    pub(super) faults: Vec<Text<Fault>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kill {
    pub(super) token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refuse {
    pub(super) seconds: f64,
}

/// Settings to change; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    access_lifetime: Option<Text<Span>>,
    /// Null is for ever.
    #[serde(default, deserialize_with = "present")]
    refresh_lifetime: Option<Option<Text<Span>>>,
    rotation: Option<Text<Rotation>>,
    grace: Option<Text<Grace>>,
    date_skew: Option<i64>,
}

impl Settings {
    pub(super) fn apply(self, state: &mut State) {
        if let Some(Text(Span(lifetime))) = self.access_lifetime {
            state.policy.access_lifetime = lifetime;
        }
        if let Some(lifetime) = self.refresh_lifetime {
            state.policy.refresh_lifetime = lifetime.map(|Text(Span(lifetime))| lifetime);
        }
        if let Some(Text(rotation)) = self.rotation {
            state.policy.rotation = rotation;
        }
        if let Some(Text(grace)) = self.grace {
            state.policy.grace = grace;
        }
        if let Some(skew) = self.date_skew {
            state.policy.date_skew = skew;
        }
    }
}

/// All settings, as they can be sent back.
pub(super) fn settings(state: &State) -> Value {
    let policy = &state.policy;
    json!({
        "access_lifetime": duration_text::write(policy.access_lifetime),
        "refresh_lifetime": policy.refresh_lifetime.map(duration_text::write),
        "rotation": policy.rotation.to_string(),
        "grace": policy.grace.to_string(),
        "date_skew": policy.date_skew,
    })
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not {}", duration_text::EXPECTED);
        duration_text::read(text).map(Self).ok_or_else(error)
    }
}

/// Something that JSON has as a text.
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Visitor<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                text.parse().map(Text).map_err(E::custom)
            }
        }
        from.deserialize_str(Visitor(PhantomData))
    }
}

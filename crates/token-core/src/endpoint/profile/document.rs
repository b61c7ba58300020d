//! A profile as it is written: the tables and fields of the TOML document, before they are judged (`load/`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

type Text = Spanned<String>;
type Fields = BTreeMap<String, Spanned<ValueField>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) name: Text,
    pub(super) base_url: Option<Text>,
    #[serde(default)]
    pub(super) even_http: bool,
    pub(super) login: Option<Spanned<RequestTable>>,
    pub(super) refresh: Option<Spanned<RequestTable>>,
    #[serde(default)]
    pub(super) refresh_token: RefreshTokenTable,
    #[serde(default)]
    pub(super) answer: AnswerTable,
    pub(super) success: Option<Spanned<ConditionTable>>,
    #[serde(default)]
    pub(super) refusal: Vec<RefusalTable>,
    #[serde(default)]
    pub(super) schedule: ScheduleTable,
    #[serde(default)]
    pub(super) api: ApiTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestTable {
    pub(super) method: Option<Text>,
    pub(super) url: Text,
    pub(super) bearer: Option<Spanned<ValueField>>,
    #[serde(default)]
    pub(super) header: Fields,
    #[serde(default)]
    pub(super) query: Fields,
    pub(super) form: Option<Spanned<Fields>>,
    pub(super) json: Option<Spanned<Fields>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshTokenTable {
    pub(super) reusable: Option<Spanned<bool>>,
    pub(super) grace_window: Option<Spanned<GraceTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraceTable {
    pub(super) kind: GraceKind,
    pub(super) length: Text,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum GraceKind {
    SamePair,
    NewPair,
    PreviousOnly,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerTable {
    pub(super) access_token: Option<Text>,
    pub(super) refresh_token: Option<Text>,
    pub(super) token_type: Option<Text>,
    pub(super) scope: Option<Text>,
    #[serde(default)]
    pub(super) expires: ExpiresTable,
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpiresTable {
    pub(super) form: Option<Spanned<ExpiryForm>>,
    pub(super) at: Option<Text>,
    pub(super) zone: Option<Text>,
    pub(super) default: Option<Text>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ExpiryForm {
    Seconds,
    Epoch,
    EpochMilliseconds,
    Iso8601,
    Jwt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalTable {
    pub(super) of: Option<RequestWord>,
    pub(super) when: Spanned<ConditionTable>,
    pub(super) outcome: OutcomeWord,
    pub(super) message: Option<Text>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RequestWord {
    Login,
    Refresh,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OutcomeWord {
    Rejected,
    InvalidGrant,
    Configuration,
    Ambiguous,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionTable {
    pub(super) status: Option<Spanned<OneOrMany<i64>>>,
    pub(super) header: Option<HeaderTable>,
    pub(super) redirect: Option<Text>,
    pub(super) json: Option<Spanned<JsonTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderTable {
    pub(super) name: Text,
    pub(super) contains: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonTable {
    pub(super) at: Text,
    pub(super) is: Option<OneOrMany<Scalar>>,
    pub(super) is_not: Option<OneOrMany<Scalar>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleTable {
    pub(super) refresh_before: Option<Text>,
    pub(super) every: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiTable {
    pub(super) header: Option<Text>,
    pub(super) scheme: Option<Text>,
    pub(super) probe: Option<Text>,
    #[serde(default)]
    pub(super) refused: Vec<Spanned<ConditionTable>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected one value of the right type, or a list of them")]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Number(i64),
    Truth(bool),
}

impl Scalar {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// What a request carries at some place: a value as it stands, or where to take it from.
pub(super) enum ValueField {
    Literal(Scalar),
    Reference(ReferenceTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceTable {
    pub(super) from: Option<Current>,
    pub(super) env: Option<String>,
    pub(super) file: Option<PathBuf>,
}

/// One of the tokens that the grant has now.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Current {
    AccessToken,
    RefreshToken,
}

impl<'de> Deserialize<'de> for ValueField {
    fn deserialize<D: Deserializer<'de>>(toml: D) -> Result<Self, D::Error> {
        toml.deserialize_any(ValueVisitor)
    }
}

/// By hand and not `untagged`, which forgets where an error was.
struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = ValueField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a whole number, a boolean, or a table with `from`, `env` or `file`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ValueField, E> {
        Ok(ValueField::Literal(Scalar::Text(text.to_owned())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<ValueField, E> {
        Ok(ValueField::Literal(Scalar::Number(number)))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<ValueField, E> {
        Ok(ValueField::Literal(Scalar::Truth(truth)))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<ValueField, M::Error> {
        ReferenceTable::deserialize(MapAccessDeserializer::new(map)).map(ValueField::Reference)
    }
}

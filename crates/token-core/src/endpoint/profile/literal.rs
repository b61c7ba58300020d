//! Secrets that somebody wrote into a profile: refused, and not shown.

/// What a secret is called whose name is a word of its own, without the characters between. Not `code` nor `session`: those may be
/// constants that a server wants.
const SECRET_NAMES: [&str; 16] = [
    "accesskey",
    "auth",
    "authkey",
    "authorization",
    "cookie",
    "jwt",
    "otp",
    "pass",
    "passcode",
    "passkey",
    "pin",
    "pwd",
    "sessionid",
    "sessionkey",
    "sid",
    "userpass",
];

/// Whether a value that stands in the profile at this place is a secret.
pub(super) fn is_secret(name: &str, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // A header of the server's own: `X-Auth-Key`.
    let own = plain.strip_prefix('x').filter(|_| name.contains('-')).unwrap_or(&plain);
    let named = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "apikey",
        "privatekey",
        "assertion",
        "credential",
    ];
    // A kind of credential, such as the `client_assertion_type` of RFC 7523, is none.
    let is_kind = plain.ends_with("type");
    let is_named = !is_kind && named.iter().any(|word| plain.contains(word))
        || plain.ends_with("token")
        || SECRET_NAMES.contains(&own);
    let scheme = text.split_once(' ').map_or("", |(scheme, _)| scheme);
    let is_credential = ["basic", "bearer"].contains(&scheme.to_ascii_lowercase().as_str());
    let is_jwt = text.starts_with("eyJ") && text.matches('.').count() == 2;
    is_named || is_credential || is_jwt
}

/// What to do instead.
pub(super) fn mend(name: &str) -> String {
    format!(
        "`{name}` has a secret in so many words; put it into an environment variable and write \
         `{name} = {{ env = \"NAME\" }}`, or into a file of mode 0600 and write `{name} = {{ file = \"/path\" }}`; \
         the tokens of the grant are `{{ from = \"refresh_token\" }}` and `{{ from = \"access_token\" }}`"
    )
}

/// A parser's message without the value that it quotes, which may be a secret in the wrong place.
pub(super) fn without_values(message: &str) -> String {
    let quotes = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .any(|start| message.starts_with(start));
    let Some((found, expected)) = message.rsplit_once(", expected ").filter(|_| quotes) else {
        return message.to_owned();
    };
    let what = found.split(['`', '"']).next().unwrap_or_default();
    format!("{}, expected {expected}", what.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_place_or_by_its_look() {
        for (name, text) in [
            ("password", "x"),
            ("client_secret", "x"),
            ("Client-Secret", "x"),
            ("X-Api-Key", "x"),
            ("refresh_token", "x"),
            ("x-auth-token", "x"),
            ("authorization", "x"),
            ("pass", "x"),
            ("user_pass", "x"),
            ("passcode", "x"),
            ("auth", "x"),
            ("X-Auth-Key", "x"),
            ("auth_token", "x"),
            ("session_id", "x"),
            ("x-anything", "Bearer x"),
            ("field", "basic eA=="),
            ("field", "eyJhbGciOi.J9.x"),
        ] {
            assert!(is_secret(name, text), "{name}");
        }
        for (name, text) in [
            ("password", ""),
            ("grant_type", "refresh_token"),
            ("client_id", "my-client"),
            ("token_type", "jwt"),
            ("user-agent", "App/1.0 (x)"),
            ("scope", "a b"),
            // RFC 7523 §2.2, and others that name the kind of a credential.
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("credential_type", "otp"),
            ("code", "x"),
            ("session", "new"),
            ("auth_type", "basic"),
        ] {
            assert!(!is_secret(name, text), "{name}");
        }
    }

    #[test]
    fn a_parsers_message_loses_the_value_only() {
        for (message, shown) in [
            (
                r#"invalid type: string "CANARY, expected x", expected a boolean"#,
                "invalid type: string, expected a boolean",
            ),
            (
                "invalid type: integer `5`, expected a string",
                "invalid type: integer, expected a string",
            ),
            (
                "invalid type: sequence, expected a string",
                "invalid type: sequence, expected a string",
            ),
            (
                "invalid type: sequence, expected a string or a table with `from`, `env` or `file`",
                "invalid type: sequence, expected a string or a table with `from`, `env` or `file`",
            ),
            ("unknown field `x`, expected `y`", "unknown field `x`, expected `y`"),
        ] {
            assert_eq!(without_values(message), shown);
        }
    }
}

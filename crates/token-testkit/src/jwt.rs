//! JSON Web Tokens signed with HS256 (RFC 7519, RFC 7515 §3.1). Pure: keys and times come in as arguments.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// What a token says. Times are whole seconds since 1970.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Claims {
    /// The user's name.
    pub(crate) sub: String,
    /// `access` or `service`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) iat: u64,
    /// `None`: it never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<u64>,
    /// Makes it unlike every other.
    pub(crate) jti: String,
}

/// Why a text is no token of this key. Its time does not matter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    Form,
    Algorithm,
    Signature,
}

pub(crate) fn sign(key: &[u8], claims: &Claims) -> String {
    // Texts and numbers always serialize.
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = BASE64URL.encode(HEADER);
    token.push('.');
    BASE64URL.encode_string(claims, &mut token);
    let signature = mac(key, &token).finalize().into_bytes();
    token.push('.');
    BASE64URL.encode_string(signature, &mut token);
    token
}

pub(crate) fn verify(key: &[u8], token: &str) -> Result<Claims, Flaw> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(Flaw::Form)?;
    let decode = |part| BASE64URL.decode(part).map_err(|_| Flaw::Form);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Flaw::Form)?;
    // RFC 8725 §3.1: the algorithm is the server's choice, never the token's.
    if header.alg != "HS256" {
        return Err(Flaw::Algorithm);
    }
    let claims = serde_json::from_slice(&decode(claims)?).map_err(|_| Flaw::Form)?;
    mac(key, signed).verify_slice(&decode(signature)?).map_err(|_| Flaw::Signature)?;
    Ok(claims)
}

fn mac(key: &[u8], signed: &str) -> Hmac<Sha256> {
    // RFC 2104 §3: a key may have any length.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.chain_update(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let (sub, kind) = ("ada".to_owned(), "access".to_owned());
        Claims { sub, kind, iat: 1, exp: Some(2), jti: "3".to_owned() }
    }

    /// With the parts of a token replaced by these texts.
    fn forged(header: &str, claims: &str, signature: &str) -> String {
        format!("{}.{}.{signature}", BASE64URL.encode(header), BASE64URL.encode(claims))
    }

    #[test]
    fn what_is_signed_is_verified_whatever_its_time() {
        let token = sign(b"key", &claims());
        assert_eq!(verify(b"key", &token), Ok(claims()));
        assert_eq!(verify(b"other", &token), Err(Flaw::Signature));
        let eternal = Claims { exp: None, ..claims() };
        assert_eq!(verify(b"key", &sign(b"key", &eternal)), Ok(eternal));
    }

    #[test]
    fn the_example_of_rfc_7515_has_the_signature_that_it_names() {
        // RFC 7515 appendix A.1.
        let key = BASE64URL
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = BASE64URL.encode(mac(&key, signed).finalize().into_bytes());
        assert_eq!(signature, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn a_forged_token_is_refused() {
        let token = sign(b"key", &claims());
        let signature = token.rsplit('.').next().unwrap();
        let mut other = claims();
        other.sub = "eve".to_owned();
        let other = serde_json::to_string(&other).unwrap();
        let header = std::str::from_utf8(HEADER).unwrap();
        for (forged, flaw) in [
            (forged(header, &other, signature), Flaw::Signature),
            (forged(header, &other, ""), Flaw::Signature),
            (forged(r#"{"alg":"none"}"#, &other, ""), Flaw::Algorithm),
            (forged("{}", &other, signature), Flaw::Form),
            (forged(header, "[]", signature), Flaw::Form),
            (format!("{token}="), Flaw::Form),
            ("kit-at-abc".to_owned(), Flaw::Form),
            (".".to_owned(), Flaw::Form),
            (String::new(), Flaw::Form),
        ] {
            assert_eq!(verify(b"key", &forged), Err(flaw), "{forged}");
        }
    }
}

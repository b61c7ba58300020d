//! The rows: what the server answers first.

use token_testkit::ApiFault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok,
    InvalidToken,
    Bare,
    Early,
    Closed,
    InsufficientScope,
    InsufficientScope401,
    OtherScheme,
    OneHeader,
    ManyHeaders,
    Proxy,
    Forbidden,
    Twice,
    Grpc,
    Redirect302,
    Redirect307,
    OwnAuthorization,
}

impl Answer {
    pub(crate) const ALL: [Self; 17] = [
        Self::Ok,
        Self::InvalidToken,
        Self::Bare,
        Self::Early,
        Self::Closed,
        Self::InsufficientScope,
        Self::InsufficientScope401,
        Self::OtherScheme,
        Self::OneHeader,
        Self::ManyHeaders,
        Self::Proxy,
        Self::Forbidden,
        Self::Twice,
        Self::Grpc,
        Self::Redirect302,
        Self::Redirect307,
        Self::OwnAuthorization,
    ];

    pub(crate) fn named(name: &str) -> Self {
        *Self::ALL.iter().find(|answer| answer.name() == name).unwrap_or_else(|| panic!("{name}?"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "200",
            Self::InvalidToken => "401 `invalid_token`",
            Self::Bare => "401, bare",
            Self::Early => "401 before the body was read",
            Self::Closed => "connection closed under the body",
            Self::InsufficientScope => "403 `insufficient_scope`",
            Self::InsufficientScope401 => "401 `insufficient_scope`",
            Self::OtherScheme => "401, another scheme",
            Self::OneHeader => "401, challenges in one header",
            Self::ManyHeaders => "401, challenges in many headers",
            Self::Proxy => "407",
            Self::Forbidden => "403",
            Self::Twice => "401, and a second one",
            Self::Grpc => "gRPC 16 in the head",
            Self::Redirect302 => "302 to another origin",
            Self::Redirect307 => "307 to another origin",
            Self::OwnAuthorization => "401 to the caller's own `Authorization`",
        }
    }

    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Ok | Self::Grpc => 200,
            Self::InsufficientScope | Self::Forbidden => 403,
            Self::Proxy => 407,
            Self::Redirect302 => 302,
            Self::Redirect307 => 307,
            _ => 401,
        }
    }

    /// How the server comes to answer that. `elsewhere` is another origin.
    pub(crate) fn fault(self, elsewhere: &str) -> ApiFault {
        let invalid = "Bearer realm=\"api\", error=\"invalid_token\"";
        match self {
            Self::Ok => ApiFault::status(200),
            Self::InvalidToken | Self::Early | Self::Twice | Self::OwnAuthorization => {
                ApiFault::unauthorized(invalid)
            }
            Self::Bare => ApiFault::status(401),
            Self::Closed => ApiFault::close(),
            Self::InsufficientScope => ApiFault::status(403).with_header(
                "www-authenticate",
                "Bearer error=\"insufficient_scope\", scope=\"admin\"",
            ),
            Self::InsufficientScope401 => {
                ApiFault::unauthorized("Bearer error=\"insufficient_scope\"")
            }
            Self::OtherScheme => ApiFault::unauthorized("Basic realm=\"api\""),
            Self::OneHeader => ApiFault::unauthorized(&format!(
                "Negotiate YWJj==, Basic realm=\"a, b\", {invalid}"
            )),
            Self::ManyHeaders => ApiFault::unauthorized("Basic realm=\"api\"")
                .with_header("www-authenticate", invalid),
            Self::Proxy => ApiFault::status(407)
                .with_header("proxy-authenticate", "Bearer error=\"invalid_token\""),
            Self::Forbidden => ApiFault::status(403),
            Self::Grpc => ApiFault::grpc_status(16),
            Self::Redirect302 => ApiFault::redirect(302, elsewhere),
            Self::Redirect307 => ApiFault::redirect(307, elsewhere),
        }
    }

    pub(crate) fn is_early(self) -> bool {
        self == Self::Early
    }
}

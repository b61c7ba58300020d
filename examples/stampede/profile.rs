//! A profile in the place of a token endpoint that speaks OAuth.

use std::fs;

use examples::BoxError;
use token_core::endpoint::profile::{Profile, SHIPPED};
use token_testkit::Dialect;

/// The text of the profile that comes with `token-core` by this name, or else of this file.
pub(crate) fn text(name: &str) -> Result<String, BoxError> {
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok((*text).to_owned());
    }
    fs::read_to_string(name).map_err(|error| {
        let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
        format!(
            "--profile {name} is no file that can be read ({error}), and none of {}",
            names.join(", ")
        )
        .into()
    })
}

/// What the server of the kit has to speak like.
pub(crate) fn dialect(profile: &Profile) -> Result<Dialect, BoxError> {
    match profile.name() {
        "akuvox" => Ok(Dialect::Akuvox),
        "highlevel" => Ok(Dialect::HighLevel),
        "jwt-refresh" => Ok(Dialect::JwtRefresh),
        "nocturna" | "nocturna-service" => Ok(Dialect::Nocturna),
        "pos-connector" => Ok(Dialect::PosConnector),
        name => Err(format!(
            "the own server does not speak as that of the profile `{name}` does; give --api-url of one that does"
        )
        .into()),
    }
}

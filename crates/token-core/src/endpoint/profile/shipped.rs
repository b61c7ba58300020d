/// The profiles that come with this crate, as (name, TOML): to use as they are ([`Profile::shipped`](super::Profile::shipped)),
/// or to start from.
pub const SHIPPED: &[(&str, &str)] = &[
    ("akuvox", include_str!("shipped/akuvox.toml")),
    ("highlevel", include_str!("shipped/highlevel.toml")),
    ("jwt-refresh", include_str!("shipped/jwt-refresh.toml")),
    ("nocturna", include_str!("shipped/nocturna.toml")),
    ("nocturna-access", include_str!("shipped/nocturna-access.toml")),
    ("nocturna-new-service-token", include_str!("shipped/nocturna-new-service-token.toml")),
    ("nocturna-service", include_str!("shipped/nocturna-service.toml")),
    ("pos-connector", include_str!("shipped/pos-connector.toml")),
];

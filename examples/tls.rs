//! HTTP with TLS where the URL asks for it.

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

/// hyper's connector.
pub type Https = HttpsConnector<HttpConnector>;

/// A connector with aws-lc, and the certificates that browsers trust.
pub fn connector() -> Https {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(http)
}

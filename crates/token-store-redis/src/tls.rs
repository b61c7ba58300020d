//! Connections that nobody on the way can read. Feature `tls`.

use redis::{Client, ClientTlsConfig, ConnectionInfo, TlsCertificates};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use token_core::store::StoreError;

use crate::failure;

/// Whom to trust, and what to show. Its keys are not printed.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    pub(crate) roots: Option<Vec<u8>>,
    /// A chain and its key.
    pub(crate) own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    pub(crate) fn client(&self, info: ConnectionInfo) -> Result<Client, StoreError> {
        // Below, rustls panics without one.
        if CryptoProvider::get_default().is_none() {
            return Err(failure::settings(
                "rustls has no provider of ciphers in this process: install one before the token store is opened, such as \
                 `rustls::crypto::aws_lc_rs::default_provider().install_default()`",
            ));
        }
        let unusable = |why: &str| {
            failure::settings(format!(
                "the certificates of the token store cannot be used ({why}): give them in PEM, the key unencrypted"
            ))
        };
        if let Some(roots) = &self.roots
            && !matches!(CertificateDer::pem_slice_iter(roots).next(), Some(Ok(_)))
        {
            return Err(unusable("there is none among those to trust"));
        }
        let own = self.own.clone();
        let client_tls =
            own.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        let certificates = TlsCertificates { client_tls, root_cert: self.roots.clone() };
        Client::build_with_tls(info, certificates).map_err(|error| unusable(&error.to_string()))
    }
}

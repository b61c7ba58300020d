//! TLS, with a server that speaks it.

#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use token_core::store::{Durability, Expect, StoreError, Swap, TokenStore};
use token_store_redis::RedisStore;

use support::{Server, free_port, fresh, grant};

/// Who signs: another one in each test.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for this host, and its key.
    fn certify(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A server with a certificate for this host, and its port for TLS. `--tls-auth-clients` says whom it lets in.
    fn server(&self, host: &str, clients: &str) -> (Server, u16) {
        let (certificate, key) = self.certify(host);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let files = [
            self.file("ca.pem", &self.pem()),
            self.file("server.pem", &certificate),
            self.file("server.key", &key),
        ];
        let [ca, certificate, key] = files.each_ref().map(|path| text(path));
        let server = Server::with(&[
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            clients,
        ]);
        // Set when it runs, so that a port that somebody took in between is no harm.
        loop {
            let port = free_port();
            if server.try_command(&["CONFIG", "SET", "tls-port", &port.to_string()]).is_ok() {
                return (server, port);
            }
        }
    }
}

fn provide_ciphers() {
    // Another test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

async fn open(port: u16, roots: &str) -> Result<RedisStore, StoreError> {
    let url = format!("rediss://127.0.0.1:{port}");
    RedisStore::builder(url).root_certificates(roots).open().await
}

#[tokio::test]
async fn a_store_over_tls() {
    provide_ciphers();
    let authority = Authority::new();
    let (server, port) = authority.server("127.0.0.1", "no");
    let store = open(port, &authority.pem()).await.unwrap();
    let (grant, new) = (grant("billing-api"), fresh());
    let swapped = store.compare_and_swap(&grant, Expect::Absent, &new, Durability::Durable).await;
    assert!(matches!(swapped.unwrap(), Swap::Won { .. }));
    assert_eq!(store.load(&grant).await.unwrap().unwrap().0, new);
    store.changed(&grant, None, std::time::Duration::from_secs(60)).await.unwrap();
    let clients: String = server.ask(&["CLIENT", "LIST"]);
    let secure = clients.lines().filter(|line| line.contains(&format!("laddr=127.0.0.1:{port} ")));
    assert_eq!(secure.count(), 2, "{clients}");
}

/// Who is connected stays; whoever comes sees the new one, and trusts it if it trusts either authority.
#[tokio::test]
async fn a_certificate_is_replaced_while_a_service_runs() {
    provide_ciphers();
    let (old, new) = (Authority::new(), Authority::new());
    let (server, port) = old.server("127.0.0.1", "no");
    let both = format!("{}{}", old.pem(), new.pem());
    let (of_old, of_both) =
        (open(port, &old.pem()).await.unwrap(), open(port, &both).await.unwrap());
    let (certificate, key) = new.certify("127.0.0.1");
    let files = [new.file("server.pem", &certificate), new.file("server.key", &key)];
    let [certificate, key] = files.each_ref().map(|path| path.to_str().unwrap());
    let () = server.ask(&["CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key]);
    let grant = grant("billing-api");
    for store in [&of_old, &of_both] {
        assert_eq!(store.load(&grant).await.unwrap(), None);
    }
    let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert_eq!(of_both.load(&grant).await.unwrap(), None);
    let text = of_old.load(&grant).await.unwrap_err().to_string();
    assert!(text.contains("it is not trusted") && text.contains("root_certificates"), "{text}");
    open(port, &new.pem()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_wants_to_know_who_asks() {
    provide_ciphers();
    let authority = Authority::new();
    let (_server, port) = authority.server("127.0.0.1", "yes");
    let error = open(port, &authority.pem()).await.unwrap_err();
    assert!(error.to_string().contains("client_certificate"), "{error}");
    let (certificate, key) = authority.certify("service");
    let url = format!("rediss://127.0.0.1:{port}");
    let builder = RedisStore::builder(url).root_certificates(authority.pem());
    builder.client_certificate(certificate, key).open().await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted() {
    provide_ciphers();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (_server, port) = authority.server("127.0.0.1", "no");
    let (_other, elsewhere) = authority.server("redis.example.com", "no");
    for (port, roots) in [(port, stranger.pem()), (elsewhere, authority.pem())] {
        let text = open(port, &roots).await.unwrap_err().to_string();
        assert!(text.contains("certificate") && text.contains("root_certificates"), "{text}");
    }
}

#[tokio::test]
async fn a_port_that_speaks_tls_and_one_that_does_not() {
    provide_ciphers();
    let authority = Authority::new();
    let (server, port) = authority.server("127.0.0.1", "no");
    let text = RedisStore::open(support::url(port, None)).await.unwrap_err().to_string();
    assert!(text.contains("a port that expects TLS wants `rediss://`"), "{text}");
    let text = open(server.port(), &authority.pem()).await.unwrap_err().to_string();
    assert!(text.contains("`redis://` does not"), "{text}");
}

#[tokio::test]
async fn certificates_that_are_none() {
    provide_ciphers();
    let text = open(6379, "-----BEGIN").await.unwrap_err().to_string();
    assert!(text.contains("PEM"), "{text}");
    let builder = RedisStore::builder("rediss://127.0.0.1:6379");
    let text = builder.client_certificate("a", "b").open().await.unwrap_err().to_string();
    assert!(text.contains("PEM"), "{text}");
}

//! Where an example keeps its tokens.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use token_core::TokenManagerBuilder;
use token_store_file::FileStore;
use token_store_redis::RedisStore;

use crate::BoxError;

/// What the option `--store` may say.
pub const STORES: &str = "`memory`, `file:` and a directory, or the URL of a Redis or Valkey server: redis://, rediss://, redis+sentinel:// or \
                          redis+cluster://; a certificate of your own authority is trusted by SSL_CERT_FILE";

/// Where the tokens are.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_enums, reason = "of the examples alone")]
pub enum Store {
    /// In this process.
    Memory,
    /// In the files of a directory.
    File(PathBuf),
    /// On a server; its URL, which may have a password in it.
    Redis(String),
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let redis = ["redis", "valkey"].iter().any(|name| scheme.starts_with(name));
        match text.strip_prefix("file:") {
            Some(directory) if !directory.is_empty() => Ok(Self::File(directory.into())),
            None if text == "memory" => Ok(Self::Memory),
            None if redis => Ok(Self::Redis(text.to_owned())),
            _ => Err(format!("give {STORES}")),
        }
    }
}

impl Store {
    /// Sets it as the store of a manager.
    ///
    /// # Errors
    ///
    /// It cannot be used; the text says what to do.
    pub async fn hold(
        &self,
        builder: TokenManagerBuilder,
    ) -> Result<TokenManagerBuilder, BoxError> {
        Ok(match self {
            Self::Memory => builder,
            Self::File(directory) => builder.store(FileStore::open(directory)?),
            Self::Redis(url) => builder.store(open_redis(url).await?),
        })
    }

    /// Whether it can be used, so that what is wrong with it is told once, and not by each process that shares it.
    ///
    /// # Errors
    ///
    /// It cannot, or no processes share it.
    pub async fn check_shared(&self) -> Result<(), BoxError> {
        match self {
            Self::Memory => {
                return Err(
                    "processes share no memory; give --store file:DIR or redis://HOST".into()
                );
            }
            Self::File(directory) => drop(FileStore::open(directory)?),
            Self::Redis(url) => drop(open_redis(url).await?),
        }
        Ok(())
    }
}

async fn open_redis(url: &str) -> Result<RedisStore, BoxError> {
    // Where two asked at the same time, the other's is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(RedisStore::open(url).await?)
}

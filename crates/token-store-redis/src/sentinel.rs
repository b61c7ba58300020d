//! Sentinels: they know which server is the master now.

use std::fmt;
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError,
};
use tokio::task::JoinSet;

use crate::address::SentinelAddress;
use crate::link::Trouble;
use crate::source::Clients;

/// Sentinels, the server that they watch, and how it is talked to.
pub(crate) struct Sentinels {
    address: SentinelAddress,
    login: Option<(String, String)>,
    clients: Clients,
    /// For the connection, and again for the answer.
    patience: Duration,
}

impl Sentinels {
    pub(crate) const fn new(
        address: SentinelAddress,
        login: Option<(String, String)>,
        clients: Clients,
        patience: Duration,
    ) -> Self {
        Self { address, login, clients, patience }
    }

    /// A client for the server that is the master now. All Sentinels are asked at once, for one that does not answer would
    /// take all the time there is.
    pub(crate) async fn client(&self) -> Result<Client, Trouble> {
        let mut asked = JoinSet::new();
        for (host, port) in &self.address.hosts {
            let client = self.client_of(host, *port, self.sentinel_settings())?;
            let (name, patience) = (self.address.master.clone(), self.patience);
            let place = format!("{host}:{port}");
            asked.spawn(async move { (place, master(&client, &name, patience).await) });
        }
        let mut silent = Vec::new();
        let mut strangers = false;
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((_, Ok(Some((host, port))))) => {
                    return self.client_of(&host, port, self.address.redis.clone());
                }
                Ok((_, Ok(None))) => strangers = true,
                Ok((place, Err(error))) => silent.push(format!("{place}: {}", why(&error))),
                // The runtime is going down.
                Err(error) => silent.push(error.to_string()),
            }
        }
        let silent = silent.join("; ");
        Err(Trouble::Unsuitable(if strangers {
            format!(
                "no Sentinel knows a server of the name {:?}: correct the name after the hosts of the URL",
                self.address.master
            )
        } else {
            format!("no Sentinel names it ({silent}): start them, or correct the hosts of the URL")
        }))
    }

    fn sentinel_settings(&self) -> RedisConnectionInfo {
        let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        match &self.login {
            Some((user, password)) => settings.set_username(user).set_password(password),
            None => settings,
        }
    }

    fn client_of(
        &self,
        host: &str,
        port: u16,
        redis: RedisConnectionInfo,
    ) -> Result<Client, Trouble> {
        let address = if self.address.tls {
            ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host.to_owned(), port)
        };
        let info = address.into_connection_info().map_err(Trouble::Unreached)?;
        let info: ConnectionInfo = info.set_redis_settings(redis);
        self.clients.client(info).map_err(|error| Trouble::Unsuitable(error.to_string()))
    }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The login is nobody's business.
        f.debug_struct("Sentinels").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn master(
    client: &Client,
    name: &str,
    patience: Duration,
) -> Result<Option<(String, u16)>, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        .set_response_timeout(Some(patience));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    command.query_async(&mut connection).await
}

fn why(error: &RedisError) -> String {
    match error.code() {
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            "it refuses the login, which is `RedisStore::builder(url).sentinel_login(..)`"
                .to_owned()
        }
        Some("NOAUTH" | "NOPERM") => {
            "it wants another login: `RedisStore::builder(url).sentinel_login(..)`".to_owned()
        }
        // Its own words may repeat what was sent.
        Some(code) => format!("it answers {code}, so it may be no Sentinel"),
        None => error.to_string(),
    }
}

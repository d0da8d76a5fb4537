//! Hearing what other connections say on a channel, over a connection of its own that is made again when it ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, NoTls};

use super::{Postgres, lock_key, options, unreachable};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::listen::Listener;
use crate::postgres::statement;

/// How long to pause before a connection that ended is made again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

impl Postgres {
    /// Says something on a channel of this database's schema.
    pub(crate) async fn notify(&self, name: &str) -> Result<()> {
        let channel = channel(&self.config, name);
        // A query, so that it waits for no unit: nothing is written by it.
        self.query("select count(*) as told from pg_notify($1, '')", &[channel.into()], 1).await.map(drop)
    }

    pub(crate) fn listen(&self, name: &str) -> Listener {
        let channel = channel(&self.config, name);
        let mut connect = self.connect.clone();
        connect.options(options(&self.connect, &self.config, ""));
        let config = self.config.clone();
        let heard = Arc::new(Notify::new());
        let telling = heard.clone();
        let task = self.terms.runtime.spawn(async move {
            loop {
                if let Err(error) = listen(&connect, &config, &channel, &telling).await {
                    tracing::debug!(%error, "nothing is heard of other connections for now");
                }
                sleep(RECONNECT_PAUSE).await;
            }
        });
        Listener::over(heard, task)
    }
}

/// Names of channels are the database's, so a schema's are told apart by a number.
fn channel(config: &Config, name: &str) -> String {
    format!("db_{:016x}", lock_key(&[config.schema.as_deref().unwrap_or("public"), name]))
}

/// Listens until the connection ends.
async fn listen(connect: &tokio_postgres::Config, config: &Config, channel: &str, heard: &Notify) -> Result<()> {
    let (client, mut connection) = timeout(config.busy_timeout(), connect.connect(NoTls))
        .await
        .map_err(Error::unavailable)?
        .map_err(|error| unreachable(&error))?;
    let explain = |error: tokio_postgres::Error| statement::explain("listen", &error);
    let sql = format!("listen {channel}");
    let asking = client.batch_execute(&sql);
    tokio::pin!(asking);
    let mut is_asked = false;
    loop {
        tokio::select! {
            asked = &mut asking, if !is_asked => {
                asked.map_err(explain)?;
                is_asked = true;
                // Something may have been said before.
                heard.notify_one();
            }
            message = poll_fn(|ctx| connection.poll_message(ctx)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => heard.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(explain(error)),
                None => return Ok(()),
            },
        }
    }
}

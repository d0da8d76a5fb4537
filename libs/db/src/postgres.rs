//! PostgreSQL: a pool of connections for units, and a pool of read-only ones for queries.

mod listen;
mod statement;
mod types;
mod unit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};
use tokio_util::task::TaskTracker;

use self::unit::{Held, Terms};
pub(crate) use self::unit::{Pending, Unit};
use crate::config::Config;
use crate::error::{Error, Reason, Result};
use crate::metrics::{Meter, Stats};
use crate::migrate::{self, Migration};
use crate::value::{Row, Value};

/// How long to pause before the lock that another migrating copy holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The answer to a statement may come this much later than the server's own deadline for it.
const GRACE: Duration = Duration::from_secs(1);

/// A PostgreSQL database that is open.
#[derive(Debug)]
pub(crate) struct Postgres {
    units: Pool,
    readers: Pool,
    connect: tokio_postgres::Config,
    config: Config,
    terms: Terms,
    waiting: AtomicUsize,
    closed: AtomicBool,
    /// Every connection that is out of its pool.
    out: TaskTracker,
}

impl Postgres {
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let mut connect: tokio_postgres::Config = config
            .url
            .parse()
            // the driver's words may repeat the URL, which may hold a password
            .map_err(|_| Error::config("url", "is not a PostgreSQL URL"))?;
        connect.connect_timeout(config.busy_timeout());
        if connect.get_application_name().is_none() {
            connect.application_name("db");
        }
        let name = config.schema.as_deref().unwrap_or("public");
        let open_error = |error: Error| Error::Open { database: name.to_owned(), source: Arc::new(error) };
        if let Some(schema) = &config.schema {
            create_schema(&connect, config, schema).await.map_err(open_error)?;
        }
        let statement_ms = config.statement_timeout_ms.min(config.unit_timeout_ms);
        let mut units = connect.clone();
        units.options(options(
            &connect,
            config,
            &format!(
                "-c statement_timeout={statement_ms} -c idle_in_transaction_session_timeout={}",
                config.unit_timeout_ms
            ),
        ));
        let mut readers = connect.clone();
        readers.options(options(
            &connect,
            config,
            &format!("-c statement_timeout={} -c default_transaction_read_only=on", config.statement_timeout_ms),
        ));
        let db = Self {
            units: pool(units, config.connections_max, config).map_err(open_error)?,
            readers: pool(readers, config.readers_max, config).map_err(open_error)?,
            connect,
            terms: Terms {
                meter: Arc::new(Meter::new(name)),
                runtime: Handle::current(),
                rows_max: config.rows_max,
                unit_timeout: config.unit_timeout(),
                end_timeout: config.statement_timeout() + GRACE,
            },
            config: config.clone(),
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            out: TaskTracker::new(),
        };
        // tells at once when the database cannot be reached
        db.hold(&db.units).await.map_err(open_error)?.give_back();
        Ok(db)
    }

    pub(crate) async fn begin(&self) -> Result<Unit> {
        let held = self.hold(&self.units).await?;
        Unit::begin(held, &self.terms).await
    }

    pub(crate) async fn query(&self, sql: &str, params: &[Value], rows_max: usize) -> Result<Vec<Row>> {
        let held = self.hold(&self.readers).await?;
        let rows_max = rows_max.min(self.config.rows_max);
        let work = statement::query(held.client(), sql, params, rows_max);
        match timeout(self.config.statement_timeout() + GRACE, work).await {
            Ok(result) => {
                // not given back after an answer cut short: what is left of it would hold up the next query
                if !matches!(result, Err(Error::TooManyRows { .. } | Error::Unavailable { .. })) {
                    held.give_back();
                }
                result
            }
            Err(_) => Err(Error::StatementTimedOut { sql: crate::error::shorten(sql) }),
        }
    }

    pub(crate) async fn migrate(&self, set: &str, migrations: &[Migration]) -> Result<()> {
        let runner = migrate::runner(set, migrations, crate::Dialect::Postgres)?;
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let failed = |error: Error| migrate::failed(set, error);
        // a connection of its own: no statement timeout, and the lock ends with it
        let mut client = connect(&self.connect, &self.config, "-c statement_timeout=0").await.map_err(failed)?;
        let schema = self.config.schema.as_deref().unwrap_or("public");
        let key = lock_key(&[schema, set]);
        lock(&client, key, self.config.migration_timeout()).await.map_err(failed)?;
        let report = runner.run_async(&mut client).await.map_err(|error| migrate::failed(set, error))?;
        let steps = report.applied_migrations().len();
        tracing::info!(set, steps, "migrations applied");
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.out.close();
        let patience = self.config.unit_timeout() + self.config.statement_timeout() + GRACE;
        if timeout(patience, self.out.wait()).await.is_err() {
            tracing::warn!("connections are closed while still in use");
        }
        self.units.close();
        self.readers.close();
    }

    pub(crate) fn stats(&self) -> Stats {
        self.terms.meter.stats()
    }

    /// A connection from a pool, first come first served.
    async fn hold(&self, pool: &Pool) -> Result<Held> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..pool.timeouts() };
        let object = match pool.timeout_get(&at_once).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                let _waiting = Waiting::new(self)?;
                pool.get().await
            }
            got => got,
        };
        match object {
            Ok(object) => Ok(self.held(object)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::Overloaded),
            Err(PoolError::Closed) => Err(Error::Closed),
            Err(PoolError::Backend(error)) => Err(unreachable(&error)),
            Err(error) => Err(Error::unavailable(error)),
        }
    }

    fn held(&self, object: Object) -> Held {
        Held::new(object, self.out.token())
    }
}

/// Counts a waiting caller for as long as it waits, however the wait ends.
struct Waiting<'a>(&'a Postgres);

impl<'a> Waiting<'a> {
    fn new(db: &'a Postgres) -> Result<Self> {
        let waiting = db.waiting.fetch_add(1, Ordering::Relaxed);
        db.terms.meter.waits();
        let counted = Self(db);
        if waiting >= db.config.units_waiting_max {
            return Err(Error::Overloaded);
        }
        Ok(counted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.terms.meter.waits_no_more();
    }
}

fn pool(connect: tokio_postgres::Config, max: usize, config: &Config) -> Result<Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_config(connect, NoTls, recycling))
        .max_size(max)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(config.turn_timeout()))
        .create_timeout(Some(config.busy_timeout()))
        .recycle_timeout(Some(config.busy_timeout()))
        .build()
        .map_err(Error::unavailable)
}

/// The settings of a connection: those of the URL first, then the schema, then `more`.
fn options(connect: &tokio_postgres::Config, config: &Config, more: &str) -> String {
    let mut options = connect.get_options().unwrap_or_default().to_owned();
    if let Some(schema) = &config.schema {
        options.push_str(" -c search_path=");
        options.push_str(schema);
    }
    options.push(' ');
    options.push_str(more);
    options
}

/// A connection outside the pools; it closes when the client is dropped.
async fn connect(to: &tokio_postgres::Config, config: &Config, more: &str) -> Result<Client> {
    let mut to = to.clone();
    to.options(options(&to, config, more));
    let (client, connection) = timeout(config.busy_timeout(), to.connect(NoTls))
        .await
        .map_err(Error::unavailable)?
        .map_err(|error| unreachable(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
    Ok(client)
}

/// Why no connection could be made: transient, but for a refusal that a retry meets again (password, database name).
fn unreachable(error: &tokio_postgres::Error) -> Error {
    match statement::explain("connect", error) {
        refused @ Error::Statement { .. } if error.as_db_error().is_some() => refused,
        Error::Statement { source, .. } => Error::Unavailable { source },
        error => error,
    }
}

async fn create_schema(to: &tokio_postgres::Config, config: &Config, schema: &str) -> Result<()> {
    let client = connect(to, config, "-c statement_timeout=0").await?;
    let explain = |error: tokio_postgres::Error| statement::explain("create schema", &error);
    let exists = "select 1 from pg_namespace where nspname = $1";
    // asked first, because creating needs a right that the user may not have
    if client.query_opt(exists, &[&schema]).await.map_err(explain)?.is_some() {
        return Ok(());
    }
    // `if not exists` alone fails when two copies do it at once
    lock(&client, lock_key(&[schema]), config.migration_timeout()).await?;
    client.batch_execute(&format!("create schema if not exists {schema}")).await.map_err(explain)
}

/// Takes a lock that lasts as long as the connection.
async fn lock(client: &Client, key: i64, wait: Duration) -> Result<()> {
    let give_up = Instant::now() + wait;
    loop {
        let row = client
            .query_one("select pg_try_advisory_lock($1)", &[&key])
            .await
            .map_err(|error| statement::explain("lock", &error))?;
        if row.get::<_, bool>(0) {
            return Ok(());
        }
        if Instant::now() >= give_up {
            let reason = "another copy holds the lock for migrations";
            return Err(Error::unavailable(Reason(reason.to_owned())));
        }
        sleep(LOCK_PAUSE).await;
    }
}

/// A number for the lock on a name: FNV-1a, which stays the same from build to build.
fn lock_key(names: &[&str]) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for name in names {
        for byte in name.bytes().chain([0]) {
            hash ^= u64::from(byte);
            hash = hash.wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash.cast_signed()
}

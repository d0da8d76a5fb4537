//! Each part's own database: one file or one schema per part, never two parts in one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use db::Db;

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::error::{ConfigError, Error};
use crate::error_code::ErrorCode;
use crate::http::{Health, HealthCheck};
use crate::problem::Problem;

/// What becomes the part's name in `database.url` and `database.schema`.
const PLACEHOLDER: &str = "{part}";
/// When a client may come back to a database that could not serve it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Opens the databases of the parts of one process.
pub struct Databases {
    config: db::Config,
    data_dir: DataDir,
    /// Which part has which place.
    taken: Mutex<BTreeMap<String, String>>,
}

/// Without the places taken: a URL may hold a password.
impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Databases")
            .field("config", &self.config)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Databases {
    /// By the section `database`.
    ///
    /// # Errors
    /// The section cannot be read.
    pub fn new(settings: &Settings, data_dir: &DataDir) -> Result<Self, ConfigError> {
        Ok(Self { config: settings.section("database")?, data_dir: data_dir.clone(), taken: Mutex::default() })
    }

    /// Opens the database of `part` (`user-service`): by default
    /// `<data_dir>/<part>/<part>.db`; on PostgreSQL by default the schema `user_service`.
    ///
    /// # Errors
    /// Another part of this process has its tables there, or the database cannot be opened.
    pub async fn open(&self, part: &str) -> Result<Db, Error> {
        let config = self.resolve(part)?;
        self.take(part, &config)?;
        Db::open(&config).await.map_err(|source| {
            self.give_back(part);
            Error::Database { part: part.to_owned(), source }
        })
    }

    /// The configuration of a part's database.
    fn resolve(&self, part: &str) -> Result<db::Config, Error> {
        let mut config = self.config.clone();
        if config.url.is_empty() {
            let file = self.data_dir.part(part)?.join(format!("{part}.db"));
            config.url = format!("sqlite:{}", file.display());
        } else {
            config.url = config.url.replace(PLACEHOLDER, part);
        }
        let name = part.replace('-', "_");
        config.schema = Some(match config.schema {
            None => name,
            Some(schema) => schema.replace(PLACEHOLDER, &name),
        });
        Ok(config)
    }

    fn take(&self, part: &str, config: &db::Config) -> Result<(), Error> {
        let (place, key) = match config.url.strip_prefix("sqlite:") {
            Some(path) => (format!("{}", plain(Path::new(path)).display()), "database.url"),
            None => {
                let schema = config.schema.as_deref().unwrap_or_default();
                (format!("{} {schema}", config.url), "database.schema")
            }
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get(&place) {
            Some(other) if other != part => {
                let (part, other) = (part.to_owned(), other.clone());
                Err(Error::DatabaseShared { part, other, key })
            }
            _ => {
                taken.insert(place, part.to_owned());
                Ok(())
            }
        }
    }

    fn give_back(&self, part: &str) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, other| other != part);
    }
}

/// `./a.db` and `a.db` are one file.
fn plain(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// Ready while a trivial query is answered; a crowd before it is degraded, not down.
#[derive(Debug)]
pub struct DatabaseCheck(pub Db);

#[async_trait]
impl HealthCheck for DatabaseCheck {
    async fn check(&self) -> Health {
        match self.0.query_opt("select 1 as one", &[]).await {
            Ok(_) => Health::Ready,
            Err(db::Error::Overloaded) => Health::degraded("many queries are waiting"),
            Err(error) => {
                tracing::warn!(error = eventkit::chain(&error), "database does not answer");
                Health::down("the database does not answer")
            }
        }
    }
}

/// What a database's errors mean to a client. A service that knows better (which field is
/// taken, say) looks at the error first.
impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        let code = match &error {
            db::Error::Overloaded => ErrorCode::Overloaded,
            db::Error::UnitTimedOut | db::Error::StatementTimedOut { .. } => ErrorCode::Timeout,
            db::Error::UniqueViolation { .. } => ErrorCode::Duplicate,
            db::Error::ForeignKeyViolation => ErrorCode::Conflict,
            db::Error::Closed => ErrorCode::Unavailable,
            other if other.is_transient() => ErrorCode::Unavailable,
            _ => ErrorCode::Internal,
        };
        let problem = Self::new(code).source(error);
        match code {
            ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::Timeout => problem.retry_after(RETRY_AFTER),
            _ => problem,
        }
    }
}

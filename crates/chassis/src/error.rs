//! The errors of starting, configuring and stopping a process.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Source;

/// Any error that a part of ours may give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file and line, variable or flag it stands in.
    pub source: Source,
    /// What is wrong; never holds the value of a secret key.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.problem)
    }
}

/// The configuration cannot be used; holds every mistake that was found.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    mistakes: Vec<Mistake>,
}

impl ConfigError {
    pub(crate) fn new(mistakes: Vec<Mistake>) -> Self {
        Self { mistakes }
    }

    pub(crate) fn one(source: Source, problem: String) -> Self {
        Self::new(vec![Mistake { source, problem }])
    }

    /// The mistakes, in the order of the layers and, in a file, of its lines.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// Joins the mistakes of several sections, so that a start can report them together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.mistakes.extend(other.mistakes);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.as_slice() {
            [only] => write!(f, "configuration: {only}"),
            all => {
                write!(f, "configuration has {} mistakes", all.len())?;
                all.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

/// What can go wrong in a process of ours besides its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A section or key cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// `log.filter` is not a filter.
    #[error("log.filter {filter:?} cannot be read")]
    LogFilter {
        /// The filter as configured.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },

    /// Another library has installed a metrics recorder before us.
    #[error("metrics are already recorded by something else in this process")]
    MetricsTaken,

    /// The metrics recorder or its housekeeping thread could not be set up.
    #[error("metrics cannot be recorded")]
    Metrics(#[source] BoxError),

    /// The handlers for Ctrl-C and SIGTERM could not be set.
    #[error("signal handlers cannot be set")]
    Signals(#[source] std::io::Error),

    /// The system gave no random bytes.
    #[error("no random bytes from the system for {purpose}")]
    Random {
        /// What they were for.
        purpose: &'static str,
        /// Why not.
        source: BoxError,
    },

    /// The data directory cannot be created or written.
    #[error(
        "data directory {path}: cannot {action}; choose another with the key data_dir, \
         or let this user write there"
    )]
    DataDirNotWritable {
        /// The path concerned.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },

    /// Another process holds the data directory.
    #[error(
        "data directory {path} is in use by process {pid}; stop that process, \
         or choose another directory with the key data_dir"
    )]
    DataDirInUse {
        /// The data directory.
        path: PathBuf,
        /// The other process's id, or `unknown`.
        pid: String,
    },

    /// A part's name cannot be a directory's.
    #[error("{name:?} cannot be a part's directory: use a-z, 0-9 and -")]
    PartName {
        /// The name given.
        name: String,
    },

    /// The file that names this copy of a part cannot be read or written.
    #[error("instance id {path} cannot be read or written")]
    InstanceId {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },

    /// The operator token cannot be read.
    #[error("operator token {path} cannot be read; it exists once a part has started there")]
    OperatorTokenUnreadable {
        /// The token's file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },

    /// The operator token's file does not hold a token.
    #[error("operator token {path} is damaged; delete it and start again, and a new one is made")]
    OperatorTokenDamaged {
        /// The token's file.
        path: PathBuf,
    },

    /// Others than its owner may read the operator token.
    #[error(
        "operator token {path} has mode {mode:o}, so that others can read it; \
         delete it and start again, and a new one is made"
    )]
    OperatorTokenExposed {
        /// The token's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// A part's database cannot be opened.
    #[error("{part}: database cannot be opened (key database.url, or DATABASE_URL)")]
    Database {
        /// The part.
        part: String,
        /// Why not.
        source: db::Error,
    },

    /// Two parts would have their tables in one place.
    #[error(
        "{part} and {other} would share one database; write {{part}} into {key}, \
         which becomes each part's name"
    )]
    DatabaseShared {
        /// The part that comes second.
        part: String,
        /// The part that has it.
        other: String,
        /// The key to change.
        key: &'static str,
    },

    /// An address to listen on cannot be understood or found.
    #[error("{part}: {address:?} is no address to listen on; {key} takes HOST:PORT")]
    AddressUnknown {
        /// The part that wants to listen.
        part: String,
        /// The configuration key.
        key: String,
        /// The address as configured.
        address: String,
        /// What the resolver said, if it was asked.
        source: std::io::Error,
    },

    /// The development profile does not listen where others can reach it.
    #[error(
        "{part}: {address} can be reached from other machines, which the development profile \
         does not do; set {key} to a loopback address, or profile to production, \
         or allow_public_bind to true"
    )]
    PublicBind {
        /// The part that wants to listen.
        part: String,
        /// The configuration key.
        key: String,
        /// The address it resolved to.
        address: SocketAddr,
    },

    /// Somebody else has the port.
    #[error(
        "{part}: port of {address} is taken by another process; stop that one, \
         or choose another port with {key}"
    )]
    PortTaken {
        /// The part that wants to listen.
        part: String,
        /// The configuration key.
        key: String,
        /// The address as configured.
        address: String,
    },

    /// The system does not let us listen there.
    #[error("{part}: cannot listen on {address} ({key})")]
    Bind {
        /// The part that wants to listen.
        part: String,
        /// The configuration key.
        key: String,
        /// The address as configured.
        address: String,
        /// Why not.
        source: std::io::Error,
    },

    /// A part failed to start; those before it were stopped again.
    #[error("{part} failed to start")]
    PartStart {
        /// The part.
        part: String,
        /// Why.
        source: BoxError,
    },

    /// A part took too long to start; those before it were stopped again.
    #[error("{part} did not start within {limit_ms} ms")]
    PartStartTimedOut {
        /// The part.
        part: String,
        /// The key `lifecycle.part_start_timeout_ms`.
        limit_ms: u128,
    },

    /// A stop was asked for before all parts had started; those started were stopped again.
    #[error("asked to stop while {part} was starting")]
    StartInterrupted {
        /// The part that was starting.
        part: String,
    },

    /// A part ended by itself, with an error.
    #[error("{part} failed")]
    PartFailed {
        /// The part.
        part: String,
        /// Why.
        source: BoxError,
    },

    /// A part ended by itself, although nobody asked it to.
    #[error("{part} ended without being asked to")]
    PartEnded {
        /// The part.
        part: String,
    },

    /// A part panicked.
    #[error("{part} panicked")]
    PartPanicked {
        /// The part.
        part: String,
    },

    /// A part took too long to stop and was cut off.
    #[error("{part} did not stop within {limit_ms} ms and was cut off")]
    PartStopTimedOut {
        /// The part.
        part: String,
        /// The key `lifecycle.part_stop_timeout_ms`.
        limit_ms: u128,
    },
}

/// Why a Redis gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// It cannot be reached, or the connection broke.
    #[error("redis does not answer")]
    Away(#[source] redis::RedisError),
    /// It is reached and silent.
    #[error("redis did not answer within {} ms", .0.as_millis())]
    TimedOut(std::time::Duration),
    /// It did not answer a moment ago and is left alone.
    #[error("redis did not answer a moment ago")]
    Resting,
    /// It wants another password, or one at all.
    #[error("redis refuses the login: see redis.password, or REDIS_PASSWORD")]
    Login(#[source] redis::RedisError),
    /// It answers, and not what was asked for.
    #[error("redis refused a command")]
    Refused(#[source] redis::RedisError),
    /// It does not tell which run of the server it is.
    #[error("redis does not tell its run_id")]
    NoRun,
}

impl RedisError {
    /// Whether nothing can be had of it now, whatever is asked.
    #[must_use]
    pub fn is_away(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Resting)
    }
}

//! The environment as a value, so that only one place of the program reads the process's own.

use std::collections::BTreeMap;
use std::fmt;

/// Variables of ours begin with this.
pub(super) const PREFIX: &str = "TECHLEET_";

/// A variable of a secret with this behind its name names a file that holds the value.
pub(super) const FILE_SUFFIX: &str = "_FILE";

/// Variables with this prefix steer tests and are no configuration.
pub(super) const TEST_PREFIX: &str = "TECHLEET_TEST_";

/// Names that other tools gave their variables, and the keys they stand for.
/// Where both are set, the variable with our own prefix wins.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("DATABASE_URL", "database.url"),
    ("KAFKA_BROKERS", "kafka.brokers"),
    ("KAFKA_CLIENT_ID", "kafka.client_id"),
    ("KAFKA_GROUP_ID", "kafka.group_id"),
    ("KAFKA_SASL_MECHANISM", "kafka.sasl_mechanism"),
    ("KAFKA_SASL_PASSWORD", "kafka.sasl_password"),
    ("KAFKA_SASL_PASSWORD_FILE", "kafka.sasl_password_file"),
    ("KAFKA_SASL_USERNAME", "kafka.sasl_username"),
    ("KAFKA_SECURITY_PROTOCOL", "kafka.security_protocol"),
    ("KAFKA_SSL_CA", "kafka.ssl_ca"),
    ("KAFKA_SSL_CERTIFICATE", "kafka.ssl_certificate"),
    ("KAFKA_SSL_KEY", "kafka.ssl_key"),
    ("REDIS_HOST", "redis.host"),
    ("REDIS_PASSWORD", "redis.password"),
    ("REDIS_PORT", "redis.port"),
];

/// The variables a process was started with.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of variables whose values are not UTF-8.
    unreadable: Vec<String>,
}

impl Environment {
    /// The environment of this process. Only a program's `main` calls this.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the process's own")]
    pub fn from_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => {
                    environment.variables.insert(name, value);
                }
                Err(_) => environment.unreadable.push(name),
            }
        }
        environment
    }

    /// The value of a variable, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, unreadable: Vec::new() }
    }
}

/// The number only: an environment holds secrets of everybody.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.len()).finish()
    }
}

//! Under which promises a process runs: a developer's machine, or production.

use std::fmt;

use serde::Deserialize;

/// The key `profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Loopback only unless `allow_public_bind`; documented development credentials are accepted.
    Development,
    /// No default account, nothing weak is accepted.
    Production,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

//! The record of refusals: one line each, without secrets, and never so many that they are an attack themselves.

use std::net::IpAddr;

use crate::lines::Lines;
use crate::metrics as names;
use crate::security::acl::{Operation, Resource};
use crate::security::session::Who;

/// The target of all lines, for those who want them elsewhere.
const TARGET: &str = "broker::audit";
/// Lines in one second at most about those who have not said who they are. Further ones are lines at debug, and the next
/// tells how many.
const STRANGERS_PER_SECOND_MAX: u32 = 1;
/// The same about users.
const USERS_PER_SECOND_MAX: u32 = 50;

/// Writes the record.
#[derive(Debug)]
pub(crate) struct Audit {
    strangers: Lines,
    users: Lines,
}

impl Default for Audit {
    fn default() -> Self {
        Self { strangers: Lines::new(STRANGERS_PER_SECOND_MAX), users: Lines::new(USERS_PER_SECOND_MAX) }
    }
}

/// A line at warn if it is admitted, else at debug.
macro_rules! tell {
    ($lines:expr, $($rest:tt)*) => {
        match $lines.admit() {
            Some(left_out) => tracing::warn!(target: TARGET, left_out, $($rest)*),
            None => tracing::debug!(target: TARGET, $($rest)*),
        }
    };
}

impl Audit {
    /// Somebody could not prove who they are. The name that was claimed is not told: it may be a mistyped password.
    pub(crate) fn login_failed(&self, listener: &str, mechanism: &'static str, host: IpAddr) {
        metrics::counter!(names::FAILED_AUTHENTICATIONS, "mechanism" => mechanism).increment(1);
        tell!(self.strangers, listener, mechanism, %host, "authentication failed");
    }

    /// A TLS handshake came to nothing: no certificate, one that is not believed, or no TLS at all.
    pub(crate) fn handshake_failed(&self, listener: &str, error: &std::io::Error, host: IpAddr) {
        metrics::counter!(names::FAILED_AUTHENTICATIONS, "mechanism" => "TLS").increment(1);
        tell!(self.strangers, listener, %host, %error, "tls handshake failed");
    }

    /// An access rule, or the want of one, kept somebody from something.
    pub(crate) fn refused(&self, api: &'static str, who: &Who, operation: Operation, resource: Resource<'_>) {
        metrics::counter!(names::REFUSED_OPERATIONS, "api" => api).increment(1);
        let (principal, host, kind, name) = (&*who.principal, who.host, resource.kind(), resource.name());
        tell!(
            if who.is_known() { &self.users } else { &self.strangers },
            principal, %host, api, ?operation, resource_type = ?kind, resource = ?name,
            "operation refused by access rules"
        );
    }
}

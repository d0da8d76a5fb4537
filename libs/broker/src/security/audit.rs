//! The record of refusals: one line each, without secrets, and never so many that they are an attack themselves.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::metrics as names;
use crate::security::acl::{Operation, Resource};
use crate::security::session::Who;
use crate::sync::lock;

/// The target of all lines, for those who want them elsewhere.
const TARGET: &str = "broker::audit";
/// Lines in one second at most; the next line tells how many were left out.
const LINES_PER_SECOND_MAX: u32 = 50;

/// Counts the lines of the running second.
#[derive(Debug)]
pub(crate) struct Audit {
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { second: Mutex::new(Second { began: Instant::now(), lines: 0, left_out: 0 }) }
    }
}

impl Audit {
    /// Somebody could not prove who they are. The name that was claimed is not told: it may be a mistyped password.
    pub(crate) fn login_failed(&self, listener: &str, mechanism: &'static str, host: IpAddr) {
        metrics::counter!(names::FAILED_AUTHENTICATIONS, "mechanism" => mechanism).increment(1);
        if let Some(left_out) = self.may_write() {
            tracing::warn!(target: TARGET, listener, mechanism, %host, left_out, "authentication failed");
        }
    }

    /// A TLS handshake came to nothing: no certificate, one that is not believed, or no TLS at all.
    pub(crate) fn handshake_failed(&self, listener: &str, error: &std::io::Error, host: IpAddr) {
        metrics::counter!(names::FAILED_AUTHENTICATIONS, "mechanism" => "TLS").increment(1);
        if let Some(left_out) = self.may_write() {
            tracing::warn!(target: TARGET, listener, %host, %error, left_out, "tls handshake failed");
        }
    }

    /// An access rule, or the want of one, kept somebody from something.
    pub(crate) fn refused(&self, api: &'static str, who: &Who, operation: Operation, resource: Resource<'_>) {
        metrics::counter!(names::REFUSED_OPERATIONS, "api" => api).increment(1);
        if let Some(left_out) = self.may_write() {
            let (principal, host, kind, name) = (&*who.principal, who.host, resource.kind(), resource.name());
            tracing::warn!(
                target: TARGET, principal, %host, api, ?operation, resource_type = ?kind, resource = ?name, left_out,
                "operation refused by access rules"
            );
        }
    }

    /// `Some` with the number of lines left out before, if this one may be written.
    fn may_write(&self) -> Option<u64> {
        let mut second = lock(&self.second);
        if second.began.elapsed() >= Duration::from_secs(1) {
            second.began = Instant::now();
            second.lines = 0;
        }
        if second.lines >= LINES_PER_SECOND_MAX {
            second.left_out += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_counted_and_told_with_the_next() {
        let audit = Audit::default();
        let second = |lines, began| *lock(&audit.second) = Second { began, lines, left_out: 0 };
        let later = Instant::now() + Duration::from_secs(3600);
        second(LINES_PER_SECOND_MAX, later);
        assert_eq!((audit.may_write(), audit.may_write()), (None, None));
        lock(&audit.second).lines = 0;
        assert_eq!((audit.may_write(), audit.may_write()), (Some(2), Some(0)));
    }
}

//! Security from outside: listeners, logins, certificates, access rules.

mod listeners;
mod logins;

//! Security from outside: listeners, logins, certificates, access rules.

mod encryption;
mod listeners;
mod logins;

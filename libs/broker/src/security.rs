//! Who may come in and what they may do: listeners, and later logins, certificates and access rules.

pub(crate) mod config;
pub(crate) mod listener;

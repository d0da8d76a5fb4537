//! The database: the only place that knows the tables.

pub(crate) mod departments;
pub(crate) mod employees;
pub(crate) mod invitations;
pub(crate) mod keys;
pub(crate) mod roles;
pub(crate) mod sessions;

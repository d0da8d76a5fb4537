//! The names of this crate's metrics, in one place.

/// Counter: tries to tell somebody something. Labels: `channel`, `outcome` (`sent`, `skipped`, `failed`, `delayed`).
pub(crate) const NOTIFICATIONS_TOTAL: &str = "container_notifications_total";
/// Counter: notifications that the router asked for. Labels: `rule`.
pub(crate) const ROUTED_TOTAL: &str = "container_routed_total";

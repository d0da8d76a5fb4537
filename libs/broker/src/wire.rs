//! The wire: frames with limits, headers, and the check that a request holds what it announces.

pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod shape;

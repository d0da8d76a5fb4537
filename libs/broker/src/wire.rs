//! The wire: frames with limits, headers, and the check that a request holds what it announces; answers of records.

pub(crate) mod fetch_answer;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod memory;
pub(crate) mod shape;

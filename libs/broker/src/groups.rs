//! Consumer groups (the classic protocol) and their committed offsets.
//!
//! `group` is the state machine, without I/O; what must survive is put into `__consumer_offsets`, in Kafka's own
//! record formats (`records`); `coordinator` is what the APIs call; `offsets` is commit and fetch.

pub(crate) mod coordinator;
pub(crate) mod group;
pub(crate) mod membership;
pub(crate) mod offsets;
pub(crate) mod records;

//! Consumer groups, of the classic protocol and of KIP-848, and their committed offsets.
//!
//! `group` is the state machine of the classic protocol and `consumers` that of KIP-848, both without I/O; what must
//! survive is put into `__consumer_offsets`, in Kafka's own record formats (`records`, `consumers::kept`); `coordinator` is
//! what the APIs call, with `kept_consumers` for KIP-848; `offsets` is commit and fetch, `forgetting`
//! the opposite.

pub(crate) mod assignors;
pub(crate) mod consumers;
pub(crate) mod coordinator;
pub(crate) mod forgetting;
pub(crate) mod group;
pub(crate) mod kept_consumers;
pub(crate) mod membership;
pub(crate) mod offsets;
pub(crate) mod records;

//! Transactions: who has one open over which partitions, and how they end.
//!
//! `transaction` is the state machine, without I/O; `records` is how it stands in `__transaction_state`, in Kafka's own
//! format; `coordinator` is what the APIs call; `ending` writes the markers.
//!
//! A decision (prepare) is on stable storage before its first marker, and markers are written until all partitions have
//! them, over restarts too. What a producer adds to its transaction is on stable storage before its first record there,
//! so that no partition has a transaction that nobody would end.

pub(crate) mod coordinator;
pub(crate) mod ending;
pub(crate) mod records;
pub(crate) mod transaction;

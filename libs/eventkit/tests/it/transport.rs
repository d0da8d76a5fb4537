//! The memory transport keeps the contract of every transport; the Kafka one is held to it where a broker runs.

use std::sync::Arc;

use eventkit::testing::transport_suite;
use eventkit::transport::memory::MemoryTransport;

#[tokio::test]
async fn the_memory_transport_keeps_the_contract() {
    transport_suite(Arc::new(MemoryTransport::new())).await;
}

//! DescribeLogDirs: the data directory, the size of every partition in it, and the room that is left.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use crate::catalog::Topic;
use crate::num::i64_of;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::Refusal;
use crate::wire::shape::{I32_LIST, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeLogDirs,
    name: "describe_log_dirs",
    versions: 1..=4,
    shape: Shape { flexible: 2, fields: &[all(Kind::List(&[all(Kind::Text), all(I32_LIST)]))] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    // In a thread that may wait for whoever holds a partition, and for the file system.
    tokio::task::spawn_blocking(move || describe_all(&call)).await.map_err(|_| Refusal::Panicked)?
}

fn describe_all(call: &Call) -> Outcome {
    let request: DescribeLogDirsRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Describe, Resource::Cluster) {
        let code = if call.head.version >= 3 { error.code() } else { NONE };
        return call.answer(&DescribeLogDirsResponse::default().with_error_code(code));
    }
    let topics: Vec<DescribeLogDirsTopic> = match request.topics {
        None => call.shared.catalog.list().iter().map(|topic| describe(topic, |_| true)).collect(),
        Some(asked) => asked.iter().filter_map(|asked| find(call, asked)).collect(),
    };
    let dir = &call.shared.config.data_dir;
    let path = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    let mut result = DescribeLogDirsResult::default().with_log_dir(text(path.display().to_string()));
    match rustix::fs::statvfs(&path) {
        Ok(room) => {
            result = result.with_topics(topics);
            if call.head.version >= 4 {
                result.total_bytes = i64_of(room.f_blocks.saturating_mul(room.f_frsize));
                result.usable_bytes = i64_of(room.f_bavail.saturating_mul(room.f_frsize));
            }
        }
        Err(_) => result.error_code = ResponseError::KafkaStorageError.code(),
    }
    call.answer(&DescribeLogDirsResponse::default().with_results(vec![result]))
}

fn find(call: &Call, asked: &DescribableLogDirTopic) -> Option<DescribeLogDirsTopic> {
    let topic: Arc<Topic> = call.shared.catalog.get(&asked.topic)?;
    Some(describe(&topic, |index| asked.partitions.contains(&index)))
}

fn describe(topic: &Topic, wanted: impl Fn(i32) -> bool) -> DescribeLogDirsTopic {
    let partitions = topic.partitions.iter().filter(|partition| wanted(partition.index)).map(|partition| {
        DescribeLogDirsPartition::default()
            .with_partition_index(partition.index)
            .with_partition_size(i64_of(partition.size_bytes()))
    });
    let name = TopicName(text(topic.name.to_string()));
    DescribeLogDirsTopic::default().with_name(name).with_partitions(partitions.collect())
}

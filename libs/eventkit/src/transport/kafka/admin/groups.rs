//! Consumer groups: who there is, in which state, with which partitions; removing them.

use bytes::Buf;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::groups::{GroupInfo, GroupMemberInfo};

use super::{ASK_MAX, KafkaAdmin, failed, options};
use crate::error::Result;
use crate::transport::TopicPartition;

/// Topics and partitions in one assignment at most: what is read comes from members, whom nobody vouches for.
const ASSIGNED_MAX: usize = 100_000;

/// A consumer group as its coordinator tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// `Empty`, `Stable`, `PreparingRebalance`, `CompletingRebalance` or `Dead`.
    pub state: String,
    /// `consumer`, or what else its members use groups for.
    pub protocol_type: String,
    /// How partitions are shared out, for example `range`; empty while nothing is.
    pub assignor: String,
    /// Its members, by id.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: String,
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from, with a slash before it, as brokers tell it.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

impl KafkaAdmin {
    /// All groups, or the one of this id. A group that is not there is told as `Dead` by some brokers and not at all by
    /// others.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the cluster does not answer.
    pub async fn groups(&self, id: Option<&str>) -> Result<Vec<Group>> {
        let id = id.map(str::to_owned);
        self.ask(move |consumer| {
            let found = consumer
                .fetch_group_list(id.as_deref(), ASK_MAX)
                .map_err(|error| failed("ask for consumer groups", error))?;
            let mut groups: Vec<Group> = found.groups().iter().map(group).collect();
            groups.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(groups)
        })
        .await
    }

    /// Deletes a group without members, and its offsets.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the cluster refuses it, as when it has members, or does not answer.
    pub async fn delete_group(&self, id: &str) -> Result<()> {
        let operation = format!("delete group {id}");
        let outcomes = self.client.delete_groups(&[id], &options()).await.map_err(|error| failed(&operation, error))?;
        for outcome in outcomes {
            outcome.map_err(|(_, code)| failed(&operation, KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }
}

fn group(found: &GroupInfo) -> Group {
    let mut members: Vec<Member> = found.members().iter().map(member).collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Group {
        id: found.name().to_owned(),
        state: found.state().to_owned(),
        protocol_type: found.protocol_type().to_owned(),
        assignor: found.protocol().to_owned(),
        members,
    }
}

fn member(found: &GroupMemberInfo) -> Member {
    Member {
        id: found.id().to_owned(),
        client_id: found.client_id().to_owned(),
        host: found.client_host().to_owned(),
        partitions: found.assignment().and_then(assigned).unwrap_or_default(),
    }
}

/// The partitions in an assignment of Kafka's consumer protocol; `None` when it is another protocol's.
fn assigned(mut bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let _version = bytes.try_get_i16().ok()?;
    let mut partitions = Vec::new();
    for _ in 0..count(&mut bytes)? {
        let size = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        let topic = std::str::from_utf8(bytes.get(..size)?).ok()?.to_owned();
        bytes.advance(size);
        for _ in 0..count(&mut bytes)? {
            partitions.push(TopicPartition { topic: topic.clone(), partition: bytes.try_get_i32().ok()? });
        }
    }
    partitions.sort();
    Some(partitions)
}

fn count(bytes: &mut &[u8]) -> Option<usize> {
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    (count <= ASSIGNED_MAX).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::assigned;
    use crate::transport::TopicPartition;

    #[test]
    fn an_assignment_of_the_consumer_protocol_is_read() {
        let bytes = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
        let at = |partition| TopicPartition { topic: "t".to_owned(), partition };
        assert_eq!(assigned(bytes), Some(vec![at(0), at(1)]));
    }

    #[test]
    fn bytes_of_another_protocol_are_no_assignment() {
        for bytes in [&b""[..], b"\0", b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\xff\xff", b"\0\0\0\0\0\x01\0\x05ab"] {
            assert_eq!(assigned(bytes), None);
        }
    }
}

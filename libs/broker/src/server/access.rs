//! How handlers ask whether their client may do what it asks for.

use kafka_protocol::ResponseError;

use crate::security::acl::{Operation, Resource, ResourceType};
use crate::server::connection::Call;

impl Call {
    /// Whether the client may do this; the error is the one for the kind of resource, and a refusal is recorded.
    pub(crate) fn require(&self, operation: Operation, resource: Resource<'_>) -> Result<(), ResponseError> {
        if self.sees(operation, resource) {
            return Ok(());
        }
        if let Some(who) = &self.who {
            self.shared.security.audit.refused(self.api, who, operation, resource);
        }
        Err(match resource.kind() {
            ResourceType::Topic => ResponseError::TopicAuthorizationFailed,
            ResourceType::Group => ResponseError::GroupAuthorizationFailed,
            ResourceType::TransactionalId => ResponseError::TransactionalIdAuthorizationFailed,
            _ => ResponseError::ClusterAuthorizationFailed,
        })
    }

    /// Whether the client may do this, without a record: for lists that leave out what it may not know of.
    pub(crate) fn sees(&self, operation: Operation, resource: Resource<'_>) -> bool {
        let security = &self.shared.security;
        let Some(who) = &self.who else { return false };
        !security.policy.enabled || security.policy.allows(&security.store.read().acls, who, operation, resource)
    }

    /// Whether the client may do this with any resource of a kind.
    pub(crate) fn sees_some(&self, operation: Operation, kind: ResourceType) -> bool {
        let security = &self.shared.security;
        let Some(who) = &self.who else { return false };
        security.policy.allows_some(&security.store.read().acls, who, operation, kind)
    }

    /// Whether the client may make this topic.
    pub(crate) fn require_create(&self, topic: &str) -> Result<(), ResponseError> {
        if self.sees(Operation::Create, Resource::Cluster) {
            return Ok(());
        }
        self.require(Operation::Create, Resource::Topic(topic))
    }

    /// What the client may do with a resource, as a bit field; nothing with one that it may not describe.
    pub(crate) fn operations(&self, resource: Resource<'_>) -> i32 {
        if !self.sees(Operation::Describe, resource) {
            return 0;
        }
        let allowed = resource.kind().operations().iter().filter(|operation| self.sees(**operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << (*operation as i32))
    }
}

#[cfg(test)]
mod tests {
    //! Every API of the table, asked by somebody who may nothing: a new one has no line here, and the test fails.
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use bytes::{BufMut, Bytes, BytesMut};
    use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader, ResponseKind};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use crate::server::api::{APIS, Api};
    use crate::wire::shape::generate;
    use crate::{Broker, Config};

    /// What somebody who may nothing gets.
    enum Expected {
        /// The code of the kind of resource: 29 topic, 30 group, 31 cluster, 53 transactional id.
        Refused(i16),
        /// An answer without what it may not know of.
        Filtered,
        /// An answer like everybody: it tells nothing of resources, and changes none.
        Open,
    }
    use Expected::{Filtered, Open, Refused};

    fn expected(key: ApiKey) -> Expected {
        match key {
            ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate | ApiKey::DescribeCluster => Open,
            ApiKey::ListGroups | ApiKey::ListTransactions => Filtered,
            ApiKey::Fetch
            | ApiKey::ListOffsets
            | ApiKey::Metadata
            | ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::DeleteRecords
            | ApiKey::OffsetForLeaderEpoch
            | ApiKey::CreatePartitions
            | ApiKey::DescribeProducers => Refused(29),
            ApiKey::OffsetCommit
            | ApiKey::OffsetFetch
            | ApiKey::FindCoordinator
            | ApiKey::JoinGroup
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::SyncGroup
            | ApiKey::DescribeGroups
            | ApiKey::DeleteGroups
            | ApiKey::ConsumerGroupHeartbeat
            | ApiKey::ConsumerGroupDescribe
            | ApiKey::OffsetDelete => Refused(30),
            ApiKey::DescribeAcls
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::DescribeConfigs
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::DescribeLogDirs
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ListPartitionReassignments
            | ApiKey::DescribeClientQuotas
            | ApiKey::AlterClientQuotas
            | ApiKey::DescribeUserScramCredentials
            | ApiKey::AlterUserScramCredentials
            | ApiKey::WriteTxnMarkers => Refused(31),
            ApiKey::Produce
            | ApiKey::InitProducerId
            | ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::EndTxn
            | ApiKey::TxnOffsetCommit
            | ApiKey::DescribeTransactions => Refused(53),
            _ => panic!("say here what {key:?} answers to somebody who may nothing"),
        }
    }

    /// A version that names topics and needs no state.
    fn version(api: &Api) -> i16 {
        match api.key {
            ApiKey::Produce => 12,
            ApiKey::Fetch => 6,
            ApiKey::Metadata => 9,
            ApiKey::DeleteTopics => 5,
            // Its older form asks about a group whatever the made-up bytes say.
            ApiKey::FindCoordinator => 0,
            _ => *api.versions.end(),
        }
    }

    fn request(api: &Api, version: i16) -> Bytes {
        let header = RequestHeader::default()
            .with_request_api_key(api.key as i16)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("walk")));
        let mut body = BytesMut::new();
        header.encode(&mut body, api.key.request_header_version(version)).unwrap();
        body.extend_from_slice(&generate::body(&api.shape, version, 1, 1));
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(body.len()).unwrap());
        frame.extend_from_slice(&body);
        frame.freeze()
    }

    async fn ask(to: &mut TcpStream, api: &Api) -> String {
        let version = version(api);
        to.write_all(&request(api, version)).await.unwrap();
        let length = to.read_i32().await.unwrap_or_else(|error| panic!("{:?} is not answered: {error}", api.key));
        let mut body = vec![0; usize::try_from(length).unwrap()];
        to.read_exact(&mut body).await.unwrap();
        let mut body = Bytes::from(body);
        ResponseHeader::decode(&mut body, api.key.response_header_version(version)).unwrap();
        format!("{:?}", ResponseKind::decode(api.key, &mut body, version).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_api_asks_whether_its_client_may() {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut config = Config { listen, data_dir: dir.path().to_owned(), ..Config::default() };
        config.security.authorize = true;
        let broker = Broker::start(config).await.unwrap();
        let mut connection = TcpStream::connect(broker.address()).await.unwrap();
        let mut wrong = Vec::new();
        for api in APIS {
            let code = match expected(api.key) {
                Refused(code) => code,
                Filtered => 0,
                Open => continue,
            };
            let answer = ask(&mut connection, api).await;
            if !answer.contains(&format!("error_code: {code},")) {
                wrong.push(answer);
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        drop(connection);
        broker.shutdown().await.unwrap();
    }
}

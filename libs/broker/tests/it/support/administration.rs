//! Changes that an administrator makes, one after the other, and what a broker shows of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteAclsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeClientQuotasRequest,
    DescribeConfigsRequest, DescribeUserScramCredentialsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};

use super::Running;
use super::batch::batch;
use super::wire::{Wire, text, topic_name};

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) name: &'static str,
    /// What things are after it; `None` for those that are gone.
    pub(crate) leads_to: &'static [(&'static str, Option<&'static str>)],
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Create(&'static str, i32),
    Grow(&'static str, i32),
    Configure(&'static str, &'static str),
    DeleteRecords(&'static str),
    Delete(&'static str),
    AddRule,
    RemoveRule,
    AddUser(&'static str),
    RemoveUser(&'static str),
    SetQuota(f64),
    RemoveQuota,
}

const fn change(name: &'static str, what: What, leads_to: &'static [(&'static str, Option<&'static str>)]) -> Change {
    Change { name, leads_to, what }
}

/// Every kind of change, on things that others leave alone.
pub(crate) const CHANGES: &[Change] = &[
    change("a is made", What::Create("a", 1), &[("a", Some("1 partitions"))]),
    change("b is made", What::Create("b", 2), &[("b", Some("2 partitions"))]),
    change("a rule comes", What::AddRule, &[("rules", Some("1"))]),
    change("a grows", What::Grow("a", 3), &[("a", Some("3 partitions"))]),
    change("an comes", What::AddUser("an"), &[("user an", Some("there"))]),
    change("b is configured", What::Configure("b", "1000000011"), &[("b keeps", Some("1000000011"))]),
    change("a quota comes", What::SetQuota(1024.0), &[("quota", Some("1024"))]),
    change("b loses records", What::DeleteRecords("b"), &[("b begins", Some("2"))]),
    change("bo comes", What::AddUser("bo"), &[("user bo", Some("there"))]),
    change("a is deleted", What::Delete("a"), &[("a", None)]),
    change("the rule goes", What::RemoveRule, &[("rules", None)]),
    change("a is made anew", What::Create("a", 2), &[("a", Some("2 partitions"))]),
    change("an goes", What::RemoveUser("an"), &[("user an", None)]),
    change("the quota changes", What::SetQuota(2048.0), &[("quota", Some("2048"))]),
    change("the quota goes", What::RemoveQuota, &[("quota", None)]),
    change("b is configured anew", What::Configure("b", "1000000012"), &[("b keeps", Some("1000000012"))]),
];

impl Change {
    /// Whether it is about quotas, users or rules, and not about topics.
    pub(crate) fn is_kept_in_a_file_of_its_own(&self) -> bool {
        matches!(self.what, What::AddRule | What::AddUser(_) | What::SetQuota(_))
    }

    /// Makes it; whether the broker says that it is made.
    pub(crate) async fn make(&self, broker: &Running) -> bool {
        let mut wire = broker.wire().await;
        match self.what {
            What::Create(topic, partitions) => create(&mut wire, topic, partitions).await,
            What::Grow(topic, count) => {
                let topic = CreatePartitionsTopic::default()
                    .with_assignments(None)
                    .with_name(topic_name(topic))
                    .with_count(count);
                let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
                wire.call(3, &request).await.results[0].error_code == 0
            }
            What::Configure(topic, retention) => configure(&mut wire, topic, retention).await,
            What::DeleteRecords(topic) => {
                // A topic that could not be made is not to come into being by this.
                let is_there = wire.watermarks(topic, 0).await.1 >= 0;
                for _ in 0..if is_there { 3 } else { 0 } {
                    wire.produce(topic, 0, batch(&["x"])).await;
                }
                wire.delete_records(topic, 0, 2).await.0 == 0
            }
            What::Delete(topic) => {
                let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(topic)]);
                wire.call(5, &request).await.responses[0].error_code == 0
            }
            What::AddRule => {
                let request = CreateAclsRequest::default().with_creations(vec![rule()]);
                wire.call(3, &request).await.results[0].error_code == 0
            }
            What::RemoveRule => remove_rules(&mut wire).await,
            What::AddUser(user) => alter_user(&mut wire, user, true).await,
            What::RemoveUser(user) => alter_user(&mut wire, user, false).await,
            What::SetQuota(rate) => quota(&mut wire, Some(rate)).await,
            What::RemoveQuota => quota(&mut wire, None).await,
        }
    }
}

async fn create(wire: &mut Wire, topic: &str, partitions: i32) -> bool {
    let topic = CreatableTopic::default()
        .with_name(topic_name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    wire.call(6, &request).await.topics[0].error_code == 0
}

async fn configure(wire: &mut Wire, topic: &str, retention: &str) -> bool {
    let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text(retention)));
    let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text(topic));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])]);
    wire.call(1, &request).await.responses[0].error_code == 0
}

fn rule() -> AclCreation {
    AclCreation::default()
        .with_resource_type(2)
        .with_resource_name(text("a"))
        .with_resource_pattern_type(3)
        .with_principal(text("User:an"))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3)
}

async fn remove_rules(wire: &mut Wire) -> bool {
    let filter = DeleteAclsFilter::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(None)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_pattern_type_filter(1)
        .with_operation(1)
        .with_permission_type(1);
    let answer = wire.call(3, &DeleteAclsRequest::default().with_filters(vec![filter])).await;
    answer.filter_results[0].error_code == 0
}

async fn alter_user(wire: &mut Wire, user: &str, comes: bool) -> bool {
    let upsertion = ScramCredentialUpsertion::default()
        .with_name(text(user))
        .with_mechanism(1)
        .with_iterations(4_096)
        .with_salt(Bytes::from_static(b"salt"))
        .with_salted_password(Bytes::from_static(b"salted"));
    let deletion = ScramCredentialDeletion::default().with_name(text(user)).with_mechanism(1);
    let request = AlterUserScramCredentialsRequest::default();
    let request = match comes {
        true => request.with_upsertions(vec![upsertion]),
        false => request.with_deletions(vec![deletion]),
    };
    wire.call(0, &request).await.results[0].error_code == 0
}

async fn quota(wire: &mut Wire, rate: Option<f64>) -> bool {
    let entity = EntityData::default().with_entity_type(text("user")).with_entity_name(Some(text("an")));
    let op = OpData::default()
        .with_key(text("producer_byte_rate"))
        .with_value(rate.unwrap_or_default())
        .with_remove(rate.is_none());
    let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
    wire.call(1, &AlterClientQuotasRequest::default().with_entries(vec![entry])).await.entries[0].error_code == 0
}

/// What a broker shows, by the names of [`CHANGES`].
pub(crate) async fn look(broker: &Running) -> BTreeMap<String, String> {
    let mut wire = broker.wire().await;
    let mut shown = BTreeMap::new();
    let metadata = wire.call(9, &MetadataRequest::default().with_topics(None)).await;
    for topic in metadata.topics.iter().filter(|topic| !topic.is_internal) {
        let name = topic.name.as_ref().unwrap().to_string();
        let (keeps, (begins, _)) = (retention_of(&mut wire, &name).await, wire.watermarks(&name, 0).await);
        let default = broker::Config::default().retention_ms.to_string();
        shown.extend((keeps != default).then(|| (format!("{name} keeps"), keeps)));
        shown.extend((begins != 0).then(|| (format!("{name} begins"), begins.to_string())));
        shown.insert(name, format!("{} partitions", topic.partitions.len()));
    }
    let rules = DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(None)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_pattern_type_filter(1)
        .with_operation(1)
        .with_permission_type(1);
    let rules = wire.call(3, &rules).await;
    if !rules.resources.is_empty() {
        shown.insert("rules".to_owned(), rules.resources.len().to_string());
    }
    let users = wire.call(0, &DescribeUserScramCredentialsRequest::default().with_users(None)).await;
    for user in users.results {
        shown.insert(format!("user {}", user.user.as_str()), "there".to_owned());
    }
    let quotas = wire.call(1, &DescribeClientQuotasRequest::default()).await;
    for entry in quotas.entries.unwrap_or_default() {
        shown.insert("quota".to_owned(), entry.values[0].value.to_string());
    }
    shown
}

async fn retention_of(wire: &mut Wire, topic: &str) -> String {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configuration_keys(Some(vec![text("retention.ms")]));
    let answer = wire.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).await;
    answer.results[0].configs[0].value.as_ref().unwrap().to_string()
}

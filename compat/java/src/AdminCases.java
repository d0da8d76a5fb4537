/** Topics and configurations through the admin client. */

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

final class AdminCases {
    private AdminCases() {}

    interface WithAdmin {
        void run(Admin admin, String address) throws Exception;
    }

    private static void add(Cases cases, String name, WithAdmin body) {
        cases.add(name, address -> {
            try (Admin admin = Clients.admin(address)) {
                body.run(admin, address);
            }
        });
    }

    static void declare(Cases cases) {
        add(cases, "a_topic_is_created_described_and_deleted_by_name_and_id", AdminCases::lifeOfATopic);
        add(cases, "what_cannot_be_created_is_refused", AdminCases::refusedTopics);
        add(cases, "a_topic_without_numbers_gets_the_brokers", AdminCases::defaults);
        add(cases, "a_topic_that_is_only_validated_is_not_created", AdminCases::validated);
        add(cases, "partitions_are_added_and_never_taken_away", AdminCases::morePartitions);
        add(cases, "the_cluster_is_described", AdminCases::cluster);
        add(cases, "configurations_are_described_with_source_and_type", AdminCases::described);
        add(cases, "single_configurations_are_set_deleted_appended_and_subtracted", AdminCases::altered);
        add(cases, "a_bad_change_of_a_configuration_is_refused", AdminCases::refusedChanges);
        add(cases, "records_are_deleted_up_to_an_offset", AdminCases::deletedRecords);
        add(cases, "offsets_are_listed_earliest_latest_and_by_largest_time", AdminCases::listedOffsets);
        add(cases, "log_directories_show_sizes", AdminCases::logDirectories);
    }

    private static void lifeOfATopic(Admin admin, String address) throws Exception {
        String first = Clients.topic(address, 3);
        TopicDescription told = Cases.done(admin.describeTopics(List.of(first)).allTopicNames()).get(first);
        Cases.equal(told.partitions().size(), 3);
        Cases.equal(told.partitions().get(2).leader().id(), 1);
        Cases.holds(!told.topicId().equals(Uuid.ZERO_UUID), "no id");
        TopicCollection byId = TopicCollection.ofTopicIds(List.of(told.topicId()));
        Cases.equal(Cases.done(admin.describeTopics(byId).allTopicIds()).get(told.topicId()).name(), first);
        Cases.done(admin.deleteTopics(byId).all());
        String second = Clients.topic(address, 1);
        Cases.done(admin.deleteTopics(List.of(second)).all());
        Cases.eventually("their end", () -> {
            Set<String> names = Cases.done(admin.listTopics().names());
            return !names.contains(first) && !names.contains(second);
        });
        Throwable again = Cases.failure(admin.deleteTopics(List.of(second)).all());
        Cases.equal(again.getClass(), UnknownTopicOrPartitionException.class);
    }

    private static void refusedTopics(Admin admin, String address) throws Exception {
        String there = Clients.topic(address, 1);
        Map<NewTopic, Class<?>> refused = Map.of(
            new NewTopic(there, 1, (short) 1), TopicExistsException.class,
            new NewTopic("no/such", 1, (short) 1), InvalidTopicException.class,
            new NewTopic(Cases.unique("t"), 0, (short) 1), InvalidPartitionsException.class,
            new NewTopic(Cases.unique("t"), 1, (short) 3), InvalidReplicationFactorException.class,
            new NewTopic(Cases.unique("t"), 1, (short) 1).configs(Map.of("retention.ms", "soon")),
            InvalidConfigurationException.class);
        for (Map.Entry<NewTopic, Class<?>> entry : refused.entrySet()) {
            Throwable error = Cases.failure(admin.createTopics(List.of(entry.getKey())).all());
            Cases.equal(error.getClass(), entry.getValue());
        }
    }

    private static void defaults(Admin admin, String address) throws Exception {
        String name = Cases.unique("java");
        var made = admin.createTopics(List.of(new NewTopic(name, java.util.Optional.empty(), java.util.Optional.empty())));
        Cases.equal(Cases.done(made.numPartitions(name)), 3);
        Cases.equal(Cases.done(made.replicationFactor(name)), 1);
        Config config = Cases.done(made.config(name));
        Cases.equal(config.get("cleanup.policy").value(), "delete");
    }

    private static void validated(Admin admin, String address) throws Exception {
        String name = Cases.unique("java");
        CreateTopicsOptions only = new CreateTopicsOptions().validateOnly(true);
        Cases.done(admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)), only).all());
        Cases.holds(!Cases.done(admin.listTopics().names()).contains(name), "it is there");
    }

    private static void morePartitions(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Cases.done(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
        Cases.eventually("three partitions", () ->
            Cases.done(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size() == 3);
        Throwable fewer = Cases.failure(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all());
        Cases.equal(fewer.getClass(), InvalidPartitionsException.class);
    }

    private static void cluster(Admin admin, String address) throws Exception {
        var cluster = admin.describeCluster();
        var nodes = Cases.done(cluster.nodes());
        Cases.equal(nodes.stream().map(node -> node.host() + ":" + node.port()).toList(), List.of(address));
        Cases.equal(Cases.done(cluster.controller()).id(), 1);
        Cases.equal(Cases.done(cluster.clusterId()).length(), 22);
    }

    private static ConfigResource resource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private static ConfigEntry config(Admin admin, String topic, String key) throws Exception {
        ConfigResource resource = resource(topic);
        return Cases.done(admin.describeConfigs(List.of(resource)).all()).get(resource).get(key);
    }

    private static Future<Void> change(Admin admin, String topic, String key, String value, AlterConfigOp.OpType kind) {
        Collection<AlterConfigOp> changes = List.of(new AlterConfigOp(new ConfigEntry(key, value), kind));
        return admin.incrementalAlterConfigs(Map.of(resource(topic), changes)).all();
    }

    private static void described(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1, "retention.ms", "1234567");
        ConfigEntry retention = config(admin, topic, "retention.ms");
        Cases.equal(retention.value(), "1234567");
        Cases.equal(retention.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
        Cases.equal(retention.type(), ConfigEntry.ConfigType.LONG);
        ConfigEntry policy = config(admin, topic, "cleanup.policy");
        Cases.equal(policy.source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG);
        Cases.equal(policy.type(), ConfigEntry.ConfigType.LIST);
        Cases.holds(!policy.isReadOnly() && !policy.isSensitive(), policy);
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        Config told = Cases.done(admin.describeConfigs(List.of(broker)).all()).get(broker);
        Cases.equal(told.get("num.partitions").value(), "3");
    }

    private static void altered(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Cases.done(change(admin, topic, "retention.ms", "1000", AlterConfigOp.OpType.SET));
        Cases.eventually("the value", () -> config(admin, topic, "retention.ms").value().equals("1000"));
        Cases.done(change(admin, topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND));
        Cases.eventually("both", () -> config(admin, topic, "cleanup.policy").value().equals("delete,compact"));
        Cases.done(change(admin, topic, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT));
        Cases.eventually("one", () -> config(admin, topic, "cleanup.policy").value().equals("compact"));
        Cases.equal(config(admin, topic, "retention.ms").value(), "1000");
        Cases.done(change(admin, topic, "retention.ms", null, AlterConfigOp.OpType.DELETE));
        Cases.eventually("the default", () ->
            config(admin, topic, "retention.ms").source() != ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
    }

    private static void refusedChanges(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1);
        AlterConfigOp.OpType set = AlterConfigOp.OpType.SET;
        Throwable bad = Cases.failure(change(admin, topic, "retention.ms", "soon", set));
        Cases.equal(bad.getClass(), InvalidConfigurationException.class);
        Throwable unknown = Cases.failure(change(admin, topic, "no.such.key", "1", set));
        Cases.equal(unknown.getClass(), InvalidConfigurationException.class);
        Throwable noTopic = Cases.failure(change(admin, Cases.unique("none"), "retention.ms", "1", set));
        Cases.equal(noTopic.getClass(), UnknownTopicOrPartitionException.class);
        Throwable noList = Cases.failure(change(admin, topic, "retention.ms", "1", AlterConfigOp.OpType.APPEND));
        Cases.equal(noList.getClass(), InvalidConfigurationException.class);
    }

    private static void deletedRecords(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Clients.produce(address, topic, Clients.numbers(10));
        TopicPartition partition = new TopicPartition(topic, 0);
        var deleted = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4)));
        Cases.equal(Cases.done(deleted.lowWatermarks().get(partition)).lowWatermark(), 4L);
        Cases.equal(Clients.values(address, topic, 1).get(0), Clients.numbers(10).get(4));
        var beyond = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(11))).all();
        Cases.equal(Cases.failure(beyond).getClass(), OffsetOutOfRangeException.class);
        var all = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1)));
        Cases.equal(Cases.done(all.lowWatermarks().get(partition)).lowWatermark(), 10L);
    }

    private static void listedOffsets(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1);
        try (var producer = Clients.producer(address)) {
            for (long stamp : new long[] {2000, 9000, 5000}) {
                long time = 1_700_000_000_000L + stamp;
                var record = new org.apache.kafka.clients.producer.ProducerRecord<String, String>(topic, 0, time, null, "v");
                Cases.done(producer.send(record));
            }
        }
        TopicPartition partition = new TopicPartition(topic, 0);
        Cases.equal(offset(admin, partition, OffsetSpec.earliest()), 0L);
        Cases.equal(offset(admin, partition, OffsetSpec.latest()), 3L);
        Cases.equal(offset(admin, partition, OffsetSpec.maxTimestamp()), 1L);
        Cases.equal(offset(admin, partition, OffsetSpec.forTimestamp(1_700_000_003_000L)), 1L);
        Cases.equal(offset(admin, partition, OffsetSpec.forTimestamp(1_700_000_010_000L)), -1L);
    }

    private static long offset(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
        return Cases.done(admin.listOffsets(Map.of(partition, spec)).partitionResult(partition)).offset();
    }

    private static void logDirectories(Admin admin, String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Clients.produce(address, topic, List.of("x".repeat(10_000)));
        var directories = Cases.done(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
        Cases.equal(directories.size(), 1);
        var replica = directories.values().iterator().next().replicaInfos().get(new TopicPartition(topic, 0));
        Cases.holds(replica.size() > 10_000 && replica.size() < 20_000, replica);
    }
}

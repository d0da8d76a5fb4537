/** Groups of consumers, by the classic protocol and the one of KIP-848. */

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

final class GroupCases {
    private GroupCases() {}

    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";
    private static final String[] CLASSIC = {"group.protocol", "classic"};
    private static final String[] KIP_848 = {"group.protocol", "consumer"};

    static void declare(Cases cases) {
        for (String assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
            String[] settings = {"partition.assignment.strategy", ASSIGNORS + assignor + "Assignor"};
            cases.add("classic_members_share_partitions_by_" + assignor, address -> shared(address, settings));
        }
        for (String assignor : List.of("uniform", "range")) {
            String[] settings = {"group.protocol", "consumer", "group.remote.assignor", assignor};
            cases.add("kip_848_members_share_partitions_by_" + assignor, address -> shared(address, settings));
        }
        cases.add("classic_groups_are_listed_described_and_deleted", address -> described(address, GroupType.CLASSIC, CLASSIC));
        cases.add("kip_848_groups_are_listed_described_and_deleted", address -> described(address, GroupType.CONSUMER, KIP_848));
        cases.add("classic_offsets_are_committed_with_their_metadata", address -> committed(address, CLASSIC));
        cases.add("kip_848_offsets_are_committed_with_their_metadata", address -> committed(address, KIP_848));
        cases.add("classic_members_follow_topics_by_pattern", GroupCases::pattern);
        cases.add("offsets_of_a_group_are_changed_and_deleted_while_it_is_empty", GroupCases::changed);
        cases.add("a_member_is_removed_by_an_admin", GroupCases::removed);
    }

    /** A member that polls by itself and knows what it holds. */
    private static final class Member {
        final Set<Integer> held = ConcurrentHashMap.newKeySet();
        final ConcurrentLinkedQueue<String> values = new ConcurrentLinkedQueue<>();
        private final KafkaConsumer<String, String> consumer;
        private final Thread thread;
        private volatile boolean leaves;
        private volatile RuntimeException error;

        Member(String address, String group, String topic, String... settings) {
            String[] all = Stream.concat(Stream.of("group.id", group), Stream.of(settings)).toArray(String[]::new);
            consumer = Clients.consumer(address, all);
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    partitions.forEach(partition -> held.add(partition.partition()));
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    partitions.forEach(partition -> held.remove(partition.partition()));
                }
            });
            thread = new Thread(this::run);
            thread.setDaemon(true);
            thread.start();
        }

        private void run() {
            try (consumer) {
                while (!leaves) {
                    consumer.poll(Duration.ofMillis(100)).forEach(record -> values.add(record.value()));
                }
            } catch (RuntimeException failed) {
                error = failed;
            }
        }

        /** Its partitions; an error that ends the member is thrown. */
        Set<Integer> held() {
            if (error != null) {
                throw error;
            }
            return Set.copyOf(held);
        }

        void leave() throws InterruptedException {
            leaves = true;
            thread.join(TimeUnit.SECONDS.toMillis(Cases.WAIT_SECONDS_MAX));
        }
    }

    private static void shared(String address, String... settings) throws Exception {
        String topic = Clients.topic(address, 4);
        String group = Cases.unique("group");
        Member first = new Member(address, group, topic, settings);
        Cases.eventually("all for the first", () -> first.held().equals(Set.of(0, 1, 2, 3)));
        Member second = new Member(address, group, topic, settings);
        Cases.eventually("two for each", () -> first.held().size() == 2 && second.held().size() == 2
            && first.held().stream().noneMatch(second.held()::contains));
        try (KafkaProducer<String, String> producer = Clients.producer(address)) {
            for (int partition = 0; partition < 4; partition++) {
                producer.send(new ProducerRecord<>(topic, partition, null, "v" + partition));
            }
        }
        Cases.eventually("each record once", () -> Stream.concat(first.values.stream(), second.values.stream())
            .sorted().toList().equals(List.of("v0", "v1", "v2", "v3")));
        second.leave();
        Cases.eventually("all for the first again", () -> first.held().equals(Set.of(0, 1, 2, 3)));
        first.leave();
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) throws Exception {
        return Cases.done(admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static void described(String address, GroupType type, String... settings) throws Exception {
        String topic = Clients.topic(address, 2);
        String group = Cases.unique("group");
        String[] all = Stream.concat(Stream.of("client.id", "somebody"), Stream.of(settings)).toArray(String[]::new);
        try (Admin admin = Clients.admin(address)) {
            Member member = new Member(address, group, topic, all);
            Cases.eventually("all partitions", () -> member.held().size() == 2);
            ConsumerGroupDescription told = describe(admin, group);
            Cases.equal(told.groupState(), GroupState.STABLE);
            Cases.equal(told.type(), type);
            Cases.equal(told.coordinator().id(), 1);
            var one = told.members().iterator().next();
            Cases.equal(one.clientId() + one.host(), "somebody/127.0.0.1");
            Cases.equal(one.assignment().topicPartitions().size(), 2);
            var listed = Cases.done(admin.listGroups(ListGroupsOptions.forConsumerGroups()).valid());
            Cases.holds(listed.stream().anyMatch(found -> found.groupId().equals(group)
                && found.type().orElseThrow() == type), listed);
            Throwable notEmpty = Cases.failure(admin.deleteConsumerGroups(List.of(group)).all());
            Cases.equal(notEmpty.getClass(), GroupNotEmptyException.class);
            member.leave();
            Cases.eventually("an empty group", () -> describe(admin, group).groupState() == GroupState.EMPTY);
            Cases.done(admin.deleteConsumerGroups(List.of(group)).all());
            Throwable gone = Cases.failure(admin.deleteConsumerGroups(List.of(group)).all());
            Cases.equal(gone.getClass(), GroupIdNotFoundException.class);
        }
    }

    private static void committed(String address, String... settings) throws Exception {
        String topic = Clients.topic(address, 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        String group = Cases.unique("group");
        String[] own = {"group.id", group, "enable.auto.commit", "false"};
        String[] all = Stream.concat(Stream.of(own), Stream.of(settings)).toArray(String[]::new);
        Clients.produce(address, topic, List.of("a", "b"));
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address, all)) {
            consumer.subscribe(List.of(topic));
            Clients.read(consumer, 2);
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(1, "why")));
            OffsetAndMetadata found = consumer.committed(Set.of(partition)).get(partition);
            Cases.equal(found.offset() + found.metadata(), "1why");
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address, all)) {
            consumer.subscribe(List.of(topic));
            Cases.equal(Clients.values(Clients.read(consumer, 1)), List.of("b"));
        }
    }

    private static void pattern(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Clients.produce(address, topic, List.of("a"));
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address, "group.id", Cases.unique("group"))) {
            consumer.subscribe(Pattern.compile(topic.substring(0, topic.length() - 1) + ".*"));
            Cases.equal(Clients.values(Clients.read(consumer, 1)), List.of("a"));
        }
    }

    private static void changed(String address) throws Exception {
        String topic = Clients.topic(address, 2);
        String group = Cases.unique("group");
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        try (Admin admin = Clients.admin(address)) {
            Map<TopicPartition, OffsetAndMetadata> wanted =
                Map.of(first, new OffsetAndMetadata(7), second, new OffsetAndMetadata(9));
            Cases.done(admin.alterConsumerGroupOffsets(group, wanted).all());
            var told = Cases.done(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            Cases.equal(told.get(first).offset() + told.get(second).offset(), 16L);
            Cases.done(admin.deleteConsumerGroupOffsets(group, Set.of(second)).all());
            told = Cases.done(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            Cases.equal(told.keySet(), Set.of(first));
            Member member = new Member(address, group, topic);
            Cases.eventually("all partitions", () -> member.held().size() == 2);
            Throwable error = Cases.failure(admin.alterConsumerGroupOffsets(group, wanted).all());
            Cases.equal(error.getClass(), UnknownMemberIdException.class);
            member.leave();
        }
    }

    private static void removed(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String group = Cases.unique("group");
        try (Admin admin = Clients.admin(address)) {
            Member member = new Member(address, group, topic, "group.instance.id", "one", "session.timeout.ms", "30000");
            Cases.eventually("its partition", () -> member.held().size() == 1);
            member.leave();
            Cases.equal(describe(admin, group).members().size(), 1);
            var one = new org.apache.kafka.clients.admin.MemberToRemove("one");
            var options = new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions(Set.of(one));
            Cases.done(admin.removeMembersFromConsumerGroup(group, options).all());
            Cases.eventually("an empty group", () -> describe(admin, group).groupState() == GroupState.EMPTY);
        }
    }
}

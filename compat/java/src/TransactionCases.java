/** Transactions, as they are seen by whoever reads what is committed and whoever reads everything. */

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

final class TransactionCases {
    private TransactionCases() {}

    private static final String[] COMMITTED = {"isolation.level", "read_committed"};

    static void declare(Cases cases) {
        cases.add("a_committed_transaction_is_seen_whole", TransactionCases::committed);
        cases.add("an_aborted_transaction_is_seen_only_by_whoever_reads_everything", TransactionCases::aborted);
        cases.add("an_open_transaction_holds_back_whoever_reads_what_is_committed", TransactionCases::open);
        cases.add("a_newer_producer_fences_the_one_before", TransactionCases::fenced);
        cases.add("offsets_are_committed_with_a_transaction", TransactionCases::offsets);
        cases.add("transactions_and_producers_are_listed_and_described", TransactionCases::described);
        cases.add("a_transaction_that_takes_too_long_is_aborted", TransactionCases::late);
        cases.add("an_admin_fences_a_producer", TransactionCases::fencedByAdmin);
    }

    private static KafkaProducer<String, String> producer(String address, String name, String... settings) {
        String[] all = java.util.Arrays.copyOf(settings, settings.length + 2);
        all[settings.length] = "transactional.id";
        all[settings.length + 1] = name;
        KafkaProducer<String, String> producer = Clients.producer(address, all);
        producer.initTransactions();
        return producer;
    }

    private static ProducerRecord<String, String> record(String topic, String value) {
        return new ProducerRecord<>(topic, 0, null, value);
    }

    private static void committed(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String other = Clients.topic(address, 1);
        try (KafkaProducer<String, String> producer = producer(address, Cases.unique("tx"))) {
            for (int round = 0; round < 3; round++) {
                producer.beginTransaction();
                producer.send(record(topic, "a" + round));
                producer.send(record(other, "b" + round));
                producer.commitTransaction();
            }
        }
        Cases.equal(Clients.values(address, topic, 3, COMMITTED), List.of("a0", "a1", "a2"));
        Cases.equal(Clients.values(address, other, 3, COMMITTED), List.of("b0", "b1", "b2"));
    }

    private static void aborted(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        try (KafkaProducer<String, String> producer = producer(address, Cases.unique("tx"))) {
            producer.beginTransaction();
            Cases.done(producer.send(record(topic, "aborted")));
            producer.abortTransaction();
            producer.beginTransaction();
            producer.send(record(topic, "committed"));
            producer.commitTransaction();
        }
        Cases.equal(Clients.values(address, topic, 1, COMMITTED), List.of("committed"));
        Cases.equal(Clients.values(address, topic, 2), List.of("aborted", "committed"));
    }

    private static void open(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = producer(address, Cases.unique("tx"));
                Admin admin = Clients.admin(address)) {
            producer.beginTransaction();
            Cases.done(producer.send(record(topic, "open")));
            Clients.produce(address, topic, List.of("plain"));
            Cases.equal(end(admin, partition, IsolationLevel.READ_COMMITTED), 0L);
            Cases.equal(end(admin, partition, IsolationLevel.READ_UNCOMMITTED), 2L);
            producer.commitTransaction();
        }
        Cases.equal(Clients.values(address, topic, 2, COMMITTED), List.of("open", "plain"));
    }

    private static long end(Admin admin, TopicPartition partition, IsolationLevel level) throws Exception {
        var listed = admin.listOffsets(Map.of(partition, OffsetSpec.latest()), new ListOffsetsOptions(level));
        return Cases.done(listed.partitionResult(partition)).offset();
    }

    private static void fenced(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String name = Cases.unique("tx");
        try (KafkaProducer<String, String> old = producer(address, name)) {
            old.beginTransaction();
            Cases.done(old.send(record(topic, "zombie")));
            try (KafkaProducer<String, String> young = producer(address, name)) {
                Throwable error = Cases.failure(() -> {
                    old.send(record(topic, "zombie again"));
                    old.commitTransaction();
                    return null;
                });
                Cases.holds(isFencing(error), error);
                young.beginTransaction();
                young.send(record(topic, "new"));
                young.commitTransaction();
            }
        }
        Cases.equal(Clients.values(address, topic, 1, COMMITTED), List.of("new"));
    }

    private static boolean isFencing(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof ProducerFencedException || cause instanceof InvalidProducerEpochException) {
                return true;
            }
        }
        return false;
    }

    private static void offsets(String address) throws Exception {
        String source = Clients.topic(address, 1);
        String target = Clients.topic(address, 1);
        String group = Cases.unique("group");
        TopicPartition partition = new TopicPartition(source, 0);
        Clients.produce(address, source, List.of("1", "2", "3"));
        try (KafkaConsumer<String, String> consumer =
                    Clients.consumer(address, "group.id", group, "enable.auto.commit", "false");
                KafkaProducer<String, String> producer = producer(address, Cases.unique("tx"))) {
            consumer.subscribe(List.of(source));
            Clients.read(consumer, 3);
            Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(partition, new OffsetAndMetadata(3));
            producer.beginTransaction();
            producer.send(record(target, "6"));
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            producer.abortTransaction();
            Cases.equal(consumer.committed(java.util.Set.of(partition)).get(partition), null);
            producer.beginTransaction();
            producer.send(record(target, "6"));
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            producer.commitTransaction();
            Cases.equal(consumer.committed(java.util.Set.of(partition)).get(partition).offset(), 3L);
        }
        Cases.equal(Clients.values(address, target, 1, COMMITTED), List.of("6"));
    }

    private static void described(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String name = Cases.unique("tx");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = producer(address, name); Admin admin = Clients.admin(address)) {
            producer.beginTransaction();
            Cases.done(producer.send(record(topic, "v")));
            var told = Cases.done(admin.describeTransactions(List.of(name)).description(name));
            Cases.equal(told.state(), TransactionState.ONGOING);
            Cases.equal(told.topicPartitions(), java.util.Set.of(partition));
            var active = Cases.done(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers();
            Cases.equal(active.get(0).producerId(), told.producerId());
            Cases.equal(active.get(0).currentTransactionStartOffset().getAsLong(), 0L);
            producer.commitTransaction();
            Cases.eventually("the end", () -> Cases.done(admin.describeTransactions(List.of(name)).description(name))
                .state() == TransactionState.COMPLETE_COMMIT);
            var listed = Cases.done(admin.listTransactions().all());
            Cases.holds(listed.stream().anyMatch(one -> one.transactionalId().equals(name)), listed);
        }
    }

    private static void late(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String name = Cases.unique("tx");
        try (KafkaProducer<String, String> producer = producer(address, name, "transaction.timeout.ms", "1000");
                Admin admin = Clients.admin(address)) {
            producer.beginTransaction();
            Cases.done(producer.send(record(topic, "late")));
            Cases.eventually("the abort", () -> Cases.done(admin.describeTransactions(List.of(name)).description(name))
                .state() == TransactionState.COMPLETE_ABORT);
            Cases.holds(Cases.failure(() -> {
                producer.commitTransaction();
                return null;
            }) instanceof KafkaException, "another error");
            producer.close(Duration.ZERO);
        }
        Clients.produce(address, topic, List.of("after"));
        Cases.equal(Clients.values(address, topic, 1, COMMITTED), List.of("after"));
    }

    private static void fencedByAdmin(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String name = Cases.unique("tx");
        try (KafkaProducer<String, String> producer = producer(address, name); Admin admin = Clients.admin(address)) {
            producer.beginTransaction();
            Cases.done(producer.send(record(topic, "v")));
            Cases.done(admin.fenceProducers(List.of(name)).all());
            Throwable error = Cases.failure(() -> {
                producer.commitTransaction();
                return null;
            });
            Cases.holds(isFencing(error), error);
        }
    }
}

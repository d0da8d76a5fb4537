/** Records as the producer sends them and the consumer reads them. */

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.record.TimestampType;

final class RecordCases {
    private RecordCases() {}

    static void declare(Cases cases) {
        for (String codec : List.of("none", "gzip", "lz4", "zstd", "snappy")) {
            cases.add("records_compressed_with_" + codec + "_come_back", address -> compressed(address, codec));
        }
        for (String acks : List.of("0", "1", "all")) {
            cases.add("records_sent_with_acks_" + acks + "_come_back", address -> acknowledged(address, acks));
        }
        cases.add("keys_headers_times_and_tombstones_are_kept", RecordCases::whole);
        cases.add("the_brokers_time_is_written_where_the_topic_says_so", RecordCases::appendTime);
        cases.add("a_large_record_comes_back_and_a_larger_one_is_refused", RecordCases::large);
        cases.add("a_record_larger_than_a_fetch_is_read_all_the_same", RecordCases::largerThanAFetch);
        cases.add("an_idempotent_producer_writes_every_record_once", RecordCases::idempotent);
        cases.add("a_topic_comes_into_being_with_its_first_record", RecordCases::created);
        cases.add("offsets_are_found_by_time_and_sought", RecordCases::sought);
        cases.add("an_offset_out_of_range_is_an_error_where_none_is_chosen", RecordCases::outOfRange);
    }

    private static void compressed(String address, String codec) throws Exception {
        String topic = Clients.topic(address, 1);
        List<String> sent = Clients.numbers(300);
        List<Long> offsets = Clients.produce(address, topic, sent, "compression.type", codec, "linger.ms", "50");
        Cases.equal(offsets, LongStream.range(0, 300).boxed().toList());
        Cases.equal(Clients.values(address, topic, 300), sent);
    }

    private static void acknowledged(String address, String acks) throws Exception {
        String topic = Clients.topic(address, 1);
        Clients.produce(address, topic, List.of("a", "b"), "acks", acks, "enable.idempotence", "false");
        Cases.equal(Clients.values(address, topic, 2), List.of("a", "b"));
    }

    private static void whole(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        try (KafkaProducer<String, String> producer = Clients.producer(address)) {
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, 1_700_000_000_123L, "k", "v");
            record.headers().add("a", "1".getBytes(StandardCharsets.UTF_8)).add("a", null).add("b", new byte[0]);
            Cases.done(producer.send(record));
            Cases.done(producer.send(new ProducerRecord<>(topic, 0, "k", null)));
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            List<ConsumerRecord<String, String>> found = Clients.read(consumer, 2);
            ConsumerRecord<String, String> first = found.get(0);
            Cases.equal(first.key() + "=" + first.value(), "k=v");
            Cases.equal(first.timestamp(), 1_700_000_000_123L);
            Cases.equal(first.timestampType(), TimestampType.CREATE_TIME);
            List<String> headers = new ArrayList<>();
            first.headers().forEach(header -> headers.add(header.key() + (header.value() == null ? "-" : header.value().length)));
            Cases.equal(headers, List.of("a1", "a-", "b0"));
            Cases.equal(found.get(1).value(), null);
        }
    }

    private static void appendTime(String address) throws Exception {
        String topic = Clients.topic(address, 1, "message.timestamp.type", "LogAppendTime");
        try (KafkaProducer<String, String> producer = Clients.producer(address)) {
            Cases.done(producer.send(new ProducerRecord<>(topic, 0, 1_000L, "k", "v")));
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            ConsumerRecord<String, String> found = Clients.read(consumer, 1).get(0);
            Cases.equal(found.timestampType(), TimestampType.LOG_APPEND_TIME);
            Cases.holds(Math.abs(found.timestamp() - System.currentTimeMillis()) < 600_000, found);
        }
    }

    private static void large(String address) throws Exception {
        String topic = Clients.topic(address, 1, "max.message.bytes", "2000000");
        String large = "x".repeat(1_500_000);
        String[] settings = {"max.request.size", "5000000", "compression.type", "none"};
        Clients.produce(address, topic, List.of(large), settings);
        Cases.equal(Clients.values(address, topic, 1).get(0).length(), large.length());
        Throwable error = Cases.failure(() -> Clients.produce(address, topic, List.of("x".repeat(3_000_000)), settings));
        Cases.equal(error.getClass(), RecordTooLargeException.class);
    }

    private static void largerThanAFetch(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Clients.produce(address, topic, List.of("x".repeat(500_000), "after"));
        String[] limits = {"fetch.max.bytes", "10000", "max.partition.fetch.bytes", "10000"};
        List<String> found = Clients.values(address, topic, 2, limits);
        Cases.equal(found.stream().map(String::length).toList(), List.of(500_000, 5));
    }

    private static void idempotent(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        List<String> sent = Clients.numbers(1000);
        Clients.produce(address, topic, sent, "enable.idempotence", "true", "acks", "all", "batch.size", "500");
        Cases.equal(Clients.values(address, topic, 1000), sent);
    }

    private static void created(String address) throws Exception {
        String topic = Cases.unique("java");
        Cases.equal(Clients.produce(address, topic, List.of("a")), List.of(0L));
        Cases.equal(Clients.values(address, topic, 1), List.of("a"));
    }

    private static void sought(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        try (KafkaProducer<String, String> producer = Clients.producer(address)) {
            for (int number = 0; number < 5; number++) {
                long stamp = 1_700_000_000_000L + number * 1000L;
                producer.send(new ProducerRecord<>(topic, 0, stamp, null, "v" + number));
            }
        }
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address)) {
            consumer.assign(List.of(partition));
            var found = consumer.offsetsForTimes(Map.of(partition, 1_700_000_002_500L)).get(partition);
            Cases.equal(found.offset(), 3L);
            Cases.equal(found.timestamp(), 1_700_000_003_000L);
            Cases.equal(consumer.offsetsForTimes(Map.of(partition, 1_700_000_009_000L)).get(partition), null);
            consumer.seek(partition, found.offset());
            Cases.equal(Clients.values(Clients.read(consumer, 1)).get(0), "v3");
            consumer.seekToBeginning(List.of(partition));
            Cases.equal(Clients.values(Clients.read(consumer, 1)).get(0), "v0");
            Cases.equal(consumer.endOffsets(List.of(partition)).get(partition), 5L);
            Cases.equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L);
        }
    }

    private static void outOfRange(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        Clients.produce(address, topic, List.of("a"));
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Clients.consumer(address, "auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 100);
            Throwable error = Cases.failure(() -> {
                for (int attempt = 0; attempt < 100; attempt++) {
                    consumer.poll(Duration.ofMillis(200));
                }
                return null;
            });
            Cases.equal(error.getClass(), OffsetOutOfRangeException.class);
        }
    }
}

/** Clients with what the cases share. */

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Clients {
    private Clients() {}

    static Admin admin(String address, String... settings) {
        return Admin.create(config(address, settings));
    }

    private static Map<String, Object> config(String address, String... settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", address);
        for (int at = 0; at < settings.length; at += 2) {
            config.put(settings[at], settings[at + 1]);
        }
        return config;
    }

    /** A topic of its own, known to the broker when this returns. */
    static String topic(String address, int partitions, String... settings) throws Exception {
        String name = Cases.unique("java");
        try (Admin admin = admin(address)) {
            Map<String, String> configs = new HashMap<>();
            for (int at = 0; at < settings.length; at += 2) {
                configs.put(settings[at], settings[at + 1]);
            }
            Cases.done(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
            Cases.eventually("the topic", () -> Cases.done(admin.listTopics().names()).contains(name));
        }
        return name;
    }

    static KafkaProducer<String, String> producer(String address, String... settings) {
        return new KafkaProducer<>(config(address, settings), new StringSerializer(), new StringSerializer());
    }

    /** Sends a record a value to partition 0, and returns their offsets. */
    static List<Long> produce(String address, String topic, List<String> values, String... settings) throws Exception {
        try (KafkaProducer<String, String> producer = producer(address, settings)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String value : values) {
                sent.add(producer.send(new ProducerRecord<>(topic, 0, null, value)));
            }
            List<Long> offsets = new ArrayList<>();
            for (Future<RecordMetadata> one : sent) {
                offsets.add(Cases.done(one).offset());
            }
            return offsets;
        }
    }

    static KafkaConsumer<String, String> consumer(String address, String... settings) {
        Map<String, Object> config = config(address, settings);
        config.putIfAbsent("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    /** The next records, so many of them. */
    static List<ConsumerRecord<String, String>> read(Consumer<String, String> consumer, int count) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Cases.WAIT_SECONDS_MAX);
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        while (records.size() < count) {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            Cases.holds(System.nanoTime() < deadline, records.size() + " of " + count + " records");
        }
        return records;
    }

    /** Records of partition 0 from the start on. */
    static List<String> values(String address, String topic, int count, String... settings) {
        try (KafkaConsumer<String, String> consumer = consumer(address, settings)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            return values(read(consumer, count));
        }
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    static List<String> numbers(int count) {
        List<String> values = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            values.add("value " + number + " " + "x".repeat(100));
        }
        return values;
    }
}

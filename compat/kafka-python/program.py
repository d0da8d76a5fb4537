"""kafka-python, which is written in Python alone."""

import logging
import os
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import AlterConfigOp, ConfigResource, OffsetSpec
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.structs import OffsetAndMetadata

from cases import case, equal, eventually, main, unique

SECONDS_MAX = 30
# The client forgets an assignment that arrives after the poll that asked for it has ended.
POLL_MS = 3000
# Now and then it joins a group before it has heard of the topic, and then has nothing until it asks again.
DEFAULTS = {"auto_offset_reset": "earliest", "metadata_max_age_ms": 1000}

logging.disable(logging.CRITICAL)


def with_admin(function):
    """Gives the case an admin client."""

    def run(address):
        client = KafkaAdminClient(bootstrap_servers=address)
        try:
            function(address, client)
        finally:
            client.close()

    run.__name__ = function.__name__
    return case(run)


def refused(call):
    """The type of the error of a call that must fail."""
    try:
        value = call()
    except errors.KafkaError as error:
        return type(error)
    raise AssertionError(f"it was not refused: {value}")


def new_topic(address, partitions=1, **config):
    """A topic of its own, there when this returns."""
    topic = unique("python")
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    client = KafkaAdminClient(bootstrap_servers=address)
    client.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": config}})
    eventually("the topic", lambda: topic in client.list_topics())
    client.close()
    return topic


def produce(address, topic, values, partition=0, **config):
    """Sends a record a value and returns their offsets."""
    producer = KafkaProducer(bootstrap_servers=address, **config)
    sent = [producer.send(topic, value, partition=partition) for value in values]
    try:
        return [future.get(timeout=SECONDS_MAX).offset for future in sent]
    finally:
        producer.close(SECONDS_MAX)


def consumer(address, **config):
    return KafkaConsumer(bootstrap_servers=address, **{**DEFAULTS, **config})


def read(reader, count):
    """The next records, so many of them."""
    deadline = time.monotonic() + SECONDS_MAX
    records = []
    while len(records) < count:
        for batch in reader.poll(timeout_ms=POLL_MS).values():
            records.extend(batch)
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(records)} of {count} records")
    return records


def read_partition(address, topic, count, offset=0, **config):
    """Records of partition 0 from an offset on."""
    reader = consumer(address, **config)
    reader.assign([TopicPartition(topic, 0)])
    reader.seek(TopicPartition(topic, 0), offset)
    try:
        return read(reader, count)
    finally:
        reader.close()


def values(records):
    return [record.value for record in records]


@with_admin
def a_topic_is_created_described_and_deleted(address, client):
    topic = new_topic(address, 3)
    (told,) = client.describe_topics([topic])
    partitions = sorted(told["partitions"], key=lambda part: part["partition_index"])
    equal([(part["partition_index"], part["leader_id"]) for part in partitions], [(0, 1), (1, 1), (2, 1)])
    client.delete_topics([topic])
    eventually("its end", lambda: topic not in client.list_topics())


@with_admin
def a_topic_without_numbers_gets_the_brokers(_, client):
    topic = unique("python")
    client.create_topics([topic])
    eventually("three partitions", lambda: len(client.describe_topics([topic])[0]["partitions"]) == 3)


@with_admin
def what_cannot_be_created_is_refused(address, client):
    create = lambda name, **options: refused(lambda: client.create_topics({name: options}))
    equal(create(new_topic(address)), errors.TopicAlreadyExistsError)
    equal(create("no/such"), errors.InvalidTopicError)
    equal(create(unique("t"), num_partitions=0), errors.InvalidPartitionsError)
    equal(create(unique("t"), replication_factor=3), errors.InvalidReplicationFactorError)
    equal(create(unique("t"), configs={"retention.ms": "soon"}), errors.InvalidConfigurationError)


@with_admin
def partitions_are_added_and_never_taken_away(address, client):
    topic = new_topic(address)
    client.create_partitions({topic: 3})
    eventually("three partitions", lambda: len(client.describe_topics([topic])[0]["partitions"]) == 3)
    equal(refused(lambda: client.create_partitions({topic: 2})), errors.InvalidPartitionsError)


@with_admin
def the_cluster_is_described(address, client):
    told = client.describe_cluster()
    equal([f"{one['host']}:{one['port']}" for one in told["brokers"]], [address])
    equal((told["controller_id"], len(told["cluster_id"])), (1, 22))


@with_admin
def configurations_are_described_and_changed(address, client):
    topic = new_topic(address, retention_ms=1234567)
    resource = lambda configs=None: [ConfigResource("topic", topic, configs)]
    describe = lambda: client.describe_configs(resource(), config_filter="all")["topic"][topic]
    equal(describe()["retention.ms"]["value"], "1234567")
    equal(describe()["cleanup.policy"]["value"], "delete")
    client.alter_configs(resource({"cleanup.policy": (AlterConfigOp.APPEND, "compact")}))
    eventually("both", lambda: describe()["cleanup.policy"]["value"] == "delete,compact")
    client.alter_configs(resource({"retention.ms": (AlterConfigOp.DELETE, None)}))
    eventually("the default", lambda: describe()["retention.ms"]["value"] != "1234567")


def _compressed(codec):
    def run(address):
        topic = new_topic(address)
        sent = [f"record {number} {'x' * 300}".encode() for number in range(300)]
        equal(produce(address, topic, sent, compression_type=codec, linger_ms=50), list(range(300)))
        equal(values(read_partition(address, topic, 300)), sent)

    run.__name__ = f"records_compressed_with_{codec or 'none'}_come_back"
    case(run)


for _codec in (None, "gzip", "lz4", "zstd", "snappy"):
    _compressed(_codec)


def _acknowledged(acks):
    def run(address):
        topic = new_topic(address)
        produce(address, topic, [b"a", b"b"], acks=acks, enable_idempotence=False)
        equal(values(read_partition(address, topic, 2)), [b"a", b"b"])

    run.__name__ = f"records_sent_with_acks_{acks}_come_back"
    case(run)


for _acks in (0, 1, "all"):
    _acknowledged(_acks)


@case
def keys_headers_times_and_tombstones_are_kept(address):
    topic = new_topic(address)
    producer = KafkaProducer(bootstrap_servers=address)
    headers = [("a", b"1"), ("a", b"2"), ("b", b"")]
    producer.send(topic, b"v", b"k", headers=headers, timestamp_ms=1_700_000_000_123).get(SECONDS_MAX)
    producer.send(topic, None, b"k").get(SECONDS_MAX)
    producer.close(SECONDS_MAX)
    first, second = read_partition(address, topic, 2)
    equal((first.key, first.value, list(first.headers), first.timestamp), (b"k", b"v", headers, 1_700_000_000_123))
    equal((second.key, second.value), (b"k", None))


@case
def the_brokers_time_is_written_where_the_topic_says_so(address):
    topic = new_topic(address, message_timestamp_type="LogAppendTime")
    produce(address, topic, [b"v"])
    (record,) = read_partition(address, topic, 1)
    equal((record.timestamp_type, abs(record.timestamp - time.time() * 1000) < 600_000), (1, True))


@case
def a_large_record_comes_back_and_a_larger_one_is_refused(address):
    topic = new_topic(address, max_message_bytes=2_000_000)
    produce(address, topic, [bytes(1_500_000)], max_request_size=5_000_000)
    equal([len(record.value) for record in read_partition(address, topic, 1)], [1_500_000])
    send = lambda: produce(address, topic, [bytes(3_000_000)], max_request_size=5_000_000)
    equal(refused(send), errors.MessageSizeTooLargeError)


@case
def an_idempotent_producer_writes_every_record_once(address):
    topic = new_topic(address)
    sent = [str(number).encode() for number in range(500)]
    equal(produce(address, topic, sent, enable_idempotence=True, acks="all"), list(range(500)))
    equal(values(read_partition(address, topic, 500)), sent)


@case
def a_topic_comes_into_being_with_its_first_record(address):
    topic = unique("python")
    equal(produce(address, topic, [b"a"]), [0])
    equal(values(read_partition(address, topic, 1)), [b"a"])


@case
def offsets_are_found_by_time_and_sought(address):
    topic = new_topic(address)
    producer = KafkaProducer(bootstrap_servers=address)
    for number in range(5):
        stamp = 1_700_000_000_000 + number * 1000
        producer.send(topic, str(number).encode(), timestamp_ms=stamp).get(SECONDS_MAX)
    producer.close(SECONDS_MAX)
    partition = TopicPartition(topic, 0)
    reader = consumer(address)
    reader.assign([partition])
    found = reader.offsets_for_times({partition: 1_700_000_002_500})[partition]
    equal((found.offset, found.timestamp), (3, 1_700_000_003_000))
    equal(reader.offsets_for_times({partition: 1_700_000_009_000})[partition], None)
    equal((reader.beginning_offsets([partition]), reader.end_offsets([partition])), ({partition: 0}, {partition: 5}))
    reader.seek(partition, found.offset)
    equal(values(read(reader, 1))[0], b"3")
    reader.close()


@with_admin
def offsets_are_listed_by_largest_time(address, client):
    topic = new_topic(address)
    producer = KafkaProducer(bootstrap_servers=address)
    for stamp in (2000, 9000, 5000):
        producer.send(topic, b"v", timestamp_ms=1_700_000_000_000 + stamp).get(SECONDS_MAX)
    producer.close(SECONDS_MAX)
    partition = TopicPartition(topic, 0)
    found = client.list_partition_offsets({partition: OffsetSpec.MAX_TIMESTAMP})[partition]
    equal((found.offset, found.timestamp), (1, 1_700_000_009_000))


@with_admin
def records_are_deleted_up_to_an_offset(address, client):
    topic = new_topic(address)
    produce(address, topic, [str(number).encode() for number in range(10)])
    client.delete_records({TopicPartition(topic, 0): 4})
    equal(values(read_partition(address, topic, 6))[0], b"4")
    equal(refused(lambda: client.delete_records({TopicPartition(topic, 0): 11})), errors.OffsetOutOfRangeError)


# Transactions


def transactional(address):
    producer = KafkaProducer(bootstrap_servers=address, transactional_id=unique("tx"))
    producer.init_transactions()
    return producer


@case
def a_committed_transaction_is_seen_and_an_aborted_one_is_not(address):
    topic = new_topic(address)
    producer = transactional(address)
    for value, end in ((b"first", "commit"), (b"aborted", "abort"), (b"second", "commit")):
        producer.begin_transaction()
        producer.send(topic, value, partition=0).get(SECONDS_MAX)
        getattr(producer, f"{end}_transaction")()
    producer.close(SECONDS_MAX)
    equal(values(read_partition(address, topic, 2, isolation_level="read_committed")), [b"first", b"second"])
    equal(values(read_partition(address, topic, 3)), [b"first", b"aborted", b"second"])


@case
def offsets_are_committed_with_a_transaction(address):
    topic, group = new_topic(address), unique("group")
    partition = TopicPartition(topic, 0)
    produce(address, topic, [b"1", b"2"])
    reader = consumer(address, group_id=group, enable_auto_commit=False)
    reader.subscribe([topic])
    read(reader, 2)
    producer = transactional(address)
    for end, expected in (("abort", None), ("commit", 2)):
        producer.begin_transaction()
        producer.send_offsets_to_transaction({partition: OffsetAndMetadata(2, "", -1)}, reader.group_metadata())
        getattr(producer, f"{end}_transaction")()
        eventually(f"offset {expected}", lambda: reader.committed(partition) == expected)
    producer.close(SECONDS_MAX)
    reader.close()


# Groups


class Member:
    """A member of a group that polls by itself and knows what it holds."""

    def __init__(self, address, group, topic, **config):
        self.held = set()
        self.values = []
        self._stop = threading.Event()
        self._consumer = consumer(address, group_id=group, **config)
        self._consumer.subscribe([topic])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            for batch in self._consumer.poll(timeout_ms=POLL_MS).values():
                self.values.extend(values(batch))
            self.held = {part.partition for part in self._consumer.assignment()}
        self._consumer.close()

    def leave(self):
        self._stop.set()
        self._thread.join(SECONDS_MAX)


def _shared(name, assignor):
    def run(address):
        topic, group = new_topic(address, 4), unique("group")
        config = {"partition_assignment_strategy": [assignor], "heartbeat_interval_ms": 500}
        first = Member(address, group, topic, **config)
        eventually("all for the first", lambda: first.held == {0, 1, 2, 3})
        second = Member(address, group, topic, **config)
        eventually("two for each", lambda: len(first.held) == len(second.held) == 2 and not first.held & second.held)
        for partition in range(4):
            produce(address, topic, [str(partition).encode()], partition)
        eventually("each record once", lambda: sorted(first.values + second.values) == [b"0", b"1", b"2", b"3"])
        second.leave()
        eventually("all for the first again", lambda: first.held == {0, 1, 2, 3})
        first.leave()

    run.__name__ = f"two_members_share_partitions_by_{name}"
    case(run)


for _name, _assignor in (
    ("range", RangePartitionAssignor), ("roundrobin", RoundRobinPartitionAssignor), ("sticky", StickyPartitionAssignor),
):
    _shared(_name, _assignor)


@case
def offsets_are_committed_with_their_metadata(address):
    topic, group = new_topic(address), unique("group")
    partition = TopicPartition(topic, 0)
    produce(address, topic, [b"a", b"b"])
    config = {"group_id": group, "enable_auto_commit": False}
    reader = consumer(address, **config)
    reader.subscribe([topic])
    read(reader, 2)
    reader.commit({partition: OffsetAndMetadata(1, "why", -1)})
    found = reader.committed(partition, metadata=True)
    equal((found.offset, found.metadata), (1, "why"))
    reader.close()
    reader = consumer(address, **config)
    reader.subscribe([topic])
    equal(values(read(reader, 1)), [b"b"])
    reader.close()


@with_admin
def groups_are_listed_described_and_deleted(address, client):
    topic, group = new_topic(address), unique("group")
    member = Member(address, group, topic, client_id="somebody")
    eventually("its partition", lambda: member.held == {0})
    told = client.describe_groups([group])[group]
    equal((told["group_state"], told["protocol_type"]), ("Stable", "consumer"))
    equal([(one["client_id"], one["client_host"]) for one in told["members"]], [("somebody", "/127.0.0.1")])
    assert group in [one["group_id"] for one in client.list_groups(states_filter=["Stable"])]
    assert group not in [one["group_id"] for one in client.list_groups(states_filter=["Empty"])]
    equal(client.delete_groups([group])[group], "NonEmptyGroupError")
    member.leave()
    eventually("an empty group", lambda: client.describe_groups([group])[group]["group_state"] == "Empty")
    equal(client.delete_groups([group])[group], "OK")
    equal(client.delete_groups([group])[group], "GroupIdNotFoundError")


@with_admin
def offsets_of_an_empty_group_are_changed_and_deleted(address, client):
    topic, group = new_topic(address, 2), unique("group")
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    client.alter_group_offsets(group, {first: OffsetAndMetadata(7, "", -1), second: OffsetAndMetadata(9, "", -1)})
    told = client.list_group_offsets({group: None})[group]
    equal({part: found.offset for part, found in told.items()}, {first: 7, second: 9})
    client.delete_group_offsets(group, [second])
    equal(set(client.list_group_offsets({group: None})[group]), {first})


@case
def records_go_over_tls(address):
    topic = new_topic(address)
    secure = {"security_protocol": "SSL", "ssl_cafile": os.environ["COMPAT_CA"]}
    produce(os.environ["COMPAT_TLS"], topic, [b"secret"], **secure)
    reader = KafkaConsumer(bootstrap_servers=os.environ["COMPAT_TLS"], **DEFAULTS, **secure)
    reader.assign([TopicPartition(topic, 0)])
    found = eventually("the record", lambda: reader.poll(POLL_MS))
    equal([record.value for records in found.values() for record in records], [b"secret"])
    reader.close()


@case
def a_user_logs_in_with_plain_and_not_with_another_password(address):
    def login(password):
        client = KafkaAdminClient(
            bootstrap_servers=os.environ["COMPAT_SASL"], security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
            sasl_plain_username="plain", sasl_plain_password=password,
        )
        topics = client.list_topics()
        client.close()
        return topics

    # A user whom no rule allows anything sees nothing.
    equal(list(login("plain-secret")), [])
    refused(lambda: login("wrong"))


if __name__ == "__main__":
    main()

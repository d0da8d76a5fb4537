"""confluent-kafka, which is librdkafka in Python."""

import functools
import threading
import time

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

import security  # noqa: F401 its cases declare themselves
from cases import case, equal, eventually, main, unique

SECONDS_MAX = 30
EVERYTHING = {"auto.offset.reset": "earliest", "enable.partition.eof": False}


@functools.cache
def admin(address):
    """One client for all cases: requests of a client that nobody holds any more are given up."""
    return AdminClient({"bootstrap.servers": address})


def done(futures):
    """The results of all futures, by what they are about."""
    return {about: future.result(SECONDS_MAX) for about, future in futures.items()}


def refused(futures):
    """The error code of the only future, which must fail."""
    (future,) = futures.values()
    try:
        future.result(SECONDS_MAX)
    except KafkaException as error:
        return error.args[0].code()
    raise AssertionError("it was not refused")


def new_topic(address, partitions=1, **config):
    """A topic of its own, there when this returns."""
    name = unique("confluent")
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    done(admin(address).create_topics([NewTopic(name, partitions, 1, config=config)]))
    eventually("the topic", lambda: name in admin(address).list_topics(timeout=SECONDS_MAX).topics)
    return name


def producer(address, **config):
    config = {key.replace("_", "."): value for key, value in config.items()}
    return Producer({"bootstrap.servers": address, **config})


def produce(address, topic, values, partition=0, **config):
    """Sends a record a value and returns their offsets."""
    offsets, errors = [], []

    def told(error, message):
        if error:
            errors.append(error)
        else:
            offsets.append(message.offset())

    sender = producer(address, **config)
    for value in values:
        sender.produce(topic, value, partition=partition, on_delivery=told)
    equal(sender.flush(SECONDS_MAX), 0)
    if errors:
        raise KafkaException(errors[0])
    return offsets


def consumer(address, group=None, **config):
    config = {key.replace("_", "."): value for key, value in config.items()}
    return Consumer({"bootstrap.servers": address, "group.id": group or unique("group"), **EVERYTHING, **config})


def read(reader, count, seconds=SECONDS_MAX):
    """The next records, so many of them."""
    deadline = time.monotonic() + seconds
    messages = []
    while len(messages) < count:
        message = reader.poll(0.2)
        if message is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(messages)} of {count} records after {seconds} s")
        elif message.error():
            raise KafkaException(message.error())
        else:
            messages.append(message)
    return messages


def read_partition(address, topic, count, partition=0, offset=0, **config):
    """Records of a partition from an offset on."""
    reader = consumer(address, **config)
    reader.assign([TopicPartition(topic, partition, offset)])
    try:
        return read(reader, count)
    finally:
        reader.close()


def values(messages):
    return [message.value() for message in messages]


# Topics


@case
def a_topic_is_created_described_and_deleted(address):
    topic = new_topic(address, partitions=3)
    described = done(admin(address).describe_topics(TopicCollection([topic])))[topic]
    equal([(part.id, part.leader.id, len(part.isr)) for part in described.partitions], [(0, 1, 1), (1, 1, 1), (2, 1, 1)])
    done(admin(address).delete_topics([topic]))
    eventually("its end", lambda: topic not in admin(address).list_topics(timeout=SECONDS_MAX).topics)


@case
def a_topic_that_exists_is_not_created_again(address):
    topic = new_topic(address)
    equal(refused(admin(address).create_topics([NewTopic(topic, 1, 1)])), KafkaError.TOPIC_ALREADY_EXISTS)


@case
def a_bad_name_count_or_configuration_is_refused(address):
    client = admin(address)
    equal(refused(client.create_topics([NewTopic("no/such", 1, 1)])), KafkaError.TOPIC_EXCEPTION)
    equal(refused(client.create_topics([NewTopic(unique("t"), 0, 1)])), KafkaError.INVALID_PARTITIONS)
    equal(refused(client.create_topics([NewTopic(unique("t"), 1, 3)])), KafkaError.INVALID_REPLICATION_FACTOR)
    topic = NewTopic(unique("t"), 1, 1, config={"retention.ms": "soon"})
    equal(refused(client.create_topics([topic])), KafkaError.INVALID_CONFIG)
    topic = NewTopic(unique("t"), 1, 1, config={"no.such.key": "1"})
    equal(refused(client.create_topics([topic])), KafkaError.INVALID_CONFIG)


@case
def a_topic_that_is_only_validated_is_not_created(address):
    name = unique("confluent")
    done(admin(address).create_topics([NewTopic(name, 1, 1)], validate_only=True))
    assert name not in admin(address).list_topics(timeout=SECONDS_MAX).topics


@case
def an_unknown_topic_is_not_deleted(address):
    equal(refused(admin(address).delete_topics([unique("none")])), KafkaError.UNKNOWN_TOPIC_OR_PART)


@case
def partitions_are_added_and_never_taken_away(address):
    topic = new_topic(address)
    done(admin(address).create_partitions([NewPartitions(topic, 3)]))
    count = lambda: len(admin(address).list_topics(topic, timeout=SECONDS_MAX).topics[topic].partitions)
    eventually("three partitions", lambda: count() == 3)
    equal(refused(admin(address).create_partitions([NewPartitions(topic, 2)])), KafkaError.INVALID_PARTITIONS)


@case
def the_cluster_is_described(address):
    cluster = admin(address).describe_cluster().result(SECONDS_MAX)
    equal([f"{node.host}:{node.port}" for node in cluster.nodes], [address])
    equal(cluster.controller.id, 1)
    assert cluster.cluster_id


# Configurations


def config_of(address, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return done(admin(address).describe_configs([resource]))[resource]


def change(address, topic, *entries):
    resource = ConfigResource(
        ResourceType.TOPIC,
        topic,
        incremental_configs=[ConfigEntry(key, value, incremental_operation=operation) for key, value, operation in entries],
    )
    return admin(address).incremental_alter_configs([resource])


@case
def configurations_are_described_with_their_source(address):
    topic = new_topic(address, retention_ms=1234567)
    config = config_of(address, topic)
    equal((config["retention.ms"].value, config["retention.ms"].is_default), ("1234567", False))
    # 1 is the topic's own value, 5 the default of Kafka.
    equal((config["retention.ms"].source, config["cleanup.policy"].source), (1, 5))
    equal(config["cleanup.policy"].value, "delete")


@case
def single_configurations_are_set_deleted_appended_and_subtracted(address):
    topic = new_topic(address)
    done(change(address, topic, ("retention.ms", "1000", AlterConfigOpType.SET)))
    eventually("the value", lambda: config_of(address, topic)["retention.ms"].value == "1000")
    done(change(address, topic, ("cleanup.policy", "compact", AlterConfigOpType.APPEND)))
    eventually("both", lambda: config_of(address, topic)["cleanup.policy"].value == "delete,compact")
    done(change(address, topic, ("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)))
    eventually("one", lambda: config_of(address, topic)["cleanup.policy"].value == "compact")
    equal(config_of(address, topic)["retention.ms"].value, "1000")
    done(change(address, topic, ("retention.ms", None, AlterConfigOpType.DELETE)))
    eventually("the default", lambda: config_of(address, topic)["retention.ms"].source != 1)


@case
def a_bad_change_of_a_configuration_is_refused(address):
    topic = new_topic(address)
    equal(refused(change(address, topic, ("retention.ms", "soon", AlterConfigOpType.SET))), KafkaError.INVALID_CONFIG)
    equal(refused(change(address, topic, ("no.such.key", "1", AlterConfigOpType.SET))), KafkaError.INVALID_CONFIG)
    none = unique("none")
    equal(
        refused(change(address, none, ("retention.ms", "1", AlterConfigOpType.SET))),
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    )


@case
def all_configurations_are_replaced_by_an_old_request(address):
    topic = new_topic(address, retention_ms=1000)
    resource = ConfigResource(ResourceType.TOPIC, topic, set_config={"segment.ms": "60000"})
    done(admin(address).alter_configs([resource]))
    eventually("the new value", lambda: config_of(address, topic)["segment.ms"].value == "60000")
    assert config_of(address, topic)["retention.ms"].source != 1


# Records


def _compressed(codec):
    def run(address):
        topic = new_topic(address)
        sent = [f"record {number} {'x' * 300}".encode() for number in range(300)]
        equal(produce(address, topic, sent, compression_type=codec, linger_ms=50), list(range(300)))
        equal(values(read_partition(address, topic, 300)), sent)

    run.__name__ = f"records_compressed_with_{codec}_come_back"
    case(run)


for _codec in ("none", "gzip", "lz4", "zstd", "snappy"):
    _compressed(_codec)


def _acknowledged(acks):
    def run(address):
        topic = new_topic(address)
        produce(address, topic, [b"a", b"b"], acks=acks)
        equal(values(read_partition(address, topic, 2)), [b"a", b"b"])

    run.__name__ = f"records_sent_with_acks_{acks}_come_back"
    case(run)


for _acks in ("0", "1", "all"):
    _acknowledged(_acks)


@case
def keys_headers_times_and_tombstones_are_kept(address):
    topic = new_topic(address)
    sender = producer(address)
    headers = [("a", b"1"), ("a", b"2"), ("none", None), ("empty", b"")]
    sender.produce(topic, b"v", b"k", headers=headers, timestamp=1_700_000_000_123)
    sender.produce(topic, None, b"k")
    equal(sender.flush(SECONDS_MAX), 0)
    first, second = read_partition(address, topic, 2)
    equal((first.key(), first.value(), first.headers()), (b"k", b"v", headers))
    equal(first.timestamp(), (1, 1_700_000_000_123))
    equal((second.key(), second.value()), (b"k", None))


@case
def the_brokers_time_is_written_where_the_topic_says_so(address):
    topic = new_topic(address, message_timestamp_type="LogAppendTime")
    sender = producer(address)
    sender.produce(topic, b"v", timestamp=1_000)
    equal(sender.flush(SECONDS_MAX), 0)
    kind, stamp = read_partition(address, topic, 1)[0].timestamp()
    equal((kind, abs(stamp - time.time() * 1000) < 600_000), (2, True))


@case
def a_large_record_comes_back_and_a_larger_one_is_refused(address):
    topic = new_topic(address, max_message_bytes=2_000_000)
    large = bytes(1_500_000)
    produce(address, topic, [large], message_max_bytes=5_000_000)
    equal(values(read_partition(address, topic, 1)), [large])
    try:
        produce(address, topic, [bytes(3_000_000)], message_max_bytes=5_000_000)
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.MSG_SIZE_TOO_LARGE)
        return
    raise AssertionError("it was taken")


@case
def a_record_larger_than_a_fetch_is_read_all_the_same(address):
    topic = new_topic(address)
    produce(address, topic, [bytes(500_000), b"after"])
    limits = {"fetch_max_bytes": 10_000, "max_partition_fetch_bytes": 10_000, "message_max_bytes": 10_000}
    equal([len(value) for value in values(read_partition(address, topic, 2, **limits))], [500_000, 5])


@case
def records_go_to_an_unknown_topic_only_where_it_may_be_made(address):
    topic = unique("confluent")
    equal(produce(address, topic, [b"a"]), [0])
    equal(len(admin(address).list_topics(topic, timeout=SECONDS_MAX).topics[topic].partitions), 3)


@case
def an_idempotent_producer_writes_every_record_once(address):
    topic = new_topic(address)
    sent = [str(number).encode() for number in range(1000)]
    equal(produce(address, topic, sent, enable_idempotence=True, linger_ms=1), list(range(1000)))
    equal(values(read_partition(address, topic, 1000)), sent)


# Offsets


@case
def offsets_are_found_by_time(address):
    topic = new_topic(address)
    sender = producer(address)
    for number in range(5):
        sender.produce(topic, str(number).encode(), timestamp=1_700_000_000_000 + number * 1000)
    equal(sender.flush(SECONDS_MAX), 0)
    reader = consumer(address)
    at = lambda stamp: reader.offsets_for_times([TopicPartition(topic, 0, stamp)], SECONDS_MAX)[0].offset
    equal([at(1_700_000_000_000), at(1_700_000_001_500), at(1_700_000_004_000)], [0, 2, 4])
    equal(at(1_700_000_005_000), -1)
    equal(reader.get_watermark_offsets(TopicPartition(topic, 0), SECONDS_MAX), (0, 5))
    reader.assign([TopicPartition(topic, 0, 0)])
    read(reader, 1)
    reader.seek(TopicPartition(topic, 0, at(1_700_000_003_000)))
    equal(values(read(reader, 1)), [b"3"])
    reader.close()


@case
def offsets_are_listed_earliest_latest_and_by_largest_time(address):
    topic = new_topic(address)
    sender = producer(address)
    for stamp in (2000, 9000, 5000):
        sender.produce(topic, b"v", timestamp=1_700_000_000_000 + stamp)
        sender.flush(SECONDS_MAX)
    partition = TopicPartition(topic, 0)
    listed = lambda spec: done(admin(address).list_offsets({partition: spec}))[partition]
    equal(listed(OffsetSpec.earliest()).offset, 0)
    equal(listed(OffsetSpec.latest()).offset, 3)
    largest = listed(OffsetSpec.max_timestamp())
    equal((largest.offset, largest.timestamp), (1, 1_700_000_009_000))
    equal(listed(OffsetSpec.for_timestamp(1_700_000_003_000)).offset, 1)


@case
def an_offset_out_of_range_is_reset_as_the_reader_says(address):
    topic = new_topic(address)
    produce(address, topic, [b"a", b"b"])
    equal(values(read_partition(address, topic, 1, offset=100, auto_offset_reset="earliest")), [b"a"])
    reader = consumer(address, auto_offset_reset="error")
    reader.assign([TopicPartition(topic, 0, 100)])
    message = eventually("an error", lambda: reader.poll(0.2))
    equal(message.error().code(), KafkaError._AUTO_OFFSET_RESET)
    reader.close()


@case
def records_are_deleted_up_to_an_offset(address):
    topic = new_topic(address)
    produce(address, topic, [str(number).encode() for number in range(10)])
    partition = TopicPartition(topic, 0, 4)
    equal(done(admin(address).delete_records([partition]))[partition].low_watermark, 4)
    equal(consumer(address).get_watermark_offsets(TopicPartition(topic, 0), SECONDS_MAX), (4, 10))
    equal(values(read_partition(address, topic, 1, offset=0))[0], b"4")
    beyond = TopicPartition(topic, 0, 11)
    equal(refused(admin(address).delete_records([beyond])), KafkaError.OFFSET_OUT_OF_RANGE)


# Transactions


@case
def a_committed_transaction_is_seen_whole(address):
    topic, other = new_topic(address), new_topic(address)
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(SECONDS_MAX)
    for round_number in range(3):
        sender.begin_transaction()
        sender.produce(topic, f"a{round_number}".encode(), partition=0)
        sender.produce(other, f"b{round_number}".encode(), partition=0)
        sender.commit_transaction(SECONDS_MAX)
    equal(values(read_partition(address, topic, 3, isolation_level="read_committed")), [b"a0", b"a1", b"a2"])
    equal(values(read_partition(address, other, 3, isolation_level="read_committed")), [b"b0", b"b1", b"b2"])


@case
def an_aborted_transaction_is_seen_only_by_whoever_reads_everything(address):
    topic = new_topic(address)
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(SECONDS_MAX)
    sender.begin_transaction()
    sender.produce(topic, b"aborted", partition=0)
    equal(sender.flush(SECONDS_MAX), 0)
    sender.abort_transaction(SECONDS_MAX)
    sender.begin_transaction()
    sender.produce(topic, b"committed", partition=0)
    sender.commit_transaction(SECONDS_MAX)
    equal(values(read_partition(address, topic, 1, isolation_level="read_committed")), [b"committed"])
    everything = read_partition(address, topic, 2, isolation_level="read_uncommitted")
    equal(values(everything), [b"aborted", b"committed"])


@case
def an_open_transaction_holds_back_whoever_reads_what_is_committed(address):
    topic = new_topic(address)
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(SECONDS_MAX)
    sender.begin_transaction()
    sender.produce(topic, b"open", partition=0)
    equal(sender.flush(SECONDS_MAX), 0)
    produce(address, topic, [b"plain"])
    partition = TopicPartition(topic, 0)
    end = lambda level: done(admin(address).list_offsets({partition: OffsetSpec.latest()}, isolation_level=level))
    equal(end(IsolationLevel.READ_COMMITTED)[partition].offset, 0)
    equal(end(IsolationLevel.READ_UNCOMMITTED)[partition].offset, 2)
    sender.commit_transaction(SECONDS_MAX)
    found = read_partition(address, topic, 2, isolation_level="read_committed")
    equal(values(found), [b"open", b"plain"])


@case
def a_newer_producer_fences_the_one_before(address):
    topic, name = new_topic(address), unique("tx")
    old = producer(address, transactional_id=name)
    old.init_transactions(SECONDS_MAX)
    old.begin_transaction()
    old.produce(topic, b"zombie", partition=0)
    old.flush(SECONDS_MAX)
    new = producer(address, transactional_id=name)
    new.init_transactions(SECONDS_MAX)
    try:
        old.produce(topic, b"zombie again", partition=0)
        old.commit_transaction(SECONDS_MAX)
    except KafkaException as error:
        assert error.args[0].fatal(), error
    else:
        raise AssertionError("the zombie committed")
    new.begin_transaction()
    new.produce(topic, b"new", partition=0)
    new.commit_transaction(SECONDS_MAX)
    equal(values(read_partition(address, topic, 1, isolation_level="read_committed")), [b"new"])


@case
def offsets_are_committed_with_a_transaction(address):
    source, target, group = new_topic(address), new_topic(address), unique("group")
    produce(address, source, [b"1", b"2", b"3"])
    reader = consumer(address, group, enable_auto_commit=False)
    reader.subscribe([source])
    read(reader, 3)
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(SECONDS_MAX)
    sender.begin_transaction()
    sender.produce(target, b"6", partition=0)
    sender.send_offsets_to_transaction(
        reader.position(reader.assignment()), reader.consumer_group_metadata(), SECONDS_MAX
    )
    sender.abort_transaction(SECONDS_MAX)
    equal(committed(address, group, source), -1001)
    sender.begin_transaction()
    sender.produce(target, b"6", partition=0)
    sender.send_offsets_to_transaction(
        reader.position(reader.assignment()), reader.consumer_group_metadata(), SECONDS_MAX
    )
    sender.commit_transaction(SECONDS_MAX)
    eventually("the offset", lambda: committed(address, group, source) == 3)
    reader.close()


# Groups


def committed(address, group, topic, partition=0):
    reader = consumer(address, group)
    try:
        return reader.committed([TopicPartition(topic, partition)], SECONDS_MAX)[0].offset
    finally:
        reader.close()


@case
def offsets_are_committed_with_their_metadata(address):
    topic, group = new_topic(address), unique("group")
    produce(address, topic, [b"a", b"b"])
    reader = consumer(address, group, enable_auto_commit=False)
    reader.subscribe([topic])
    read(reader, 2)
    reader.commit(offsets=[TopicPartition(topic, 0, 1, "why")], asynchronous=False)
    found = reader.committed([TopicPartition(topic, 0)], SECONDS_MAX)[0]
    equal((found.offset, found.metadata), (1, "why"))
    reader.close()
    again = consumer(address, group, enable_auto_commit=False)
    again.subscribe([topic])
    equal(values(read(again, 1)), [b"b"])
    again.close()


class Member:
    """A member of a group that polls by itself and knows what it holds."""

    def __init__(self, address, group, topic, **config):
        self._held = set()
        self.values = []
        self.lost = 0
        self._error = None
        self._stop = threading.Event()
        self._reader = consumer(address, group, **config)
        self._reader.subscribe([topic], on_assign=self._assign, on_revoke=self._revoke)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def held(self):
        """The numbers of its partitions; an error that ends the member is raised."""
        if self._error:
            raise KafkaException(self._error)
        return set(self._held)

    def _assign(self, _, partitions):
        self._held |= {part.partition for part in partitions}

    def _revoke(self, _, partitions):
        self.lost += len(partitions)
        self._held -= {part.partition for part in partitions}

    def _run(self):
        while not self._stop.is_set():
            message = self._reader.poll(0.1)
            if message is not None and not message.error():
                self.values.append(message.value())
            elif message is not None and message.error().fatal():
                self._error = message.error()
        self._reader.close()

    def leave(self):
        self._stop.set()
        self._thread.join(SECONDS_MAX)


def _shared(strategy, **config):
    def run(address):
        topic, group = new_topic(address, partitions=4), unique("group")
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

    run.__name__ = f"two_members_share_partitions_by_{strategy}"
    case(run)


for _strategy in ("range", "roundrobin", "cooperative-sticky"):
    _shared(_strategy.replace("-", "_"), partition_assignment_strategy=_strategy)
_shared("the_consumer_protocol", group_protocol="consumer")


@case
def a_static_member_comes_back_to_its_partitions(address):
    topic, group = new_topic(address, partitions=2), unique("group")
    first = Member(address, group, topic, group_instance_id="one")
    second = Member(address, group, topic, group_instance_id="two")
    eventually("one for each", lambda: len(first.held) == len(second.held) == 1)
    kept, lost = set(second.held), first.lost
    second.leave()
    second = Member(address, group, topic, group_instance_id="two")
    eventually("the same as before", lambda: second.held == kept)
    equal((len(first.held), first.lost), (1, lost))
    first.leave()
    second.leave()


def described(address, group):
    return done(admin(address).describe_consumer_groups([group]))[group]


@case
def groups_are_listed_described_and_deleted(address):
    topic, group = new_topic(address), unique("group")
    produce(address, topic, [b"a"])
    member = Member(address, group, topic, client_id="somebody")
    eventually("a stable group", lambda: described(address, group).state == ConsumerGroupState.STABLE)
    told = described(address, group)
    equal([(one.client_id, len(one.assignment.topic_partitions)) for one in told.members], [("somebody", 1)])
    equal(told.partition_assignor, "range")
    equal(told.coordinator.id, 1)
    listed = admin(address).list_consumer_groups(states={ConsumerGroupState.STABLE}).result(SECONDS_MAX).valid
    assert group in [one.group_id for one in listed]
    equal(refused(admin(address).delete_consumer_groups([group])), KafkaError.NON_EMPTY_GROUP)
    eventually("the record", lambda: member.values == [b"a"])
    member.leave()
    eventually("an empty group", lambda: described(address, group).state == ConsumerGroupState.EMPTY)
    done(admin(address).delete_consumer_groups([group]))
    equal(refused(admin(address).delete_consumer_groups([group])), KafkaError.GROUP_ID_NOT_FOUND)


@case
def offsets_of_an_empty_group_are_changed_and_told(address):
    topic, group = new_topic(address, partitions=2), unique("group")
    wanted = [TopicPartition(topic, 0, 7), TopicPartition(topic, 1, 9)]
    done(admin(address).alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]))
    told = done(admin(address).list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))[group]
    equal(sorted((part.partition, part.offset) for part in told.topic_partitions), [(0, 7), (1, 9)])


@case
def offsets_of_a_group_with_members_are_not_changed_by_others(address):
    topic, group = new_topic(address), unique("group")
    member = Member(address, group, topic)
    eventually("a stable group", lambda: described(address, group).state == ConsumerGroupState.STABLE)
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7)])
    try:
        told = done(admin(address).alter_consumer_group_offsets([wanted]))[group]
        equal(told.topic_partitions[0].error.code(), KafkaError.UNKNOWN_MEMBER_ID)
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.UNKNOWN_MEMBER_ID)
    finally:
        member.leave()


if __name__ == "__main__":
    main()

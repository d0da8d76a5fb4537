"""Apache Kafka's own command-line tools, each in a process of its own as its users run it."""

import json
import re
import subprocess
import tempfile

import security  # noqa: F401 its cases declare themselves
from cases import case, equal, eventually, main, unique
from tools import command, consume, new_topic, produce, ran, refused, rows, tool


@case
def topics_creates_describes_alters_lists_and_deletes(address):
    topic = new_topic(address, 2, retention_ms=1234567)
    told = tool("topics", address, "--describe", "--topic", topic)
    head = told.splitlines()[0]
    for part in (f"Topic: {topic}", "PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=1234567"):
        assert part in head, head
    assert re.search(r"TopicId: \S{22}\s", head), head
    assert "Partition: 1\tLeader: 1\tReplicas: 1\tIsr: 1" in told, told
    tool("topics", address, "--alter", "--topic", topic, "--partitions", "3")
    assert "PartitionCount: 3" in tool("topics", address, "--describe", "--topic", topic)
    assert topic in tool("topics", address, "--list").split()
    tool("topics", address, "--delete", "--topic", topic)
    eventually("its end", lambda: topic not in tool("topics", address, "--list").split())


@case
def topics_refuses_what_exists_and_what_does_not(address):
    topic = new_topic(address)
    said = refused("topics", address, "--create", "--topic", topic)
    assert "already exists" in said, said
    tool("topics", address, "--create", "--topic", topic, "--if-not-exists")
    said = refused("topics", address, "--describe", "--topic", unique("none"))
    assert "does not exist" in said, said
    said = refused("topics", address, "--create", "--topic", unique("t"), "--config", "retention.ms=soon")
    assert "retention.ms" in said, said
    said = refused("topics", address, "--create", "--topic", unique("t"), "--replication-factor", "3")
    assert "eplication factor" in said, said


@case
def configs_sets_describes_and_deletes_for_a_topic(address):
    topic = new_topic(address)
    entity = ["--entity-type", "topics", "--entity-name", topic]
    said = tool("configs", address, "--alter", *entity, "--add-config", "retention.ms=1000,cleanup.policy=[compact,delete]")
    equal(said.strip(), f"Completed updating config for topic {topic}.")
    told = eventually("the change", lambda: _with("retention.ms=1000", tool("configs", address, "--describe", *entity)))
    assert "cleanup.policy=compact,delete" in told, told
    assert "DYNAMIC_TOPIC_CONFIG:retention.ms=1000" in told, told
    tool("configs", address, "--alter", *entity, "--delete-config", "retention.ms")
    eventually("its end", lambda: "retention.ms=1000" not in tool("configs", address, "--describe", *entity))
    everything = tool("configs", address, "--describe", *entity, "--all")
    assert "segment.bytes=" in everything and "max.message.bytes=" in everything, everything


def _with(part, text):
    return text if part in text else None


@case
def configs_describes_the_broker(address):
    told = tool("configs", address, "--describe", "--entity-type", "brokers", "--entity-name", "1", "--all")
    for key in ("auto.create.topics.enable=true", "num.partitions=3", "message.max.bytes="):
        assert key in told, told


@case
def configs_refuses_a_bad_value(address):
    entity = ["--entity-type", "topics", "--entity-name", new_topic(address)]
    said = refused("configs", address, "--alter", *entity, "--add-config", "retention.ms=soon")
    assert "retention.ms" in said, said


@case
def console_producer_and_consumer_carry_keys_headers_and_tombstones(address):
    topic = new_topic(address)
    produce(
        address, topic, "a:1,b:2|key|value", "a:3|other|NULL",
        options=[
            "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
            "--reader-property", "key.separator=|", "--reader-property", "headers.delimiter=|",
            "--reader-property", "null.marker=NULL",
        ],
    )
    found = consume(
        address, topic, 2,
        *[word for name in ("print.key", "print.headers", "print.partition", "print.offset", "print.timestamp")
          for word in ("--formatter-property", f"{name}=true")],
    )
    found = [re.sub(r"^CreateTime:\d{13}\t", "", line) for line in found]
    equal(found, ["Partition:0\tOffset:0\ta:1,b:2\tkey\tvalue", "Partition:0\tOffset:1\ta:3\tother\tnull"])


def _compressed(codec):
    def run(address):
        topic = new_topic(address)
        lines = [f"line {number} {'x' * 100}" for number in range(50)]
        produce(address, topic, *lines, options=["--compression-codec", codec])
        equal(consume(address, topic, 50), lines)

    run.__name__ = f"console_producer_and_consumer_carry_records_compressed_with_{codec}"
    case(run)


for _codec in ("gzip", "lz4", "zstd", "snappy"):
    _compressed(_codec)


@case
def console_consumer_goes_on_where_its_group_was(address):
    topic, group = new_topic(address), unique("group")
    produce(address, topic, "1", "2", "3")
    equal(consume(address, topic, 2, "--group", group), ["1", "2"])
    equal(consume(address, topic, 1, "--group", group), ["3"])


@case
def console_consumer_reads_from_an_offset(address):
    topic = new_topic(address)
    produce(address, topic, "1", "2", "3")
    wait = ["--max-messages", "1", "--timeout-ms", "30000"]
    found = tool("console-consumer", address, "--topic", topic, "--partition", "0", "--offset", "1", *wait)
    equal(found.split(), ["2"])


@case
def consumer_groups_lists_describes_resets_and_deletes(address):
    topic, group = new_topic(address), unique("group")
    produce(address, topic, "1", "2", "3")
    consume(address, topic, 2, "--group", group)
    groups = lambda *arguments: tool("consumer-groups", address, *arguments)
    assert group in groups("--list").split()
    columns = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID")
    equal(rows(groups("--describe", "--group", group), *columns), [(topic, "0", "2", "3", "1", "-")])
    reset = ["--reset-offsets", "--group", group, "--topic", topic]
    groups(*reset, "--to-earliest", "--execute")
    equal(rows(groups("--describe", "--group", group), *columns), [(topic, "0", "0", "3", "3", "-")])
    groups(*reset, "--shift-by", "1", "--execute")
    equal(rows(groups("--describe", "--group", group), *columns), [(topic, "0", "1", "3", "2", "-")])
    groups("--delete", "--group", group)
    assert group not in groups("--list").split()


@case
def consumer_groups_resets_by_time_and_deletes_offsets(address):
    topic, group = new_topic(address, 2), unique("group")
    produce(address, topic, "1", "2", "3")
    groups = lambda *arguments: tool("consumer-groups", address, *arguments)
    reset = ["--reset-offsets", "--group", group, "--topic", topic, "--execute"]
    groups(*reset, "--to-datetime", "2020-01-01T00:00:00.000")
    found = rows(groups("--describe", "--group", group), "TOPIC", "PARTITION", "CURRENT-OFFSET")
    equal(sorted(found), [(topic, "0", "0"), (topic, "1", "0")])
    groups("--delete-offsets", "--group", group, "--topic", f"{topic}:1")
    equal(rows(groups("--describe", "--group", group), "TOPIC", "PARTITION", "CURRENT-OFFSET"), [(topic, "0", "0")])


@case
def consumer_groups_describes_members_and_state(address):
    topic, group = new_topic(address, 2), unique("group")
    consumer = subprocess.Popen(
        command("console-consumer", address, "--topic", topic, "--group", group,
                "--command-property", "client.id=somebody"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        groups = lambda *arguments: tool("consumer-groups", address, "--describe", "--group", group, *arguments)
        columns = ("GROUP", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")

        def state():
            end = ran("consumer-groups", address, "--describe", "--group", group, "--state")
            return end.returncode == 0 and "Stable" in end.stdout and rows(end.stdout, *columns)

        equal(eventually("a stable group", state), [(group, "range", "Stable", "1")])
        members = rows(groups("--members"), "GROUP", "HOST", "CLIENT-ID", "#PARTITIONS")
        equal(members, [(group, "/127.0.0.1", "somebody", "2")])
        # The tool calls this an error, and succeeds.
        end = ran("consumer-groups", address, "--delete", "--group", group)
        assert "GroupNotEmptyException" in end.stdout + end.stderr, end
    finally:
        consumer.kill()
        consumer.wait()


@case
def groups_lists_by_type(address):
    topic, group = new_topic(address), unique("group")
    produce(address, topic, "1")
    consume(address, topic, 1, "--group", group)
    found = rows(tool("groups", address, "--list"), "GROUP", "TYPE", "PROTOCOL")
    assert (group, "Classic", "consumer") in found, found
    assert group in tool("groups", address, "--list", "--group-type", "classic")
    assert group not in tool("groups", address, "--list", "--group-type", "consumer")


def _measured(acks):
    def run(address):
        topic = new_topic(address, 3)
        said = tool(
            "producer-perf-test", address, "--topic", topic, "--num-records", "2000", "--record-size", "500",
            "--throughput", "-1", "--command-property", f"acks={acks}",
        )
        assert said.strip().splitlines()[-1].startswith("2000 records sent"), said

    run.__name__ = f"producer_perf_test_sends_with_acks_{acks}"
    case(run)


for _acks in ("0", "1", "all"):
    _measured(_acks)


@case
def producer_perf_test_sends_in_transactions(address):
    topic, name = new_topic(address), unique("tx")
    tool(
        "producer-perf-test", address, "--topic", topic, "--num-records", "500", "--record-size", "100",
        "--throughput", "-1", "--transactional-id", name, "--transaction-duration-ms", "50",
    )
    found = consume(address, topic, 500, "--isolation-level", "read_committed")
    equal(len(found), 500)
    listed = rows(tool("transactions", address, "list"), "TransactionalId", "Coordinator", "TransactionState")
    assert (name, "1", "CompleteCommit") in listed, listed


@case
def consumer_perf_test_reads_everything(address):
    topic = new_topic(address, 3)
    produce(address, topic, *[str(number) for number in range(300)])
    said = tool("consumer-perf-test", address, "--topic", topic, "--num-records", "300", "--timeout", "30000")
    equal(said.strip().splitlines()[-1].split(",")[4].strip(), "300")


@case
def get_offsets_tells_ends_and_times(address):
    topic = new_topic(address, 2)
    produce(address, topic, "1", "2", "3", options=["--command-property", "partitioner.class=" + ROUND_ROBIN])
    ask = lambda time: sorted(tool("get-offsets", address, "--topic", topic, "--time", time).split())
    equal(sum(int(line.split(":")[2]) for line in ask("-1")), 3)
    equal(ask("-2"), [f"{topic}:0:0", f"{topic}:1:0"])
    equal(ask("earliest"), ask("-2"))
    equal(ask("1600000000000"), ask("-2"))
    assert all(line.startswith(topic) for line in ask("max-timestamp"))


ROUND_ROBIN = "org.apache.kafka.clients.producer.RoundRobinPartitioner"


@case
def delete_records_moves_the_low_watermark(address):
    topic = new_topic(address)
    produce(address, topic, "1", "2", "3")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as wanted:
        json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 2}]}, wanted)
        wanted.flush()
        said = tool("delete-records", address, "--offset-json-file", wanted.name)
    assert "low_watermark: 2" in said, said
    equal(consume(address, topic, 1), ["3"])


@case
def log_dirs_shows_sizes(address):
    topic = new_topic(address)
    produce(address, topic, "x" * 10_000)
    said = tool("log-dirs", address, "--describe", "--topic-list", topic)
    told = json.loads(said.splitlines()[-1])
    (directory,) = told["brokers"][0]["logDirs"]
    (partition,) = directory["partitions"]
    equal((directory["error"], partition["partition"], partition["isFuture"]), (None, f"{topic}-0", False))
    assert 10_000 < partition["size"] < 20_000, partition


@case
def transactions_describes_producers_and_transactions(address):
    topic, name = new_topic(address), unique("tx")
    tool(
        "producer-perf-test", address, "--topic", topic, "--num-records", "10", "--record-size", "100",
        "--throughput", "-1", "--transactional-id", name, "--transaction-duration-ms", "10",
    )
    producers = tool("transactions", address, "describe-producers", "--topic", topic, "--partition", "0")
    (producer,) = rows(producers, "ProducerId", "ProducerEpoch", "CurrentTransactionStartOffset")
    equal(producer[2], "None")
    told = tool("transactions", address, "describe", "--transactional-id", name)
    (found,) = rows(told, "CoordinatorId", "TransactionalId", "ProducerId", "TransactionState")
    equal(found, ("1", name, producer[0], "CompleteCommit"))
    tool("transactions", address, "find-hanging", "--broker-id", "1")


@case
def transactions_aborts_what_hangs(address):
    topic, name = new_topic(address), unique("tx")
    hanging = subprocess.Popen(
        command(
            "producer-perf-test", address, "--topic", topic, "--num-records", "100000", "--record-size", "10",
            "--throughput", "50", "--transactional-id", name, "--transaction-duration-ms", "60000",
        ),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        started = lambda: [row for row in _open_transactions(address, topic) if row[1] != "None"]
        eventually("a transaction that is open", started)
    finally:
        hanging.kill()
        hanging.wait()
    produce(address, topic, "behind it")
    refused("transactions", address, "abort", "--topic", topic, "--partition", "0", "--start-offset", "77")
    tool("transactions", address, "abort", "--topic", topic, "--partition", "0", "--start-offset", "0")
    equal([row[1] for row in _open_transactions(address, topic)], ["None"])
    found = consume(address, topic, 1, "--isolation-level", "read_committed")
    equal(found, ["behind it"])


def _open_transactions(address, topic):
    told = tool("transactions", address, "describe-producers", "--topic", topic, "--partition", "0")
    producers = rows(told, "ProducerId", "CurrentTransactionStartOffset")
    # The producer of the console is idempotent, and has no transactions.
    return [row for row in producers if row == producers[0]]


@case
def console_consumer_shows_what_the_coordinators_keep(address):
    topic, group, name = new_topic(address), unique("group"), unique("tx")
    produce(address, topic, "1", "2", "3")
    consume(address, topic, 2, "--group", group)
    offsets = _kept(address, "__consumer_offsets", "OffsetsMessageFormatter", group)
    value = next(record["value"]["data"] for record in offsets if record["key"]["data"].get("topic") == topic)
    equal((value["offset"], value["metadata"]), (2, ""))
    tool(
        "producer-perf-test", address, "--topic", topic, "--num-records", "10", "--record-size", "100",
        "--throughput", "-1", "--transactional-id", name, "--transaction-duration-ms", "10",
    )
    states = _kept(address, "__transaction_state", "TransactionLogMessageFormatter", name)
    complete = 4
    equal(states[-1]["value"]["data"]["transactionStatus"], complete)
    partitions = [of for state in states for of in state["value"]["data"]["transactionPartitions"] or []]
    assert {"topic": topic, "partitionIds": [0]} in partitions, partitions


def _kept(address, topic, formatter, part):
    """The records of a topic of the broker's own that have a text in their keys, as Kafka's formatter reads them."""
    end = ran(
        "console-consumer", address, "--topic", topic, "--from-beginning", "--timeout-ms", "10000",
        "--formatter", f"org.apache.kafka.tools.consumer.{formatter}",
    )
    records = [json.loads(line) for line in end.stdout.splitlines() if line.startswith("{")]
    found = [record for record in records if part in json.dumps(record["key"])]
    assert found, f"{part} is not in {end.stdout[-2000:]} {end.stderr[-500:]}"
    return found


@case
def features_are_described(address):
    told = tool("features", address, "describe")
    assert re.search(r"Feature: transaction\.version\s.*FinalizedVersionLevel: 2", told), told


@case
def broker_api_versions_are_told(address):
    told = tool("broker-api-versions", address)
    assert f"{address} (id: 1 rack: null isFenced: false) -> (" in told, told
    for name in ("Produce(0)", "Fetch(1)", "JoinGroup(11)", "InitProducerId(22)"):
        assert re.search(re.escape(name) + r": \d+ to \d+ \[usable: \d+\]", told), f"{name}: {told}"


@case
def cluster_tells_its_id(address):
    assert re.match(r"Cluster ID: \S{22}\s", tool("cluster", address, "cluster-id")) is not None


@case
def leader_election_finds_nothing_to_do(address):
    topic = new_topic(address)
    wanted = ["--election-type", "preferred", "--topic", topic, "--partition", "0"]
    said = tool("leader-election", address, *wanted)
    assert "Valid replica already elected" in said, said


@case
def reassign_partitions_lists_nothing(address):
    said = tool("reassign-partitions", address, "--list")
    equal(said.strip(), "No partition reassignments found.")


if __name__ == "__main__":
    # Each step of a case is a Java program that has to start.
    main(seconds_max=300)

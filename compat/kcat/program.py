"""kcat, which is librdkafka on the command line."""

import json
import os
import subprocess

from cases import case, equal, eventually, main, unique

COMMAND_SECONDS_MAX = 60


def kcat(address, *arguments, text="", check=True):
    """Runs kcat and returns what it printed."""
    ran = subprocess.run(
        ["kcat", "-b", address, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    if check and ran.returncode != 0:
        raise AssertionError(f"kcat {' '.join(arguments)}: {ran.returncode}: {ran.stderr}")
    return ran.stdout if check else ran


def produce(address, topic, lines, *arguments):
    """Sends a record a line; the topic comes into being with the first."""
    kcat(address, "-P", "-t", topic, *arguments, text="".join(f"{line}\n" for line in lines))


def consume(address, topic, *arguments):
    """The lines of all records up to the end."""
    return kcat(address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", *arguments).splitlines()


@case
def metadata_names_the_broker_and_topics(address):
    topic = unique("kcat")
    produce(address, topic, ["a"])
    told = json.loads(kcat(address, "-L", "-J"))
    equal([broker["name"] for broker in told["brokers"]], [address])
    partitions = {found["topic"]: found["partitions"] for found in told["topics"]}[topic]
    equal([(part["partition"], part["leader"]) for part in partitions], [(0, 1), (1, 1), (2, 1)])


@case
def a_topic_comes_into_being_with_its_first_record(address):
    topic = unique("kcat")
    produce(address, topic, ["first", "second"])
    equal(sorted(consume(address, topic)), ["first", "second"])


def _compressed(codec):
    def run(address):
        topic = unique("kcat")
        lines = [f"line {index} " + "x" * 200 for index in range(200)]
        produce(address, topic, lines, "-p", "0", "-z", codec, "-X", "linger.ms=50")
        equal(consume(address, topic, "-p", "0"), lines)

    run.__name__ = f"records_compressed_with_{codec}_come_back"
    case(run)


for _codec in ("gzip", "lz4", "zstd", "snappy"):
    _compressed(_codec)


def _acknowledged(acks):
    def run(address):
        topic = unique("kcat")
        produce(address, topic, ["a", "b"], "-p", "0", "-X", f"acks={acks}")
        eventually("both records", lambda: consume(address, topic, "-p", "0") == ["a", "b"])

    run.__name__ = f"records_sent_with_acks_{acks}_come_back"
    case(run)


for _acks in ("0", "1", "all"):
    _acknowledged(_acks)


@case
def keys_headers_and_tombstones_are_kept(address):
    topic = unique("kcat")
    produce(address, topic, ["k1:v1", "k2:"], "-p", "0", "-K", ":", "-Z", "-H", "a=1", "-H", "b=two")
    records = [json.loads(line) for line in consume(address, topic, "-p", "0", "-J")]
    equal([(record["key"], record["payload"]) for record in records], [("k1", "v1"), ("k2", None)])
    equal(records[0]["headers"], ["a", "1", "b", "two"])


@case
def offsets_are_found_by_time(address):
    topic = unique("kcat")
    produce(address, topic, ["early"], "-p", "0")
    stamp = json.loads(consume(address, topic, "-p", "0", "-J")[0])["ts"]
    found = kcat(address, "-Q", "-t", f"{topic}:0:{stamp}").strip()
    equal(found, f"{topic} [0] offset 0")
    equal(kcat(address, "-Q", "-t", f"{topic}:0:{stamp + 3_600_000}").strip(), f"{topic} [0] offset -1")
    equal(kcat(address, "-Q", "-t", f"{topic}:0:-1").strip(), f"{topic} [0] offset 1")


@case
def the_last_records_are_read_from_the_end(address):
    topic = unique("kcat")
    produce(address, topic, [str(number) for number in range(10)], "-p", "0")
    found = kcat(address, "-C", "-t", topic, "-p", "0", "-o", "-3", "-e", "-q").split()
    equal(found, ["7", "8", "9"])


@case
def an_idempotent_producer_writes_every_record_once(address):
    topic = unique("kcat")
    lines = [str(number) for number in range(500)]
    produce(address, topic, lines, "-p", "0", "-X", "enable.idempotence=true")
    equal(consume(address, topic, "-p", "0"), lines)


@case
def a_transaction_is_seen_by_whoever_reads_what_is_committed(address):
    topic = unique("kcat")
    produce(address, topic, ["before"], "-p", "0")
    produce(address, topic, ["in", "it"], "-p", "0", "-X", f"transactional.id={topic}")
    found = consume(address, topic, "-p", "0", "-X", "isolation.level=read_committed")
    equal(found, ["before", "in", "it"])


@case
def a_group_goes_on_where_it_was(address):
    topic, group = unique("kcat"), unique("group")
    arguments = ["-G", group, "-X", "auto.offset.reset=earliest", "-e", "-q", topic]
    produce(address, topic, ["a", "b"])
    equal(sorted(kcat(address, *arguments).split()), ["a", "b"])
    produce(address, topic, ["c"])
    equal(kcat(address, *arguments).split(), ["c"])


@case
def a_record_over_the_topics_limit_is_refused(address):
    topic = unique("kcat")
    produce(address, topic, ["small"])
    ran = kcat(
        address, "-P", "-t", topic, "-p", "0", "-X", "message.max.bytes=4000000", "-X", "message.timeout.ms=20000",
        text="x" * 2_000_000 + "\n", check=False,
    )
    if ran.returncode == 0 and "too large" not in ran.stderr.lower():
        raise AssertionError(f"it was taken: {ran.stderr}")
    equal(consume(address, topic), ["small"])


@case
def a_large_record_under_the_limit_comes_back(address):
    topic = unique("kcat")
    produce(address, topic, ["x" * 900_000])
    equal([len(line) for line in consume(address, topic)], [900_000])


def _settings(**settings):
    return [word for key, value in settings.items() for word in ("-X", f"{key.replace('_', '.')}={value}")]


TLS = _settings(security_protocol="ssl", ssl_ca_location=os.environ["COMPAT_CA"])


@case
def records_go_over_tls_to_a_broker_that_is_known(address):
    topic = unique("kcat")
    produce(os.environ["COMPAT_TLS"], topic, ["a", "b"], "-p", "0", *TLS)
    equal(consume(os.environ["COMPAT_TLS"], topic, "-p", "0", *TLS), ["a", "b"])
    equal(consume(address, topic, "-p", "0"), ["a", "b"])


@case
def whoever_shows_no_certificate_is_not_let_in_where_one_is_asked_for(address):
    mutual = os.environ["COMPAT_MUTUAL"]
    assert kcat(mutual, "-L", "-m", "5", *TLS, check=False).returncode != 0
    shown = _settings(
        ssl_certificate_location=os.environ["COMPAT_CLIENT_CERTIFICATE"], ssl_key_location=os.environ["COMPAT_CLIENT_KEY"]
    )
    told = json.loads(kcat(mutual, "-L", "-J", *TLS, *shown))
    equal([broker["name"] for broker in told["brokers"]], [mutual])


@case
def a_user_logs_in_with_plain_and_not_with_another_password(address):
    sasl = os.environ["COMPAT_SASL"]
    login = _settings(security_protocol="sasl_plaintext", sasl_mechanism="PLAIN", sasl_username="plain")
    told = json.loads(kcat(sasl, "-L", "-J", *login, "-X", "sasl.password=plain-secret"))
    equal([broker["name"] for broker in told["brokers"]], [sasl])
    assert kcat(sasl, "-L", "-m", "5", *login, "-X", "sasl.password=wrong", check=False).returncode != 0


if __name__ == "__main__":
    main()

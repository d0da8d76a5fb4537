"""How Apache Kafka's own command-line tools are started and what they print is read."""

import os
import subprocess

from cases import unique

COMMAND_SECONDS_MAX = 60
LIBRARY = os.path.join(os.environ["COMPAT_CACHE"], "libraries", "kafka-4", "*")
LOGGING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "background", "native", "log4j2.properties")

CLASSES = {
    "acls": "org.apache.kafka.tools.AclCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}


def command(name, address, *arguments):
    """How a tool is started; short runs do not repay compiling hard."""
    if name == "cluster":
        arguments = (*arguments, "--bootstrap-server", address)
    else:
        arguments = ("--bootstrap-server", address, *arguments)
    return [
        "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog.level=ERROR",
        f"-Dlog4j2.configurationFile={LOGGING}", "-cp", LIBRARY, CLASSES[name], *arguments,
    ]


def ran(name, address, *arguments, text=""):
    """Runs a tool and returns how it ended and what it said."""
    return subprocess.run(
        command(name, address, *arguments),
        input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False,
    )


def tool(name, address, *arguments, text=""):
    """What a tool printed; it must succeed."""
    end = ran(name, address, *arguments, text=text)
    if end.returncode != 0:
        raise AssertionError(f"kafka-{name} {' '.join(arguments)}: {end.returncode}: {end.stdout} {end.stderr}")
    return end.stdout


def refused(name, address, *arguments):
    """What a tool said that must not succeed."""
    end = ran(name, address, *arguments)
    assert end.returncode != 0, f"it was not refused: {end.stdout}"
    return end.stdout + end.stderr


def new_topic(address, partitions=1, **config):
    topic = unique("tools")
    settings = [word for key, value in config.items() for word in ("--config", f"{key.replace('_', '.')}={value}")]
    tool("topics", address, "--create", "--topic", topic, "--partitions", str(partitions), *settings)
    return topic


def produce(address, topic, *lines, options=()):
    tool("console-producer", address, "--topic", topic, *options, text="".join(f"{line}\n" for line in lines))


def consume(address, topic, count, *arguments):
    wait = ["--max-messages", str(count), "--timeout-ms", "30000"]
    return tool("console-consumer", address, "--topic", topic, "--from-beginning", *wait, *arguments).splitlines()


def rows(text, *columns):
    """The named columns of a table with a head; a cell has no spaces."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    head = next(line for line in lines if columns[0] in line)
    at = [head.index(column) for column in columns]
    return [tuple(line[index] for index in at) for line in lines if line != head and len(line) > max(at)]

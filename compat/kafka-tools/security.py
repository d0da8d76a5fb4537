"""Users, access rules, quotas, logins and TLS through Apache Kafka's own tools."""

import os
import tempfile

from cases import case, eventually, unique
from tools import consume, new_topic, produce, ran, refused, tool

SASL = os.environ["COMPAT_SASL"]
TLS = os.environ["COMPAT_TLS"]
CA = os.environ["COMPAT_CA"]
PASSWORD = "correct horse"


def settings(**config):
    """A file with a client's settings, and the option that names it."""
    with tempfile.NamedTemporaryFile("w", suffix=".properties", delete=False) as file:
        file.writelines(f"{key.replace('_', '.')}={value}\n" for key, value in config.items())
    return ["--command-config", file.name]


def login(user, password=PASSWORD, mechanism="SCRAM-SHA-256"):
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return settings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        sasl_jaas_config=f'{module} required username="{user}" password="{password}";',
    )


def new_user(address, mechanism="SCRAM-SHA-256"):
    user = unique("user")
    entity = ["--entity-type", "users", "--entity-name", user]
    tool("configs", address, "--alter", *entity, "--add-config", f"{mechanism}=[iterations=4096,password={PASSWORD}]")
    entered = login(user, mechanism=mechanism)
    eventually("the user", lambda: ran("topics", SASL, "--list", *entered).returncode == 0)
    return user


@case
def configs_makes_users_who_log_in_until_they_are_deleted(address):
    user = new_user(address, "SCRAM-SHA-512")
    entity = ["--entity-type", "users", "--entity-name", user]
    told = tool("configs", address, "--describe", *entity)
    assert "SCRAM-SHA-512=iterations=4096" in told, told
    assert PASSWORD not in told, told
    said = refused("topics", SASL, "--list", *login(user, "wrong", "SCRAM-SHA-512"))
    assert "SaslAuthenticationException" in said, said
    tool("configs", address, "--alter", *entity, "--delete-config", "SCRAM-SHA-512")
    entered = login(user, mechanism="SCRAM-SHA-512")
    eventually("the end of the user", lambda: ran("topics", SASL, "--list", *entered).returncode != 0)
    assert user not in tool("configs", address, "--describe", "--entity-type", "users")


def rules(address, *resource):
    return tool("acls", address, "--list", *resource)


@case
def acls_adds_lists_and_removes_rules(address):
    topic, prefix = unique("topic"), unique("prefix")
    user = f"User:{unique('user')}"
    tool("acls", address, "--add", "--allow-principal", user, "--operation", "Read", "--operation", "Describe",
         "--topic", topic)
    literal = eventually("the rules", lambda: rules(address, "--topic", topic).count(user) == 2 and rules(address, "--topic", topic))
    assert "patternType=LITERAL" in literal, literal
    for part in ("operation=READ", "operation=DESCRIBE", "permissionType=ALLOW", "host=*"):
        assert part in literal, literal
    tool("acls", address, "--add", "--deny-principal", user, "--deny-host", "10.0.0.9", "--operation", "All",
         "--group", prefix, "--resource-pattern-type", "prefixed")
    by_prefix = ["--group", prefix, "--resource-pattern-type", "prefixed"]
    denied = eventually("the rule", lambda: user in rules(address, *by_prefix) and rules(address, *by_prefix))
    for part in ("patternType=PREFIXED", "host=10.0.0.9", "operation=ALL", "permissionType=DENY"):
        assert part in denied, denied
    matching = rules(address, "--group", f"{prefix}-group", "--resource-pattern-type", "match")
    assert prefix in matching and user in matching, matching
    tool("acls", address, "--remove", "--force", "--allow-principal", user, "--operation", "Read", "--topic", topic)
    eventually("the end of one", lambda: "operation=READ" not in rules(address, "--topic", topic))
    assert "operation=DESCRIBE" in rules(address, "--topic", topic)
    for resource in (["--topic", topic], by_prefix):
        tool("acls", address, "--remove", "--force", *resource)
        eventually("the end of all", lambda: user not in rules(address, *resource))


@case
def acls_decide_who_may_write_and_read(address):
    topic, group = new_topic(address), unique("group")
    user = new_user(address)
    entered = login(user)
    said = ran("console-producer", SASL, "--topic", topic, *entered, text="refused\n")
    assert "Not authorized to access topics" in said.stdout + said.stderr, said
    tool("acls", address, "--add", "--allow-principal", f"User:{user}", "--producer", "--topic", topic)

    def writes():
        end = ran("console-producer", SASL, "--topic", topic, *entered, text="written\n")
        return "Not authorized" not in end.stdout + end.stderr

    eventually("leave to write", writes)
    assert consume(address, topic, 1) == ["written"]
    reading = ["--topic", topic, "--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"]
    said = ran("console-consumer", SASL, *reading, "--group", group, *entered)
    assert "Not authorized to access group" in said.stdout + said.stderr, said
    tool("acls", address, "--add", "--allow-principal", f"User:{user}", "--consumer", "--topic", topic, "--group", group)

    def reads():
        return ran("console-consumer", SASL, *reading, "--group", group, *entered).stdout.splitlines() == ["written"]

    eventually("leave to read", reads)


@case
def configs_sets_describes_and_deletes_quotas(address):
    user, client = unique("user"), unique("client")
    entity = ["--entity-type", "users", "--entity-name", user, "--entity-type", "clients", "--entity-name", client]
    quotas = "producer_byte_rate=1048576,consumer_byte_rate=2097152"
    tool("configs", address, "--alter", *entity, "--add-config", quotas)
    told = eventually("the quotas", lambda: _with("producer_byte_rate=1048576", tool("configs", address, "--describe", *entity)))
    for part in (f"user-principal '{user}'", f"client-id '{client}'", "consumer_byte_rate=2097152"):
        assert part in told, told
    tool("configs", address, "--alter", *entity, "--delete-config", "producer_byte_rate")
    eventually("the end of one", lambda: "producer_byte_rate" not in tool("configs", address, "--describe", *entity))
    assert "consumer_byte_rate=2097152" in tool("configs", address, "--describe", *entity)
    said = refused("configs", address, "--alter", *entity, "--add-config", "no_such_rate=1")
    assert "no_such_rate" in said, said
    tool("configs", address, "--alter", *entity, "--delete-config", "consumer_byte_rate")
    eventually("the end of all", lambda: user not in tool("configs", address, "--describe", *entity))


@case
def configs_sets_quotas_of_addresses_and_of_whoever_has_none(address):
    host = ["--entity-type", "ips", "--entity-name", "10.0.0.9"]
    tool("configs", address, "--alter", *host, "--add-config", "connection_creation_rate=100")
    eventually("the quota", lambda: "connection_creation_rate=100" in tool("configs", address, "--describe", *host))
    tool("configs", address, "--alter", *host, "--delete-config", "connection_creation_rate")
    eventually("its end", lambda: "connection_creation_rate" not in tool("configs", address, "--describe", *host))
    everybody = ["--entity-type", "clients", "--entity-default"]
    tool("configs", address, "--alter", *everybody, "--add-config", "producer_byte_rate=1000000000")
    eventually("the default", lambda: "producer_byte_rate=1.0E9" in tool("configs", address, "--describe", *everybody))
    tool("configs", address, "--alter", *everybody, "--delete-config", "producer_byte_rate")
    eventually("its end", lambda: "producer_byte_rate" not in tool("configs", address, "--describe", *everybody))


def _with(part, text):
    return text if part in text else None


@case
def console_producer_and_consumer_speak_tls(address):
    topic = new_topic(address)
    encrypted = settings(security_protocol="SSL", ssl_truststore_type="PEM", ssl_truststore_location=CA)
    produce(TLS, topic, "secret", options=encrypted)
    assert consume(TLS, topic, 1, *encrypted) == ["secret"]
    said = refused("topics", TLS, "--list", *settings(security_protocol="SSL"))
    assert "SSL handshake failed" in said, said

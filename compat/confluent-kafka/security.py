"""Logins, TLS, users and access rules through librdkafka."""

import functools
import os

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from cases import case, equal, eventually, unique

SECONDS_MAX = 30
TLS = {"bootstrap.servers": os.environ["COMPAT_TLS"], "security.protocol": "ssl"}
CA = {"ssl.ca.location": os.environ["COMPAT_CA"]}
PASSWORD = "correct horse"
# The one user that PLAIN knows of on both brokers.
PLAIN_USER, PLAIN_PASSWORD = "plain", "plain-secret"


def login(user, password=PASSWORD, mechanism="SCRAM-SHA-256"):
    return {
        "bootstrap.servers": os.environ["COMPAT_SASL"],
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
    }


@functools.cache
def admin(address):
    """One client for all cases: requests of a client that nobody holds any more are given up."""
    return AdminClient({"bootstrap.servers": address})


def results(futures):
    return {about: future.result(SECONDS_MAX) for about, future in futures.items()}


def make_user(address, user, password, mechanism):
    info = ScramCredentialInfo(mechanism, 4096)
    change = UserScramCredentialUpsertion(user, info, password.encode())
    results(admin(address).alter_user_scram_credentials([change]))


def new_topic(address):
    topic = unique("secure")
    results(admin(address).create_topics([NewTopic(topic, 1, 1)]))
    eventually("the topic", lambda: topic in admin(address).list_topics(timeout=SECONDS_MAX).topics)
    return topic


def allow(address, user, *grants):
    kinds = [AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
             for kind, name, operation in grants]
    results(admin(address).create_acls(kinds))


def sent(config, topic, value):
    """What became of a record: nothing, or its error's code."""
    outcome = []
    producer = Producer({**config, "message.timeout.ms": 20000})
    producer.produce(topic, value, partition=0, on_delivery=lambda error, _: outcome.append(error and error.code()))
    producer.flush(SECONDS_MAX)
    return outcome[0] if outcome else "not sent"


def first_value(config, topic, group=None):
    reader = Consumer({**config, "group.id": group or unique("group"), "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, 0, 0)])
    try:
        message = eventually("a record", lambda: reader.poll(0.2))
        if message.error():
            raise KafkaException(message.error())
        return message.value()
    finally:
        reader.close()


def _logs_in(name, user, password):
    def logs_in(address):
        topic = new_topic(address)
        who = user or unique("user")
        # PLAIN checks against what SCRAM keeps, where its users are not fixed.
        kept = {"SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}.get(name, ScramMechanism.SCRAM_SHA_256)
        make_user(address, who, password, kept)
        # librdkafka asks for the coordinator of a group also where nothing is committed.
        group = unique("group")
        allow(address, who, (ResourceType.TOPIC, topic, AclOperation.WRITE), (ResourceType.TOPIC, topic, AclOperation.READ),
              (ResourceType.GROUP, group, AclOperation.READ))
        config = login(who, password, name)
        eventually("leave to write", lambda: sent(config, topic, b"a") is None)
        equal(first_value(config, topic, group), b"a")

    logs_in.__name__ = f"a_user_logs_in_with_{name.lower().replace('-', '_')}"
    case(logs_in)


_logs_in("PLAIN", PLAIN_USER, PLAIN_PASSWORD)
_logs_in("SCRAM-SHA-256", None, PASSWORD)
_logs_in("SCRAM-SHA-512", None, PASSWORD)


def complaint(config):
    """The code of the first error that a client tells of."""
    errors = []
    client = Producer({**config, "error_cb": lambda error: errors.append(error.code())})

    def told():
        client.poll(0.2)
        return errors

    return eventually("a complaint", told)[0]


@case
def a_wrong_password_and_an_unknown_user_are_not_let_in(address):
    user = unique("user")
    make_user(address, user, PASSWORD, ScramMechanism.SCRAM_SHA_256)
    for config in (login(user, "wrong"), login(unique("nobody"))):
        equal(complaint(config), KafkaError._AUTHENTICATION)


@case
def records_go_over_tls_to_a_broker_that_is_known(address):
    topic = new_topic(address)
    equal(sent({**TLS, **CA}, topic, b"secret"), None)
    equal(first_value({**TLS, **CA}, topic), b"secret")
    equal(complaint(TLS), KafkaError._SSL)


@case
def a_certificate_says_who_a_client_is(address):
    topic = new_topic(address)
    mutual = {**TLS, **CA, "bootstrap.servers": os.environ["COMPAT_MUTUAL"]}
    shown = {
        **mutual,
        "ssl.certificate.location": os.environ["COMPAT_CLIENT_CERTIFICATE"],
        "ssl.key.location": os.environ["COMPAT_CLIENT_KEY"],
    }
    allow(address, "CN=client", (ResourceType.TOPIC, topic, AclOperation.DESCRIBE))
    eventually("a refusal", lambda: sent(shown, topic, b"a") == KafkaError.TOPIC_AUTHORIZATION_FAILED)
    allow(address, "CN=client", (ResourceType.TOPIC, topic, AclOperation.WRITE))
    eventually("leave to write", lambda: sent(shown, topic, b"b") is None)
    equal(first_value({"bootstrap.servers": address}, topic), b"b")
    assert complaint(mutual) in (KafkaError._SSL, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


@case
def users_are_made_described_and_deleted(address):
    user = unique("user")
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        make_user(address, user, PASSWORD, mechanism)

    def mechanisms():
        try:
            described = results(admin(address).describe_user_scram_credentials([user]))[user]
        except KafkaException as error:
            equal(error.args[0].code(), KafkaError.RESOURCE_NOT_FOUND)
            return []
        return sorted((info.mechanism.name, info.iterations) for info in described.scram_credential_infos)

    both = [("SCRAM_SHA_256", 4096), ("SCRAM_SHA_512", 4096)]
    eventually("the user", lambda: mechanisms() == both)
    results(admin(address).alter_user_scram_credentials([UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256)]))
    eventually("the end of one", lambda: mechanisms() == both[1:])
    results(admin(address).alter_user_scram_credentials([UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)]))
    eventually("the end of both", lambda: mechanisms() == [])


def rules_of(address, topic, pattern=ResourcePatternType.ANY):
    every = AclBindingFilter(ResourceType.TOPIC, topic, pattern, None, None, AclOperation.ANY, AclPermissionType.ANY)
    found = admin(address).describe_acls(every).result(SECONDS_MAX)
    return sorted((rule.principal, rule.operation.name, rule.permission_type.name) for rule in found)


@case
def rules_are_made_described_and_deleted(address):
    topic, user = unique("topic"), unique("user")
    allow(address, user, (ResourceType.TOPIC, topic, AclOperation.READ), (ResourceType.TOPIC, topic, AclOperation.WRITE))
    both = [(f"User:{user}", "READ", "ALLOW"), (f"User:{user}", "WRITE", "ALLOW")]
    eventually("the rules", lambda: rules_of(address, topic) == both)
    one = AclBindingFilter(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{user}", None, AclOperation.READ, AclPermissionType.ANY
    )
    (deleted,) = results(admin(address).delete_acls([one])).values()
    equal([rule.operation for rule in deleted], [AclOperation.READ])
    eventually("the end of one", lambda: rules_of(address, topic) == both[1:])


@case
def what_no_rule_allows_is_refused_and_so_is_what_one_denies(address):
    topic, user = new_topic(address), unique("user")
    make_user(address, user, PASSWORD, ScramMechanism.SCRAM_SHA_256)
    allow(address, user, (ResourceType.TOPIC, topic, AclOperation.DESCRIBE))
    config = login(user)
    eventually("the user", lambda: sent(config, topic, b"a") == KafkaError.TOPIC_AUTHORIZATION_FAILED)
    allow(address, user, (ResourceType.TOPIC, topic, AclOperation.WRITE))
    eventually("leave to write", lambda: sent(config, topic, b"b") is None)
    deny = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{user}", "*", AclOperation.WRITE, AclPermissionType.DENY
    )
    results(admin(address).create_acls([deny]))
    eventually("its end", lambda: sent(config, topic, b"c") == KafkaError.TOPIC_AUTHORIZATION_FAILED)
    equal(first_value({"bootstrap.servers": address}, topic), b"b")

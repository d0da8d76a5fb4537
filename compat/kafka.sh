#!/usr/bin/env bash
# kafka.sh FOLDER PORT INTERNAL-PORT CONTROLLER-PORT SASL-PORT TLS-PORT MUTUAL-PORT: Apache Kafka 4 in
# a folder of its own, with its certificate and key in keystore.pem and the authority of its clients
# in authority.pem, in the place of this process. Its libraries are kept in LIBRARY_DIR.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../background" && pwd)
STATE_DIR=$1
KAFKA_PORT=$2
KAFKA_ADVERTISED_PORT=$2
KAFKA_INTERNAL_PORT=$3
KAFKA_CONTROLLER_PORT=$4
SASL_PORT=$5
TLS_PORT=$6
MUTUAL_PORT=$7
KAFKA_MODE=kraft
export LIBRARY_DIR STATE_DIR KAFKA_PORT KAFKA_ADVERTISED_PORT KAFKA_INTERNAL_PORT KAFKA_CONTROLLER_PORT KAFKA_MODE

say() {
    printf '== %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

KAFKA_SECURITY=plain
export KAFKA_SECURITY
# shellcheck source=background/native/parts.sh
. "$HERE/native/parts.sh"
# shellcheck source=background/native/tools.sh
. "$HERE/native/tools.sh"
# shellcheck source=background/native/secured.sh
. "$HERE/native/secured.sh"

mkdir -p "$STATE_DIR/kafka"
prepare_kafka
# As `techleet broker` has it where nothing else is said.
cat >>"$STATE_DIR/kafka/server.properties" <<END
auto.create.topics.enable=true
END
# Whoever comes in without a name may do everything; who logs in, what rules allow. Of two lines for one key the last counts.
LISTENERS="EXTERNAL://127.0.0.1:$KAFKA_PORT,INTERNAL://127.0.0.1:$KAFKA_INTERNAL_PORT"
LISTENERS+=",SASL://127.0.0.1:$SASL_PORT,TLS://127.0.0.1:$TLS_PORT,MUTUAL://127.0.0.1:$MUTUAL_PORT"
SCRAM=org.apache.kafka.common.security.scram.ScramLoginModule
cat >>"$STATE_DIR/kafka/server.properties" <<END
listeners=$LISTENERS,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=$LISTENERS
listener.security.protocol.map=EXTERNAL:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,MUTUAL:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_plain="plain-secret";
listener.name.sasl.scram-sha-256.sasl.jaas.config=$SCRAM required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=$SCRAM required;
ssl.keystore.type=PEM
ssl.keystore.location=$STATE_DIR/keystore.pem
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location=$STATE_DIR/authority.pem
END
kafka_flags WARN
exec java -Xmx1g -XX:+UseG1GC "${KAFKA_FLAGS[@]}" kafka.Kafka "$STATE_DIR/kafka/server.properties" \
    >"$STATE_DIR/kafka/log" 2>&1

#!/usr/bin/env bash
# kafka.sh FOLDER PORT INTERNAL-PORT CONTROLLER-PORT: Apache Kafka 4 in a folder of its own, in the
# place of this process. Its libraries are kept in LIBRARY_DIR.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../background" && pwd)
STATE_DIR=$1
KAFKA_PORT=$2
KAFKA_INTERNAL_PORT=$3
KAFKA_CONTROLLER_PORT=$4
KAFKA_MODE=kraft
export LIBRARY_DIR STATE_DIR KAFKA_PORT KAFKA_INTERNAL_PORT KAFKA_CONTROLLER_PORT KAFKA_MODE

say() {
    printf '== %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# shellcheck source=background/native/parts.sh
. "$HERE/native/parts.sh"

mkdir -p "$STATE_DIR/kafka"
prepare_kafka
# As `techleet broker` has it where nothing else is said.
cat >>"$STATE_DIR/kafka/server.properties" <<END
auto.create.topics.enable=true
END
kafka_flags WARN
exec java -Xmx1g -XX:+UseG1GC "${KAFKA_FLAGS[@]}" kafka.Kafka "$STATE_DIR/kafka/server.properties" \
    >"$STATE_DIR/kafka/log" 2>&1

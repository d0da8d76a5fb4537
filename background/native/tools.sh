# shellcheck shell=bash
# Kafka's own tools by their own names, for those who have its libraries and not its distribution.

# The classes differ between Kafka 3 and 4.
kafka_class() {
    case $KAFKA_MODE-$1 in
        kraft-kafka-topics) echo org.apache.kafka.tools.TopicCommand ;;
        kraft-kafka-acls) echo org.apache.kafka.tools.AclCommand ;;
        kraft-kafka-consumer-groups) echo org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
        *-kafka-topics) echo kafka.admin.TopicCommand ;;
        *-kafka-acls) echo kafka.admin.AclCommand ;;
        *-kafka-consumer-groups) echo kafka.admin.ConsumerGroupCommand ;;
        *-kafka-configs) echo kafka.admin.ConfigCommand ;;
        *-kafka-storage) echo kafka.tools.StorageTool ;;
        *-kafka-server-start) echo kafka.Kafka ;;
    esac
}

readonly KAFKA_TOOLS="kafka-topics kafka-acls kafka-consumer-groups kafka-configs kafka-storage kafka-server-start"

# write_kafka_tools FOLDER: NAME.sh for each of them.
write_kafka_tools() {
    local folder=$1 name
    mkdir -p "$folder"
    for name in $KAFKA_TOOLS; do
        kafka_flags ERROR
        {
            printf '#!/usr/bin/env bash\n# Written by start-infrastructure.sh.\nset -euo pipefail\n'
            if [[ $name == kafka-server-start ]]; then
                kafka_flags INFO
                printf 'server=(java -Xmx1g -XX:+UseG1GC'
                printf ' %q' "${KAFKA_FLAGS[@]}" kafka.Kafka
                # shellcheck disable=SC2016 # what the tool does with its own arguments
                printf ')\nif [[ $1 == -daemon ]]; then\n    shift\n'
                # shellcheck disable=SC2016
                printf '    nohup "${server[@]}" "$@" >"${KAFKA_LOG:-kafka.log}" 2>&1 </dev/null &\n'
                # shellcheck disable=SC2016
                printf 'else\n    exec "${server[@]}" "$@"\nfi\n'
            else
                printf 'exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1'
                printf ' %q' "${KAFKA_FLAGS[@]}" "$(kafka_class "$name")"
                # shellcheck disable=SC2016
                printf ' "$@"\n'
            fi
        } >"$folder/$name.sh"
        chmod +x "$folder/$name.sh"
    done
}

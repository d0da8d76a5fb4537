# shellcheck shell=bash
# The topics: made where they are missing, mended where they differ from topics.list.
# Uses kafka_topics and kafka_configs, which know where Kafka and its tools are.

# A topic that is as it should be is not touched, so that a second run changes nothing.
mend_topics() {
    local described name partitions settings line making=() pid
    described=$(kafka_topics --describe) || fail "Kafka does not list its topics"
    while read -r name partitions settings; do
        line=$(topic_line "$name" "$described")
        if [[ -n $line ]]; then
            mend_topic "$name" "$partitions" "$settings" "$line"
        else
            say "making the topic $name"
            make_topic "$name" "$partitions" "$settings" &
            making+=("$!")
        fi
    done < <(grep -v '^#' "$HERE/topics.list")
    for pid in ${making[@]+"${making[@]}"}; do
        wait "$pid" || fail "a topic could not be made"
    done
}

# topic_line NAME DESCRIBED: the line that has a topic's number of partitions and its settings.
topic_line() {
    awk -F '\t' -v name="$1" '
        { topic = $1; sub(/^Topic: */, "", topic); sub(/ *$/, "", topic) }
        topic == name && /PartitionCount:/
    ' <<<"$2"
}

# make_topic NAME PARTITIONS SETTINGS
make_topic() {
    local setting arguments=()
    for setting in $3; do
        arguments+=(--config "$setting")
    done
    # Somebody else may have made it meanwhile: a service does so at its start.
    quietly kafka_topics --create --if-not-exists --topic "$1" --partitions "$2" --replication-factor 1 "${arguments[@]}"
}

# mend_topic NAME PARTITIONS SETTINGS LINE
mend_topic() {
    local name=$1 partitions=$2 line=$4 setting present configs
    present=${line##*PartitionCount: }
    present=${present%%[!0-9]*}
    configs=,$(sed 's/.*Configs: *//; s/[[:space:]]*$//' <<<"$line"),
    if ((present < partitions)); then
        say "giving the topic $name $partitions partitions instead of $present"
        quietly kafka_topics --alter --topic "$name" --partitions "$partitions" || fail "the topic $name stays as it is"
    elif ((present > partitions)); then
        say "the topic $name has $present partitions instead of $partitions: Kafka cannot take any away"
    fi
    for setting in $3; do
        if [[ $configs != *",$setting,"* ]]; then
            say "setting $setting on the topic $name"
            quietly kafka_configs --alter --entity-type topics --entity-name "$name" --add-config "$setting" ||
                fail "the topic $name stays as it is"
        fi
    done
}

# quietly COMMAND…: what it prints is of interest only if it fails.
quietly() {
    local printed
    printed=$("$@" 2>&1 </dev/null) || { printf '%s\n' "$printed" >&2; return 1; }
}

# shellcheck shell=bash
# The topics: made where they are missing, mended where they differ from topics.list.
# Uses kafka_topics and kafka_configs, which know where Kafka and its tools are.

readonly TOPICS_MAX_S=60

# A topic that is as it should be is not touched, so that a second run changes nothing.
mend_topics() {
    local described name partitions settings difference making=() pid is_changed='' deadline=$((SECONDS + TOPICS_MAX_S))
    described=$(kafka_topics --describe) || fail "Kafka does not list its topics"
    while read -r name partitions settings; do
        difference=$(topic_difference "$name" "$partitions" "$settings" "$described")
        case $difference in
            '') continue ;;
            missing)
                say "making the topic $name"
                make_topic "$name" "$partitions" "$settings" &
                making+=("$!")
                ;;
            *) mend_topic "$name" "$partitions" "$difference" ;;
        esac
        is_changed=yes
    done < <(wanted_topics)
    for pid in ${making[@]+"${making[@]}"}; do
        wait "$pid" || fail "a topic could not be made"
    done
    # Kafka's word that a change is made comes before the broker that is asked next has heard of it.
    while [[ -n $is_changed ]] && ! topics_are_mended; do
        ((SECONDS < deadline)) || fail "the topics are not as they were made after $TOPICS_MAX_S s"
        sleep 0.2
    done
    tell_of_large_topics "$described"
}

wanted_topics() {
    grep -v '^#' "$HERE/topics.list"
}

topics_are_mended() {
    local described name partitions settings
    described=$(kafka_topics --describe) || return
    while read -r name partitions settings; do
        [[ -z $(topic_difference "$name" "$partitions" "$settings" "$described") ]] || return
    done < <(wanted_topics)
}

# topic_difference NAME PARTITIONS SETTINGS DESCRIBED: nothing, "missing", or what has to be set.
topic_difference() {
    local line configs setting
    line=$(topic_line "$1" "$4")
    if [[ -z $line ]]; then
        echo missing
        return
    fi
    if (($(partitions_in "$line") < $2)); then
        echo partitions
    fi
    configs=,$(sed 's/.*Configs: *//; s/[[:space:]]*$//' <<<"$line"),
    for setting in $3; do
        if [[ $configs != *",$setting,"* ]]; then
            echo "$setting"
        fi
    done
}

# topic_line NAME DESCRIBED: the line that has a topic's number of partitions and its settings.
topic_line() {
    awk -F '\t' -v name="$1" '
        { topic = $1; sub(/^Topic: */, "", topic); sub(/ *$/, "", topic) }
        topic == name && /PartitionCount:/
    ' <<<"$2"
}

partitions_in() {
    local rest=${1##*PartitionCount: }
    echo "${rest%%[!0-9]*}"
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

# mend_topic NAME PARTITIONS DIFFERENCE
mend_topic() {
    local what
    for what in $3; do
        if [[ $what == partitions ]]; then
            say "giving the topic $1 $2 partitions"
            quietly kafka_topics --alter --topic "$1" --partitions "$2" || fail "the topic $1 stays as it is"
        else
            say "setting $what on the topic $1"
            quietly kafka_configs --alter --entity-type topics --entity-name "$1" --add-config "$what" ||
                fail "the topic $1 stays as it is"
        fi
    done
}

# tell_of_large_topics DESCRIBED
tell_of_large_topics() {
    local name partitions line
    while read -r name partitions _; do
        line=$(topic_line "$name" "$1")
        if [[ -n $line ]] && (($(partitions_in "$line") > partitions)); then
            say "the topic $name has $(partitions_in "$line") partitions instead of $partitions: Kafka cannot take any away"
        fi
    done < <(wanted_topics)
}

# quietly COMMAND…: what it prints is of interest only if it fails.
quietly() {
    local printed
    printed=$("$@" 2>&1 </dev/null) || { printf '%s\n' "$printed" >&2; return 1; }
}

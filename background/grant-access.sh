#!/usr/bin/env bash
# grant-access.sh ARGUMENT…: gives each part of TechLeet on a secured Kafka what access.list says, and nothing else.
# The arguments go to Kafka's own kafka-acls: --bootstrap-server HOST:PORT --command-config FILE.
# What is granted already stays. Another list can be named in ACCESS_LIST.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ACCESS_LIST=${ACCESS_LIST:-$HERE/access.list}
# Each of Kafka's tools starts a Java of its own.
readonly AT_A_TIME=3

tool=
for name in kafka-acls.sh kafka-acls; do
    if command -v "$name" >/dev/null; then tool=$name; fi
done
if [[ -z $tool ]]; then
    echo "missing: kafka-acls.sh, of Apache Kafka's bin folder; add that to PATH" >&2
    exit 1
fi

# grant USER OPERATION KIND NAME…
grant() {
    local user=$1 operation=$2 kind=$3 name arguments=()
    shift 3
    for name in "$@"; do
        arguments+=("--${kind%-prefix}" "$name")
    done
    if [[ $kind == *-prefix ]]; then
        arguments+=(--resource-pattern-type prefixed)
    fi
    local printed
    printed=$("$tool" "${CONNECTION[@]}" --add --allow-principal "User:$user" --operation "$operation" \
        "${arguments[@]}" 2>&1 </dev/null) || { printf '%s\n' "$printed" >&2; return 1; }
}

CONNECTION=("$@")
pids=()
wait_for_all() {
    local pid
    for pid in ${pids[@]+"${pids[@]}"}; do
        wait "$pid" || { echo "not all could be granted" >&2; exit 1; }
    done
    pids=()
}
while read -r user operation kind names; do
    # shellcheck disable=SC2086 # the names of topics and groups have no spaces
    grant "$user" "$operation" "$kind" $names &
    pids+=("$!")
    if ((${#pids[@]} >= AT_A_TIME)); then
        wait_for_all
    fi
done < <(grep -v '^#' "$ACCESS_LIST")
wait_for_all

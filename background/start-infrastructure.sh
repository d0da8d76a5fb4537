#!/usr/bin/env bash
# Brings up what TechLeet's parts can stand on instead of the embedded defaults: Apache Kafka,
# Redis and PostgreSQL; with Docker where an engine answers, natively where none does.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE

usage() {
    cat <<END
Usage: $0 [start | stop | status | logs [PART] [-f] | reset] [OPTION…]

  start     starts what does not run, makes or mends the topics, waits until all answers (the default)
  stop      stops everything that start has started
  status    shows what runs and answers; exit code 3 if something does not
  logs      shows the log of one part or of all; -f goes on with what comes
  reset     stops, and deletes all data

Parts: zookeeper, kafka, redis, postgres; with Docker also kafka-ui, user-service and container.

  --zookeeper, --kraft    Kafka 3.4 with ZooKeeper (the default), or Kafka 4 with KRaft
  --secured               Kafka natively as in production: over TLS, with logins and access rules
                          (docs/guide/production.md)
  --docker, --native      one or the other, whatever answers
  --only PART,PART        these parts only
  --state-dir DIR         where everything native is kept          [INFRASTRUCTURE_DIR, $HERE/.state]
  --zookeeper-port N      [ZOOKEEPER_PORT, 2181]
  --kafka-port N          [KAFKA_PORT, 9092]
  --kafka-advertised-port N  where Kafka's clients are told to come back to, behind a proxy
                                                          [KAFKA_ADVERTISED_PORT, Kafka's own port]
  --kafka-internal-port N [KAFKA_INTERNAL_PORT, 29092]
  --kafka-controller-port N  with KRaft                            [KAFKA_CONTROLLER_PORT, 9093]
  --redis-port N          [REDIS_PORT, 6379]
  --postgres-port N       [POSTGRES_PORT, 5432]

In the environment also: REDIS_PASSWORD and POSTGRES_PASSWORD (techleet123) for the first start;
INFRASTRUCTURE_LIBRARY_DIR, where the libraries of Kafka and ZooKeeper are kept (lib in the state's folder).
Without flags and variables, the ports of the start before are used.
END
}

say() {
    printf '== %s\n' "$*"
}

fail() {
    printf '== %s\n' "$*" >&2
    exit 1
}

is_root() {
    ((EUID == 0))
}

# shellcheck source=background/native/process.sh
. "$HERE/native/process.sh"
# shellcheck source=background/native/parts.sh
. "$HERE/native/parts.sh"
# shellcheck source=background/native/tools.sh
. "$HERE/native/tools.sh"
# shellcheck source=background/native/secured.sh
. "$HERE/native/secured.sh"
# shellcheck source=background/topics.sh
. "$HERE/topics.sh"
# shellcheck source=background/docker.sh
. "$HERE/docker.sh"

# In the order in which they start.
readonly NATIVE_PARTS="zookeeper kafka redis postgres"
readonly ALL_PARTS="$NATIVE_PARTS kafka-ui user-service container"
readonly SETTINGS="KAFKA_MODE KAFKA_SECURITY ZOOKEEPER_PORT KAFKA_PORT KAFKA_ADVERTISED_PORT KAFKA_INTERNAL_PORT KAFKA_CONTROLLER_PORT REDIS_PORT POSTGRES_PORT"

COMMAND=start
ENGINE=
ONLY=
FOLLOW=
KAFKA_MODE=${KAFKA_MODE:-}
KAFKA_SECURITY=${KAFKA_SECURITY:-}
STATE_DIR=${INFRASTRUCTURE_DIR:-$HERE/.state}
MISSING=()
TO_INSTALL=()

read_arguments() {
    if (($# > 0)) && [[ $1 != -* ]]; then
        COMMAND=$1
        shift
    fi
    while (($# > 0)); do
        case $1 in
            -h | --help) usage; exit 0 ;;
            -f | --follow) FOLLOW=-f ;;
            --zookeeper) KAFKA_MODE=zookeeper ;;
            --kraft) KAFKA_MODE=kraft ;;
            --secured) KAFKA_SECURITY=secured ;;
            --docker) ENGINE=docker ;;
            --native) ENGINE=native ;;
            --only | --state-dir | --*-port) take_value "$@"; shift ;;
            -*) fail "unknown option $1; see $0 --help" ;;
            *) [[ $COMMAND == logs ]] || fail "unknown argument $1; see $0 --help"; ONLY=$1 ;;
        esac
        shift
    done
    local part
    for part in $ONLY; do
        [[ " $ALL_PARTS " == *" $part "* ]] || fail "there is no part $part; there are: $ALL_PARTS"
    done
}

# take_value OPTION VALUE…
take_value() {
    (($# > 1)) || fail "$1 needs a value"
    case $1 in
        --only) ONLY=${2//,/ } ;;
        --state-dir) STATE_DIR=$2 ;;
        *)
            local name
            name=$(printf '%s' "${1#--}" | tr 'a-z-' 'A-Z_')
            [[ " $SETTINGS " == *" $name "* ]] || fail "unknown option $1; see $0 --help"
            printf -v "$name" '%s' "$2"
            ;;
    esac
}

# What neither a flag nor the environment says, the start before says, and then the seed.
complete_settings() {
    local name value
    if [[ -f $STATE_DIR/settings ]]; then
        while IFS='=' read -r name value; do
            if [[ " $SETTINGS " == *" $name "* && -z ${!name:-} ]]; then
                printf -v "$name" '%s' "$value"
            fi
        done <"$STATE_DIR/settings"
    fi
    KAFKA_MODE=${KAFKA_MODE:-zookeeper}
    KAFKA_SECURITY=${KAFKA_SECURITY:-plain}
    ZOOKEEPER_PORT=${ZOOKEEPER_PORT:-2181}
    KAFKA_PORT=${KAFKA_PORT:-9092}
    KAFKA_ADVERTISED_PORT=${KAFKA_ADVERTISED_PORT:-$KAFKA_PORT}
    KAFKA_INTERNAL_PORT=${KAFKA_INTERNAL_PORT:-29092}
    KAFKA_CONTROLLER_PORT=${KAFKA_CONTROLLER_PORT:-9093}
    REDIS_PORT=${REDIS_PORT:-6379}
    POSTGRES_PORT=${POSTGRES_PORT:-5432}
    [[ $KAFKA_MODE == zookeeper || $KAFKA_MODE == kraft ]] || fail "KAFKA_MODE is zookeeper or kraft"
    [[ $KAFKA_SECURITY == plain || $KAFKA_SECURITY == secured ]] || fail "KAFKA_SECURITY is plain or secured"
    for name in $SETTINGS; do
        if [[ $name == *_PORT ]]; then
            [[ ${!name} =~ ^[0-9]{1,5}$ ]] || fail "$name must be a port, and is: ${!name}"
            # Compose reads them from the environment.
            export "${name?}"
        fi
    done
}

settings() {
    local name
    for name in $SETTINGS; do
        printf '%s=%s\n' "$name" "${!name}"
    done
}

# The native parts that are asked for.
parts() {
    local part
    for part in $NATIVE_PARTS; do
        if [[ $part == zookeeper && $KAFKA_MODE == kraft ]]; then
            continue
        fi
        if [[ -z $ONLY || " $ONLY " == *" $part "* ]]; then
            printf '%s\n' "$part"
        fi
    done
}

ports_of() {
    case $1 in
        zookeeper) echo "$ZOOKEEPER_PORT" ;;
        kafka) if [[ $KAFKA_MODE == kraft ]]; then echo "$KAFKA_PORT $KAFKA_INTERNAL_PORT $KAFKA_CONTROLLER_PORT"; else echo "$KAFKA_PORT $KAFKA_INTERNAL_PORT"; fi ;;
        redis) echo "$REDIS_PORT" ;;
        postgres) echo "$POSTGRES_PORT" ;;
    esac
}

# need PROGRAM DEBIAN-PACKAGE BREW-PACKAGE
need() {
    # macOS has a java that only says that there is none.
    if command -v "$1" >/dev/null && { [[ $1 != java ]] || java -version >/dev/null 2>&1; }; then
        return
    fi
    MISSING+=("$1")
    install_with "$2" "$3"
}

install_with() {
    if command -v brew >/dev/null; then TO_INSTALL+=("$2"); else TO_INSTALL+=("$1"); fi
}

check_needs() {
    local part installer="sudo apt-get install -y"
    if command -v brew >/dev/null; then installer="brew install"; fi
    need ps procps procps
    for part in $(parts); do
        "needs_$part"
    done
    if ((${#MISSING[@]} > 0)); then
        fail "missing: $(unique "${MISSING[@]}"); install: $installer $(unique "${TO_INSTALL[@]}")"
    fi
}

unique() {
    printf '%s\n' "$@" | awk '!seen[$0]++' | paste -s -d ' ' -
}

check_ports() {
    local part port
    for part in $(parts); do
        if pid_of "$part" >/dev/null; then
            continue
        fi
        for port in $(ports_of "$part"); do
            if port_is_open "$port"; then
                fail "port $port is taken by another program: stop that, or choose another port for $part (see $0 --help)"
            fi
        done
    done
}

# The folder becomes ours at the first start; `reset` deletes nothing in one that is not.
open_state_dir() {
    if [[ -d $STATE_DIR && ! -f $STATE_DIR/settings && -n $(ls -A "$STATE_DIR") ]]; then
        fail "$STATE_DIR holds something else: choose an empty folder with --state-dir"
    fi
    mkdir -p "$STATE_DIR"
    STATE_DIR=$(cd "$STATE_DIR" && pwd)
    local part
    for part in $NATIVE_PARTS; do
        if pid_of "$part" >/dev/null && [[ "$(settings)" != "$(<"$STATE_DIR/settings")" ]]; then
            fail "$part runs with other settings: stop first ($0 stop --state-dir '$STATE_DIR')"
        fi
    done
    settings >"$STATE_DIR/settings"
}

native_start() {
    local part
    check_needs
    open_state_dir
    check_ports
    for part in $(parts); do
        if pid_of "$part" >/dev/null; then
            wait_for "$part"
            say "$part runs already"
            continue
        fi
        mkdir -p "$STATE_DIR/$part"
        "prepare_$part"
        say "starting $part"
        "start_$part"
        wait_for "$part"
    done
    if [[ " $(parts | paste -s -d ' ' -) " == *" kafka "* ]]; then
        mend_topics
        if is_secured; then mend_access; fi
    fi
}

native_kafka_topics() {
    native_kafka_tool kafka-topics "$@"
}

native_kafka_configs() {
    native_kafka_tool kafka-configs "$@"
}

# native_kafka_tool NAME ARGUMENT…
native_kafka_tool() {
    local name=$1
    shift
    if is_secured; then
        secured_tool "$name" "$@"
    else
        "$STATE_DIR/kafka/bin/$name.sh" --bootstrap-server "127.0.0.1:$KAFKA_PORT" "$@"
    fi
}

kafka_topics() {
    "${ENGINE}_kafka_topics" "$@"
}

kafka_configs() {
    "${ENGINE}_kafka_configs" "$@"
}

# The last started is the first stopped, so that Kafka can still tell ZooKeeper.
native_stop() {
    local part
    for part in postgres redis kafka zookeeper; do
        if [[ -z $ONLY || " $ONLY " == *" $part "* ]]; then
            stop_part "$part"
        fi
    done
}

native_status() {
    local part pid state code=0
    for part in $NATIVE_PARTS; do
        if [[ ! -d $STATE_DIR/$part ]] || [[ -n $ONLY && " $ONLY " != *" $part "* ]]; then
            continue
        fi
        if [[ $part == zookeeper && $KAFKA_MODE == kraft ]]; then
            continue
        fi
        state="does not run"
        if pid=$(pid_of "$part"); then
            state="runs as $pid, does not answer"
            if "answers_$part"; then state="runs as $pid, answers"; fi
        fi
        [[ $state == *", answers" ]] || code=3
        printf '%-10s %-32s port %s\n' "$part" "$state" "$(ports_of "$part")"
    done
    if [[ ! -f $STATE_DIR/settings ]]; then
        say "nothing was started yet"
        code=3
    fi
    return "$code"
}

native_logs() {
    local part files=()
    for part in $NATIVE_PARTS; do
        if [[ -f $STATE_DIR/$part/log ]] && [[ -z $ONLY || " $ONLY " == *" $part "* ]]; then
            files+=("$STATE_DIR/$part/log")
        fi
    done
    ((${#files[@]} > 0)) || fail "there is no log yet: start first"
    exec tail -n 200 ${FOLLOW:+"$FOLLOW"} "${files[@]}"
}

native_reset() {
    local part
    [[ -f $STATE_DIR/settings ]] || fail "nothing to reset in $STATE_DIR"
    native_stop
    for part in $NATIVE_PARTS; do
        if [[ -z $ONLY || " $ONLY " == *" $part "* ]]; then
            rm -rf "${STATE_DIR:?}/$part"
        fi
    done
    say "all data deleted"
}

summary() {
    local title="TechLeet's infrastructure runs" selected
    selected=" $(if [[ $ENGINE == docker ]]; then docker_parts; else parts; fi | paste -s -d ' ' -) "
    printf '\n%s (%s).\n\n' "$title" "$ENGINE"
    line() {
        if [[ $selected == *" $1 "* ]]; then printf '  %-11s %s\n' "$2" "$3"; fi
    }
    line kafka-ui "Kafka UI" "http://localhost:8080"
    line container Container "http://localhost:8181"
    line user-service "Users" "http://localhost:3001"
    line kafka Kafka "localhost:$KAFKA_PORT (internal: $KAFKA_INTERNAL_PORT)"
    if is_secured; then line kafka "" "who may enter, and how: $STATE_DIR/kafka/secrets"; fi
    line zookeeper ZooKeeper "localhost:$ZOOKEEPER_PORT"
    line redis Redis "localhost:$REDIS_PORT (password: techleet123, or REDIS_PASSWORD at the first start)"
    line postgres PostgreSQL "localhost:$POSTGRES_PORT (user and database: techleet)"
    local elsewhere=
    if [[ $ENGINE == native && $STATE_DIR != "$HERE/.state" ]]; then
        elsewhere=" --state-dir $STATE_DIR"
    fi
    printf '\n'
    printf '  %-11s %s\n' Stop "$0 stop$elsewhere" Logs "$0 logs [part] [-f]$elsewhere" Reset "$0 reset$elsewhere (deletes all data)"
}

main() {
    read_arguments "$@"
    case $COMMAND in
        start | stop | status | logs | reset) ;;
        *) fail "unknown command $COMMAND; see $0 --help" ;;
    esac
    if [[ -d $STATE_DIR ]]; then
        # Processes are recognised by this path, so that it is always written in one way.
        STATE_DIR=$(cd "$STATE_DIR" && pwd)
    fi
    complete_settings
    LIBRARY_DIR=${INFRASTRUCTURE_LIBRARY_DIR:-$STATE_DIR/lib}
    if is_secured && [[ $ENGINE != docker ]]; then ENGINE=native; fi
    if is_secured && [[ $ENGINE == docker ]]; then fail "--secured is for --native; docs/guide/production.md says how to do it elsewhere"; fi
    if [[ -z $ENGINE ]]; then
        if docker_answers; then ENGINE=docker; else ENGINE=native; fi
    fi
    "${ENGINE}_$COMMAND"
    if [[ $COMMAND == start ]]; then
        summary
    fi
}

main "$@"

# shellcheck shell=bash
# The same parts as containers, where a Docker engine answers.

readonly HEALTHY_MAX_S=300

docker_answers() {
    command -v docker >/dev/null && docker info >/dev/null 2>&1 && { has_compose_plugin || command -v docker-compose >/dev/null; }
}

has_compose_plugin() {
    docker compose version >/dev/null 2>&1
}

compose() {
    local file=kafka.docker-compose.yaml
    if [[ $KAFKA_MODE == kraft ]]; then
        file=kafka-kraft.docker-compose.yaml
    fi
    if has_compose_plugin; then
        docker compose -f "$HERE/$file" "$@"
    else
        docker-compose -f "$HERE/$file" "$@"
    fi
}

docker_parts() {
    if [[ -n $ONLY ]]; then
        printf '%s\n' "$ONLY"
    elif [[ $KAFKA_MODE == kraft ]]; then
        # The container asks the user-service who is logged in.
        echo kafka kafka-ui redis postgres user-service container
    else
        echo zookeeper kafka kafka-ui redis postgres user-service container
    fi
}

docker_start() {
    local part
    # shellcheck disable=SC2046 # the names of parts have no spaces
    compose up -d $(docker_parts) || fail "Docker could not start all parts"
    for part in $(docker_parts); do
        wait_until_healthy "$part"
    done
    if [[ " $(docker_parts) " == *" kafka "* ]]; then
        mend_topics
    fi
}

health_of() {
    docker inspect -f '{{.State.Health.Status}}' "techleet-$1" 2>/dev/null
}

wait_until_healthy() {
    local part=$1 deadline=$((SECONDS + HEALTHY_MAX_S))
    until [[ $(health_of "$part") == healthy ]]; do
        ((SECONDS < deadline)) || fail "$part is not healthy after $HEALTHY_MAX_S s; see: $0 logs $part"
        sleep 1
    done
}

docker_kafka_topics() {
    docker exec techleet-kafka kafka-topics --bootstrap-server kafka:29092 "$@"
}

docker_kafka_configs() {
    docker exec techleet-kafka kafka-configs --bootstrap-server kafka:29092 "$@"
}

docker_stop() {
    if [[ -n $ONLY ]]; then
        # shellcheck disable=SC2086 # the names of parts have no spaces
        compose rm --stop --force $ONLY
    else
        compose down
    fi
}

docker_status() {
    local part health code=0
    for part in $(docker_parts); do
        health=$(health_of "$part") || health="does not run"
        [[ $health == healthy ]] || code=3
        printf '%-14s %s\n' "$part" "${health:-unknown}"
    done
    return "$code"
}

docker_logs() {
    # shellcheck disable=SC2086 # the names of parts have no spaces
    compose logs $FOLLOW $ONLY
}

docker_reset() {
    if [[ -z $ONLY ]]; then
        compose down -v
        return
    fi
    docker_stop
    local part volume
    for part in $ONLY; do
        for volume in $(docker volume ls -q --filter label=com.docker.compose.project=techleet); do
            if [[ $volume == techleet_"$part"-data || $volume == techleet_"$part"-log ]]; then
                docker volume rm "$volume"
            fi
        done
    done
}

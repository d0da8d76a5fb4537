# shellcheck shell=bash
# The parts: for each what it needs (needs_), its configuration and first data (prepare_), how it
# is started (start_), and whether it answers (answers_).

# Kafka's own lists of libraries, by the kind of metadata it keeps.
kafka_pom() {
    if [[ $KAFKA_MODE == kraft ]]; then echo kafka-4; else echo kafka-3; fi
}

# fetch_library POM: its jars, through Maven; complete or not there at all.
fetch_library() {
    local pom=$1 target=$LIBRARY_DIR/$1
    # Another version in the pom is another library.
    if [[ -f $target/pom.xml ]] && cmp -s "$target/pom.xml" "$HERE/native/$pom.pom.xml"; then
        return
    fi
    say "fetching $pom with Maven"
    rm -rf "$target" "$target.part"
    mkdir -p "$target.part"
    mvn -q -B -f "$HERE/native/$pom.pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$target.part" >"$target.part/maven.log" 2>&1 ||
        { tail -n 20 "$target.part/maven.log" >&2; fail "Maven could not fetch $pom"; }
    cp "$HERE/native/$pom.pom.xml" "$target.part/pom.xml"
    mv "$target.part" "$target"
}

# ZooKeeper

needs_zookeeper() {
    need java default-jdk-headless openjdk
    need mvn maven maven
}

prepare_zookeeper() {
    fetch_library zookeeper
    cat >"$STATE_DIR/zookeeper/zoo.cfg" <<END
dataDir=$STATE_DIR/zookeeper/data
clientPort=$ZOOKEEPER_PORT
clientPortAddress=127.0.0.1
tickTime=2000
admin.enableServer=false
4lw.commands.whitelist=ruok,dump
autopurge.purgeInterval=1
END
}

start_zookeeper() {
    launch zookeeper java -Xmx256m -Dlogback.configurationFile="$HERE/native/logback.xml" \
        -cp "$LIBRARY_DIR/zookeeper/*" \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$STATE_DIR/zookeeper/zoo.cfg"
}

answers_zookeeper() {
    [[ $(ask_zookeeper ruok) == imok ]]
}

# ask_zookeeper WORD: one of its four-letter commands.
ask_zookeeper() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$ZOOKEEPER_PORT"
        printf '%s' "$1" >&3
        # It closes the connection after its answer.
        while IFS= read -r -t 5 line <&3 || [[ -n $line ]]; do
            printf '%s\n' "$line"
        done
    ) 2>/dev/null
}

# Kafka

needs_kafka() {
    needs_zookeeper
    if is_secured; then need openssl openssl openssl; fi
}

prepare_kafka() {
    fetch_library "$(kafka_pom)"
    local data=$STATE_DIR/kafka/data-$KAFKA_MODE
    write_kafka_tools "$STATE_DIR/kafka/bin"
    kafka_properties >"$STATE_DIR/kafka/server.properties"
    if is_secured; then
        make_secrets
        secured_properties >>"$STATE_DIR/kafka/server.properties"
    fi
    if [[ $KAFKA_MODE == kraft && ! -f $data/meta.properties ]]; then
        local id
        id=$(kafka_tool kafka.tools.StorageTool random-uuid 2>/dev/null)
        kafka_tool kafka.tools.StorageTool format --standalone -t "$id" \
            -c "$STATE_DIR/kafka/server.properties" >"$STATE_DIR/kafka/format.log" 2>&1 ||
            fail "Kafka's folder could not be made: $STATE_DIR/kafka/format.log"
    fi
}

# One node: nothing is replicated, and nobody waits for a second member of a group.
kafka_properties() {
    local internal=INTERNAL://127.0.0.1:$KAFKA_INTERNAL_PORT
    local listeners=EXTERNAL://127.0.0.1:$KAFKA_PORT,$internal
    cat <<END
log.dirs=$STATE_DIR/kafka/data-$KAFKA_MODE
advertised.listeners=EXTERNAL://127.0.0.1:$KAFKA_ADVERTISED_PORT,$internal
inter.broker.listener.name=INTERNAL
auto.create.topics.enable=false
num.partitions=3
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
END
    if [[ $KAFKA_MODE == kraft ]]; then
        cat <<END
process.roles=broker,controller
node.id=1
listeners=$listeners,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$KAFKA_CONTROLLER_PORT
listener.security.protocol.map=EXTERNAL:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
    else
        cat <<END
broker.id=1
zookeeper.connect=127.0.0.1:$ZOOKEEPER_PORT
zookeeper.session.timeout.ms=6000
listeners=$listeners
listener.security.protocol.map=EXTERNAL:PLAINTEXT,INTERNAL:PLAINTEXT
END
    fi
}

# kafka_flags LEVEL: Java's flags for Kafka's libraries, with a log from that level on; in the array KAFKA_FLAGS.
kafka_flags() {
    KAFKA_FLAGS=(
        -Dlog.level="$1"
        -Dlog4j.configuration="file:$HERE/native/log4j.properties"
        -Dlog4j2.configurationFile="$HERE/native/log4j2.properties"
        -cp "$LIBRARY_DIR/$(kafka_pom)/*"
    )
}

# kafka_tool CLASS ARGUMENT…: tools are short, so that compiling hard does not pay.
kafka_tool() {
    kafka_flags ERROR
    java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${KAFKA_FLAGS[@]}" "$@"
}

start_kafka() {
    if [[ $KAFKA_MODE == zookeeper ]]; then
        wait_for_old_session
    fi
    kafka_flags INFO
    launch kafka java -Xmx1g -XX:+UseG1GC "${KAFKA_FLAGS[@]}" kafka.Kafka "$STATE_DIR/kafka/server.properties"
}

# A broker that was killed is registered until its session with ZooKeeper ends, and Kafka refuses
# to start beside its own ghost.
wait_for_old_session() {
    local deadline=$((SECONDS + ANSWER_MAX_S))
    while [[ $(ask_zookeeper dump) == */brokers/ids/* ]]; do
        ((SECONDS < deadline)) || fail "another Kafka uses this ZooKeeper"
        sleep 0.2
    done
}

# Whether a request for the API's versions is answered.
answers_kafka() {
    if is_secured; then
        answers_over_tls
        return
    fi
    (
        exec 3<>"/dev/tcp/127.0.0.1/$KAFKA_PORT"
        # Length 10; ApiVersions (18), version 0; request 1; no client's name.
        printf '\0\0\0\012\0\022\0\0\0\0\0\001\377\377' >&3
        # The first byte of the answer's length is 0, which bash reads as the end of an empty text.
        IFS= read -r -t 5 -n1 -d '' _ <&3
    ) 2>/dev/null
}

# Redis

needs_redis() {
    need redis-server redis-server redis
    need redis-cli redis-tools redis
}

prepare_redis() {
    keep_password redis "${REDIS_PASSWORD:-techleet123}"
    mkdir -p "$STATE_DIR/redis/data"
    (
        umask 077
        cat >"$STATE_DIR/redis/redis.conf" <<END
bind 127.0.0.1
port $REDIS_PORT
dir "$STATE_DIR/redis/data"
appendonly yes
requirepass $(<"$STATE_DIR/redis/password")
set-proc-title no
END
    )
}

start_redis() {
    launch redis redis-server "$STATE_DIR/redis/redis.conf"
}

answers_redis() {
    local answer
    answer=$(REDISCLI_AUTH=$(<"$STATE_DIR/redis/password") redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping 2>/dev/null)
    [[ $answer == PONG ]]
}

# PostgreSQL

needs_postgres() {
    if [[ -z $(postgres_bin) ]]; then
        MISSING+=(postgres)
        install_with postgresql postgresql
    fi
    need psql postgresql-client postgresql
    if is_root; then
        need runuser util-linux util-linux
    fi
}

# The newest installed server's programs; Debian does not have them in the PATH.
postgres_bin() {
    local folder newest=
    for folder in /usr/lib/postgresql/*/bin; do
        if [[ -x $folder/initdb ]]; then newest=$folder; fi
    done
    if [[ -z $newest ]] && command -v initdb >/dev/null; then
        newest=$(dirname "$(command -v initdb)")
    fi
    printf '%s' "$newest"
}

# PostgreSQL refuses to run as root: there it runs as the user that its package made.
as_postgres() {
    if is_root; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

prepare_postgres() {
    local folder=$STATE_DIR/postgres
    keep_password postgres "${POSTGRES_PASSWORD:-techleet123}"
    if is_root; then
        chown postgres "$folder" "$folder/password"
        as_postgres test -w "$folder" ||
            fail "the user postgres cannot enter $folder: choose another place, for example --state-dir /var/tmp/techleet"
    fi
    if [[ ! -f $folder/data/PG_VERSION ]]; then
        as_postgres "$(postgres_bin)/initdb" --pgdata="$folder/data" --username=techleet --encoding=UTF8 \
            --locale=C.UTF-8 --auth=scram-sha-256 --pwfile="$folder/password" >"$folder/initdb.log" 2>&1 ||
            fail "PostgreSQL's folder could not be made: $folder/initdb.log"
    fi
}

start_postgres() {
    local folder=$STATE_DIR/postgres
    keep_old_log postgres
    # No socket in the file system: its path may be longer than the system allows.
    as_postgres "$(postgres_bin)/pg_ctl" start --silent --wait --pgdata="$folder/data" --log="$folder/log" \
        --options="-p $POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" \
        >"$folder/pg_ctl.log" 2>&1 </dev/null || { tail -n 20 "$folder/log" >&2; fail "PostgreSQL does not start"; }
    head -n 1 "$folder/data/postmaster.pid" >"$folder/pid"
    if [[ -z $(psql_in postgres -c "SELECT 1 FROM pg_database WHERE datname = 'techleet'") ]]; then
        psql_in postgres -c 'CREATE DATABASE techleet' >/dev/null
    fi
}

answers_postgres() {
    [[ $(psql_in techleet -c 'SELECT 1' 2>/dev/null) == 1 ]]
}

# psql_in DATABASE ARGUMENT…
psql_in() {
    local database=$1
    shift
    PGPASSWORD=$(<"$STATE_DIR/postgres/password") PGCONNECT_TIMEOUT=5 psql --no-psqlrc -qAt -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$POSTGRES_PORT" -U techleet -d "$database" "$@"
}

# keep_password PART PASSWORD: the first one stays until `reset`, as the data was made with it.
keep_password() {
    local file=$STATE_DIR/$1/password
    [[ -f $file ]] || (umask 077 && printf '%s\n' "$2" >"$file")
}

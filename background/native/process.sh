# shellcheck shell=bash
# Processes that outlive the script: pid files, ports, waiting, stopping.
# Everything of a part is in its folder, $STATE_DIR/PART: pid, log, configuration, data.

readonly ANSWER_MAX_S=90
readonly STOP_MAX_S=30

# The pid of a part that runs. A pid is believed only if that process was started from the part's
# folder, since the number may have gone to a stranger by now.
pid_of() {
    local part=$1 pid
    [[ -f $STATE_DIR/$part/pid ]] || return 1
    pid=$(<"$STATE_DIR/$part/pid")
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    [[ "$(ps -ww -o args= -p "$pid" 2>/dev/null)" == *"$STATE_DIR/$part/"* ]] || return 1
    printf '%s\n' "$pid"
}

# launch PART COMMAND…: starts it detached from this terminal, with a fresh log.
launch() {
    local part=$1
    shift
    keep_old_log "$part"
    nohup "$@" >"$STATE_DIR/$part/log" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$STATE_DIR/$part/pid"
}

# One log from before is kept, so that logs are bounded by two runs.
keep_old_log() {
    local log=$STATE_DIR/$1/log
    if [[ -f $log ]]; then
        mv "$log" "$log.1"
    fi
}

port_is_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# wait_for PART: until it answers its own protocol; a port opens earlier.
wait_for() {
    local part=$1 deadline=$((SECONDS + ANSWER_MAX_S))
    until "answers_$part"; do
        if ! pid_of "$part" >/dev/null; then
            tail -n 20 "$STATE_DIR/$part/log" >&2 || true
            fail "$part ended while it was starting; its whole log: $STATE_DIR/$part/log"
        fi
        if ((SECONDS >= deadline)); then
            fail "$part does not answer after $ANSWER_MAX_S s; its log: $STATE_DIR/$part/log"
        fi
        sleep 0.1
    done
}

# A process that has ended but whose parent has not looked yet holds nothing any more.
is_alive() {
    local state
    state=$(ps -o stat= -p "$1" 2>/dev/null) && [[ $state != Z* ]]
}

# stop_part PART: asks politely, waits, and only then kills.
stop_part() {
    local part=$1 pid deadline=$((SECONDS + STOP_MAX_S)) signal=TERM
    if ! pid=$(pid_of "$part"); then
        rm -f "$STATE_DIR/$part/pid"
        return
    fi
    # PostgreSQL waits for its clients on TERM, and disconnects them on INT.
    if [[ $part == postgres ]]; then
        signal=INT
    fi
    kill -s "$signal" "$pid"
    while is_alive "$pid"; do
        if ((SECONDS >= deadline)); then
            say "$part did not stop within $STOP_MAX_S s: killing it"
            kill -s KILL "$pid"
            deadline=$((SECONDS + STOP_MAX_S))
        fi
        sleep 0.1
    done
    rm -f "$STATE_DIR/$part/pid"
    say "$part stopped"
}

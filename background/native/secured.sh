# shellcheck shell=bash
# Kafka as in production: everybody logs in over TLS and may do what access.list says. docs/guide/production.md takes the
# same steps by hand.

is_secured() {
    [[ $KAFKA_SECURITY == secured ]]
}

# The users of access.list.
parts_with_access() {
    grep -v '^#' "$HERE/access.list" | awk '!seen[$1]++ { print $1 }'
}

make_secrets() {
    # shellcheck disable=SC2046 # the names of users have no spaces
    "$HERE/make-secrets.sh" "$STATE_DIR/kafka/secrets" localhost,127.0.0.1 admin $(parts_with_access) ||
        fail "Kafka's certificates and passwords could not be made"
}

# Of two lines for one key the last counts, so this comes behind everything else.
secured_properties() {
    sed "s#/etc/kafka/secrets#$STATE_DIR/kafka/secrets#" "$HERE/native/secured.properties"
    if [[ $KAFKA_MODE == kraft ]]; then
        echo authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
    else
        echo authorizer.class.name=kafka.security.authorizer.AclAuthorizer
    fi
}

# secured_tool NAME ARGUMENT…: as the administrator, who shows a certificate.
secured_tool() {
    local name=$1
    shift
    "$STATE_DIR/kafka/bin/$name.sh" --bootstrap-server "localhost:$KAFKA_INTERNAL_PORT" \
        --command-config "$STATE_DIR/kafka/secrets/admin-certificate.properties" "$@"
}

# Whether a request for the API's versions is answered, which comes before any login.
answers_over_tls() {
    local answer
    answer=$({ printf '\0\0\0\012\0\022\0\0\0\0\0\001\377\377'; sleep 1; } |
        openssl s_client -quiet -no_ign_eof -verify_return_error -CAfile "$STATE_DIR/kafka/secrets/ca.pem" \
            -connect "localhost:$KAFKA_PORT" 2>/dev/null | head -c 4 | od -An -tx1)
    [[ -n $answer ]]
}

# Users and rights that are missing; those that are there are not touched, so that a second run changes nothing.
mend_access() {
    local described user missing=() pid pids=()
    described=$(secured_tool kafka-configs --describe --entity-type users) || fail "Kafka does not list its users"
    for user in admin $(parts_with_access); do
        if [[ $described != *"user-principal '$user'"* ]]; then missing+=("$user"); fi
    done
    for user in ${missing[@]+"${missing[@]}"}; do
        say "making the user $user"
        quietly secured_tool kafka-configs --alter --entity-type users --entity-name "$user" \
            --add-config-file "$STATE_DIR/kafka/secrets/$user.scram" &
        pids+=("$!")
    done
    for pid in ${pids[@]+"${pids[@]}"}; do
        wait "$pid" || fail "a user could not be made"
    done
    if [[ -n $(missing_rights) ]]; then
        say "granting what access.list says"
        PATH=$STATE_DIR/kafka/bin:$PATH "$HERE/grant-access.sh" --bootstrap-server "localhost:$KAFKA_INTERNAL_PORT" \
            --command-config "$STATE_DIR/kafka/secrets/admin-certificate.properties" || fail "not all rights could be granted"
    fi
}

# Lines of access.list, one resource each, that Kafka has no rule for.
missing_rights() {
    local user operation kind names name listed
    listed=$(secured_tool kafka-acls --list | awk '
        /^Current ACLs/ {
            match($0, /resourceType=[A-Z]+/); type = tolower(substr($0, RSTART + 13, RLENGTH - 13))
            match($0, /name=[^,]+/); name = substr($0, RSTART + 5, RLENGTH - 5)
            if ($0 ~ /patternType=PREFIXED/) type = type "-prefix"
        }
        /principal=User:/ {
            match($0, /User:[^,]+/); user = substr($0, RSTART + 5, RLENGTH - 5)
            match($0, /operation=[A-Z]+/); operation = tolower(substr($0, RSTART + 10, RLENGTH - 10))
            print user, operation, type, name
        }')
    while read -r user operation kind names; do
        for name in $names; do
            grep -qxF "$user $(tr '[:upper:]' '[:lower:]' <<<"$operation") $kind $name" <<<"$listed" || echo "$user $name"
        done
    done < <(grep -v '^#' "$HERE/access.list")
}

#!/usr/bin/env bash
# make-secrets.sh FOLDER HOST[,HOST…] USER…: what a secured Kafka and its users know each other by. A certificate
# authority, the broker's certificate for these hosts, and for each user a certificate and a password, in files that only
# their owner can read. What is there already stays; docs/guide/production.md tells what each file is for.
set -euo pipefail
umask 077

if (($# < 3)); then
    printf 'usage: %s FOLDER HOST[,HOST…] USER…\n' "$0" >&2
    exit 2
fi
if ! command -v openssl >/dev/null; then
    echo "missing: openssl; on Debian or Ubuntu: sudo apt-get install -y openssl" >&2
    exit 1
fi

readonly KEY_DAYS=825
readonly AUTHORITY_DAYS=3650

mkdir -p "$1"
FOLDER=$(cd "$1" && pwd)
HOSTS=$2
shift 2

# new_key NAME ARGUMENT…: a private key, and what is asked for with it.
new_key() {
    local name=$1
    shift
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$FOLDER/$name.key" "$@" 2>/dev/null
}

# certify NAME EXTENSION…: a certificate by our authority, and all of it in one file as Kafka reads it.
certify() {
    local name=$1
    shift
    [[ ! -f $FOLDER/$name.keystore.pem ]] || return 0
    new_key "$name" -subj "/CN=$name" -out "$FOLDER/$name.csr"
    printf '%s\n' "$@" >"$FOLDER/$name.ext"
    openssl x509 -req -in "$FOLDER/$name.csr" -CA "$FOLDER/ca.pem" -CAkey "$FOLDER/ca.key" -CAcreateserial \
        -days "$KEY_DAYS" -extfile "$FOLDER/$name.ext" -out "$FOLDER/$name.pem" 2>/dev/null
    rm "$FOLDER/$name.csr" "$FOLDER/$name.ext"
    cat "$FOLDER/$name.key" "$FOLDER/$name.pem" "$FOLDER/ca.pem" >"$FOLDER/$name.keystore.pem"
}

# How the broker's hosts stand in its certificate.
alternative_names() {
    local host names=()
    for host in ${HOSTS//,/ }; do
        if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then names+=("IP:$host"); else names+=("DNS:$host"); fi
    done
    (IFS=, && printf '%s' "${names[*]}")
}

# client_properties USER: for Kafka's own tools and clients in Java, with the password or with the certificate.
client_properties() {
    local user=$1
    cat >"$FOLDER/$user.properties" <<END
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="$user" password="$(<"$FOLDER/$user.password")";
ssl.truststore.type=PEM
ssl.truststore.location=$FOLDER/ca.pem
END
    cat >"$FOLDER/$user-certificate.properties" <<END
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=$FOLDER/$user.keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$FOLDER/ca.pem
END
    # As kafka-configs --add-config-file takes it: a password on a command line is read by everybody on the machine.
    printf 'SCRAM-SHA-512=password=%s\n' "$(<"$FOLDER/$user.password")" >"$FOLDER/$user.scram"
}

if [[ ! -f $FOLDER/ca.pem ]]; then
    new_key ca -x509 -days "$AUTHORITY_DAYS" -subj "/CN=Kafka authority" -out "$FOLDER/ca.pem"
fi
certify broker "subjectAltName=$(alternative_names)" "extendedKeyUsage=serverAuth,clientAuth"
for user in "$@"; do
    certify "$user" "extendedKeyUsage=clientAuth"
    if [[ ! -f $FOLDER/$user.password ]]; then
        openssl rand -hex 24 >"$FOLDER/$user.password"
    fi
    client_properties "$user"
done

# Whom the broker lets in with PLAIN, for clients that know nothing else.
{
    printf 'jaas=org.apache.kafka.common.security.plain.PlainLoginModule required'
    for user in "$@"; do
        printf ' user_%s="%s"' "$user" "$(<"$FOLDER/$user.password")"
    done
    printf ';\n'
} >"$FOLDER/plain.properties"

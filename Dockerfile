# syntax=docker/dockerfile:1
# The program alone on a small system: every part of TechLeet is this image with another command.

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# A second build compiles only what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package techleet \
    && install -D target/release/techleet /out/techleet \
    && install -d -m 700 /out/data

FROM debian:12.11-slim
# Certificates are what brokers, databases and mail servers with TLS are checked against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/techleet /usr/local/bin/techleet
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
# The one folder that is written to; everything else may be mounted read-only.
VOLUME /data
ENV TECHLEET_DATA_DIR=/data
ENTRYPOINT ["/usr/local/bin/techleet"]
CMD ["--help"]

//! Logins: who is let in, who is not, and what may be asked before.

use broker::Password;
use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, ApiVersionsRequest, DescribeUserScramCredentialsRequest, MetadataRequest,
    SaslHandshakeRequest,
};
use rdkafka::consumer::Consumer;
use rdkafka::producer::FutureProducer;

use super::{greeted, login, message, with_logins};
use crate::support::wire::{Wire, text};
use crate::support::{PATIENCE, Running, receive, send};

const ILLEGAL_SASL_STATE: i16 = 34;
const AUTHENTICATION_FAILED: i16 = 58;

async fn start() -> Running {
    Running::with(|config| with_logins(&mut config.security)).await
}

fn metadata() -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(vec![]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_proves_who_it_is_produces_and_consumes_with_every_mechanism() {
    let broker = start().await;
    for (at, mechanism) in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].into_iter().enumerate() {
        let settings = login(mechanism, "admin", "admin-secret");
        let producer: FutureProducer = broker.client(&settings).create().unwrap();
        send(&producer, "events", 0, mechanism).await;
        let consumer = broker.consumer(mechanism, &settings);
        consumer.subscribe(&["events"]).unwrap();
        for _ in 0..at {
            receive(&consumer).await;
        }
        assert_eq!(receive(&consumer).await.2, mechanism);
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_says_that_a_wrong_password_or_an_unknown_user_failed() {
    let broker = start().await;
    for (mechanism, user) in
        [("PLAIN", "admin"), ("PLAIN", "nobody"), ("SCRAM-SHA-256", "admin"), ("SCRAM-SHA-512", "nobody")]
    {
        let consumer = broker.consumer("group", &login(mechanism, user, "wrong"));
        consumer.subscribe(&["events"]).unwrap();
        let error = tokio::time::timeout(crate::support::PATIENCE, consumer.recv()).await.unwrap().unwrap_err();
        let code = error.rdkafka_error_code();
        assert_eq!(code, Some(rdkafka::types::RDKafkaErrorCode::Authentication), "{mechanism} {user}: {error}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn nothing_but_versions_and_the_handshake_is_answered_before_a_login() {
    let broker = start().await;
    let mut wire = Wire::connect(&broker.address()).await;
    assert_eq!(wire.call(2, &ApiVersionsRequest::default()).await.error_code, 0);
    wire.send(9, &metadata()).await;
    assert!(wire.is_closed().await);

    let mut wire = Wire::connect(&broker.address()).await;
    wire.send(2, &message(b"\0admin\0admin-secret")).await;
    assert!(wire.is_closed().await, "a message of a login without a handshake");

    let mut wire = greeted(&broker, "PLAIN").await;
    wire.send(2, &ApiVersionsRequest::default()).await;
    assert!(wire.is_closed().await, "a question in the middle of a login");
    broker.stop().await;
}

#[tokio::test]
async fn a_failed_login_is_answered_and_ends_the_connection() {
    let broker = start().await;
    for bytes in [&b"\0admin\0wrong"[..], b"\0nobody\0admin-secret", b"no such form", b"bo\0admin\0admin-secret"] {
        let mut wire = greeted(&broker, "PLAIN").await;
        let answer = wire.call(1, &message(bytes)).await;
        assert_eq!(answer.error_code, AUTHENTICATION_FAILED);
        assert!(wire.is_closed().await);
    }
    // A user who is not there is challenged like everybody, so that nobody learns who is.
    let mut wire = greeted(&broker, "SCRAM-SHA-256").await;
    let answer = wire.call(1, &message(b"n,,n=nobody,r=abc")).await;
    assert_eq!(answer.error_code, 0);
    assert!(answer.auth_bytes.starts_with(b"r=abc"));
    assert_eq!(wire.call(1, &message(b"c=biws,r=abc,p=AAAA")).await.error_code, AUTHENTICATION_FAILED);
    assert!(wire.is_closed().await);
    broker.stop().await;
}

#[tokio::test]
async fn a_handshake_names_the_mechanisms_and_refuses_others() {
    let broker = Running::with(|config| {
        with_logins(&mut config.security);
        config.security.sasl_mechanisms = vec!["SCRAM-SHA-512".to_owned()];
    })
    .await;
    let mut wire = Wire::connect(&broker.address()).await;
    let answer = wire.call(1, &SaslHandshakeRequest::default().with_mechanism(text("PLAIN"))).await;
    assert_eq!((answer.error_code, answer.mechanisms), (33, vec![text("SCRAM-SHA-512")]));
    let mut wire = Wire::connect(&broker.address_of("PLAINTEXT")).await;
    let answer = wire.call(1, &SaslHandshakeRequest::default().with_mechanism(text("SCRAM-SHA-512"))).await;
    assert_eq!(answer.error_code, ILLEGAL_SASL_STATE, "a listener without logins");
    assert_eq!(wire.call(9, &metadata()).await.brokers.len(), 1);
    broker.stop().await;
}

#[tokio::test]
async fn an_old_client_logs_in_with_messages_that_have_no_header() {
    let broker = start().await;
    let mut wire = Wire::connect(&broker.address()).await;
    assert_eq!(wire.call(0, &SaslHandshakeRequest::default().with_mechanism(text("PLAIN"))).await.error_code, 0);
    wire.send_bytes(b"\0\0\0\x13\0admin\0admin-secret").await.unwrap();
    assert!(wire.receive_frame().await.unwrap().is_empty());
    assert_eq!(wire.call(9, &metadata()).await.brokers.len(), 1);

    let mut wire = Wire::connect(&broker.address()).await;
    wire.call(0, &SaslHandshakeRequest::default().with_mechanism(text("PLAIN"))).await;
    wire.send_bytes(b"\0\0\0\x04\0a\0b").await.unwrap();
    assert!(wire.is_closed().await);
    broker.stop().await;
}

#[tokio::test]
async fn a_large_request_before_a_login_is_not_read() {
    let broker = start().await;
    let mut wire = Wire::connect(&broker.address()).await;
    wire.send_bytes(&(1_i32 << 20).to_be_bytes()).await.unwrap();
    assert!(wire.is_closed().await);
    broker.stop().await;
}

#[tokio::test]
async fn a_client_logs_in_again_as_itself_and_is_closed_when_it_does_not() {
    let broker = Running::with(|config| {
        with_logins(&mut config.security);
        config.security.reauthentication_max_ms = 3_600_000;
    })
    .await;
    let handshake = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    let mut wire = greeted(&broker, "PLAIN").await;
    assert_eq!(wire.call(1, &message(b"\0admin\0admin-secret")).await.session_lifetime_ms, 3_600_000);
    assert_eq!(wire.call(1, &handshake).await.error_code, 0);
    assert_eq!(wire.call(1, &message(b"\0admin\0admin-secret")).await.error_code, 0);
    assert_eq!(wire.call(9, &metadata()).await.brokers.len(), 1);
    let broker = broker.restart_with(|config| config.security.reauthentication_max_ms = 1).await;
    let mut wire = greeted(&broker, "PLAIN").await;
    assert_eq!(wire.call(1, &message(b"\0admin\0admin-secret")).await.session_lifetime_ms, 1);
    // Requests are answered until the login is over; then the connection ends instead.
    let until_closed = async {
        wire.send(9, &metadata()).await;
        while wire.receive::<MetadataRequest>(9).await.is_ok() {
            wire.send(9, &metadata()).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_closed).await.expect("the login ends");
    broker.stop().await;
}

fn upsertion(user: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion::default()
        .with_name(text(user))
        .with_mechanism(mechanism)
        .with_iterations(iterations)
        .with_salt(Bytes::from_static(b"salt"))
        .with_salted_password(Bytes::from_static(b"salted"))
}

#[tokio::test]
async fn users_are_set_shown_and_removed_over_the_wire_and_survive_a_restart() {
    let broker = start().await;
    let mut wire = Wire::connect(&broker.address_of("PLAINTEXT")).await;
    let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![
        upsertion("an", 1, 4_096),
        upsertion("bo", 1, 4_095),
        upsertion("cy", 3, 4_096),
        upsertion("du", 2, 4_096),
        upsertion("du", 2, 4_096),
    ]);
    let codes = |results: Vec<(String, i16)>| results;
    let answer = wire.call(0, &request).await;
    let results = answer.results.iter().map(|result| (result.user.to_string(), result.error_code)).collect();
    let expected = [("an", 0), ("bo", 93), ("cy", 33), ("du", 92)].map(|(user, code)| (user.to_owned(), code));
    assert_eq!(codes(results), expected);

    let broker = broker.restart().await;
    let mut wire = Wire::connect(&broker.address_of("PLAINTEXT")).await;
    let all = wire.call(0, &DescribeUserScramCredentialsRequest::default()).await;
    let shown: Vec<_> = all.results.iter().map(|result| (&*result.user, result.credential_infos.len())).collect();
    assert_eq!(shown, [("admin", 2), ("an", 1)]);
    assert_eq!(all.results[1].credential_infos[0].iterations, 4_096);

    let deletion = |user: &str| ScramCredentialDeletion::default().with_name(text(user)).with_mechanism(1);
    let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion("an"), deletion("eve")]);
    let answer = wire.call(0, &request).await;
    assert_eq!((answer.results[0].error_code, answer.results[1].error_code), (0, 91));
    let named = vec![UserName::default().with_name(text("an"))];
    let gone = wire.call(0, &DescribeUserScramCredentialsRequest::default().with_users(Some(named))).await;
    assert_eq!(gone.results[0].error_code, 91);
    broker.stop().await;
}

#[tokio::test]
async fn the_first_users_password_comes_from_a_file_and_a_changed_one_counts_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let broker = Running::with(|config| {
        with_logins(&mut config.security);
        config.security.first_user_password = Password::default();
        config.security.first_user_password_file = Some(file.clone());
    })
    .await;
    let mut wire = greeted(&broker, "PLAIN").await;
    assert_eq!(wire.call(1, &message(b"\0admin\0from-a-file")).await.error_code, 0);
    std::fs::write(&file, "changed").unwrap();
    let broker = broker.restart().await;
    let mut wire = greeted(&broker, "PLAIN").await;
    assert_eq!(wire.call(1, &message(b"\0admin\0from-a-file")).await.error_code, AUTHENTICATION_FAILED);
    let mut wire = greeted(&broker, "PLAIN").await;
    assert_eq!(wire.call(1, &message(b"\0admin\0changed")).await.error_code, 0);
    broker.stop().await;
}

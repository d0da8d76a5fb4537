//! TLS: what is sent is encrypted, and a certificate says who somebody is.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use broker::{Broker, ClientAuth, Config, Error, Password};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::{CreateAclsRequest, SaslHandshakeRequest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, SanType};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use tempfile::TempDir;

use super::{ADMIN, logged_in, owned, with_logins};
use crate::support::wire::{Wire, text};
use crate::support::{PATIENCE, Running, send};

/// An authority with the broker's certificate, as files.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let this = Self { issuer, dir: tempfile::tempdir().unwrap() };
        fs::write(this.path("ca.pem"), this.issuer.pem()).unwrap();
        let (certificate, key) = this.issue("broker");
        fs::write(this.path("broker.pem"), certificate).unwrap();
        fs::write(this.path("broker.key"), key).unwrap();
        this
    }

    /// A certificate of this name and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Talent");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, config: &mut Config, protocol: &str, client_auth: ClientAuth) {
        let security = &mut config.security;
        security.listeners = vec![format!("{protocol}://127.0.0.1:0")];
        security.tls_certificate_file = Some(self.path("broker.pem"));
        security.tls_key_file = Some(self.path("broker.key"));
        security.tls_client_ca_file = Some(self.path("ca.pem"));
        security.tls_client_auth = client_auth;
    }

    async fn broker(&self, protocol: &str, client_auth: ClientAuth) -> Running {
        Running::with(|config| self.configure(config, protocol, client_auth)).await
    }
}

/// Sees that a client with these settings is not let in.
async fn assert_kept_out(broker: &Running, settings: &[(&str, &str)]) {
    let consumer = broker.consumer("group", settings);
    consumer.subscribe(&["events"]).unwrap();
    let received = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("a complaint in time");
    let code = received.expect_err("a complaint").rdkafka_error_code();
    let known = [RDKafkaErrorCode::SSL, RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::AllBrokersDown];
    assert!(code.is_some_and(|code| known.contains(&code)), "{code:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_over_tls_and_without_it_nobody_is_answered() {
    let authority = Authority::new();
    let broker = authority.broker("SSL", ClientAuth::None).await;
    let ca = authority.issuer.pem();
    let producer = broker.client(&[("security.protocol", "ssl"), ("ssl.ca.pem", &ca)]).create().unwrap();
    // More than one record of TLS, both ways.
    send(&producer, "events", 0, &"x".repeat(200_000)).await;
    let mut wire = Wire::connect(&broker.address()).await;
    wire.send_bytes(b"\0\0\0\x0e\0\x12\0\0\0\0\0\0\0\x04test").await.unwrap();
    let mut answered = Vec::new();
    while let Ok(frame) = wire.receive_frame().await {
        answered.push(frame);
    }
    assert!(answered.is_empty(), "{answered:?}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_certificate_is_required_only_one_of_the_authority_lets_in() {
    let authority = Authority::new();
    let broker = authority.broker("SSL", ClientAuth::Required).await;
    let ca = authority.issuer.pem();
    let encrypted = [("security.protocol", "ssl"), ("ssl.ca.pem", ca.as_str())];
    let (certificate, key) = authority.issue("relay");
    let mut settings = encrypted.to_vec();
    settings.extend([("ssl.certificate.pem", certificate.as_str()), ("ssl.key.pem", key.as_str())]);
    let producer = broker.client(&settings).create().unwrap();
    send(&producer, "events", 0, "shown").await;
    let (strange, key) = Authority::new().issue("relay");
    let mut settings = encrypted.to_vec();
    settings.extend([("ssl.certificate.pem", strange.as_str()), ("ssl.key.pem", key.as_str())]);
    assert_kept_out(&broker, &encrypted).await;
    assert_kept_out(&broker, &settings).await;
    broker.stop().await;
}

/// What librdkafka is told to show a certificate.
fn showing<'a>(ca: &'a str, certificate: &'a str, key: &'a str) -> [(&'a str, &'a str); 4] {
    [("security.protocol", "ssl"), ("ssl.ca.pem", ca), ("ssl.certificate.pem", certificate), ("ssl.key.pem", key)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_rules_know_a_client_by_the_name_in_its_certificate() {
    let authority = Authority::new();
    let broker = Running::with(|config| {
        authority.configure(config, "SSL", ClientAuth::Requested);
        with_logins(&mut config.security);
        config.security.listeners.push("SSL://127.0.0.1:0".to_owned());
        config.security.authorize = true;
        config.security.super_users = "User:admin".to_owned();
    })
    .await;
    broker.topic("events", 1, &[]).await;
    let [relay, other] = ["relay", "other"].map(|name| authority.issue(name));
    let rule = AclCreation::default()
        .with_resource_type(2)
        .with_resource_name(text("events"))
        .with_resource_pattern_type(3)
        .with_principal(text("User:CN=relay,O=Talent"))
        .with_host(text("*"))
        .with_operation(4)
        .with_permission_type(3);
    let mut admin = logged_in(&broker, ADMIN).await;
    let made = admin.call(3, &CreateAclsRequest::default().with_creations(vec![rule])).await;
    assert_eq!(made.results[0].error_code, 0);
    let (ca, address) = (authority.issuer.pem(), broker.address_of("SSL"));
    let producer = |shown: Option<&(String, String)>| -> FutureProducer {
        let mut config = broker.client(&[("security.protocol", "ssl"), ("ssl.ca.pem", &ca)]);
        config.set("bootstrap.servers", &address);
        if let Some((certificate, key)) = shown {
            config.set("ssl.certificate.pem", certificate).set("ssl.key.pem", key);
        }
        config.create().unwrap()
    };
    send(&producer(Some(&relay)), "events", 0, "allowed").await;
    for refused in [producer(Some(&other)), producer(None)] {
        let record = FutureRecord::<(), str>::to("events").partition(0).payload("refused");
        let (error, _) = refused.send(record, PATIENCE).await.unwrap_err();
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::TopicAuthorizationFailed));
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_certificate_is_requested_one_may_be_shown_but_no_strange_one() {
    let authority = Authority::new();
    let broker = authority.broker("SSL", ClientAuth::Requested).await;
    let ca = authority.issuer.pem();
    send(&broker.client(&[("security.protocol", "ssl"), ("ssl.ca.pem", &ca)]).create().unwrap(), "events", 0, "none")
        .await;
    let (certificate, key) = authority.issue("relay");
    send(&broker.client(&showing(&ca, &certificate, &key)).create().unwrap(), "events", 0, "one").await;
    let (strange, key) = Authority::new().issue("relay");
    assert_kept_out(&broker, &showing(&ca, &strange, &key)).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_of_one_broker_differ_in_certificates_and_in_mechanisms() {
    let (inner, outer) = (Authority::new(), Authority::new());
    let broker = Running::with(|config| {
        inner.configure(config, "SSL", ClientAuth::None);
        let security = &mut config.security;
        security.listeners = owned(&["INNER://127.0.0.1:0", "OUTER://127.0.0.1:0", "LOGIN://127.0.0.1:0"]);
        security.listener_protocols = owned(&["INNER:SSL", "OUTER:SSL", "LOGIN:SASL_PLAINTEXT"]);
        security.listener_settings = vec![
            format!("OUTER:tls_certificate_file={}", outer.path("broker.pem").display()),
            format!("OUTER:tls_key_file={}", outer.path("broker.key").display()),
            format!("OUTER:tls_client_ca_file={}", outer.path("ca.pem").display()),
            "OUTER:tls_client_auth=required".to_owned(),
            "LOGIN:sasl_mechanisms=PLAIN".to_owned(),
        ];
    })
    .await;
    let (of_inner, of_outer) = (inner.issuer.pem(), outer.issuer.pem());
    let (inner_address, outer_address) = (broker.address_of("INNER"), broker.address_of("OUTER"));
    let believing = |ca: &str| -> Vec<(String, String)> {
        vec![("security.protocol".to_owned(), "ssl".to_owned()), ("ssl.ca.pem".to_owned(), ca.to_owned())]
    };
    let client = |address: &str, settings: &[(String, String)]| {
        let mut config = broker.client(&[("bootstrap.servers", address)]);
        settings.iter().for_each(|(key, value)| {
            config.set(key, value);
        });
        config
    };
    send(&client(&inner_address, &believing(&of_inner)).create().unwrap(), "events", 0, "inner").await;
    let (certificate, key) = outer.issue("relay");
    let mut shown = believing(&of_outer);
    shown.extend([("ssl.certificate.pem".to_owned(), certificate), ("ssl.key.pem".to_owned(), key)]);
    send(&client(&outer_address, &shown).create().unwrap(), "events", 0, "outer").await;
    // Neither believes what the other shows, and a certificate is asked for on one only.
    for (address, settings) in [
        (&inner_address, believing(&of_outer)),
        (&outer_address, believing(&of_inner)),
        (&outer_address, believing(&of_outer)),
    ] {
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_kept_out(&broker, &[&settings[..], &[("bootstrap.servers", address.as_str())]].concat()).await;
    }
    let mut wire = Wire::connect(&broker.address_of("LOGIN")).await;
    let refused = wire.call(1, &SaslHandshakeRequest::default().with_mechanism(text("SCRAM-SHA-256"))).await;
    assert_eq!((refused.error_code, refused.mechanisms), (33, vec![text("PLAIN")]));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_goes_over_tls() {
    let authority = Authority::new();
    let broker = Running::with(|config| {
        authority.configure(config, "SASL_SSL", ClientAuth::None);
        config.security.sasl_mechanisms = vec!["PLAIN".to_owned(), "SCRAM-SHA-512".to_owned()];
        config.security.first_user = "admin".to_owned();
        config.security.first_user_password = Password::from("secret".to_owned());
    })
    .await;
    let ca = authority.issuer.pem();
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let settings = [
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.pem", &ca),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "admin"),
            ("sasl.password", "secret"),
        ];
        send(&broker.client(&settings).create().unwrap(), "events", 0, mechanism).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_never_ends_its_handshake_keeps_nobody_else_out() {
    let authority = Authority::new();
    let broker = authority.broker("SSL", ClientAuth::None).await;
    let silent = Wire::connect(&broker.address()).await;
    let ca = authority.issuer.pem();
    let producer: FutureProducer =
        broker.client(&[("security.protocol", "ssl"), ("ssl.ca.pem", &ca)]).create().unwrap();
    tokio::task::spawn_blocking(move || producer.client().fetch_metadata(None, PATIENCE).unwrap()).await.unwrap();
    drop(silent);
    broker.stop().await;
}

#[tokio::test]
async fn a_tls_listener_without_its_files_does_not_start_and_says_which_key() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let start = async |change: fn(&mut Config)| {
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        authority.configure(&mut config, "SSL", ClientAuth::Required);
        change(&mut config);
        match Broker::start(config).await {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(start(|config| config.security.tls_key_file = None).await, "security.tls_key_file");
    assert_eq!(start(|config| config.security.tls_client_ca_file = None).await, "security.tls_client_ca_file");
    let swapped = |config: &mut Config| config.security.tls_certificate_file = config.security.tls_key_file.clone();
    assert_eq!(start(swapped).await, "security.tls_certificate_file");
}

//! The service as a part of a process: its port, its tables, its stop.

use chassis::part::Process;
use chassis::{DataDir, Environment, Parts, Settings, Shutdown, Sources, Telemetry};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_starts_on_an_empty_folder_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("TECHLEET_DATA_DIR", folder.path().to_str().unwrap()),
        ("TECHLEET_COMPANY_SERVICE__LISTEN", "127.0.0.1:0"),
        // Nobody is there: what is told waits in the outbox.
        ("KAFKA_BROKERS", "127.0.0.1:1"),
    ];
    for already_there in 0..2 {
        let sources = Sources { environment: Environment::from_iter(environment), ..Sources::default() };
        let settings = Settings::load(&sources).unwrap();
        let data_dir = DataDir::open(folder.path()).unwrap();
        let mut parts = Parts::new(Shutdown::new(), &settings.section("lifecycle").unwrap());
        let token = data_dir.operator_token().unwrap();
        let process = Process::new(settings, data_dir, Telemetry::metrics_only().unwrap()).unwrap();
        let address = parts.start(company_service::NAME, company_service::start(&process)).await.unwrap();
        let url = format!("http://{address}/api/v1/companies");
        let client = chassis::net::client();
        let listed = client.get(&url).bearer_auth(token.expose()).send().await.unwrap();
        assert_eq!(listed.status(), 200);
        let listed: Value = listed.json().await.unwrap();
        assert_eq!(listed["items"].as_array().unwrap().len(), already_there);
        let body = json!({"name": "TechLeet"});
        let made = client.post(&url).bearer_auth(token.expose()).json(&body).send().await.unwrap();
        assert_eq!(made.status(), 201);
        parts.stop().await.unwrap();
    }
}

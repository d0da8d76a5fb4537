//! Ports: who wanted one, why not, and how to choose another.

use chassis::net::Binder;
use chassis::{Error, Profile, Settings, Sources};

const KEY: &str = "user_service.listen";

async fn refused(binder: Binder, address: &str) -> Error {
    binder.bind("user-service", KEY, address).await.unwrap_err()
}

#[tokio::test]
async fn taken_port_is_told_with_the_part_and_the_key() {
    let binder = Binder::new(Profile::Development, false);
    let holder = binder.bind("user-service", KEY, "127.0.0.1:0").await.unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let error = refused(binder, &address).await;
    assert!(matches!(error, Error::PortTaken { .. }), "{error:?}");
    for part in ["user-service", KEY, &address] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn development_keeps_to_loopback_unless_it_is_allowed_more() {
    let error = refused(Binder::new(Profile::Development, false), "0.0.0.0:0").await;
    assert!(matches!(error, Error::PublicBind { .. }), "{error:?}");
    assert!(error.to_string().contains("allow_public_bind"), "{error}");
    for binder in [Binder::new(Profile::Development, true), Binder::new(Profile::Production, false)] {
        binder.bind("user-service", KEY, "0.0.0.0:0").await.unwrap();
    }
}

#[tokio::test]
async fn binder_follows_the_settings() {
    let sources =
        |flags: &[&str]| Sources { flags: flags.iter().map(ToString::to_string).collect(), ..Sources::default() };
    for (flags, allowed) in
        [(&[][..], false), (&["allow_public_bind=true"][..], true), (&["profile=production"][..], true)]
    {
        let settings = Settings::load(&sources(flags)).unwrap();
        let binder = Binder::from_settings(&settings).unwrap();
        let bound = binder.bind("user-service", KEY, "0.0.0.0:0").await;
        assert_eq!(bound.is_ok(), allowed, "{flags:?}");
    }
}

#[tokio::test]
async fn what_is_no_address_is_told() {
    for address in ["", "3001", "127.0.0.1", "127.0.0.1:seven", "127.0.0.1:70000"] {
        let error = refused(Binder::new(Profile::Production, false), address).await;
        assert!(matches!(error, Error::AddressUnknown { .. }), "{address}: {error:?}");
        assert!(error.to_string().contains(KEY), "{error}");
    }
}

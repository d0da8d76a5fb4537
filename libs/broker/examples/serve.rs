//! Serves a broker until Ctrl-C: `cargo run --release -p broker --example serve -- 127.0.0.1:9092 DIRECTORY`.

use std::io::Write;

use broker::{Broker, Config};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:9092".to_owned()).parse()?;
    let data_dir = arguments.next().unwrap_or_else(|| "data/broker".to_owned()).into();
    let started = std::time::Instant::now();
    let broker = Broker::start(Config { listen, data_dir, ..Config::default() }).await?;
    writeln!(std::io::stderr(), "ready on {} after {:?}", broker.address(), started.elapsed())?;
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await?;
    Ok(())
}

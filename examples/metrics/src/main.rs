//! Serves larder's metrics to Prometheus, over HTTP.
//!
//! ```text
//! cargo run -p larder-example-metrics                   prints them once
//! cargo run -p larder-example-metrics -- 127.0.0.1:9000 serves them
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use larder::cached;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

#[cached(name = "shop.price", ttl = "10s", tags = [("article", article)])]
fn price(article: u64) -> Result<u64, String> {
    std::thread::sleep(Duration::from_millis(2));
    if article == 13 { Err("there is no such article".into()) } else { Ok(article * 10) }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Buckets, so that quantiles can be computed over several processes. Without them the exporter makes a summary.
    let buckets = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0];
    let exporter = PrometheusBuilder::new().set_buckets(&buckets)?.install_recorder()?;

    for article in [1, 2, 1, 13, 1] {
        let _ = price(article);
    }
    larder::blocking::invalidate_tag(("article", 1))?;
    price(1)?;

    match std::env::args().nth(1) {
        Some(address) => serve(&address, &exporter),
        None => {
            println!("{}", page(&exporter));
            Ok(())
        }
    }
}

/// What Prometheus reads, as it is at this moment.
fn page(exporter: &PrometheusHandle) -> String {
    larder::metrics::publish();
    exporter.run_upkeep();
    exporter.render()
}

/// The smallest HTTP server there can be; a real program has one already.
fn serve(address: &str, exporter: &PrometheusHandle) -> Result<(), Box<dyn Error>> {
    println!("http://{address}/metrics");
    for connection in TcpListener::bind(address)?.incoming() {
        let mut connection = connection?;
        let _ = connection.read(&mut [0; 4096])?;
        let page = page(exporter);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", page.len());
        connection.write_all(head.as_bytes())?;
        connection.write_all(page.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_what_happened() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let exporter = recorder.handle();
        price(2).ok();
        price(2).ok();
        metrics::with_local_recorder(&recorder, || {
            let page = page(&exporter);
            for line in [
                r#"larder_calls_total{cache="default",function="shop.price",result="memory"} 1"#,
                r#"larder_calls_total{cache="default",function="shop.price",result="ran"} 1"#,
                r#"larder_runs_total{cache="default",function="shop.price",trigger="call",outcome="returned"} 1"#,
                r#"larder_run_duration_seconds_count{cache="default",function="shop.price"} 1"#,
                "# TYPE larder_calls_total counter",
                "# HELP larder_calls_total Calls of cached functions by how they ended; each call counts once",
            ] {
                assert!(page.contains(line), "no\n{line}\nin\n{page}");
            }
        });
    }
}

//! What calls as they come in life take, and how many of them are hits.

use std::time::Duration;

use cpu_time::ThreadTime;
use larder_benches::harness::Measured;
use larder_benches::zipf;

use crate::TURNS;
use crate::table::{Table, against};

pub(crate) fn zipf_lines(table: &Table) {
    const WARM: usize = 1_000_000;
    let ratio = "  hits in 100 calls";
    for (name, body, part) in [
        ("zipf, 1M keys, room for 100k", Duration::ZERO, 25_000),
        ("zipf, a body of 10 us", Duration::from_micros(10), 5_000),
        ("zipf, a body of 100 us", Duration::from_micros(100), 2_500),
        ("zipf, a body of 1 ms", Duration::from_millis(1), 500),
    ] {
        if !table.wants(name) {
            continue;
        }
        let keys = zipf::keys(WARM + TURNS * part);
        let (warm, asked) = keys.split_at(WARM);
        let peers = zipf::peers();
        for (_, ask) in &peers {
            ask(warm);
        }
        zipf::bodies_take(body);
        let mut measured: Vec<_> =
            peers.iter().map(|(peer, _)| (Measured { peer: *peer, nanos: Vec::new() }, 0)).collect();
        for part in asked.chunks(part) {
            for ((_, ask), (measured, runs)) in peers.iter().zip(&mut measured) {
                zipf::take_runs();
                let began = ThreadTime::now();
                ask(part);
                measured.nanos.push(began.elapsed().as_nanos() as f64 / part.len() as f64);
                *runs += zipf::take_runs();
            }
        }
        let hits = measured.iter().map(|(measured, runs)| {
            let hits = 100.0 - *runs as f64 * 100.0 / asked.len() as f64;
            (measured.peer, hits, None)
        });
        let hits = hits.collect();
        let times: Vec<_> = measured.into_iter().map(|(measured, _)| measured).collect();
        table.print(name, "ns", &against(&times));
        table.print(ratio, "%", &hits);
    }
}

//! What the whole server costs: `cargo bench --bench server [-- scenario …]`.
//!
//! Starts the binary on a fresh directory, talks to it over HTTP on the loopback, and reports for each scenario the server's own
//! CPU time per operation (user and system time of its process, from `/proc`) beside the latency seen from outside. CPU time moves
//! little with what else the machine does; wall time moves a lot, and the generator shares the same cores.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measuring program, whose faults should stop it"
)]

mod client;
mod scenarios;
mod server;

use scenarios::SCENARIOS;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    println!(
        "{:<58} {:>12} {:>12} {:>12}",
        "scenario", "CPU ms/op", "p50 ms", "ops/s"
    );
    for (name, scenario) in SCENARIOS {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            scenario().await;
        }
    }
}

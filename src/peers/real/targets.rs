//! From the name that a server is reached under to the machines behind it (server-server API, *Resolving server names*, steps 1, 2, 3.1 to 3.5 and 4 to
//! 6): address literals, explicit ports, SRV records. Which name that is, is decided in `well_known.rs`.

use std::net::{IpAddr, SocketAddr};

use base::Random;
use ruma::ServerName;

use super::dns::{Dns, DnsError, Service};
use crate::addresses::AddressRules;
use crate::trace::Step;

/// The port of a server that names none.
const PORT: u16 = 8448;
/// How many machines of one service are tried.
const MACHINES: usize = 4;
/// How many addresses of one machine are tried.
const ADDRESSES: usize = 4;

/// A machine: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why there is no address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// The name leads nowhere; in a sentence.
    Nowhere(String),
    /// It leads only where we may not go.
    Denied(IpAddr),
}

/// The address that a host literally is.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// The machines that serve `name`, the best first. `trace` is told what was found.
pub(crate) async fn machines(
    dns: &dyn Dns,
    random: &dyn Random,
    name: &ServerName,
    trace: &mut Vec<Step>,
) -> Result<Vec<Machine>, NoAddress> {
    let machine = |port| {
        vec![Machine {
            host: name.host().to_owned(),
            port,
        }]
    };
    if let Some(port) = name.port() {
        trace.push(Step::good(format!(
            "{name} names the port {port}: no SRV record is looked up."
        )));
        return Ok(machine(port));
    }
    if literal(name.host()).is_some() {
        trace.push(Step::good(format!(
            "{name} is an address without a port: it is {PORT}."
        )));
        return Ok(machine(PORT));
    }
    for service in ["_matrix-fed._tcp", "_matrix._tcp"] {
        let record = format!("{service}.{}", name.host());
        match dns.services(&record).await {
            Ok(found) => return offered(random, &record, found, trace),
            Err(DnsError::Nothing) => {
                trace.push(Step::passed(format!("There is no SRV record {record}.")));
            }
            Err(DnsError::Failed(why)) => {
                trace.push(Step::passed(format!(
                    "The SRV record {record} could not be looked up ({why}); it counts as missing."
                )));
            }
        }
    }
    trace.push(Step::good(format!("{name} is reached at port {PORT}.")));
    Ok(machine(PORT))
}

/// The machines of SRV records.
fn offered(
    random: &dyn Random,
    record: &str,
    mut found: Vec<Service>,
    trace: &mut Vec<Step>,
) -> Result<Vec<Machine>, NoAddress> {
    found.retain(|service| !service.target.is_empty());
    if found.is_empty() {
        let why = format!("The SRV record {record} says that the service is not offered");
        trace.push(Step::failed(format!("{why}.")));
        return Err(NoAddress::Nowhere(why));
    }
    in_order(random, &mut found);
    let machines: Vec<Machine> = found
        .into_iter()
        .take(MACHINES)
        .map(|service| Machine {
            host: service.target,
            port: service.port,
        })
        .collect();
    let names: Vec<String> = machines
        .iter()
        .map(|machine| format!("{} port {}", machine.host, machine.port))
        .collect();
    trace.push(Step::good(format!(
        "The SRV record {record} leads to {}.",
        names.join(", then ")
    )));
    Ok(machines)
}

/// Lower priorities first, and by lot among equals: the more weight, the likelier to come first (RFC 2782).
fn in_order(random: &dyn Random, services: &mut [Service]) {
    services.sort_by_key(|service| {
        let mut dice = [0; 4];
        random.fill(&mut dice);
        // With a lot u in (0, 1], the smallest -ln(u)/weight wins with a chance that is its share of the weight.
        let lot = (f64::from(u32::from_ne_bytes(dice)) + 1.0) / (f64::from(u32::MAX) + 1.0);
        let late = -lot.ln() / f64::from(service.weight).max(0.01);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "only the order counts, and the value is not negative"
        )]
        let late = (late * 1e6) as u64;
        (service.priority, late)
    });
}

/// The addresses of a machine that may be connected to. `trace` is told about the others.
pub(crate) async fn addresses(
    dns: &dyn Dns,
    rules: &AddressRules,
    machine: &Machine,
    trace: &mut Vec<Step>,
) -> Result<Vec<SocketAddr>, NoAddress> {
    let host = &machine.host;
    let found = match literal(host) {
        Some(address) => vec![address],
        None => match dns.addresses(host).await {
            Ok(found) => found,
            Err(error) => {
                let why = match error {
                    DnsError::Nothing => format!("{host} has no address"),
                    DnsError::Failed(why) => {
                        format!("the address of {host} could not be looked up: {why}")
                    }
                };
                trace.push(Step::failed(format!("{}.", capitalised(&why))));
                return Err(NoAddress::Nowhere(why));
            }
        },
    };
    let (open, denied): (Vec<IpAddr>, Vec<IpAddr>) =
        found.into_iter().partition(|address| rules.allow(*address));
    for address in &denied {
        trace.push(Step::failed(format!(
            "{host} has the address {address}, which federation.denied_addresses forbids."
        )));
    }
    match (open.is_empty(), denied.first()) {
        (true, Some(denied)) => Err(NoAddress::Denied(*denied)),
        (true, None) => Err(NoAddress::Nowhere(format!("{host} has no address"))),
        (false, _) => Ok(open
            .into_iter()
            .take(ADDRESSES)
            .map(|address| SocketAddr::new(address, machine.port))
            .collect()),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

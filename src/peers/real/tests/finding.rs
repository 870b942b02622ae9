//! Which machines a name leads to.

use ruma::server_name;

use super::super::targets::{Machine, NoAddress, addresses, machines};
use super::super::well_known::Fetched;
use super::*;

/// A well-known file for some hosts.
struct Files(HashMap<&'static str, &'static str>);

impl Fetch for Files {
    fn fetch<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        let file = self.0.get(host).map(|server| Fetched {
            status: 200,
            body: format!("{{\"m.server\":\"{server}\"}}").into(),
            ..Fetched::default()
        });
        Box::pin(async move { file.ok_or_else(|| "no connection".to_owned()) })
    }
}

/// The name that certificates are for, and the machines.
async fn find(
    server: &str,
    files: &[(&'static str, &'static str)],
    dns: FakeDns,
) -> (String, String) {
    let mut real = real(&config(), dns);
    real.fetch = Arc::new(Files(files.iter().copied().collect()));
    let server = ServerName::parse(server).unwrap();
    let name = real.reached_as(&server).await;
    let ways = &real.ways;
    let found = machines(&*ways.dns, &*ways.random, &name, &mut Vec::new()).await;
    let found = match found {
        Ok(machines) => machines
            .iter()
            .map(|machine| format!("{} {}", machine.host, machine.port))
            .collect::<Vec<_>>()
            .join(", "),
        Err(error) => format!("{error:?}"),
    };
    (name.to_string(), found)
}

/// What is tested, server, well-known files, SRV records with their ports, the name that certificates are for, machines.
const STEPS: &str = "
1: IPv4 | 192.0.2.1 | | | 192.0.2.1 | 192.0.2.1 8448
1: IPv4, port | 192.0.2.1:80 | | | 192.0.2.1:80 | 192.0.2.1 80
1: IPv6 | [2001:db8::1] | | | [2001:db8::1] | [2001:db8::1] 8448
1: IPv6, port | [2001:db8::1]:1 | | | [2001:db8::1]:1 | [2001:db8::1] 1
2: port | x.example:99 | x.example=no.example | fed.x.example=1 | x.example:99 | x.example 99
3.1: to IPv4 | x.example | x.example=192.0.2.1 | fed.x.example=1 | 192.0.2.1 | 192.0.2.1 8448
3.1: to IPv4, port | x.example | x.example=192.0.2.1:5 | fed.x.example=1 | 192.0.2.1:5 | 192.0.2.1 5
3.1: to IPv6 | x.example | x.example=[2001:db8::1] | fed.x.example=1 | [2001:db8::1] | [2001:db8::1] 8448
3.2: to a port | x.example | x.example=y.example:443 | fed.y.example=1 | y.example:443 | y.example 443
3.3: SRV | x.example | x.example=y.example | fed.y.example=7 | y.example | machine.example 7
3.4: old SRV | x.example | x.example=y.example | old.y.example=7 | y.example | machine.example 7
3.5: no SRV | x.example | x.example=y.example | fed.x.example=1 old.x.example=2 | y.example | y.example 8448
4: SRV | x.example | | fed.x.example=7 | x.example | machine.example 7
4 before 5 | x.example | | fed.x.example=1 old.x.example=2 | x.example | machine.example 1
5: old SRV | x.example | | old.x.example=7 | x.example | machine.example 7
6: nothing | x.example | | | x.example | x.example 8448
no second step | x.example | x.example=y.example y.example=z.example | | y.example | y.example 8448
";

#[tokio::test]
async fn every_step_of_the_specification() {
    for line in STEPS.trim().lines() {
        let columns: Vec<&'static str> = line.split('|').map(str::trim).collect();
        let [what, server, files, records, name, found] = columns[..] else {
            panic!("{line}");
        };
        let files: Vec<_> = files
            .split_whitespace()
            .map(|file| file.split_once('=').unwrap())
            .collect();
        let mut dns = FakeDns::default();
        for record in records.split_whitespace() {
            let (record, port) = record.split_once('=').unwrap();
            let record = record
                .replace("fed.", "_matrix-fed._tcp.")
                .replace("old.", "_matrix._tcp.");
            dns = dns.service(&record, "machine.example", (10, 5, port.parse().unwrap()));
        }
        let expected = (name.to_owned(), found.to_owned());
        assert_eq!(find(server, &files, dns).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_looked_up_counts_as_missing_and_an_empty_one_as_a_no() {
    let failing = FakeDns {
        fails: true,
        ..FakeDns::default()
    };
    let (_, found) = find("x.example", &[], failing).await;
    assert_eq!(found, "x.example 8448");
    let record = "_matrix-fed._tcp.x.example";
    let refusing = FakeDns::default().service(record, "", (0, 0, 0));
    let (_, found) = find("x.example", &[], refusing).await;
    assert!(found.contains("the service is not offered"), "{found}");
}

#[tokio::test]
async fn priorities_are_kept_and_weights_are_chances() {
    let mut first = HashMap::<String, usize>::new();
    for _ in 0..400 {
        let record = "_matrix-fed._tcp.x.example";
        let dns = FakeDns::default()
            .service(record, "last.example", (20, 1000, 1))
            .service(record, "heavy.example", (10, 90, 1))
            .service(record, "light.example", (10, 10, 1))
            .service(record, "never.example", (10, 0, 1));
        let found = machines(&dns, &OsRandom, server_name!("x.example"), &mut Vec::new())
            .await
            .unwrap();
        assert_eq!(found.last().unwrap().host, "last.example");
        *first.entry(found[0].host.clone()).or_default() += 1;
    }
    let times = |name: &str| first.get(name).copied().unwrap_or_default();
    assert!(times("heavy.example") > 300, "{first:?}");
    assert!((5..100).contains(&times("light.example")), "{first:?}");
    assert!(times("never.example") < 10, "{first:?}");
}

#[tokio::test]
async fn only_open_addresses_are_left_and_only_some() {
    let rules = AddressRules::new(&FederationConfig::default());
    let many: Vec<String> = (1..100).map(|n| format!("8.8.8.{n}")).collect();
    let dns = FakeDns::default()
        .name(
            "mixed.example",
            &["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1", "2606:4700::1"],
        )
        .name("inside.example", &["::1", "127.0.0.1"])
        .name(
            "many.example",
            &many.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    let find = async |host: &str| {
        let machine = Machine {
            host: host.to_owned(),
            port: 8448,
        };
        addresses(&dns, &rules, &machine, &mut Vec::new()).await
    };
    assert_eq!(
        find("mixed.example").await.unwrap(),
        [
            "8.8.8.8:8448".parse().unwrap(),
            "[2606:4700::1]:8448".parse().unwrap()
        ]
    );
    assert_eq!(
        find("inside.example").await,
        Err(NoAddress::Denied("::1".parse().unwrap()))
    );
    assert_eq!(
        find("127.0.0.1").await,
        Err(NoAddress::Denied("127.0.0.1".parse().unwrap()))
    );
    assert_eq!(
        find("[::1]").await,
        Err(NoAddress::Denied("::1".parse().unwrap()))
    );
    assert_eq!(find("many.example").await.unwrap().len(), 4);
    assert!(matches!(
        find("nobody.example").await,
        Err(NoAddress::Nowhere(_))
    ));
}

#[tokio::test]
async fn an_address_that_may_not_be_connected_to_is_not() {
    let server = answering(&[], ok("{}")).await;
    let strict = FederationConfig {
        allowed_addresses: Vec::new(),
        ..config()
    };
    let (name, port) = (server.name(), server.port);
    for name in [
        name,
        ServerName::parse(format!("127.0.0.1:{port}")).unwrap(),
        ServerName::parse(format!("[::ffff:127.0.0.1]:{port}")).unwrap(),
        ServerName::parse(format!("[::ffff:7f00:1]:{port}")).unwrap(),
    ] {
        let error = peers(strict.clone(), good_example())
            .ask(&name, ask())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{name}: {error}");
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn each_step_is_told() {
    let server = answering(&["http/1.1"], ok("{}")).await;
    let dns = good_example()
        .service(
            "_matrix-fed._tcp.x.example",
            "good.example",
            (1, 1, server.port),
        )
        .name("x.example", &["127.0.0.1"]);
    let mut real = real(&config(), dns);
    real.fetch = Arc::new(Files(HashMap::from([("x.example", "good.example")])));
    let outcomes = async |real: &Real, name: &str| -> Vec<String> {
        let steps = real.explain(&ServerName::parse(name).unwrap()).await;
        steps
            .iter()
            .map(|step| format!("{:?} {}", step.outcome, step.sentence))
            .collect()
    };
    let direct = outcomes(&real, server.name().as_str()).await;
    assert!(direct[0].starts_with("Good good.example:"), "{direct:?}");
    assert!(
        direct[1].contains("answers, with a good certificate for good.example and HTTP/1.1"),
        "{direct:?}"
    );
    let delegated = outcomes(&real, "x.example").await;
    assert!(
        delegated[0].contains("says that the server is reached as good.example"),
        "{delegated:?}"
    );
    assert!(
        delegated[1].starts_with("Passed There is no SRV record _matrix-fed._tcp.good.example"),
        "{delegated:?}"
    );
    assert!(
        delegated[3].ends_with("good.example is reached at port 8448."),
        "{delegated:?}"
    );
    let missing = outcomes(&real, "nobody.example:1").await;
    assert_eq!(
        missing.last().unwrap(),
        "Failed Nobody.example has no address."
    );
}

//! Many destinations, some of them dead: what it costs, and that nobody waits for the dead.

use store::{Order, tables};

use super::house::{House, Listener, counted, numbered, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_dead_servers_among_three_thousand_delay_nobody() {
    const ALL: usize = 3_000;
    const DEAD: usize = 500;
    let house = House::new();
    house.person("alice", "A").await;
    let room = house.room().await;
    let mut living = Vec::new();
    for number in 0..ALL {
        let name = format!("s{number}.example");
        if number >= DEAD {
            living.push(Listener::join(&house.network, &name));
        }
        house.joins(&room, &format!("@u:{name}")).await;
    }
    house.start();
    let said = numbered("m", 30);
    house.say_all(&room, &said).await;
    for listener in &living {
        assert_eq!(listener.until_words(said.len()).await, said);
    }
    let sends: usize = living.iter().map(|listener| listener.got().len()).sum();
    assert!(sends <= living.len() * said.len(), "{sends}");
    for number in 0..DEAD {
        let name = format!("s{number}.example");
        house
            .until(&name, |status| {
                status.failing.is_some() && status.waiting == 0 && status.rooms_owed <= 1
            })
            .await;
    }
    let s = house.s();
    let owed = s.scan(tables::OWED, .., Order::Forward).keys().count();
    assert!(
        owed <= DEAD,
        "one row for each dead server and room: {owed}"
    );
    let dead = "s7.example";
    let seen = Listener::join(&house.network, dead);
    house.heard_from(dead);
    let heard = seen.until_words(said.len()).await;
    assert!(counted(&heard).values().all(|count| *count == 1));
    let status = house.outbox.status(&server(dead)).await.unwrap();
    assert_eq!(status.waiting, 0);
}

//! Where a server says that it is reached: `https://<name>/.well-known/matrix/server`, and how long that is believed (server-server API, *Resolving server
//! names*, step 3). What comes of the name that it gives is in `targets.rs`.

use std::time::Duration;

use base::SharedClock;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;

use crate::trace::Step;
use crate::turns::Turns;

/// How long the file may be.
pub(crate) const BYTES: usize = 50 << 10;
/// How long it is believed if it does not say.
const USUAL: Duration = Duration::from_secs(24 * 60 * 60);
/// At least.
const LEAST: Duration = Duration::from_secs(60 * 60);
/// And at most, even if it can no longer be fetched.
const MOST: Duration = Duration::from_secs(48 * 60 * 60);
/// How long it is remembered that there is none.
const NONE: Duration = Duration::from_secs(60 * 60);
/// How long a failure is remembered; doubled by each further one, up to [`NONE`].
const FAILURE: Duration = Duration::from_secs(2 * 60);
/// How old an answer must be to be doubted when the server it names cannot be reached.
const DOUBTED: Duration = Duration::from_secs(5 * 60);
/// Of how many servers it is remembered. One costs about 300 bytes.
const SERVERS: usize = 20_000;

/// An answer to the question for the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) cache_control: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) body: Bytes,
}

/// Fetches the file from a host.
pub(crate) trait Fetch: Send + Sync + 'static {
    /// The last answer after all redirections, or in a sentence why there is none.
    fn fetch<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Fetched, String>>;
}

/// What well-known files have said.
pub(crate) struct WellKnown {
    kept: Cache<String, Kept>,
    turns: Turns<String>,
    clock: SharedClock,
}

/// What is known of one host, by monotonic time.
#[derive(Debug, Clone)]
struct Kept {
    found: Option<OwnedServerName>,
    fetched: Duration,
    until: Duration,
    failures: u32,
}

/// What an answer means.
enum Means {
    Delegated(OwnedServerName, Duration),
    /// There is no such file, or it says nothing.
    Nothing(String),
    /// It may be there another time.
    Failed(String),
}

impl WellKnown {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            kept: Cache::new(SERVERS),
            turns: Turns::default(),
            clock,
        }
    }

    /// The name under which `host` says that it is reached, if it says so.
    pub(crate) async fn look_up(&self, fetch: &dyn Fetch, host: &str) -> Option<OwnedServerName> {
        if let Some(kept) = self.current(host) {
            return kept.found;
        }
        let _turn = self.turns.take(host.to_owned()).await;
        match self.current(host) {
            Some(kept) => kept.found,
            None => self.fetch(fetch, host, &mut Vec::new()).await,
        }
    }

    /// The same, asked now whatever is remembered, and told to `trace`.
    pub(crate) async fn look_up_now(
        &self,
        fetch: &dyn Fetch,
        host: &str,
        trace: &mut Vec<Step>,
    ) -> Option<OwnedServerName> {
        let _turn = self.turns.take(host.to_owned()).await;
        self.fetch(fetch, host, trace).await
    }

    /// The server cannot be reached where the file says: it is fetched again soon.
    pub(crate) fn doubt(&self, host: &str) {
        let now = self.clock.monotonic();
        if let Some(mut kept) = self.kept.get(host)
            && kept.found.is_some()
            && kept.fetched + DOUBTED <= now
        {
            kept.until = now;
            self.kept.insert(host.to_owned(), kept);
        }
    }

    fn current(&self, host: &str) -> Option<Kept> {
        let kept = self.kept.get(host)?;
        (self.clock.monotonic() < kept.until).then_some(kept)
    }

    async fn fetch(
        &self,
        fetch: &dyn Fetch,
        host: &str,
        trace: &mut Vec<Step>,
    ) -> Option<OwnedServerName> {
        let means = match fetch.fetch(host).await {
            Ok(fetched) => self.read(&fetched),
            Err(why) => Means::Failed(why),
        };
        let file = format!("https://{host}/.well-known/matrix/server");
        trace.push(match &means {
            Means::Delegated(name, until) => Step::good(format!(
                "{file} says that the server is reached as {name} (believed for {} minutes).",
                until.as_secs() / 60
            )),
            Means::Nothing(why) | Means::Failed(why) => {
                Step::passed(format!("{file} does not lead elsewhere: {why}."))
            }
        });
        let kept = self.keep(host, means);
        let found = kept.found.clone();
        self.kept.insert(host.to_owned(), kept);
        found
    }

    fn keep(&self, host: &str, means: Means) -> Kept {
        let now = self.clock.monotonic();
        let before = self.kept.get(host);
        match means {
            Means::Delegated(name, time) => Kept {
                found: Some(name),
                fetched: now,
                until: now + time,
                failures: 0,
            },
            Means::Nothing(_) => Kept {
                found: None,
                fetched: now,
                until: now + NONE,
                failures: 0,
            },
            Means::Failed(_) => {
                let failures = before.as_ref().map_or(0, |kept| kept.failures);
                let pause = FAILURE.saturating_mul(2_u32.saturating_pow(failures.min(16)));
                // A web server that is down does not take the homeserver with it.
                let before =
                    before.filter(|kept| kept.found.is_some() && now < kept.fetched + MOST);
                Kept {
                    fetched: before.as_ref().map_or(now, |kept| kept.fetched),
                    found: before.and_then(|kept| kept.found),
                    until: now + pause.min(NONE),
                    failures: failures.saturating_add(1),
                }
            }
        }
    }

    fn read(&self, fetched: &Fetched) -> Means {
        #[derive(Deserialize)]
        struct File {
            #[serde(rename = "m.server")]
            server: String,
        }
        match fetched.status {
            200 => {}
            429 | 500.. => return Means::Failed(format!("the answer is {}", fetched.status)),
            status => return Means::Nothing(format!("the answer is {status}")),
        }
        let file: File = match serde_json::from_slice(&fetched.body) {
            Ok(file) => file,
            Err(error) => return Means::Nothing(format!("the file cannot be read: {error}")),
        };
        match ServerName::parse(&file.server) {
            Ok(name) => Means::Delegated(name, self.believed(fetched)),
            Err(_) => Means::Nothing("its m.server is no server name".to_owned()),
        }
    }

    /// How long the file may be believed.
    fn believed(&self, fetched: &Fetched) -> Duration {
        let control = fetched.cache_control.as_deref().and_then(max_age);
        let expires = || {
            let at = httpdate::parse_http_date(fetched.expires.as_deref()?).ok();
            // What cannot be read has expired, says RFC 9111, §5.3.
            let at = at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let now = Duration::from_millis(self.clock.now().millis());
            Some(at.unwrap_or_default().saturating_sub(now))
        };
        control.or_else(expires).unwrap_or(USUAL).clamp(LEAST, MOST)
    }
}

/// What a `Cache-Control` header says about how long to keep something (RFC 9111, §5.2.2).
fn max_age(header: &str) -> Option<Duration> {
    let mut found = None;
    for directive in header.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=') {
            None if directive == "no-store" || directive == "no-cache" => {
                return Some(Duration::ZERO);
            }
            Some(("max-age", age)) => {
                let age = age.trim().trim_matches('"');
                let digits = !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit());
                // More than can be counted is for ever.
                found = digits.then(|| Duration::from_secs(age.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use base::{Clock, ManualClock};

    use super::*;

    /// Gives one answer after the other.
    #[derive(Default)]
    struct Scripted(Mutex<VecDeque<Result<Fetched, String>>>);

    impl Fetch for Scripted {
        fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
            let next = self.0.lock().unwrap().pop_front();
            Box::pin(async move { next.expect("asked too often") })
        }
    }

    impl Scripted {
        fn next(&self, answer: Result<Fetched, String>) {
            self.0.lock().unwrap().push_back(answer);
        }

        fn is_done(&self) -> bool {
            self.0.lock().unwrap().is_empty()
        }
    }

    fn file(server: &str) -> Fetched {
        Fetched {
            status: 200,
            body: format!("{{\"m.server\":\"{server}\"}}").into(),
            ..Fetched::default()
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_headers_say_how_long_within_bounds() {
        let clock = ManualClock::new(base::Timestamp::from_millis(1_700_000_000_000));
        let well_known = WellKnown::new(clock.shared());
        let hour = 3600;
        for (control, expires, expected) in [
            (None, None, 24 * hour),
            (Some("max-age=7200"), None, 7200),
            (Some("public, Max-Age=\"7200\""), None, 7200),
            (
                Some("max-age=7200"),
                Some("Thu, 01 Jan 1970 00:00:00 GMT"),
                7200,
            ),
            (Some("max-age=1"), None, hour),
            (Some("max-age=99999999999999999999999"), None, 48 * hour),
            (Some("max-age=10000000"), None, 48 * hour),
            (Some("no-store"), None, hour),
            (Some("max-age=7200, no-cache"), None, hour),
            (Some("max-age=-5"), None, 24 * hour),
            (Some("max-age="), None, 24 * hour),
            (
                Some("private"),
                Some("Wed, 15 Nov 2023 00:13:20 GMT"),
                2 * hour,
            ),
            (None, Some("Wed, 15 Nov 2023 00:13:20 GMT"), 2 * hour),
            (None, Some("0"), hour),
            (None, Some("Thu, 01 Jan 1970 00:00:00 GMT"), hour),
        ] {
            let fetched = Fetched {
                cache_control: control.map(str::to_owned),
                expires: expires.map(str::to_owned),
                ..file("x.example")
            };
            assert_eq!(
                well_known.believed(&fetched),
                seconds(expected),
                "{control:?} {expires:?}"
            );
        }
    }

    #[tokio::test]
    async fn answers_that_lead_nowhere_are_told_apart_from_those_that_do() {
        for (answer, expected) in [
            (Ok(file("m.example:443")), Some("m.example:443")),
            (Ok(file("[::1]:8448")), Some("[::1]:8448")),
            (Ok(file("")), None),
            (Ok(file("https://m.example")), None),
            (Ok(file("m.example:99999")), None),
            (Ok(file("m.example/x")), None),
            (
                Ok(Fetched {
                    status: 404,
                    ..file("m.example")
                }),
                None,
            ),
            (
                Ok(Fetched {
                    status: 204,
                    ..file("m.example")
                }),
                None,
            ),
            (
                Ok(Fetched {
                    status: 503,
                    ..file("m.example")
                }),
                None,
            ),
            (
                Ok(Fetched {
                    body: "{\"m.server\":1}".into(),
                    ..file("")
                }),
                None,
            ),
            (
                Ok(Fetched {
                    body: "[]".into(),
                    ..file("")
                }),
                None,
            ),
            (
                Ok(Fetched {
                    body: "<html>".into(),
                    ..file("")
                }),
                None,
            ),
            (
                Ok(Fetched {
                    body: "[".repeat(BYTES).into(),
                    ..file("")
                }),
                None,
            ),
            (Err("no connection".to_owned()), None),
        ] {
            let well_known = WellKnown::new(ManualClock::plausible().shared());
            let script = Scripted::default();
            let shown = format!("{answer:?}");
            script.next(answer);
            let found = well_known.look_up(&script, "x.example").await;
            assert_eq!(
                found.as_ref().map(|name| name.as_str()),
                expected,
                "{shown}"
            );
            assert_eq!(
                well_known.look_up(&script, "x.example").await,
                found,
                "it is remembered"
            );
        }
    }

    #[tokio::test]
    async fn failures_are_remembered_longer_each_time() {
        let clock = ManualClock::plausible();
        let well_known = WellKnown::new(clock.shared());
        let script = Scripted::default();
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            script.next(Err("no connection".to_owned()));
            assert_eq!(well_known.look_up(&script, "x.example").await, None);
            let until = well_known.current("x.example").unwrap().until - clock.monotonic();
            assert!(until >= last && until >= FAILURE && until <= NONE);
            last = until;
            clock.advance(until);
        }
        assert_eq!(last, NONE);
        script.next(Ok(file("m.example")));
        assert!(well_known.look_up(&script, "x.example").await.is_some());
        assert!(script.is_done());
    }

    #[tokio::test]
    async fn a_web_server_that_is_down_does_not_take_the_homeserver_with_it() {
        let clock = ManualClock::plausible();
        let well_known = WellKnown::new(clock.shared());
        let script = Scripted::default();
        script.next(Ok(file("m.example")));
        let found = well_known.look_up(&script, "x.example").await;
        assert!(found.is_some());
        clock.advance(USUAL);
        while clock.monotonic() < MOST {
            script.next(Err("no connection".to_owned()));
            assert_eq!(well_known.look_up(&script, "x.example").await, found);
            clock.advance(seconds(3601));
        }
        script.next(Err("no connection".to_owned()));
        assert_eq!(well_known.look_up(&script, "x.example").await, None);
    }

    #[tokio::test]
    async fn an_answer_that_leads_nowhere_is_doubted_after_a_while() {
        let clock = ManualClock::plausible();
        let well_known = WellKnown::new(clock.shared());
        let script = Scripted::default();
        script.next(Ok(file("old.example")));
        let old = well_known.look_up(&script, "x.example").await;
        well_known.doubt("x.example");
        assert_eq!(
            well_known.look_up(&script, "x.example").await,
            old,
            "it is too new to be doubted"
        );
        clock.advance(DOUBTED);
        well_known.doubt("x.example");
        script.next(Ok(file("new.example")));
        let new = well_known.look_up(&script, "x.example").await.unwrap();
        assert_eq!(new, "new.example");
    }
}

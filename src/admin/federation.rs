//! `myelin federation …`: what concerns other servers and is done by hand. What is found out is `peers`' business; this file prints it.

use std::io::Write;
use std::path::Path;

use base::config::Config;
use base::{SharedClock, SharedRandom};
use peers::real::Real;
use peers::{Outcome, OwnKey, Peers};
use ruma::{OwnedServerName, ServerName};

use crate::error::{Error, Result};
use crate::socket;

/// What can be done about other servers.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum FederationCommand {
    /// Show how another server is found, step by step, and what is wrong if it cannot be spoken with.
    Test {
        /// The server's name, as behind the colon in the names of its users: example.org
        #[arg(value_parser = server_name)]
        server: OwnedServerName,
    },
    /// Sign with a new key from the next start on, and go on publishing the old one for what it has signed. The server must not be running.
    NewKey,
}

fn server_name(text: &str) -> Result<OwnedServerName, String> {
    ServerName::parse(text).map_err(|_| "a server name is a name such as example.org".to_owned())
}

/// Runs a command to its end and tells the result to `out`.
pub async fn run(
    command: FederationCommand,
    config: &Config,
    clock: SharedClock,
    random: SharedRandom,
    out: &mut dyn Write,
) -> Result<()> {
    let name = server_name(&config.server_name).map_err(Error::Usage)?;
    match command {
        FederationCommand::Test { server } => {
            let transport = Real::new(&config.federation, clock.clone(), random.clone())?.shared();
            let peers = Peers::passing(&name, &config.federation, transport, clock, random)?;
            tell(&peers, &server, out).await
        }
        FederationCommand::NewKey => {
            let data = &config.storage.path;
            if tokio::net::UnixStream::connect(socket::path(data))
                .await
                .is_ok()
            {
                let sentence =
                    "the server is running and would go on signing with the old key: stop it first";
                return Err(Error::Refused(sentence.to_owned()));
            }
            new_key(data, &name, &clock, &random, out)
        }
    }
}

/// Prints how a server is found. It is an error if it cannot be spoken with.
async fn tell(peers: &Peers, server: &ServerName, out: &mut dyn Write) -> Result<()> {
    let steps = peers.examine(server).await;
    let mut text = String::new();
    for step in &steps {
        text.push_str(match step.outcome {
            Outcome::Good => "ok  ",
            Outcome::Passed => "--  ",
            Outcome::Failed => "!!  ",
        });
        text.push_str(&step.sentence);
        text.push('\n');
    }
    let good = steps
        .last()
        .is_some_and(|step| step.outcome == Outcome::Good);
    if good {
        text.push_str(&format!("This server can speak with {server}.\n"));
    }
    write(out, &text)?;
    if good {
        Ok(())
    } else {
        Err(Error::Refused(format!(
            "This server cannot speak with {server}."
        )))
    }
}

fn new_key(
    data: &Path,
    name: &ServerName,
    clock: &SharedClock,
    random: &SharedRandom,
    out: &mut dyn Write,
) -> Result<()> {
    let (old, new) = OwnKey::replace(data, name, &**random, clock.now())?;
    let text = format!(
        "From the next start on {name} signs with {}.\n{} stays published for what it signed until {}.\n",
        new.key.id(),
        old.key_id,
        old.expired
    );
    write(out, &text)
}

fn write(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes())
        .map_err(Error::io("cannot write the result"))
}

#[cfg(test)]
mod tests {
    use base::{ManualClock, SeededRandom};
    use peers::loopback::{Network, refusal};
    use ruma::server_name;

    use super::*;

    #[tokio::test]
    async fn each_step_is_shown_and_the_end_is_clear() {
        let network = Network::new();
        let us = Peers::for_tests(server_name!("us.example"), &network);
        let them = Peers::for_tests(server_name!("them.example"), &network);
        let shown = async || {
            let mut out = Vec::new();
            let outcome = tell(&us, them.server_name(), &mut out).await;
            (
                String::from_utf8(out).unwrap(),
                outcome.map_err(|error| error.to_string()),
            )
        };
        let (text, outcome) = shown().await;
        assert!(
            text.starts_with("!!  them.example is no part of this network."),
            "{text}"
        );
        assert_eq!(
            outcome,
            Err("This server cannot speak with them.example.".to_owned())
        );
        network.join_as(&them, |_| async {
            refusal(http::StatusCode::NOT_FOUND, "no")
        });
        let (text, outcome) = shown().await;
        assert!(
            text.ends_with("This server can speak with them.example.\n"),
            "{text}"
        );
        assert_eq!(outcome, Ok(()));
    }

    #[tokio::test]
    async fn a_new_key_is_made_where_the_old_one_was() {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.path = data.path().to_owned();
        let (clock, random) = (
            ManualClock::plausible().shared(),
            SeededRandom::new(1).shared(),
        );
        let mut out = Vec::new();
        let ran = run(
            FederationCommand::NewKey,
            &config,
            clock.clone(),
            random.clone(),
            &mut out,
        );
        ran.await.unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("From the next start on localhost signs with ed25519:a_"),
            "{text}"
        );
        let listening = tokio::net::UnixListener::bind(socket::path(data.path())).unwrap();
        let mut out = Vec::new();
        let ran = run(FederationCommand::NewKey, &config, clock, random, &mut out);
        let sentence = ran.await.unwrap_err().to_string();
        assert!(sentence.contains("stop it first"), "{sentence}");
        drop(listening);
    }
}

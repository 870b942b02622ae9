//! The Myelin homeserver: reads the command line and the configuration, puts the server together, and runs it until it is asked to stop.

mod host;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use actions::House;
use admin::cli::{ExplainCommand, UserCommand};
use admin::federation::FederationCommand;
use base::config::{Config, environment, locate};
use base::{OsRandom, SystemClock};
use clap::{Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::umask;
use sd_notify::NotifyState;
use tracing::{info, warn};
use web::Listeners;

use crate::wire::{Failure, Wired, wire};

/// RocksDB's memory comes from here as well, which keeps it in one piece over months.
#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long what is under way may take when the server is asked to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// A Matrix homeserver. Without a command, it runs.
#[derive(Parser)]
#[command(version, max_term_width = 120)]
struct Line {
    /// The configuration file; without it, $MYELIN_CONFIG or ./myelin.toml, if there is one.
    #[arg(long, short, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Make, list and change accounts, whether or not the server runs.
    #[command(subcommand)]
    User(UserCommand),
    /// Say why an event is, or is not, part of its room, and what is odd about a room.
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Look at other servers, and change the key that we prove ourselves with.
    #[command(subcommand)]
    Federation(FederationCommand),
    /// Say what is wrong with the configuration, if anything is.
    CheckConfig,
}

fn main() -> ExitCode {
    let line = Line::parse();
    match begin(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn begin(line: Line) -> Result<(), Failure> {
    let config = Config::load(locate(line.config).as_deref(), &environment())?;
    // Nothing that the server writes is for others to read.
    umask(Mode::RWXG | Mode::RWXO);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match line.command {
        None => runtime.block_on(serve(config)),
        Some(Command::User(command)) => runtime.block_on(administrate(config, command)),
        Some(Command::Explain(command)) => runtime.block_on(explain(config, command)),
        Some(Command::Federation(command)) => runtime.block_on(federate(config, command)),
        Some(Command::CheckConfig) => {
            Ok(writeln!(std::io::stdout(), "The configuration is fine.")?)
        }
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    base::log::init(&config.log)?;
    host::raise_file_limit();
    let listeners = Listeners::bind(&config.listen, &config.tls).await?;
    let wired = open(&config)?;
    wired.start();
    let addresses = listeners.addresses();
    listeners.serve(&wired.everything().into_router(), &wired.supervisor);
    let socket = Listeners::private(&admin::socket::path(&config.storage.path))?;
    socket.serve(
        &admin::socket::router(wired.house.clone()),
        &wired.supervisor,
    );
    host::introduce(&config, &addresses);
    host::tell(NotifyState::Ready);
    web::asked_to_stop().await?;
    info!("stopping");
    host::tell(NotifyState::Stopping);
    if !wired.supervisor.shutdown(FAREWELL).await {
        warn!("not everything ended in time");
    }
    wired.house.rooms.store().stop();
    Ok(())
}

/// An account command asks the running server, or opens the database itself when there is none.
async fn administrate(config: Config, command: UserCommand) -> Result<(), Failure> {
    let (data, out) = (&config.storage.path, &mut std::io::stdout());
    let open = async || house(&config);
    Ok(admin::cli::run(command, data, &OsRandom, open, out).await?)
}

/// Explains what the running server, or the database, knows.
async fn explain(config: Config, command: ExplainCommand) -> Result<(), Failure> {
    let (data, out) = (&config.storage.path, &mut std::io::stdout());
    Ok(admin::cli::explain(command, data, async || house(&config), out).await?)
}

/// A command about other servers needs neither the running server nor its database.
async fn federate(config: Config, command: FederationCommand) -> Result<(), Failure> {
    let (clock, random) = (SystemClock::shared(), OsRandom::shared());
    let out = &mut std::io::stdout();
    Ok(admin::federation::run(command, &config, clock, random, out).await?)
}

/// What can be done, for a command that finds no server running.
fn house(config: &Config) -> Result<House, String> {
    let wired = open(config).map_err(|failure| failure.to_string())?;
    Ok(wired.house)
}

/// The server over the database in the data directory, which is made if there is none.
fn open(config: &Config) -> Result<Wired, Failure> {
    wire(config, host::ground(config)?)
}

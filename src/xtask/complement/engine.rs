//! A Docker engine: the one that runs, or one started for as long as the suite takes.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// How long an engine may take to start.
const TRIES: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(1);

/// An engine that was started here, stopped when this is dropped.
pub(crate) struct Engine(Option<Child>);

/// Makes sure that an engine answers.
pub(crate) fn running(workshop: &Path) -> Result<Engine, String> {
    if answers() {
        return Ok(Engine(None));
    }
    if std::env::var_os("DOCKER_HOST").is_some() {
        return Err("the Docker engine named by DOCKER_HOST does not answer".to_owned());
    }
    let file = workshop.join("dockerd.log");
    let log = File::create(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let second = log.try_clone().map_err(|error| error.to_string())?;
    println!("xtask: start a Docker engine");
    let daemon = Command::new("dockerd")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second)
        .spawn()
        .map_err(|error| format!("could not start dockerd: {error}"))?;
    let mut engine = Engine(Some(daemon));
    for _ in 0..TRIES {
        if answers() {
            return Ok(engine);
        }
        if engine.has_ended() {
            break;
        }
        sleep(BETWEEN);
    }
    Err(format!(
        "no Docker engine could be started; {} says why",
        file.display()
    ))
}

fn answers() -> bool {
    Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Engine {
    fn has_ended(&mut self) -> bool {
        self.0
            .as_mut()
            .is_some_and(|daemon| !matches!(daemon.try_wait(), Ok(None)))
    }
}

impl Drop for Engine {
    /// Asks it to stop, so that it puts its own affairs in order.
    fn drop(&mut self) {
        if let Some(mut daemon) = self.0.take() {
            let asked = Command::new("kill").arg(daemon.id().to_string()).status();
            if !asked.is_ok_and(|status| status.success()) {
                let _ = daemon.kill();
            }
            let _ = daemon.wait();
        }
    }
}

//! The server under measurement, as a process of its own.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Kernel ticks per second in `/proc/<pid>/stat`; fixed at 100 for user space on Linux.
const TICKS: f64 = 100.0;

pub(crate) struct Server {
    process: Child,
    pub(crate) directory: TempDir,
    pub(crate) url: String,
    /// From the start of the process to its first answer.
    pub(crate) start_up: Duration,
}

impl Server {
    /// Starts the server on a fresh directory.
    pub(crate) fn start() -> Self {
        Self::start_in(TempDir::new().unwrap())
    }

    /// Starts the server on what another one left behind.
    pub(crate) fn start_in(directory: TempDir) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = directory.path().join("myelin.toml");
        let data = directory.path().join("data");
        let text = format!(
            "server_name = \"localhost\"\n[listen]\naddresses = [\"127.0.0.1:{port}\"]\nconnections = 20000\nconnections_per_address = 20000\n\
             [storage]\npath = {data:?}\n[registration]\nenabled = true\nopen = true\n[limits]\nrates = false\n[log]\nlevel = \"warn\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let began = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_myelin"))
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        while !answers(&address) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "the server does not answer"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Self {
            process,
            directory,
            url: format!("http://{address}"),
            start_up: began.elapsed(),
        }
    }

    /// CPU time that the process has used, user and system, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
    }

    /// Its share of memory (PSS), in MiB.
    pub(crate) fn memory(&self) -> f64 {
        let rollup =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id())).unwrap();
        let line = rollup
            .lines()
            .find(|line| line.starts_with("Pss:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1024.0
    }

    /// Bytes that its data takes on disk.
    pub(crate) fn disk(&self) -> u64 {
        size(&self.directory.path().join("data"))
    }

    /// Asks it to leave and waits; gives back its directory.
    pub(crate) fn stop(mut self) -> TempDir {
        Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status()
            .unwrap();
        self.process.wait().unwrap();
        let placeholder = TempDir::new().unwrap();
        std::mem::replace(&mut self.directory, placeholder)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answers(address: &str) -> bool {
    use std::io::Write;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return false;
    };
    let _ = stream.write_all(
        b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    let mut start = [0; 12];
    stream.read_exact(&mut start).is_ok() && start.starts_with(b"HTTP/1.1 200")
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |meta| meta.len());
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

//! What a machine must have before cargo can work, and how to get it from the system's own package manager.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::steps::perform;

/// Something the build or the tests need, and the package that brings it under each package manager.
struct Need {
    what: &'static str,
    why: &'static str,
    present: fn() -> bool,
    /// In the order of [`MANAGERS`].
    packages: [&'static str; 5],
}

/// Package managers by program name, with the arguments that install without asking.
const MANAGERS: [(&str, &[&str]); 5] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends"]),
    ("dnf", &["install", "--assumeyes"]),
    ("pacman", &["--sync", "--noconfirm", "--needed"]),
    ("zypper", &["--non-interactive", "install"]),
    ("apk", &["add"]),
];

const BUILDING: [Need; 3] = [
    Need {
        what: "a C++ compiler",
        why: "RocksDB is written in C++",
        present: || runs("c++"),
        packages: ["g++", "gcc-c++", "gcc", "gcc-c++", "g++"],
    },
    Need {
        what: "make",
        why: "the memory allocator builds with it",
        present: || runs("make"),
        packages: ["make", "make", "make", "make", "make"],
    },
    Need {
        what: "libclang",
        why: "it reads RocksDB's header to make the Rust bindings",
        present: has_libclang,
        packages: [
            "libclang-dev",
            "clang-devel",
            "clang",
            "clang-devel",
            "clang-dev",
        ],
    },
];

const TESTING: [Need; 5] = [
    Need {
        what: "Node.js",
        why: "the test clients are written in JavaScript",
        present: || runs("node"),
        packages: ["nodejs", "nodejs", "nodejs", "nodejs", "nodejs"],
    },
    Need {
        what: "npm",
        why: "it installs the test clients",
        present: || runs("npm"),
        packages: ["npm", "npm", "npm", "npm", "npm"],
    },
    Need {
        what: "Chromium",
        why: "a web client is tested in a real browser",
        present: || chromium().is_some(),
        packages: ["chromium", "chromium", "chromium", "chromium", "chromium"],
    },
    Need {
        what: "Python with venv",
        why: "Synapse, the other server of some tests, is written in it",
        present: python_makes_environments,
        packages: ["python3-venv", "python3", "python", "python3", "python3"],
    },
    Need {
        what: "openssl",
        why: "servers that test each other need certificates",
        present: || runs_with("openssl", "version"),
        packages: ["openssl", "openssl", "openssl", "openssl", "openssl"],
    },
];

const JUDGING: [Need; 3] = [
    Need {
        what: "a Docker engine",
        why: "Complement runs servers in containers",
        present: || {
            runs("docker") && (runs("dockerd") || std::env::var_os("DOCKER_HOST").is_some())
        },
        packages: ["docker.io", "moby-engine", "docker", "docker", "docker"],
    },
    Need {
        what: "Go",
        why: "Complement is written in it",
        present: || runs_with("go", "version"),
        packages: ["golang-go", "golang", "go", "go", "go"],
    },
    Need {
        what: "strip",
        why: "the image holds the server without its debug information",
        present: || runs("strip"),
        packages: ["binutils", "binutils", "binutils", "binutils", "binutils"],
    },
];

/// Installs what compiling needs beyond Rust itself.
pub(crate) fn for_building() -> Result<(), String> {
    install(&BUILDING)
}

/// Installs what the client conversations need.
pub(crate) fn for_testing() -> Result<(), String> {
    install(&TESTING)
}

/// Installs what Complement needs.
pub(crate) fn for_complement() -> Result<(), String> {
    install(&JUDGING)
}

/// The browser's program, under whichever of its names it is installed.
pub(crate) fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| runs(name))
}

fn install(needs: &[Need]) -> Result<(), String> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("xtask: missing: {}, because {}", need.what, need.why);
    }
    let Some((place, (manager, arguments))) = MANAGERS
        .iter()
        .enumerate()
        .find(|(_, (name, _))| runs(name))
    else {
        let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
        return Err(format!(
            "no known package manager here; please install {}",
            names.join(", ")
        ));
    };
    if *manager == "apt-get" {
        perform(
            "refresh the list of packages",
            as_root("apt-get", &["update", "--quiet"]),
        )?;
    }
    let mut command = as_root(manager, arguments);
    command
        .args(missing.iter().filter_map(|need| need.packages.get(place)))
        .env("DEBIAN_FRONTEND", "noninteractive");
    perform("install what is missing", command)?;
    match missing.iter().find(|need| !(need.present)()) {
        Some(need) => Err(format!(
            "{} is still not found after installing it",
            need.what
        )),
        None => Ok(()),
    }
}

/// The command itself when we are root, else through sudo.
fn as_root(program: &str, arguments: &[&str]) -> Command {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let mut command = Command::new(if root { program } else { "sudo" });
    if !root {
        command.arg(program);
    }
    command.args(arguments);
    command
}

fn runs(program: &str) -> bool {
    runs_with(program, "--version")
}

fn python_makes_environments() -> bool {
    Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn runs_with(program: &str, argument: &str) -> bool {
    let quiet = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok()
}

/// Looks where the bindings' generator looks: LIBCLANG_PATH, then the usual library directories.
fn has_libclang() -> bool {
    let is_libclang = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libclang.so")
            || name.starts_with("libclang-") && name.contains(".so")
            || name == "libclang.dylib"
    };
    let holds = |directory: &Path| {
        std::fs::read_dir(directory).is_ok_and(|entries| entries.flatten().any(is_libclang))
    };
    if let Some(path) = std::env::var_os("LIBCLANG_PATH") {
        return holds(Path::new(&path));
    }
    let llvm = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let llvm = llvm
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .map(|entry| entry.path().join("lib"));
    let usual = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/local/lib",
    ];
    usual
        .iter()
        .map(|path| Path::new(path).to_path_buf())
        .chain(llvm)
        .any(|directory| holds(&directory))
}

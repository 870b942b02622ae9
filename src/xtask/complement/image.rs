//! The image: our binary, the libraries that it is linked with, and the first process. Nothing of it comes from a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::{perform, root};

/// What the image is called.
pub(crate) const NAME: &str = "myelin-complement:latest";

/// Names are first looked up in the hosts file, where Complement writes its own address.
const NAME_SERVICES: &str = "hosts: files dns\n";

/// Puts the image together and hands it to the engine.
pub(crate) fn make(server: &Path, workshop: &Path) -> Result<(), String> {
    let tree = workshop.join("image");
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    }
    for directory in ["etc", "tmp"] {
        create(&tree.join(directory))?;
    }
    let names = tree.join("etc/nsswitch.conf");
    fs::write(&names, NAME_SERVICES).map_err(|error| format!("{}: {error}", names.display()))?;

    let mut strip = Command::new("strip");
    strip.arg("-o").arg(tree.join("myelin")).arg(server);
    perform("copy the server without its debug information", strip)?;
    let mut go = Command::new("go");
    go.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags=-s -w",
        "-o",
    ])
    .arg(tree.join("start"))
    .arg("./start")
    .env("CGO_ENABLED", "0")
    .current_dir(root().join("complement"));
    perform("build the image's first process", go)?;
    for library in libraries(server)? {
        let inside = tree.join(library.strip_prefix("/").unwrap_or(&library));
        if let Some(directory) = inside.parent() {
            create(directory)?;
        }
        fs::copy(&library, &inside).map_err(|error| format!("{}: {error}", library.display()))?;
    }
    import(&tree)
}

fn create(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// The shared libraries that the server is linked with, and the loader.
fn libraries(server: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = Command::new("ldd")
        .arg(server)
        .output()
        .map_err(|error| format!("could not start ldd: {error}"))?;
    let text = String::from_utf8_lossy(&listed.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        return Err(format!("a library is missing: {}", line.trim()));
    }
    let path = |line: &str| {
        line.split_whitespace()
            .find(|word| word.starts_with('/'))
            .map(PathBuf::from)
    };
    Ok(text.lines().filter_map(path).collect())
}

/// The tree is the image's only layer.
fn import(tree: &Path) -> Result<(), String> {
    let mut pack = Command::new("tar");
    pack.args(["--create", "--owner=0", "--group=0", "--directory"])
        .arg(tree)
        .arg(".")
        .stdout(Stdio::piped());
    let mut packing = pack
        .spawn()
        .map_err(|error| format!("could not start tar: {error}"))?;
    let mut docker = Command::new("docker");
    docker.arg("import");
    for change in ["ENTRYPOINT [\"/start\"]", "EXPOSE 8008", "EXPOSE 8448"] {
        docker.args(["--change", change]);
    }
    docker.args(["-", NAME]);
    if let Some(stream) = packing.stdout.take() {
        docker.stdin(stream);
    }
    perform("import the image", docker)?;
    let packed = packing.wait().map_err(|error| error.to_string())?;
    if packed.success() {
        Ok(())
    } else {
        Err(format!("tar: {packed}"))
    }
}

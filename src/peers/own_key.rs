//! The key with which this server signs its events and requests. It is made at the first start and kept in the data directory; whoever has it can
//! speak as this server, so a file that others can read is refused.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use base::{Random, Timestamp, random};
use event::KeyPair;
use ruma::{OwnedServerName, ServerName};

use crate::{Error, OldKey};

const FILE: &str = "signing.key";
/// The public halves of keys that were replaced, one in each line as [`OldKey`] is written.
const OLD: &str = "old_signing.keys";

/// The server's name, and the key that proves it.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// The server's name.
    pub server_name: OwnedServerName,
    /// Its key.
    pub key: Arc<KeyPair>,
}

impl OwnKey {
    /// Reads the key from the data directory `directory`, or makes one there; the directory, too, if there is none.
    ///
    /// # Errors
    /// If the key can be read by others, is no key, or cannot be read or written.
    pub fn load_or_create(
        directory: &Path,
        server_name: &ServerName,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        let path = directory.join(FILE);
        let key = match File::open(&path) {
            Ok(file) => read(&path, &file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory, random)?,
            Err(error) => return Err(failed("read", &path)(error)),
        };
        Ok(Self::new(server_name, key))
    }

    /// Puts the key in the data directory away, with `now` as the end of its use, and makes another one. To be done while the server is not running.
    ///
    /// # Errors
    /// As [`OwnKey::load_or_create`].
    pub fn replace(
        directory: &Path,
        server_name: &ServerName,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<(OldKey, Self), Error> {
        let current = Self::load_or_create(directory, server_name, random)?;
        let old = OldKey {
            key_id: current.key.id().to_owned(),
            key: current.key.public(),
            expired: now,
        };
        // The old key is published before the new one is used: a crash between the two leaves it listed and in use, and then use counts.
        let mut all = OldKey::load(directory)?;
        all.retain(|known| known.key_id != old.key_id);
        all.push(old.clone());
        let text: String = all.iter().map(|key| format!("{key}\n")).collect();
        write(directory, OLD, &text).map_err(failed("write", &directory.join(OLD)))?;
        Ok((old, Self::new(server_name, create(directory, random)?)))
    }

    /// A server that signs with `key`.
    #[must_use]
    pub fn new(server_name: &ServerName, key: KeyPair) -> Self {
        Self {
            server_name: server_name.to_owned(),
            key: Arc::new(key),
        }
    }
}

impl OldKey {
    /// The keys that were put away in the data directory.
    ///
    /// # Errors
    /// If the file that lists them cannot be read, or holds something else.
    pub fn load(directory: &Path) -> Result<Vec<Self>, Error> {
        let path = directory.join(OLD);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| {
                Self::parse(line).map_err(|why| Error::KeyMalformed {
                    path: path.clone(),
                    why,
                })
            })
            .collect()
    }
}

/// One line, `ed25519 <version> <secret in Base64>`, as other homeservers write it too.
fn read(path: &Path, file: &File) -> Result<KeyPair, Error> {
    let mode = file
        .metadata()
        .map_err(failed("read", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::KeyExposed {
            path: path.to_owned(),
            mode,
        });
    }
    let malformed = |why: String| Error::KeyMalformed {
        path: path.to_owned(),
        why,
    };
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["ed25519", version, secret] => {
            KeyPair::from_base64(secret, version).map_err(|error| malformed(error.to_string()))
        }
        _ => Err(malformed(
            "it must hold one line: ed25519, a version, and a secret".to_owned(),
        )),
    }
}

fn create(directory: &Path, random: &dyn Random) -> Result<KeyPair, Error> {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    let path = directory.join(FILE);
    let version = format!("a_{}", random::token(random, 6));
    let key = KeyPair::from_seed(&seed, &version).map_err(|error| Error::KeyMalformed {
        path: path.clone(),
        why: error.to_string(),
    })?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed("make the data directory", directory))?;
    let line = format!("ed25519 {} {}\n", key.version(), key.to_base64());
    write(directory, FILE, &line).map_err(failed("write", &path))?;
    Ok(key)
}

/// Written aside and renamed, so that a crash leaves a whole file or none.
fn write(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let aside = directory.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, directory.join(name))?;
    File::open(directory)?.sync_all()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::KeyFile { doing, path, error }
}

#[cfg(test)]
mod tests {
    use base::{OsRandom, SeededRandom};
    use ruma::server_name;

    use super::*;

    fn load(directory: &Path) -> Result<OwnKey, Error> {
        OwnKey::load_or_create(directory, server_name!("example.org"), &OsRandom)
    }

    #[test]
    fn the_key_is_made_once_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("some/data");
        let first = load(&data).unwrap();
        let again = load(&data).unwrap();
        assert_eq!(first.key.id(), again.key.id());
        assert_eq!(first.key.sign(b"x"), again.key.sign(b"x"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.join(FILE)), 0o600);
        assert_eq!(mode(&data), 0o700);
        assert_eq!(
            fs::read_dir(&data).unwrap().count(),
            1,
            "nothing is left lying about"
        );
    }

    #[test]
    fn keys_differ() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_ne!(
            load(one.path()).unwrap().key.sign(b"x"),
            load(other.path()).unwrap().key.sign(b"x")
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let data = tempfile::tempdir().unwrap();
        load(data.path()).unwrap();
        let file = data.path().join(FILE);
        for mode in [0o644, 0o640, 0o602] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let sentence = load(data.path()).unwrap_err().to_string();
            assert!(
                sentence.contains(&format!("(mode {mode:04o})")),
                "{sentence}"
            );
            assert!(sentence.contains("chmod 600"), "{sentence}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let data = tempfile::tempdir().unwrap();
        let key = create(data.path(), &SeededRandom::new(1)).unwrap();
        let file = data.path().join(FILE);
        for text in [
            "",
            "ed25519 a_1",
            "rsa a_1 AAAA",
            "ed25519 a_1 AAAA",
            "ed25519 a:1 ####",
        ] {
            fs::write(&file, text).unwrap();
            assert!(
                matches!(load(data.path()), Err(Error::KeyMalformed { .. })),
                "{text:?}"
            );
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        fs::write(&file, format!("ed25519 old {}", key.to_base64())).unwrap();
        assert_eq!(load(data.path()).unwrap().key.id(), "ed25519:old");
    }

    #[test]
    fn a_key_that_is_replaced_stays_listed() {
        let data = tempfile::tempdir().unwrap();
        let name = server_name!("example.org");
        assert_eq!(OldKey::load(data.path()).unwrap(), []);
        let first = load(data.path()).unwrap();
        let mut listed = Vec::new();
        for time in [1000, 2000] {
            let before = load(data.path()).unwrap();
            let now = Timestamp::from_millis(time);
            let (old, new) = OwnKey::replace(data.path(), name, &OsRandom, now).unwrap();
            assert_eq!((old.key, old.expired), (before.key.public(), now));
            assert_ne!(new.key.id(), before.key.id());
            assert_eq!(load(data.path()).unwrap().key.id(), new.key.id());
            listed.push(old);
            assert_eq!(OldKey::load(data.path()).unwrap(), listed);
        }
        assert_eq!(listed[0].key, first.key.public());
        let text = fs::read_to_string(data.path().join(OLD)).unwrap();
        assert!(
            !text.contains(&first.key.to_base64()),
            "only public halves are listed"
        );
        fs::write(data.path().join(OLD), "ed25519:x AAAA soon\n").unwrap();
        assert!(matches!(
            OldKey::load(data.path()),
            Err(Error::KeyMalformed { .. })
        ));
    }
}

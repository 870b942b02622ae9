//! The certificate: read from its files, and read again when they change, so that renewing it needs no restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use base::config::TlsConfig;
use base::{Context, Next, Worker, WorkerError};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::info;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);

/// The certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or holds something else.
    #[error("cannot read {what} from {}: {why}", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What came of it.
        why: String,
    },
    /// The files do not fit together, or cannot be used.
    #[error("the certificate {} cannot be used with its key: {error}", path.display())]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

/// The files, and what they held last.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Arc<ArcSwap<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files, if TLS is asked for.
    pub(crate) fn read(config: &TlsConfig) -> Result<Option<Self>, Error> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = Arc::new(ArcSwap::from_pointee(load(certificate, key, &provider)?));
        Ok(Some(Self {
            certificate: certificate.clone(),
            key: key.clone(),
            provider,
            current,
        }))
    }

    /// What a listener needs. Both versions of HTTP are offered.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let unfit = |error| Error::Unfit {
            path: self.certificate.clone(),
            error,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(&self.current))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// What looks after the files.
    pub(crate) fn reloader(&self) -> Reloader {
        Reloader {
            stamp: stamp(&self.certificate, &self.key).ok(),
            certificate: self.clone(),
        }
    }
}

fn load(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let bad = |what, path: &Path, why: String| Error::File {
        what,
        path: path.to_owned(),
        why,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad("a certificate", certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(
            "a certificate",
            certificate,
            "there is none in it".to_owned(),
        ));
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| bad("a private key", key, error.to_string()))?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|error| Error::Unfit {
        path: certificate.to_owned(),
        error,
    })
}

#[derive(Debug)]
struct Resolver(Arc<ArcSwap<CertifiedKey>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// What tells one state of the files from another.
type Stamp = [(SystemTime, u64); 2];

fn stamp(certificate: &Path, key: &Path) -> io::Result<Stamp> {
    let one = |path: &Path| {
        let data = fs::metadata(path)?;
        Ok::<_, io::Error>((data.modified()?, data.len()))
    };
    Ok([one(certificate)?, one(key)?])
}

/// Reads the files again when they change. A pair that does not fit yet is tried again; until it does, the old one serves on.
pub(crate) struct Reloader {
    certificate: Certificate,
    stamp: Option<Stamp>,
}

impl Reloader {
    fn look(&mut self) -> Result<bool, WorkerError> {
        let Certificate {
            certificate,
            key,
            provider,
            current,
        } = &self.certificate;
        let found = stamp(certificate, key)?;
        if self.stamp == Some(found) {
            return Ok(false);
        }
        current.store(Arc::new(load(certificate, key, provider)?));
        self.stamp = Some(found);
        Ok(true)
    }
}

impl Worker for Reloader {
    fn name(&self) -> String {
        "certificate".to_owned()
    }

    async fn step(&mut self, _: &Context) -> Result<Next, WorkerError> {
        if self.look()? {
            info!("a new certificate is in use");
        }
        Ok(Next::After(LOOK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str) -> TlsConfig {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        TlsConfig {
            addresses: Vec::new(),
            certificate: Some(certificate),
            key: Some(key),
        }
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let home = tempfile::tempdir().unwrap();
        let config = write(home.path(), "one.example");
        let certificate = Certificate::read(&config).unwrap().unwrap();
        let mut reloader = certificate.reloader();
        assert!(!reloader.look().unwrap(), "nothing has changed");
        let first = certificate.current.load_full().cert.clone();
        // Another length makes the change certain, whatever the file system's clock can tell apart.
        write(home.path(), "another-much-longer-name.example");
        assert!(reloader.look().unwrap());
        let second = certificate.current.load_full().cert.clone();
        assert_ne!(first, second);
        fs::write(config.certificate.as_ref().unwrap(), "nonsense").unwrap();
        assert!(reloader.look().is_err());
        assert_eq!(certificate.current.load_full().cert, second);
    }

    #[test]
    fn files_that_do_not_fit_are_refused_with_their_names() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut config = write(home.path(), "one.example");
        config.key = write(other.path(), "one.example").key;
        let sentence = Certificate::read(&config).unwrap_err().to_string();
        assert!(sentence.contains("cert.pem"), "{sentence}");
        config.key = Some(home.path().join("nothing"));
        let sentence = Certificate::read(&config).unwrap_err().to_string();
        assert!(sentence.contains("private key"), "{sentence}");
    }
}

//! Connections through a proxy: HTTP `CONNECT` (RFC 9110, §9.3.6) and SOCKS 5 (RFC 1928, RFC 1929). The proxy is always given an address, never a name:
//! names are looked up, and addresses judged, on this side.

use std::io;
use std::net::{IpAddr, SocketAddr};

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// How long the head of a proxy's answer may be.
const HEAD_BYTES: usize = 8 << 10;

/// A proxy and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    kind: Kind,
    /// Host and port.
    place: String,
    login: Option<Secret<(String, String)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks,
}

impl Proxy {
    /// Reads `http://user:password@host:port` and `socks5://…`.
    pub(crate) fn parse(address: &str) -> Result<Self> {
        let unusable = |why: &str| Error::Configuration {
            key: "proxy",
            why: why.to_owned(),
        };
        let url = url::Url::parse(address).map_err(|_| unusable("it is no address"))?;
        let kind = match url.scheme() {
            "http" => Kind::Http,
            "socks5" => Kind::Socks,
            _ => return Err(unusable("it must begin with http:// or socks5://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        // The usual port of HTTP is left out by the reader of addresses.
        let port = url.port().or((kind == Kind::Http).then_some(80));
        let (Some(host), Some(port)) = (host, port) else {
            return Err(unusable("it must name a host and a port"));
        };
        let plain = |text: &str| {
            percent_decoded(text).ok_or_else(|| unusable("its user or password cannot be read"))
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Secret::new((
                plain(user)?,
                plain(password.unwrap_or_default())?,
            ))),
        };
        Ok(Self {
            kind,
            place: format!("{host}:{port}"),
            login,
        })
    }

    /// A connection to `to` through the proxy.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.place).await?;
        match self.kind {
            Kind::Http => self.tunnel(&mut stream, to).await?,
            Kind::Socks => self.socks(&mut stream, to).await?,
        }
        Ok(stream)
    }

    async fn tunnel(&self, stream: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(login) = &self.login {
            let (user, password) = login.expose();
            let proof = STANDARD.encode(format!("{user}:{password}"));
            request.push_str(&format!("Proxy-Authorization: Basic {proof}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what comes after the head belongs to the server.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD_BYTES {
                return Err(refused("its answer has no end"));
            }
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).unwrap_or_default();
        match status {
            "200" => Ok(()),
            "407" => Err(refused("it wants a user and a password, or others")),
            status => Err(refused(&format!("it answers {status}"))),
        }
    }

    async fn socks(&self, stream: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
        let method = if self.login.is_some() { 2 } else { 0 };
        stream.write_all(&[5, 1, method]).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        if answer != [5, method] {
            return Err(refused("it wants to be greeted in another way"));
        }
        if let Some(login) = &self.login {
            self.socks_login(stream, login.expose()).await?;
        }
        let mut request = vec![5, 1, 0];
        match to.ip() {
            IpAddr::V4(address) => {
                request.push(1);
                request.extend(address.octets());
            }
            IpAddr::V6(address) => {
                request.push(4);
                request.extend(address.octets());
            }
        }
        request.extend(to.port().to_be_bytes());
        stream.write_all(&request).await?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [_, code, _, kind] = head;
        if code != 0 {
            return Err(refused(&format!("it answers with error {code}")));
        }
        // The address from which it connected, which does not matter to us.
        let length = match kind {
            1 => 4,
            4 => 16,
            3 => usize::from(stream.read_u8().await?),
            _ => return Err(refused("its answer makes no sense")),
        };
        let mut rest = vec![0; length + 2];
        stream.read_exact(&mut rest).await?;
        Ok(())
    }

    async fn socks_login(
        &self,
        stream: &mut TcpStream,
        (user, password): &(String, String),
    ) -> io::Result<()> {
        let mut request = vec![1];
        for text in [user, password] {
            let length = u8::try_from(text.len())
                .map_err(|_| refused("its user or password is too long"))?;
            request.push(length);
            request.extend(text.bytes());
        }
        stream.write_all(&request).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        match answer {
            [_, 0] => Ok(()),
            _ => Err(refused("it wants another user or password")),
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("the proxy does not connect: {why}"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

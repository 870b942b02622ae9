//! Through a proxy: it is given addresses, the server proves itself as without one.

use base::Secret;
use tokio::io::copy_bidirectional;

use super::*;

fn through(proxy: &str) -> FederationConfig {
    FederationConfig {
        proxy: Some(Secret::new(proxy.to_owned())),
        ..config()
    }
}

/// An HTTP proxy that wants alice, whose password is `a:b`.
async fn http_proxy() -> Listening {
    listen_plain(|mut stream| async move {
        let request = head(&mut stream).await;
        if !request.contains("Proxy-Authorization: Basic YWxpY2U6YTpi\r\n") {
            let _ = stream
                .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                .await;
            return;
        }
        let place = request.split(' ').nth(1).unwrap();
        let mut server = TcpStream::connect(place.parse::<SocketAddr>().unwrap())
            .await
            .unwrap();
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            .await
            .unwrap();
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    })
    .await
}

/// A SOCKS proxy that wants the same.
async fn socks_proxy() -> Listening {
    listen_plain(|mut stream| async move {
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.unwrap();
        if greeting != [5, 1, 2] {
            let _ = stream.write_all(&[5, 255]).await;
            return;
        }
        stream.write_all(&[5, 2]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        let mut login = Vec::new();
        for _ in ["user", "password"] {
            let mut text = vec![0; stream.read_u8().await.unwrap().into()];
            stream.read_exact(&mut text).await.unwrap();
            login.push(text);
        }
        if login != [b"alice".to_vec(), b"a:b".to_vec()] {
            let _ = stream.write_all(&[1, 1]).await;
            return;
        }
        stream.write_all(&[1, 0]).await.unwrap();
        let mut request = [0; 10];
        stream.read_exact(&mut request).await.unwrap();
        let [5, 1, 0, 1, a, b, c, d, high, low] = request else {
            panic!("{request:?}");
        };
        let port = u16::from_be_bytes([high, low]);
        let mut server = TcpStream::connect(SocketAddr::from(([a, b, c, d], port)))
            .await
            .unwrap();
        stream
            .write_all(&[5, 0, 0, 3, 2, b'm', b'e', 0, 1])
            .await
            .unwrap();
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    })
    .await
}

#[tokio::test]
async fn servers_are_reached_through_proxies() {
    for (scheme, proxy) in [
        ("http", http_proxy().await),
        ("socks5", socks_proxy().await),
    ] {
        let server = answering(&[], ok("{}")).await;
        let place = |login: &str| format!("{scheme}://{login}127.0.0.1:{}", proxy.port);
        let right = peers(through(&place("alice:a%3Ab@")), good_example());
        assert_eq!(right.ask(&server.name(), ask()).await.unwrap(), "{}");
        assert_eq!((proxy.accepted(), server.accepted()), (1, 1));
        for login in ["", "bob:a%3Ab@", "alice:x@"] {
            let wrong = peers(through(&place(login)), good_example());
            let error = wrong
                .ask(&server.name(), ask())
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains("the proxy does not connect"), "{error}");
            assert!(!error.contains("a:b"), "{error}");
        }
        let strict = FederationConfig {
            allowed_addresses: Vec::new(),
            ..through(&place("alice:a%3Ab@"))
        };
        let before = proxy.accepted();
        let error = peers(strict, good_example())
            .ask(&server.name(), ask())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        assert_eq!(proxy.accepted(), before);
    }
}

#[test]
fn addresses_that_are_no_proxies_are_refused_without_being_shown() {
    for address in [
        "",
        "proxy:3128",
        "https://u:secret@proxy:1",
        "socks5://u:secret@proxy",
        "http://u:secret@",
        "http://u%zz:secret@proxy:1",
    ] {
        let sentence = Proxy::parse(address).unwrap_err().to_string();
        assert!(
            sentence.starts_with("federation.proxy cannot be used: "),
            "{sentence}"
        );
        assert!(!sentence.contains("secret"), "{sentence}");
    }
}

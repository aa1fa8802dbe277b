//! The client with real sockets on loopback: servers that answer correctly, slowly, too much, incorrectly or not at all.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_request_is_sent_as_written_and_its_response_is_returned() {
    let (address, mut seen) = recorder(b"HTTP/1.1 202 Accepted\r\nX-Id: 7\r\nContent-Length: 2\r\n\r\nok").await;
    let outgoing = Outgoing {
        method: Method::POST,
        url: format!("http://{address}/pb?click=a%20b&x=%7B1%7D"),
        headers: vec![("X-Signature".into(), "v1,abc".into()), ("X-Signature".into(), "v2".into())],
        body: Some(("application/json".into(), br#"{"id":1}"#.to_vec())),
    };
    let answer = egress().send(outgoing, SOON).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice(), answer.truncated), (202, &b"ok"[..], false));
    assert!(answer.headers.contains(&("x-id".into(), "7".into())));

    let request = seen.recv().await.expect("a request");
    assert!(request.starts_with("POST /pb?click=a%20b&x=%7B1%7D HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"id\":1}"), "{request}");
    let mut names: Vec<_> = request.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    names.sort_unstable();
    let expected = ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"];
    assert_eq!(names, [&expected[..], &["x-signature", "x-signature"]].concat());
    assert!(request.contains(concat!("user-agent: Postrider/", env!("CARGO_PKG_VERSION"), "\r\n")));
}

#[tokio::test]
async fn a_request_may_choose_its_user_agent_and_content_type() {
    let (address, mut seen) = recorder(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut outgoing = get(address);
    outgoing.method = Method::PUT;
    outgoing.headers = vec![("User-Agent".into(), "curl/8".into()), ("Content-Type".into(), "a/b".into())];
    outgoing.body = Some(("text/plain".into(), b"x".to_vec()));
    assert_eq!(egress().send(outgoing, SOON).await.expect("an answer").status, 204);
    let request = seen.recv().await.expect("a request");
    assert!(request.contains("user-agent: curl/8\r\n") && !request.contains("Postrider"), "{request}");
    assert!(request.contains("content-type: a/b\r\n") && !request.contains("text/plain"), "{request}");
}

#[tokio::test]
async fn every_printable_character_of_a_url_can_be_sent() {
    let (address, _seen) = recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let printable: String = ('!'..='~').filter(|c| !"#?%".contains(*c)).collect();
    let mut outgoing = get(address);
    outgoing.url = format!("http://{address}/{printable}é?{printable}?é=%#frag");
    assert_eq!(egress().send(outgoing, SOON).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let (target, hits) = counter().await;
    let head = format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n");
    let (address, _seen) = recorder(head.as_bytes()).await;
    let answer = egress().send(get(address), SOON).await.expect("an answer");
    assert_eq!(answer.status, 302);
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn internal_addresses_are_not_connected_to_unless_listed() {
    let (address, hits) = counter().await;
    let closed = Egress::new(Vec::new()).expect("a client");
    for host in ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "LocalHost."] {
        let mut outgoing = get(address);
        outgoing.url = format!("http://{host}:{}/", address.port());
        let error = closed.send(outgoing, SOON).await.expect_err(host);
        assert_eq!(error.code(), "address_refused", "{host}: {error}");
        assert!(!error.retryable());
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);

    let mut outgoing = get(address);
    outgoing.url = format!("http://[::ffff:127.0.0.1]:{}/", address.port());
    assert_eq!(egress().send(outgoing, SOON).await.expect("listed").status, 200);
}

/// `check_url` can't detect this: one address of `localhost` is listed here, but it resolves to others.
#[tokio::test]
async fn a_name_is_checked_by_its_addresses() {
    let (address, hits) = counter().await;
    let elsewhere = Egress::new(vec!["127.0.0.1/32".parse().expect("a network")]).expect("a client");
    let mut outgoing = get(address);
    outgoing.url = format!("http://localhost:{}/", address.port());
    let resolved: Vec<_> = tokio::net::lookup_host(("localhost", 0)).await.expect("resolves").collect();
    let all_listed = resolved.iter().all(|socket| socket.ip().to_string() == "127.0.0.1");
    assert_eq!(elsewhere.send(outgoing.clone(), SOON).await.is_ok(), all_listed);

    let v6_only = Egress::new(vec!["::1/128".parse().expect("a network")]).expect("a client");
    v6_only.check_url(&outgoing.url).expect("the name could lead to ::1");
    if resolved.iter().any(|socket| socket.is_ipv4()) {
        let before = hits.load(Ordering::SeqCst);
        let error = v6_only.send(outgoing, SOON).await.expect_err("127.0.0.1 is not listed");
        assert_eq!(error.code(), "address_refused", "{error}");
        assert_eq!(hits.load(Ordering::SeqCst), before);
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_failure() {
    let mut outgoing = get(([127, 0, 0, 1], 1).into());
    outgoing.url = "http://no-such-host.invalid/?mail=jane@example.org".into();
    let error = egress().send(outgoing, SOON).await.expect_err("no such name");
    assert_eq!(error.code(), "dns_failed", "{error}");
    assert!(error.retryable());
    assert!(error.to_string().contains("no-such-host.invalid") && !error.to_string().contains("jane"));
}

#[tokio::test]
async fn a_port_without_listener_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = egress().send(get(address), SOON).await.expect_err("nobody listens");
    assert_eq!((error.code(), error.retryable()), ("connect_failed", true), "{error}");
    assert!(error.to_string().contains("nothing listens there"), "{error}");
}

#[tokio::test]
async fn connections_are_kept_and_reused_also_by_clones() {
    let (address, hits) = counter().await;
    let egress = egress();
    for _ in 0..20 {
        assert_eq!(egress.clone().send(get(address), SOON).await.expect("an answer").body, b"ok");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 1, "one connection for all");
}

#[tokio::test]
async fn a_closed_idle_connection_is_replaced() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = hits.clone();
    let address = serve(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            read_request(&mut stream).await;
            write(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let egress = egress();
    for expected in 1..=3 {
        assert_eq!(egress.send(get(address), SOON).await.expect("an answer").status, 200);
        assert_eq!(hits.load(Ordering::SeqCst), expected);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_silent_server_ends_at_the_deadline() {
    let address = serve(|mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = in_about(300, egress().send(get(address), Duration::from_millis(300))).await;
    let error = error.expect_err("no answer");
    assert_eq!((error.code(), error.retryable()), ("timed_out", true));
    assert_eq!(error.to_string(), "127.0.0.1 did not answer within 300 ms.");
}

#[tokio::test]
async fn a_dripping_head_ends_at_the_deadline() {
    let address = serve(|mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, b"HTTP/1.1 200 OK\r\n").await;
        drip(&mut stream, b"X-A: b\r\n").await;
    })
    .await;
    let error = in_about(300, egress().send(get(address), Duration::from_millis(300))).await;
    assert_eq!(error.expect_err("no end").code(), "timed_out");
}

#[tokio::test]
async fn a_dripping_body_ends_at_the_deadline_and_its_status_counts() {
    for head in ["Content-Length: 60000", "X-Until: close", "Content-Length: 60000\r\nContent-Encoding: gzip"] {
        let address = serve(move |mut stream| async move {
            read_request(&mut stream).await;
            write(&mut stream, format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes()).await;
            drip(&mut stream, b"x").await;
        })
        .await;
        let answer = in_about(300, egress().send(get(address), Duration::from_millis(300))).await.expect("a status");
        assert_eq!((answer.status, answer.truncated), (200, true), "{head}");
        let error = answer.incomplete.expect("it has no end").to_string();
        assert_eq!(error, "127.0.0.1 did not finish its answer within 300 ms.", "{head}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_has_its_status_and_what_arrived() {
    for message in [
        "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nOK",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
    ] {
        let address = serve(move |mut stream| async move {
            read_request(&mut stream).await;
            write(&mut stream, message.as_bytes()).await;
        })
        .await;
        let answer = egress().send(get(address), SOON).await.expect("a status");
        assert_eq!((answer.status, answer.body.as_slice(), answer.truncated), (200, &b"OK"[..], true), "{message}");
        assert_eq!(answer.incomplete.map(|error| error.code()), Some("connection_closed"), "{message}");
    }
}

#[tokio::test]
async fn huge_and_endless_bodies_are_cut_at_once() {
    for head in ["Content-Length: 999999999999", "X-Until: close", "Transfer-Encoding: chunked"] {
        let address = serve(move |mut stream| async move {
            read_request(&mut stream).await;
            write(&mut stream, format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes()).await;
            let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
        })
        .await;
        let answer = in_about(0, egress().send(get(address), SOON)).await.expect("an answer");
        assert_eq!((answer.status, answer.truncated), (200, true), "{head}");
        assert_eq!(answer.body.len(), MAX_ANSWER_BYTES, "{head}");
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_bound_is_whole() {
    let mut message = format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_ANSWER_BYTES}\r\n\r\n").into_bytes();
    message.resize(message.len() + MAX_ANSWER_BYTES, b'x');
    let (address, _seen) = recorder(&message).await;
    let answer = egress().send(get(address), SOON).await.expect("an answer");
    assert!(!answer.truncated && answer.body.len() == MAX_ANSWER_BYTES);
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_bound() {
    let bomb = gzip(&[0; 1 << 20]).repeat(512);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    let (address, _seen) = recorder(&[head.as_bytes(), &bomb].concat()).await;
    let answer = in_about(0, egress().send(get(address), SOON)).await.expect("an answer");
    assert!(answer.truncated);
    assert_eq!(answer.body, vec![0; MAX_ANSWER_BYTES]);
}

#[tokio::test]
async fn a_compressed_answer_is_readable() {
    let packed = gzip(b"status=ok");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let (address, mut seen) = recorder(&[head.as_bytes(), &packed].concat()).await;
    let answer = egress().send(get(address), SOON).await.expect("an answer");
    assert_eq!((answer.body.as_slice(), answer.truncated), (&b"status=ok"[..], false));
    assert!(seen.recv().await.expect("a request").contains("accept-encoding: gzip, deflate, br\r\n"));
}

#[tokio::test]
async fn bad_servers_are_distinguished() {
    let heads_beyond_count: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let heads_beyond_size = format!("X-A: {}\r\n", "y".repeat(1 << 20));
    let table = [
        ("", "connection_closed"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "connection_closed"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "invalid_answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "invalid_answer"),
        (&format!("HTTP/1.1 200 OK\r\n{heads_beyond_count}\r\n"), "invalid_answer"),
        (&format!("HTTP/1.1 200 OK\r\n{heads_beyond_size}\r\n"), "invalid_answer"),
    ];
    for (message, expected) in table {
        let message = message.to_owned();
        let shown: String = message.chars().take(60).collect();
        let address = serve(move |mut stream| {
            let message = message.clone();
            async move {
                read_request(&mut stream).await;
                write(&mut stream, message.as_bytes()).await;
            }
        })
        .await;
        let error = egress().send(get(address), SOON).await.expect_err(&shown);
        assert_eq!((error.code(), error.retryable()), (expected, true), "{shown}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn lenient_parsing_accepts_imperfect_responses() {
    for message in [
        "HTTP/1.0 200 OK\r\n\r\nok",
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Latin: caf\u{e9}\r\n\r\nokay",
    ] {
        let address = serve(move |mut stream| async move {
            read_request(&mut stream).await;
            write(&mut stream, message.as_bytes()).await;
        })
        .await;
        let answer = egress().send(get(address), SOON).await.expect(message);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]), "{message}");
    }
}

#[tokio::test]
async fn https_to_a_plain_port_is_reported_as_not_tls() {
    let address = serve(|mut stream| async move {
        let _ = stream.read_u8().await;
        write(&mut stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        drip(&mut stream, b"").await;
    })
    .await;
    let mut outgoing = get(address);
    outgoing.url = format!("https://{address}/?token=secret");
    let error = egress().send(outgoing, SOON).await.expect_err("no TLS there");
    assert_eq!((error.code(), error.retryable()), ("tls_failed", true), "{error}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn requests_that_cannot_be_sent_are_refused_before_any_connection() {
    let (address, hits) = counter().await;
    let tunnel = Outgoing { method: Method::CONNECT, ..get(address) };
    let trace = Outgoing { method: Method::TRACE, ..get(address) };
    let split = Outgoing { headers: vec![("X-A".into(), "b\r\nHost: c".into())], ..get(address) };
    let host = Outgoing { headers: vec![("Host".into(), "c".into())], ..get(address) };
    let typed = Outgoing { body: Some(("a/b\r\nX-C: d".into(), Vec::new())), ..get(address) };
    let ftp = Outgoing { url: format!("ftp://{address}/"), ..get(address) };
    let table = [
        (tunnel, "method_refused"),
        (trace, "method_refused"),
        (split, "invalid_header"),
        (host, "invalid_header"),
        (typed, "invalid_header"),
        (ftp, "scheme_refused"),
    ];
    for (outgoing, expected) in table {
        let error = egress().send(outgoing, SOON).await.expect_err(expected);
        assert_eq!((error.code(), error.retryable()), (expected, false), "{error}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

/// Environment variables are process-wide, so this test runs another test in its own process, in which every proxy
/// variable points to a dead address.
#[test]
fn proxies_from_the_environment_are_ignored() {
    let this = std::thread::current().name().expect("tests have names").to_owned();
    let other =
        this.replace("proxies_from_the_environment_are_ignored", "connections_are_kept_and_reused_also_by_clones");
    let mut command = std::process::Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", &other]).env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    let output = command.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

fn egress() -> Egress {
    Egress::new(vec!["127.0.0.0/8".parse().expect("a network")]).expect("a client")
}

fn get(address: SocketAddr) -> Outgoing {
    Outgoing { method: Method::GET, url: format!("http://{address}/?token=secret"), headers: Vec::new(), body: None }
}

/// Waits for the outcome and asserts that it took at least `millis`, and not much longer.
async fn in_about<T>(millis: u64, outcome: impl Future<Output = T>) -> T {
    let start = std::time::Instant::now();
    let outcome = outcome.await;
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(millis), "{elapsed:?}");
    assert!(elapsed < Duration::from_millis(millis) + Duration::from_secs(30), "{elapsed:?}");
    outcome
}

/// Accepts connections and passes each to `connection`, which closes it by returning.
async fn serve<C, F>(connection: C) -> SocketAddr
where
    C: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream));
        }
    });
    address
}

/// Responds to every request on a connection with the same bytes, and returns the requests in a channel.
async fn recorder(message: &[u8]) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let message: Arc<[u8]> = message.into();
    let address = serve(move |mut stream| {
        let (sender, message) = (sender.clone(), message.clone());
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let _ = sender.send(request);
                write(&mut stream, &message).await;
            }
        }
    })
    .await;
    (address, receiver)
}

/// Responds with `ok` and counts connections.
async fn counter() -> (SocketAddr, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let address = serve(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            while read_request(&mut stream).await.is_some() {
                write(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (address, connections)
}

/// Reads one request with its body, or `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) {
    // The client may have closed the connection; the test detects that.
    let _ = stream.write_all(bytes).await;
}

/// Sends the piece repeatedly, slowly, until the client closes the connection.
async fn drip(stream: &mut TcpStream, piece: &[u8]) {
    while stream.write_all(piece).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

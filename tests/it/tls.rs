//! Certificates: which one a client gets, files that change, and who shows one to whom.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use rcgen::{DnType, KeyPair};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, SignatureScheme};
use testkit::{
    Authority, Certificate, Client, Edge, EdgeBuilder, Origin, credulous_client, skipped, table, table_with,
    text, until,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::NEARSIDE;

const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

async fn shake(
    edge: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(config.clone()).connect(name, TcpStream::connect(edge).await?).await
}

/// The leaf that an edge shows to who asks for `name`.
async fn shown(edge: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Vec<u8> {
    let stream = shake(edge, name, config).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn leaf(certificate: &Certificate) -> Vec<u8> {
    certificate.certificates()[0].to_vec()
}

/// A listener whose `tls` has these keys beside `edge.pem` and `edge.key`.
fn listener(keys: &str) -> String {
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[listeners.tls]\ncertificate_file = \"edge.pem\"\nkey_file = \
         \"edge.key\"\n{keys}\n"
    )
}

async fn start(builder: EdgeBuilder, keys: &str) -> Edge {
    builder.listeners(&listener(keys)).start().await
}

fn builder(origin: &Origin) -> EdgeBuilder {
    EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
}

/// A client that takes whatever certificate it is shown.
fn credulous() -> Arc<ClientConfig> {
    credulous_client(
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes(),
    )
}

#[tokio::test]
async fn each_name_gets_its_certificate() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = builder(&origin);
    let first = authority.issue(&["app.test"]);
    let wild = authority.issue(&["*.shop.test"]);
    let exact = authority.issue(&["Pay.shop.test", "pay.test"]);
    let _ = first.files(builder.folder());
    let _ = wild.files_named(builder.folder(), "wild");
    let _ = exact.files_named(builder.folder(), "exact");
    let edge = start(
        builder,
        "certificates = [{ certificate_file = \"wild.pem\", key_file = \"wild.key\" }, { certificate_file = \
         \"exact.pem\", key_file = \"exact.key\" }]",
    )
    .await;
    let config = credulous();
    for (name, expected) in [
        ("app.test", &first),
        ("a.shop.test", &wild),
        ("A.SHOP.test", &wild),
        ("pay.shop.test", &exact),
        ("pay.test", &exact),
        // A wildcard is for one label, and not for none.
        ("a.b.shop.test", &first),
        ("shop.test", &first),
        ("unknown.test", &first),
        // An address is no server name: the client names nobody.
        ("127.0.0.1", &first),
    ] {
        assert_eq!(shown(edge.address(), name, &config).await, leaf(expected), "{name}");
    }
}

#[tokio::test]
async fn of_two_for_a_name_a_client_gets_the_one_it_can_verify() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = builder(&origin);
    let ecdsa = authority.issue(&["app.test"]);
    let _ = ecdsa.files(builder.folder());
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "rsa");
    let rsa = Certificate { chain: params.self_signed(&rsa).unwrap().pem(), key: rsa.serialize_pem() };
    let _ = rsa.files_named(builder.folder(), "rsa");
    let edge =
        start(builder, "certificates = [{ certificate_file = \"rsa.pem\", key_file = \"rsa.key\" }]").await;

    let config = credulous();
    assert_eq!(shown(edge.address(), "app.test", &config).await, leaf(&ecdsa));
    let schemes = vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    let config = credulous_client(schemes);
    assert_eq!(shown(edge.address(), "app.test", &config).await, leaf(&rsa));
}

#[tokio::test]
async fn changed_files_are_taken_over_and_bad_ones_are_not() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = builder(&origin);
    let folder = builder.folder().to_owned();
    let (one, two) = (authority.issue(&["app.test"]), authority.issue(&["app.test"]));
    let _ = one.files(&folder);
    let edge = start(builder, "").await;
    let config = authority.client(&["h2"], &[&TLS13]);
    let mut old = Client::connect_tls(edge.address(), "app.test", config.clone()).await.unwrap();
    assert_eq!(old.get("/").await.text(), "eu");
    let refused =
        async |count: f64| edge.metric("nearside_tls_reload_total{result=\"refused\"}").await >= count;

    // Not the key of the certificate: the former stays.
    std::fs::write(folder.join("edge.key"), &two.key).unwrap();
    until("the pair is refused", async || refused(1.0).await).await;
    assert!(edge.log().contains("tls.key_file: "), "{}", edge.log());
    assert!(edge.log().contains("is not the key of"), "{}", edge.log());
    assert_eq!(shown(edge.address(), "app.test", &credulous()).await, leaf(&one));

    // Now they fit.
    std::fs::write(folder.join("edge.pem"), &two.chain).unwrap();
    until("the new pair is in force", async || {
        shown(edge.address(), "app.test", &credulous()).await == leaf(&two)
    })
    .await;
    assert_eq!(edge.metric("nearside_tls_reload_total{result=\"ok\"}").await, 1.0);
    assert_eq!(old.get("/").await.text(), "eu", "the connection has outlived it");

    let before = edge.metric("nearside_tls_reload_total{result=\"refused\"}").await;
    std::fs::write(folder.join("edge.pem"), &two.chain[..two.chain.len() / 2]).unwrap();
    until("half a file is refused", async || refused(before + 1.0).await).await;
    assert_eq!(shown(edge.address(), "app.test", &credulous()).await, leaf(&two));
    std::fs::remove_file(folder.join("edge.pem")).unwrap();
    until("no file is refused", async || refused(before + 2.0).await).await;
    assert_eq!(shown(edge.address(), "app.test", &credulous()).await, leaf(&two));

    // SIGHUP reads them in any case.
    std::fs::write(folder.join("edge.pem"), &two.chain).unwrap();
    until("it is back", async || edge.metric("nearside_tls_reload_total{result=\"ok\"}").await == 2.0).await;
    edge.signal("HUP");
    until("it is read again", async || edge.metric("nearside_tls_reload_total{result=\"ok\"}").await == 3.0)
        .await;
    assert_eq!(old.get("/").await.text(), "eu");
}

#[tokio::test]
async fn an_expired_certificate_is_served_with_a_warning_and_its_end_is_a_metric() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = builder(&origin);
    let expired = authority.issue_with(&["app.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2001, 9, 9);
    });
    let _ = expired.files(builder.folder());
    let file = builder.folder().join("edge.pem").display().to_string();
    let builder = builder.listeners(&listener(""));
    let checked = Command::new(NEARSIDE).args(["check", "-c"]).arg(builder.write()).output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && said.contains("expired at 2001-09-09T00:00:00Z"), "{said}");

    let edge = builder.start().await;
    assert!(edge.log().contains("expired at 2001-09-09T00:00:00Z"), "{}", edge.log());
    let name = format!(
        "nearside_tls_cert_not_after_timestamp_seconds{{listener=\"127.0.0.1:0\",certificate_file={file:?}}}"
    );
    assert_eq!(edge.metric(&name).await, 999_993_600.0);
    assert_eq!(shown(edge.address(), "app.test", &credulous()).await, leaf(&expired));
}

#[tokio::test]
async fn tickets_are_good_at_every_worker_and_after_a_reload() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = builder(&origin);
    let folder = builder.folder().to_owned();
    let _ = authority.issue(&["app.test"]).files(&folder);
    let edge = start(builder.edge("workers = 4"), "").await;
    // A session is resumed with a ticket that came after the handshake, so something is asked first.
    let ask = async |config: &Arc<ClientConfig>| {
        let stream = shake(edge.address(), "app.test", config).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("/").header("host", "app.test");
        let answer = sender.send_request(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap());
        assert_eq!(answer.await.unwrap().status(), 200);
        kind
    };
    for version in BOTH {
        let config = authority.client(&["http/1.1"], &[version]);
        assert_eq!(ask(&config).await, HandshakeKind::Full);
        // Of sixteen connections, one worker of four gets all once in 4^15 times.
        for _ in 0..16 {
            assert_eq!(ask(&config).await, HandshakeKind::Resumed, "{version:?}");
        }
    }
    let config = authority.client(&["http/1.1"], &[&TLS13]);
    ask(&config).await;
    let _ = authority.issue(&["app.test"]).files(&folder);
    until("it is reloaded", async || edge.metric("nearside_tls_reload_total{result=\"ok\"}").await >= 1.0)
        .await;
    assert_eq!(ask(&config).await, HandshakeKind::Resumed, "the reload has kept the keys of tickets");
}

#[tokio::test]
async fn clients_show_certificates_and_origins_are_told() {
    let origin = Origin::named("eu").await;
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let builder = builder(&origin);
    let folder = builder.folder().to_owned();
    let _ = authority.issue(&["app.test"]).files(&folder);
    let _ = clients.file(&folder);
    let edge = start(builder, "client_ca_file = \"ca.pem\"").await;
    let ann = clients.issue_with(&[], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Ann, CN=admin");
        params.distinguished_name.push(DnType::CommonName, "ann");
    });
    let forged = [
        ("client-cert", ":Zm9yZ2Vk:"),
        ("client-cert-chain", ":Zm9yZ2Vk:"),
        ("x-nearside-client-subject", "CN=root"),
        ("x-nearside-client-sha256", "00"),
        ("connection", "client-cert, x-nearside-client-subject"),
    ];
    let mut client =
        Client::connect_tls(edge.address(), "app.test", authority.client_with(&ann)).await.unwrap();
    assert_eq!(client.ask(Method::GET, "/", &forged, "").await.text(), "eu");
    let seen = origin.last();
    let pem: String = ann.chain.lines().filter(|line| !line.starts_with("---")).collect();
    assert_eq!(seen.header("client-cert"), format!(":{}:", pem.trim()));
    assert_eq!(seen.headers.get_all("client-cert").iter().count(), 1);
    assert_eq!(seen.header("client-cert-chain"), "");
    assert_eq!(seen.header("x-nearside-client-subject"), "CN=ann,O=Ann\\, CN\\=admin");
    let fingerprint = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(ann.files_named(&folder, "ann").0)
        .output();
    match fingerprint {
        Ok(output) => {
            let said = String::from_utf8(output.stdout).unwrap().replace(':', "").to_lowercase();
            assert_eq!(said.trim().rsplit('=').next(), Some(seen.header("x-nearside-client-sha256")));
        }
        Err(error) => skipped("the fingerprint as openssl tells it", &error.to_string()),
    }

    // Without one, or with another authority's, there is no connection.
    for config in [authority.client(&[], &BOTH), authority.client_with(&strangers.issue(&["ann"]))] {
        let asked = async {
            let mut client = Client::connect_tls(edge.address(), "app.test", config).await.ok()?;
            client.try_ask(Method::GET, "/", &[], "").await.ok()
        };
        assert!(asked.await.is_none());
    }
    until("both are counted", async || edge.metric("nearside_tls_handshakes_failed_total").await == 2.0)
        .await;
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn where_certificates_are_optional_nobody_can_claim_one() {
    let origin = Origin::named("eu").await;
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let builder = builder(&origin);
    let folder = builder.folder().to_owned();
    let _ = authority.issue(&["app.test"]).files(&folder);
    let _ = clients.file(&folder);
    let edge = start(builder, "client_ca_file = \"ca.pem\"\nclient_certificates = \"optional\"").await;
    let forged = [("client-cert", ":Zm9yZ2Vk:"), ("x-nearside-client-subject", "CN=root")];
    // Loopback is a trusted hop here, and even its word does not count for this.
    let config = authority.client(&["h2"], &BOTH);
    let mut client = Client::connect_tls(edge.address(), "app.test", config).await.unwrap();
    assert_eq!(client.ask(Method::GET, "/", &forged, "").await.text(), "eu");
    let seen = origin.last();
    assert_eq!((seen.header("client-cert"), seen.header("x-nearside-client-subject")), ("", ""));

    let ann = clients.issue(&["ann"]);
    let config = authority.client_with(&ann);
    let mut client = Client::connect_tls(edge.address(), "app.test", config.clone()).await.unwrap();
    client.get("/").await;
    assert!(!origin.last().header("client-cert").is_empty());
    // A resumed session is the same client's.
    let mut client = Client::connect_tls(edge.address(), "app.test", config.clone()).await.unwrap();
    client.get("/").await;
    assert!(!origin.last().header("client-cert").is_empty());
    let stranger = authority.client_with(&strangers.issue(&["ann"]));
    let asked = async {
        let mut client = Client::connect_tls(edge.address(), "app.test", stranger).await.ok()?;
        client.try_ask(Method::GET, "/", &[], "").await.ok()
    };
    assert!(asked.await.is_none(), "a certificate that cannot be verified is not let in");

    // Another authority counts from now on: what was resumed until now is not any more.
    let _ = strangers.file(&folder);
    until("it is reloaded", async || edge.metric("nearside_tls_reload_total{result=\"ok\"}").await >= 1.0)
        .await;
    let asked = async {
        let mut client = Client::connect_tls(edge.address(), "app.test", config).await.ok()?;
        client.try_ask(Method::GET, "/", &[], "").await.ok()
    };
    assert!(asked.await.is_none(), "a ticket does not spare the test by the new authority");
}

#[tokio::test]
async fn this_edge_shows_its_certificate_to_origins() {
    let (authority, edges) = (Authority::new(), Authority::new());
    let server = edges.server_for_own(&authority.issue(&["origin.test"]));
    let origin = Origin::with_tls(server, |_| async { text("well met") }).await;
    let folder = tempfile::TempDir::new().unwrap();
    let ca = authority.file(folder.path());
    let (chain, key) = edges.issue(&["edge"]).files_named(folder.path(), "client");
    let (_, other_key) = edges.issue(&["edge"]).files_named(folder.path(), "other");
    let pool = |more: &str| format!("tls = {{ server_name = \"origin.test\", ca_file = {ca:?}{more} }}");
    let spec = |more: &str| table_with(&[("eu", &[origin.host()])], &pool(more), "");
    let shows = format!(", certificate_file = {chain:?}, key_file = {key:?}");
    let edge = EdgeBuilder::new(NEARSIDE, &spec("")).start().await;
    let mut client = Client::connect(edge.address()).await;
    assert!(client.get("/").await.status.is_server_error(), "the origin asks for one");
    assert_eq!(edge.admin.publish(&spec(&shows)).await.0, 200);
    until("the region is back", async || edge.admin.region_health("eu").await == "recovering").await;
    assert_eq!(client.get("/").await.text(), "well met");
    assert_eq!(origin.requests().len(), 1);

    for (more, path, said) in [
        (format!(", certificate_file = {chain:?}"), "pools[0].tls.key_file", "go together"),
        (format!(", key_file = {key:?}"), "pools[0].tls.certificate_file", "go together"),
        (
            format!(", certificate_file = {chain:?}, key_file = {other_key:?}"),
            "pools[0].tls.key_file",
            "is not the key of",
        ),
        (
            format!(", certificate_file = {key:?}, key_file = {key:?}"),
            "pools[0].tls.certificate_file",
            "holds no certificate",
        ),
        (
            format!(", certificate_file = {chain:?}, key_file = \"missing.key\""),
            "pools[0].tls.key_file",
            "cannot be read",
        ),
    ] {
        let (status, answer) = edge.admin.publish(&spec(&more)).await;
        let answer = answer.to_string();
        assert_eq!(status, 422, "{answer}");
        assert!(answer.contains(path) && answer.contains(said), "{answer}");
    }
    assert_eq!(client.get("/").await.text(), "well met", "what was refused changes nothing");

    // New files are taken over by themselves, and broken ones are not.
    let _ = Authority::new().issue(&["edge"]).files_named(folder.path(), "client");
    until("a stranger's certificate is shown", async || client.get("/").await.status.is_server_error()).await;
    let _ = edges.issue(&["edge"]).files_named(folder.path(), "client");
    until("its own is shown", async || client.get("/").await.text() == "well met").await;
    let version = edge.metric("nearside_table_version").await;
    std::fs::write(&key, "broken").unwrap();
    until("it is refused", async || edge.log().contains("the one in force stays")).await;
    assert_eq!(edge.metric("nearside_table_version").await, version);
    assert_eq!(client.get("/").await.text(), "well met");
}

#[tokio::test]
async fn profiles_say_which_versions_are_spoken() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = builder(&origin);
    let _ = authority.issue(&["app.test"]).files(builder.folder());
    let sections = format!("{}{}", listener("profile = \"modern\""), listener("profile = \"compatible\""));
    let edge = builder.listeners(&sections).start().await;
    let [modern, compatible] = edge.listeners[..] else { panic!("{:?}", edge.listeners) };
    let (new, old) = (authority.client(&[], &[&TLS13]), authority.client(&[], &[&TLS12]));
    assert!(shake(modern, "app.test", &new).await.is_ok());
    assert!(shake(modern, "app.test", &old).await.is_err());
    assert!(shake(compatible, "app.test", &new).await.is_ok());
    assert!(shake(compatible, "app.test", &old).await.is_ok());

    // Towards origins as well.
    let mut server = Arc::unwrap_or_clone(authority.issue(&["origin.test"]).server_speaking(&[&TLS12]));
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let old = Origin::with_tls(Arc::new(server), |_| async { text("old") }).await;
    let folder = tempfile::TempDir::new().unwrap();
    let ca = authority.file(folder.path());
    let spec = |more: &str| {
        let pool = format!("tls = {{ server_name = \"origin.test\", ca_file = {ca:?}{more} }}");
        table_with(&[("eu", &[old.host()])], &pool, "")
    };
    let edge = EdgeBuilder::new(NEARSIDE, &spec("")).start().await;
    let mut client = Client::connect(edge.address()).await;
    assert!(client.get("/").await.status.is_server_error());
    assert_eq!(edge.admin.publish(&spec(", profile = \"compatible\"")).await.0, 200);
    until("the region is back", async || edge.admin.region_health("eu").await == "recovering").await;
    assert_eq!(client.get("/").await.text(), "old");
}

#[tokio::test]
async fn keys_are_exchanged_so_that_no_later_quantum_computer_can_read_them() {
    let group = NamedGroup::X25519MLKEM768;
    let authority = Authority::new();
    let only = rustls::crypto::CryptoProvider {
        kx_groups: vec![rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768],
        ..rustls::crypto::aws_lc_rs::default_provider()
    };
    // An origin that speaks nothing else.
    let certificate = authority.issue(&["origin.test"]);
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(only))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate.certificates(), certificate.private_key())
        .unwrap();
    let origin = Origin::with_tls(Arc::new(server), |_| async { text("safe") }).await;
    let folder = tempfile::TempDir::new().unwrap();
    let ca = authority.file(folder.path());
    let pool = format!("tls = {{ server_name = \"origin.test\", ca_file = {ca:?} }}");
    let builder = EdgeBuilder::new(NEARSIDE, &table_with(&[("eu", &[origin.host()])], &pool, ""));
    let _ = authority.issue(&["app.test"]).files(builder.folder());
    let edge = start(builder, "").await;
    let config = authority.client(&["http/1.1"], &[&TLS13]);
    let stream = shake(edge.address(), "app.test", &config).await.unwrap();
    assert_eq!(stream.get_ref().1.negotiated_key_exchange_group().unwrap().name(), group);
    let mut client = Client::connect_tls(edge.address(), "app.test", config).await.unwrap();
    assert_eq!(client.get("/").await.text(), "safe");
}

#[tokio::test]
async fn other_peoples_clients_agree() {
    let origin = Origin::named("eu").await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let builder = builder(&origin);
    let folder = builder.folder().to_owned();
    let _ = authority.issue(&["app.test"]).files(&folder);
    std::fs::rename(clients.file(&folder), folder.join("clients.pem")).unwrap();
    let ca = authority.file(&folder);
    let (chain, key) = clients.issue(&["ann"]).files_named(&folder, "ann");
    let edge = start(builder, "client_ca_file = \"clients.pem\"").await;
    let address = edge.address();
    let run = async |command: &mut Command| {
        let mut command = std::mem::replace(command, Command::new("true"));
        tokio::task::spawn_blocking(move || command.stdin(std::process::Stdio::null()).output())
            .await
            .unwrap()
    };
    let url = format!("https://app.test:{}/", address.port());
    let resolve = format!("app.test:{}:{}", address.port(), address.ip());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--resolve", &resolve, "--cacert"]).arg(&ca);
    match run(curl.arg("--cert").arg(&chain).arg("--key").arg(&key).arg(&url)).await {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "eu", "{output:?}"),
        Err(error) => skipped("curl with a client certificate", &error.to_string()),
    }
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-servername", "app.test", "-verify_return_error", "-connect"]);
    openssl.arg(address.to_string()).arg("-CAfile").arg(&ca).arg("-cert").arg(&chain).arg("-key").arg(&key);
    match run(openssl.args(["-tls1_2", "-alpn", "h2"])).await {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                said.contains("Verify return code: 0 (ok)") && said.contains("ALPN protocol: h2"),
                "{said}"
            );
        }
        Err(error) => skipped("openssl s_client", &error.to_string()),
    }
}

#[tokio::test]
async fn mistakes_name_their_key() {
    let authority = Authority::new();
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &["127.0.0.1:1".to_owned()])]));
    let folder = builder.folder().to_owned();
    let _ = authority.issue(&["app.test"]).files(&folder);
    let _ = authority.issue(&[]).files_named(&folder, "nameless");
    std::fs::write(folder.join("text.pem"), "no certificate").unwrap();
    let mut builder = Some(builder);
    for (keys, said) in [
        (
            "certificates = [{ certificate_file = \"text.pem\", key_file = \"edge.key\" }]",
            "listeners[0].tls.certificates[0].certificate_file: ",
        ),
        (
            "certificates = [{ certificate_file = \"edge.pem\", key_file = \"nameless.key\" }]",
            "is not the key of",
        ),
        (
            "certificates = [{ certificate_file = \"nameless.pem\", key_file = \"nameless.key\" }]",
            "is for no DNS name",
        ),
        ("client_ca_file = \"text.pem\"", "listeners[0].tls.client_ca_file: "),
        ("client_certificates = \"optional\"", "no client_ca_file says whose certificates count"),
        ("profile = \"old\"", "profile"),
    ] {
        let changed = builder.take().unwrap().listeners(&listener(keys));
        let output = Command::new(NEARSIDE).args(["check", "-c"]).arg(changed.write()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said), "{keys}: {text}");
        builder = Some(changed);
    }
}

use std::fs;
use std::os::unix::fs::PermissionsExt;

use axum::http::HeaderValue;

use super::*;
use crate::access::certificate::Authorities;
use crate::access::edit::Editor;
use crate::access::token::hex;

struct House {
    folder: tempfile::TempDir,
    access: Access,
}

fn house() -> House {
    let folder = tempfile::TempDir::new().unwrap();
    let client = Client { name: "ops.example".to_owned(), role: Role::Operator, scope: Scope::Everywhere };
    let rules = Rules {
        token_file: folder.path().join("admin.token"),
        tokens_file: folder.path().join("tokens.toml"),
        clients: vec![client],
        browsers: Browsers::default(),
    };
    let access = Access::open(rules, Clock::start());
    House { folder, access }
}

impl House {
    fn add(&self, name: &str, lifetime_seconds: i64) -> Token {
        let now = Timestamp::now();
        let expires_at = Timestamp::from_second(now.as_second() + lifetime_seconds).unwrap();
        let editor = Editor::open(&self.folder.path().join("tokens.toml")).unwrap();
        editor.add(name, Role::Operator, None, Some(expires_at), now).unwrap()
    }

    fn local(&self) -> String {
        fs::read_to_string(self.folder.path().join("admin.token")).unwrap().trim().to_owned()
    }

    fn who(&self, values: &[&str]) -> Result<Caller, Stranger> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let peer = Peer { address: "127.0.0.1".parse().unwrap(), certificate: None };
        self.access.who(&peer, &headers)
    }

    fn by(&self, token: &str) -> Result<Caller, Stranger> {
        self.access.reload(false);
        self.who(&[&format!("Bearer {token}")])
    }
}

#[test]
fn the_token_of_the_first_start_is_an_admins() {
    let house = house();
    let caller = house.by(&house.local()).unwrap();
    assert_eq!((caller.name.as_str(), caller.role), (LOCAL, Role::Admin));
    assert_eq!(caller.how, How::Token(digest(&house.local())));
    assert_eq!(house.who(&[&format!("bearer   {}", house.local())]).unwrap(), caller, "schemes have no case");
}

#[test]
fn what_is_forged_opens_nothing() {
    let house = house();
    let ann = house.add("ann", 100);
    assert_eq!(house.by(ann.reveal()).unwrap().name, "ann");
    let secret = ann.reveal().to_owned();
    let mut flipped = secret.clone().into_bytes();
    flipped[20] ^= 1;
    let file = fs::read_to_string(house.folder.path().join("tokens.toml")).unwrap();
    let hash = file.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for forged in [
        "".to_owned(),
        "x".to_owned(),
        String::from_utf8(flipped).unwrap(),
        secret[..secret.len() - 1].to_owned(),
        format!("{secret}0"),
        secret.to_uppercase(),
        secret.trim_start_matches("nearside_").to_owned(),
        hash,
        "0".repeat(64),
        "x".repeat(100_000),
    ] {
        assert_eq!(house.by(&forged), Err(Stranger::Unknown), "{forged:.80}");
    }
    for value in ["Basic eDp5", "Bearer", "Bearer ", &secret, &format!("Token {secret}")] {
        assert_eq!(house.who(&[value]), Err(Stranger::Unknown), "{value}");
    }
    let twice = format!("Bearer {secret}");
    assert_eq!(house.who(&[&twice, &twice]), Err(Stranger::Unknown), "which one would be meant?");
    assert_eq!(house.who(&[]), Err(Stranger::Nothing));
}

#[test]
fn an_expired_token_is_told_apart_and_only_to_who_has_it() {
    let house = house();
    let ann = house.add("ann", -1);
    assert!(matches!(house.by(ann.reveal()), Err(Stranger::Expired { name, .. }) if name == "ann"));
    assert_eq!(house.by("ann"), Err(Stranger::Unknown));
}

#[test]
fn what_changes_is_taken_over_and_what_is_broken_is_not() {
    let house = house();
    let tokens = house.folder.path().join("tokens.toml");
    let (ann, bob) = (house.add("ann", 100), house.add("bob", 100));
    assert!(house.by(ann.reveal()).is_ok() && house.by(bob.reveal()).is_ok());
    Editor::open(&tokens).unwrap().remove("ann").unwrap();
    assert_eq!(house.by(ann.reveal()), Err(Stranger::Unknown));
    let caller = house.by(bob.reveal()).unwrap();
    assert!(house.access.still_knows(&caller));
    assert!(!house.access.still_knows(&Caller { name: "ann".to_owned(), ..caller.clone() }));
    assert!(!house.access.still_knows(&Caller { role: Role::Admin, ..caller.clone() }));
    let good = fs::read_to_string(&tokens).unwrap();
    fs::write(&tokens, "[[tokens]]\nname = 1").unwrap();
    assert!(house.by(bob.reveal()).is_ok(), "a slip of the pen locks nobody out");
    fs::write(&tokens, good).unwrap();
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(house.by(bob.reveal()).is_ok());
    assert!(house.access.reloads().1 >= 2);
    fs::remove_file(&tokens).unwrap();
    assert_eq!(house.by(bob.reveal()), Err(Stranger::Unknown), "what is gone opens nothing");
    assert!(!house.access.still_knows(&caller));

    let local = house.folder.path().join("admin.token");
    let (before, another) = (house.local(), "another".repeat(5));
    fs::write(&local, format!("{another}\n")).unwrap();
    assert_eq!(house.by(&before), Err(Stranger::Unknown));
    assert!(house.by(&another).is_ok());
    for refused in ["\n", "guess me, for I am too short\n"] {
        fs::write(&local, refused).unwrap();
        assert!(house.by(&another).is_ok(), "it opens nothing, and the former stays");
        assert_eq!(house.by(refused.trim()), Err(Stranger::Unknown));
        assert_eq!(house.access.refused()[0], ("token_file", true));
    }
    assert_eq!(house.who(&["Bearer "]), Err(Stranger::Unknown));
    fs::remove_file(&local).unwrap();
    assert_eq!(house.by(&another), Err(Stranger::Unknown));
}

#[test]
fn what_is_exposed_or_broken_at_the_start_opens_nothing_until_it_is_mended() {
    for (name, at) in [("admin.token", 0), ("tokens.toml", 1)] {
        let mut house = house();
        let ann = house.add("ann", 100);
        let secrets = [house.local(), ann.reveal().to_owned()];
        let file = house.folder.path().join(name);
        let good = fs::read_to_string(&file).unwrap();
        let rules = || Rules {
            token_file: house.folder.path().join("admin.token"),
            tokens_file: house.folder.path().join("tokens.toml"),
            clients: Vec::new(),
            browsers: Browsers::default(),
        };
        let exposed = || fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let broken = || fs::write(&file, "secret = 1").unwrap();
        let breaks: [&dyn Fn(); 2] = [&exposed, &broken];
        for breaks in breaks {
            breaks();
            house.access = Access::open(rules(), Clock::start());
            assert_eq!(house.by(&secrets[at]), Err(Stranger::Unknown), "{name}");
            assert!(house.by(&secrets[1 - at]).is_ok(), "the other file is in order");
            assert!(house.access.refused()[at].1 && !house.access.refused()[1 - at].1);
            fs::write(&file, &good).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(house.by(&secrets[at]).is_ok(), "{name}: mended");
            assert!(!house.access.refused()[at].1);
        }
    }
}

#[test]
fn a_certificate_counts_where_no_token_is_sent() {
    let house = house();
    let shown = |names: &[&str], seconds: i64| Peer {
        address: "192.0.2.1".parse().unwrap(),
        certificate: Some(ClientNames {
            names: names.iter().map(ToString::to_string).collect(),
            not_after: Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap(),
            authorities: Authorities::default(),
        }),
    };
    let none = HeaderMap::new();
    let peer = shown(&["ops.example"], 100);
    let caller = house.access.who(&peer, &none).unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("ops.example", Role::Operator));
    assert_eq!(caller.how, How::Certificate(peer.certificate.unwrap()));
    let ended = house.access.who(&shown(&["ops.example"], -1), &none);
    assert!(matches!(ended, Err(Stranger::CertificateExpired(_))));
    let other = house.access.who(&shown(&["other.example"], 100), &none).unwrap_err();
    assert!(other.to_string().contains("other.example"), "{other}");
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer wrong"));
    assert_eq!(house.access.who(&shown(&["ops.example"], 100), &headers), Err(Stranger::Unknown));
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", house.local())).unwrap());
    assert_eq!(house.access.who(&shown(&["ops.example"], 100), &headers).unwrap().name, LOCAL);
}

#[test]
fn a_replaced_token_was_still_known_by_its_name() {
    let house = house();
    let (local, tokens) = (house.folder.path().join("admin.token"), house.folder.path().join("tokens.toml"));
    let (first, ann) = (house.by(&house.local()).unwrap(), house.add("ann", 100));
    let hers = house.by(ann.reveal()).unwrap();
    assert!(house.access.still_knows(&first) && house.access.still_knows(&hers));
    fs::write(&local, "another one, that nobody can guess\n").unwrap();
    assert!(!house.access.still_knows(&first));
    assert!(house.access.still_knows(&hers), "hers is as it was");
    // All but the secret is as before.
    let text = fs::read_to_string(&tokens).unwrap();
    let [before, after] = [ann.reveal(), "another"].map(|secret| hex(&digest(secret)));
    fs::write(&tokens, text.replace(&before, &after)).unwrap();
    assert!(!house.access.still_knows(&hers));
    let now = house.by("another").unwrap();
    assert_eq!((now.name, now.role, now.scope), (hers.name, hers.role, hers.scope));
}

#[test]
fn a_certificate_that_had_ended_was_still_known() {
    let house = house();
    let known = |name: &str, seconds: i64| {
        let not_after = Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap();
        let shown = ClientNames { names: vec![name.to_owned()], not_after, ..ClientNames::default() };
        let (name, how) = ("ops.example".to_owned(), How::Certificate(shown));
        house.access.still_knows(&Caller { name, role: Role::Operator, scope: Scope::Everywhere, how })
    };
    assert!(known("ops.example", 100));
    assert!(!known("ops.example", -1));
    assert!(!known("other.example", 100), "it names somebody else");
}

#[test]
fn a_certificate_was_still_known_when_its_authority_was_gone() {
    let house = house();
    let not_after = Timestamp::from_second(Timestamp::now().as_second() + 100).unwrap();
    let (then, now) = (Authorities::default(), Authorities::default());
    let shown = |authorities: &Authorities| Peer {
        address: "192.0.2.1".parse().unwrap(),
        certificate: Some(ClientNames {
            names: vec!["ops.example".to_owned()],
            not_after,
            authorities: authorities.clone(),
        }),
    };
    let caller = house.access.who(&shown(&then), &HeaderMap::new()).unwrap();
    assert!(house.access.still_knows(&caller));
    then.replace();
    assert!(!house.access.still_knows(&caller));
    let again = house.access.who(&shown(&then), &HeaderMap::new());
    assert_eq!(again, Err(Stranger::AuthoritiesReplaced), "a connection that stays open opens nothing");
    assert!(house.access.who(&shown(&now), &HeaderMap::new()).is_ok());
}

#[test]
fn what_has_changed_in_the_file_of_tokens_is_told_once_and_without_secrets() {
    let house = house();
    assert_eq!(house.access.token_changes(), None);
    let ann = house.add("ann", 100);
    house.add("bob", 100);
    // Whoever notices it first: a call, and only then whoever tells of it.
    assert_eq!(house.by(ann.reveal()).unwrap().name, "ann");
    let (told, tokens) = house.access.token_changes().unwrap();
    assert_eq!(told.to_string(), "added ann (operator), added bob (operator)");
    assert!(!serde_json::to_string(&told).unwrap().contains("sha256"));
    assert!(house.access.token_changes().is_some(), "until it is kept");
    house.access.tokens_are_told(tokens);
    assert_eq!(house.access.token_changes(), None, "once");
    let file = house.folder.path().join("tokens.toml");
    let editor = Editor::open(&file).unwrap();
    editor.remove("bob").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("role = \"operator\"", "role = \"operator\"\nregions = [\"eu\"]")).unwrap();
    house.access.reload(false);
    let (told, _) = house.access.token_changes().unwrap();
    assert_eq!(told.to_string(), "removed bob (operator), changed ann (operator of eu)");
}

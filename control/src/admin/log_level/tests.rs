use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use steer::client::{Client, Pop};
use tokio::sync::mpsc;

use super::*;
use crate::access::{Access, Browsers, How, Role, Rules, Scope};
use crate::admin::Counts;
use crate::changes::{Start, Started, start};
use crate::clock::Clock;
use crate::decisions::Decisions;
use crate::explain::{Locate, Whereabouts};
use crate::log_level::LogLevels;
use crate::process::{Gate, Process};
use crate::publisher::Draft;
use crate::share::Samples;
use crate::traffic::{Answers, Traffic};
use crate::trial::Trials;

const TABLE: &str = r#"
regions = [{ name = "eu", latitude = 50.1, longitude = 8.7 }]
routes = [{ name = "all", hosts = ["www.example.com"], pool = "web" }]
pools = [{ name = "web", placements = [{ region = "eu", origins = ["10.0.0.1:80"] }] }]
"#;

/// Of whom nothing is asked here.
struct Nobody;

impl Locate for Nobody {
    fn locate(&self, _: IpAddr) -> (Client, Whereabouts) {
        unreachable!("no address is looked for")
    }
}

impl Process for Nobody {
    fn gates(&self) -> Vec<Gate> {
        Vec::new()
    }

    fn ends(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

impl Traffic for Nobody {
    fn tell(&self, _: &mut dyn FnMut(&str, &str, &Answers)) {}
}

fn admin(folder: &Path, log: LogLevels) -> Arc<Admin> {
    let (clock, samples) = (Clock::start(), Arc::new(Samples::new(1)));
    let (source, author, reason) = ("table.toml".into(), "file".into(), "start".into());
    let Started { publisher, changes, .. } = start(Start {
        state: None,
        file: Ok(Draft { text: TABLE.into(), source, author, reason }),
        pop: Pop::default(),
        workers: 1,
        clock,
        check: Arc::new(|_| Vec::new()),
        samples: samples.clone(),
    })
    .unwrap();
    let rules = Rules {
        token_file: folder.join("admin.token"),
        tokens_file: folder.join("tokens.toml"),
        clients: Vec::new(),
        browsers: Browsers::default(),
    };
    Arc::new(Admin {
        trials: Arc::new(Trials::new(changes.clone(), publisher.clone(), Arc::new(Nobody))),
        publisher,
        changes,
        samples,
        decisions: Arc::new(Decisions::new(1, 1 << 16, clock.wall())),
        locator: Arc::new(Nobody),
        access: Arc::new(Access::open(rules, clock)),
        counts: Arc::new(Counts::default()),
        log: Arc::new(log),
        process: Arc::new(Nobody),
    })
}

#[tokio::test]
async fn a_level_was_kept_and_not_in_force_when_its_caller_had_left() {
    let (say, mut said) = mpsc::unbounded_channel();
    let log = LogLevels::new(Level::Info, Some(Box::new(move |level| say.send(level).unwrap())));
    let folder = tempfile::TempDir::new().unwrap();
    let admin = admin(folder.path(), log);
    let (name, how) = ("ada".to_owned(), How::Token([0; 32]));
    let caller = Caller { name, role: Role::Admin, scope: Scope::Everywhere, how };
    let body = Body(example().to_string().into());
    let asked = set(State(admin.clone()), Extension(caller), Conditions::default(), body);
    tokio::select! {
        biased;
        _ = asked => unreachable!("it is being made"),
        // He has ordered it, and leaves.
        () = std::future::ready(()) => {}
    }
    let level = tokio::time::timeout(Duration::from_secs(30), said.recv()).await;
    assert_eq!(level.expect("it is in force all the same"), Some(Level::Debug));
    assert_eq!(admin.log.set_by_somebody().map(|set| set.author.clone()).as_deref(), Some("ada"));
}

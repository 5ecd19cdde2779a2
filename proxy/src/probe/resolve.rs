//! Addresses of origins that have names: resolved again as their time to live runs out, and kept when that fails.
//!
//! A name server that is down must not take origins down that are up, so the last good answer stays until there is another.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control::vitals::OriginVitals;
use hickory_resolver::TokioResolver;
use steer::ids::OriginId;
use steer::table::OriginHost;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::keeper::Keeper;

/// An answer is trusted for at least and at most so long, whatever it says of itself.
const MIN_TTL: Duration = Duration::from_secs(1);
const MAX_TTL: Duration = Duration::from_secs(300);
/// How long to wait after a failure, doubled up to [`MAX_RETRY`].
const RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(30);

pub(super) struct Resolver {
    keeper: Rc<Keeper>,
    resolver: Option<TokioResolver>,
}

impl Resolver {
    pub(super) fn new(keeper: Rc<Keeper>) -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(%error, "no name server is configured; origins by name cannot be reached");
        }
        Self { keeper, resolver: resolver.ok() }
    }

    /// Resolves the names of the current table from now on. Dropping the set ends it.
    pub(super) fn reconcile(&self) -> JoinSet<()> {
        let snapshot = self.keeper.snapshot();
        let mut tasks = JoinSet::new();
        let Some(resolver) = &self.resolver else { return tasks };
        for (id, vitals) in (0..).map_while(OriginId::new).zip(&snapshot.vitals.origins) {
            let origin = snapshot.table().origin(id);
            if let OriginHost::Name(name) = &origin.host {
                tasks.spawn_local(keep_resolved(resolver.clone(), name.clone(), origin.port, vitals.clone()));
            }
        }
        tasks
    }
}

async fn keep_resolved(resolver: TokioResolver, name: String, port: u16, origin: Arc<OriginVitals>) {
    let mut retry = RETRY;
    loop {
        // A name with a dot is complete; without this the search list of the machine would be tried too.
        let complete = if name.contains('.') { format!("{name}.") } else { name.clone() };
        match resolver.lookup_ip(complete.as_str()).await {
            Ok(found) => {
                retry = RETRY;
                let addresses: Vec<_> = found.iter().map(|ip| (ip, port).into()).collect();
                if !addresses.is_empty() && **origin.addresses.load() != addresses {
                    tracing::info!(%name, ?addresses, "origin resolved");
                    origin.addresses.store(Arc::new(addresses));
                }
                let valid = Instant::from_std(found.valid_until());
                let now = Instant::now();
                sleep_until(valid.clamp(now + MIN_TTL, now + MAX_TTL)).await;
            }
            Err(error) => {
                tracing::warn!(%name, %error, "an origin's name cannot be resolved; its last addresses stay in use");
                sleep(retry).await;
                retry = (retry * 2).min(MAX_RETRY);
            }
        }
    }
}

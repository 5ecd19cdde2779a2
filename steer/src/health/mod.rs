//! Is a placement alive, and does it serve? A state machine per placement, made of a smaller one per origin.
//!
//! ```text
//!            probe lost and silence           4 losses on 2 connections, 80 ms
//!      up ──────────────────────────► suspect ─────────────────────────► down ◄─┐
//!       ▲ ◄────────────────────────── any success                         │    │ loss
//!       │                                │                     success    ▼    │
//!       └──── ramp reaches its end ◄─────┼──────────────────────────  recovering
//!                                        │         (5 successes over 2 s, then the ramp)
//!      requests fail, and probes do not  └──► down, whatever probes say, for 10 s and more ──► as above
//! ```
//!
//! `suspect` is cheap and reversible: new traffic leaves, nothing is proved, one success returns it without a ramp. `down` is
//! proved. Too many of them in a short time and the placement is `held` until its penalty has decayed. Operator states
//! (`drain`, `off`) lie elsewhere; they do not change what is observed here.
//!
//! A lost probe proves nothing while real traffic is answered: any success of an origin since the probe was sent vetoes it. A
//! probe answered late proves that somebody lives there; only one in time makes him trusted again.
//!
//! What requests come to is judged beside that. Errors accrue ([`Accrual`]) until they prove a placement to fail, which may
//! eject it within limits ([`may_eject`]). Late answers accrue ([`Slowness`]) and cost, and make nobody ill. Where nothing
//! answers at all, the fault is likely ours ([`Uplink`]), and nobody's health changes; where the observer is late himself
//! ([`Lateness`]), he waits longer.
//!
//! Everything is a function of events and their times; whoever runs probes and requests feeds them in ([`Placement::on`]).
//! Left out: all decisions about where traffic goes instead.

mod accrual;
mod cusum;
mod damping;
mod ejection;
mod guard;
mod lateness;
mod origin;
mod placement;
mod ramp;
mod slowness;
mod uplink;

pub use accrual::{Accrual, Evidence, Judgement};
pub use cusum::{Cusum, Recent, threshold};
pub use damping::Damping;
pub use guard::{Guard, Other, is_common, may_eject};
pub use lateness::Lateness;
pub use origin::{Origin, OriginHealth};
pub use placement::{Event, Placement, Surroundings};
pub use ramp::{beside, most_recovered};
pub use slowness::{Excess, Slowness};
pub use uplink::{Silence, UNREADY_AFTER, Uplink};

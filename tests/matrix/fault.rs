//! What is done to the nearest region, and what is promised meanwhile.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::edge::DEADLINE;

/// A row of the matrix.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    Killed,
    Reset,
    Refused,
    TlsBroken,
    Goaway,
    Leaving,
    Stopped,
    Swallowed,
    Dropped,
    HalfAnswers,
    Storm,
    StormUnseen,
    Some503,
    Slow,
    Delay,
    Trickled,
    Flapping,
    Rolling,
    AllLost,
    UplinkLost,
    LogDiskFull,
}

/// What is spoken to origins in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plane {
    /// HTTP/1.1, and HTTP/2 without TLS for gRPC.
    Plain,
    /// The same over TLS.
    Tls,
    /// HTTP/2 for all but WebSockets.
    Http2,
}

/// How long things last, in ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phases {
    /// From the first request to the onset.
    pub(crate) before_ms: f64,
    /// From the onset until it is over.
    pub(crate) during_ms: f64,
    /// From then to the last request.
    pub(crate) after_ms: f64,
}

/// How many GETs may fail whose answer had not begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MayFail {
    None,
    /// Below this share.
    Share(f64),
    /// With a clear 503 while no region is there, and with nothing else.
    WhileAllAreGone,
}

/// What must hold in a row. What is `None` is told and not judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Promise {
    pub(crate) gets: MayFail,
    pub(crate) slowest_get_ms: Option<f64>,
    /// From the onset on, after this time no request is sent to the region.
    pub(crate) quiet_after_ms: Option<f64>,
    /// From a second after the onset, GETs' p99 is within twice what is normal at the next region.
    pub(crate) p99_comes_back: bool,
    /// From the third fall on, no request is sent to the region.
    pub(crate) is_held_by_third: bool,
    /// After the first region's return, requests are answered again within this time.
    pub(crate) serves_again_ms: Option<f64>,
    /// The most times that the region may fall: grey failures do not flap.
    pub(crate) falls: Option<usize>,
}

const ZERO: Promise = Promise {
    gets: MayFail::None,
    slowest_get_ms: None,
    quiet_after_ms: None,
    p99_comes_back: false,
    is_held_by_third: false,
    serves_again_ms: None,
    falls: None,
};

impl Fault {
    /// As a row's heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Killed => "process killed",
            Self::Reset => "connections reset",
            Self::Refused => "port closed",
            Self::TlsBroken => "TLS broken",
            Self::Goaway => "GOAWAY, then port closed (HTTP/2)",
            Self::Leaving => "connection: close, then port closed (HTTP/1.1)",
            Self::Stopped => "SIGSTOP",
            Self::Swallowed => "packets swallowed by a relay",
            Self::Dropped => "packets dropped by a filter",
            Self::HalfAnswers => "half an answer, then reset",
            Self::Storm => "503 storm, probes too",
            Self::StormUnseen => "503 storm, probes healthy",
            Self::Some503 => "20 % 503, probes healthy",
            Self::Slow => "answers 300 ms later, probes healthy",
            Self::Delay => "way eight times as long",
            Self::Trickled => "trickled answers",
            Self::Flapping => "flapping every 2 s",
            Self::Rolling => "rolling restart, 50 reloads, publishes",
            Self::AllLost => "all regions lost",
            Self::UplinkLost => "uplink lost",
            Self::LogDiskFull => "disk full for the access log",
        }
    }

    /// What is done, for the notes below the table.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Killed => "SIGKILL; its connections are reset and its port is closed at that moment",
            Self::Reset => "all connections are reset, and every new one as soon as it is accepted",
            Self::Refused => "all connections are reset and new ones refused; the process lives on",
            Self::TlsBroken => {
                "origins over TLS: connections are reset, and new ones are shown a stranger's certificate"
            }
            Self::Goaway => "origins over HTTP/2 send GOAWAY, finish what runs, and close",
            Self::Leaving => "origins say `connection: close`, finish what runs, and close",
            Self::Stopped => {
                "the process is stopped: the kernel accepts and acknowledges, nobody answers; \
                 then it goes on and does what lay in its queues"
            }
            Self::Swallowed => {
                "bytes are taken, both ways, probes included; after the end they arrive when a kernel would have sent them again: \
                 0.2, 0.6, 1.4, 3, 6.2 s after they were first"
            }
            Self::Dropped => {
                "a packet filter in a network namespace drops everything to and from the region's address"
            }
            Self::HalfAnswers => "every answer ends in a reset after half of its body; probes are well",
            Self::Storm => "every request and every probe is answered 503",
            Self::StormUnseen => "every request is answered 503, every probe 200",
            Self::Some503 => "one request in five, at random, is answered 503, every probe 200",
            Self::Slow => "every answer begins 300 ms later, probes do not",
            Self::Delay => "the round trip is 40 ms instead of 5",
            Self::Trickled => "bodies come a tenth at a time, 100 ms apart; heads and probes are on time",
            Self::Flapping => "the port is closed for 2 s and open for 2 s, four times",
            Self::Rolling => {
                "one region after the other leaves in good order and comes back as a new process; meanwhile \
                 50 SIGHUPs and, with nearside, 10 tables published by the admin API"
            }
            Self::AllLost => "the ports of all regions are closed; the second region returns first",
            Self::UplinkLost => {
                "the bytes to and from all regions are swallowed, and arrive afterwards as above"
            }
            Self::LogDiskFull => "the file system of the access log is full",
        }
    }

    pub(crate) const fn plane(self) -> Plane {
        match self {
            Self::TlsBroken => Plane::Tls,
            Self::Goaway => Plane::Http2,
            _ => Plane::Plain,
        }
    }

    /// Whether the kernel drops what the edge has written before anybody on the way could see it.
    pub(crate) const fn loses_packets(self) -> bool {
        matches!(self, Self::Dropped)
    }

    pub(crate) const fn phases(self, is_short: bool) -> Phases {
        let during_ms = match (self, is_short) {
            (Self::Flapping, _) => 4.0 * 2.0 * self.flap_ms(is_short),
            (Self::Rolling, false) => 12_000.0,
            (Self::Rolling, true) => 9_000.0,
            (Self::HalfAnswers | Self::Some503 | Self::Slow | Self::Delay, false) => 5_000.0,
            // Three times the second that is promised.
            (Self::HalfAnswers | Self::Some503 | Self::Slow | Self::Delay, true) => 3_300.0,
            // Longer than the deadline.
            (Self::UplinkLost, false) => 7_000.0,
            (_, false) => 3_000.0,
            (Self::UplinkLost, true) => 3_800.0,
            (_, true) => 1_100.0,
        };
        match is_short {
            false => Phases { before_ms: 2_000.0, during_ms, after_ms: 2_500.0 },
            // Long enough for what is left over to show.
            true if matches!(self, Self::UplinkLost) => {
                Phases { before_ms: 700.0, during_ms, after_ms: 2_000.0 }
            }
            true => Phases { before_ms: 700.0, during_ms, after_ms: 700.0 },
        }
    }

    /// What a request may take with nearside, all attempts included. Shorter than the time without any region, so that the end of
    /// patience is seen.
    pub(crate) const fn deadline(self, is_short: bool) -> Duration {
        match (self, is_short) {
            (Self::UplinkLost, true) => Duration::from_secs(3),
            _ => DEADLINE,
        }
    }

    /// How long a flapping region is away, and there.
    pub(crate) const fn flap_ms(self, is_short: bool) -> f64 {
        if is_short { 700.0 } else { 2_000.0 }
    }

    /// Whether it is told from requests that go wrong one by one, and so the sooner the more there are. The load of all other
    /// methods is in one pool, and times are promised for that.
    pub(crate) const fn accrues(self) -> bool {
        matches!(
            self,
            Self::HalfAnswers | Self::Storm | Self::StormUnseen | Self::Some503 | Self::Slow | Self::Delay
        )
    }

    pub(crate) const fn promise(self) -> Promise {
        match self {
            Self::Killed | Self::Reset | Self::Refused | Self::TlsBroken | Self::Goaway | Self::Leaving => {
                Promise { quiet_after_ms: Some(125.0), falls: Some(1), ..ZERO }
            }
            Self::Stopped | Self::Swallowed | Self::Dropped => {
                Promise { slowest_get_ms: Some(400.0), quiet_after_ms: Some(300.0), falls: Some(1), ..ZERO }
            }
            Self::HalfAnswers => Promise { quiet_after_ms: Some(1_000.0), falls: Some(3), ..ZERO },
            Self::Storm => Promise { quiet_after_ms: Some(150.0), falls: Some(1), ..ZERO },
            Self::StormUnseen => Promise { quiet_after_ms: Some(150.0), falls: Some(3), ..ZERO },
            Self::Some503 => Promise {
                gets: MayFail::Share(0.000_5),
                quiet_after_ms: Some(1_000.0),
                falls: Some(3),
                ..ZERO
            },
            Self::Slow | Self::Delay => {
                Promise { quiet_after_ms: Some(1_000.0), p99_comes_back: true, falls: Some(0), ..ZERO }
            }
            Self::Trickled => Promise { falls: Some(3), ..ZERO },
            Self::Flapping => Promise { is_held_by_third: true, ..ZERO },
            Self::Rolling => ZERO,
            Self::LogDiskFull => Promise { falls: Some(0), ..ZERO },
            Self::AllLost | Self::UplinkLost => {
                Promise { gets: MayFail::WhileAllAreGone, serves_again_ms: Some(1_000.0), ..ZERO }
            }
        }
    }

    /// Whether all regions are hit.
    pub(crate) const fn is_everywhere(self) -> bool {
        matches!(self, Self::AllLost | Self::UplinkLost)
    }

    /// Whether a region is hit at some time.
    pub(crate) fn hits(self, region: &str) -> bool {
        self.is_everywhere() || self == Self::Rolling || region == crate::world::HIT
    }

    /// What this machine must allow; `None` if anything does.
    pub(crate) const fn needs(self) -> Option<&'static str> {
        match self {
            Self::Dropped => Some("root, unshare (util-linux), ip (iproute2) and nft (nftables)"),
            Self::LogDiskFull => Some("root and unshare (util-linux), for a small file system"),
            _ => None,
        }
    }

    /// Whether it runs in namespaces of its own, so that nothing outside changes.
    pub(crate) const fn is_apart(self) -> bool {
        self.needs().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_of_all_ends_within_two_minutes() {
        let all: f64 = Fault::value_variants()
            .iter()
            .map(|fault| fault.phases(true))
            .map(|phases| phases.before_ms + phases.during_ms + phases.after_ms)
            .sum();
        // Each takes about a second and a half more to start and to end.
        assert!(all < 85_000.0, "{all} ms");
    }
}

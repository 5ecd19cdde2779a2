//! Why a request ended as it did, in the short words that operators know from Envoy, and a few of ours.

/// The reason of an answer. Most requests have none.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Reason {
    /// All went well.
    #[default]
    None,
    /// The client went away before the answer was complete.
    ClientGone,
    /// Every healthy region has as many requests as it may.
    CapacityExhausted,
    /// The request broke HTTP's rules or used what is refused here.
    BadRequest,
    /// It was answered by a later attempt than the first.
    FailedOver,
    /// No route serves this host or path.
    NoRoute,
    /// Healthy regions are left, but none in the route's jurisdictions.
    ResidencyBlocked,
    /// The nearest region was full, so the next one answered.
    Spilled,
    /// A drill made the region look dead that would have answered.
    Drilled,
    /// The origin broke off in the middle of its answer.
    OriginBroke,
    /// No connection to an origin could be made.
    ConnectFailure,
    /// No connection to an origin could be made in time.
    ConnectTimeout,
    /// The request took longer than its route allows.
    Deadline,
    /// No permitted region is usable.
    NoHealthy,
    /// The answer had begun and then stood still for longer than its route allows.
    StreamIdle,
    /// It may have run, and is not safe to send again.
    Uncertain,
    /// The origin's answer broke HTTP's rules.
    OriginProtocol,
    /// The origin closed or reset the connection before it answered.
    OriginReset,
    /// All attempts were used up.
    RetriesExhausted,
    /// The origin took too long to begin its answer.
    OriginTimeout,
    /// It was answered by a hedge: a second attempt that was made because the first was late.
    HedgeWon,
    /// The request has passed through this PoP before, or through too many others.
    Loop,
    /// Nothing answers, not even what is unrelated to the origins: this PoP's own way out is doubted.
    UplinkSuspected,
}

impl Reason {
    /// All of them.
    pub(crate) const ALL: [Self; 23] = [
        Self::None,
        Self::FailedOver,
        Self::HedgeWon,
        Self::Spilled,
        Self::Drilled,
        Self::NoRoute,
        Self::NoHealthy,
        Self::UplinkSuspected,
        Self::ResidencyBlocked,
        Self::CapacityExhausted,
        Self::ConnectFailure,
        Self::ConnectTimeout,
        Self::OriginTimeout,
        Self::StreamIdle,
        Self::Deadline,
        Self::OriginReset,
        Self::OriginBroke,
        Self::OriginProtocol,
        Self::Uncertain,
        Self::RetriesExhausted,
        Self::BadRequest,
        Self::Loop,
        Self::ClientGone,
    ];

    /// Whether the service failed the request, whatever status its client saw: one whose client reads gRPC's sees 200. Not where
    /// the client went away, asked wrongly, or sent it round in a circle.
    pub(crate) const fn is_failure(self) -> bool {
        match self {
            Self::None
            | Self::ClientGone
            | Self::BadRequest
            | Self::FailedOver
            | Self::NoRoute
            | Self::Spilled
            | Self::Drilled
            | Self::HedgeWon
            | Self::Loop => false,
            Self::CapacityExhausted
            | Self::ResidencyBlocked
            | Self::OriginBroke
            | Self::ConnectFailure
            | Self::ConnectTimeout
            | Self::Deadline
            | Self::NoHealthy
            | Self::StreamIdle
            | Self::Uncertain
            | Self::OriginProtocol
            | Self::OriginReset
            | Self::RetriesExhausted
            | Self::OriginTimeout
            | Self::UplinkSuspected => true,
        }
    }

    /// What it means, for operators.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::None => "All went well.",
            Self::ClientGone => "The client went away before the answer was complete.",
            Self::CapacityExhausted => "Every healthy region has as many requests as it may.",
            Self::BadRequest => "The request broke HTTP's rules or used what is refused here.",
            Self::FailedOver => "It was answered by a later attempt than the first.",
            Self::NoRoute => "No route serves this host or path.",
            Self::ResidencyBlocked => "Healthy regions are left, but none in the route's jurisdictions.",
            Self::Spilled => "The nearest region was full, so the next one answered.",
            Self::Drilled => "A drill makes its region look dead, so another one answered.",
            Self::OriginBroke => "The origin broke off in the middle of its answer.",
            Self::ConnectFailure => "No connection to an origin could be made.",
            Self::ConnectTimeout => "No connection to an origin could be made in time.",
            Self::Deadline => "The request took longer than its route, or its gRPC call, allows.",
            Self::StreamIdle => "The answer had begun and then stood still for longer than its route allows.",
            Self::NoHealthy => "No permitted region is usable: all are down, drained, off or at weight 0.",
            Self::Uncertain => "It may have run, and is not safe to send again.",
            Self::OriginProtocol => "The origin's answer broke HTTP's rules.",
            Self::OriginReset => "The origin closed or reset the connection before it answered.",
            Self::RetriesExhausted => "All attempts were used up.",
            Self::OriginTimeout => "The origin took too long to begin its answer.",
            Self::HedgeWon => "It was answered by a second attempt that was made because the first was late.",
            Self::Loop => "The request has passed through this PoP before, or through too many others.",
            Self::UplinkSuspected => "No region and no reference answers: this PoP's uplink is suspected.",
        }
    }

    /// The code in logs and metrics.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::ClientGone => "DC",
            Self::CapacityExhausted => "CX",
            Self::BadRequest => "IH",
            Self::FailedOver => "FO",
            Self::NoRoute => "NR",
            Self::ResidencyBlocked => "RB",
            Self::Spilled => "SP",
            Self::Drilled => "DR",
            Self::OriginBroke => "UC",
            Self::ConnectFailure => "UF",
            Self::ConnectTimeout => "CT",
            Self::Deadline => "DT",
            Self::NoHealthy => "UH",
            Self::StreamIdle => "SI",
            Self::Uncertain => "UN",
            Self::OriginProtocol => "UPE",
            Self::OriginReset => "UR",
            Self::RetriesExhausted => "URX",
            Self::OriginTimeout => "UT",
            Self::HedgeWon => "HW",
            Self::Loop => "LD",
            Self::UplinkSuspected => "PX",
        }
    }
}

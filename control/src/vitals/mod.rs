//! What was learnt about origins and placements, kept by name so that a publish loses nothing.
//!
//! Each worker writes only its own cells, so no cache line is written by two threads; whoever wants a sum reads them all.
//! A cell is made of atomics not because its updates race but because other threads look at it meanwhile.
//!
//! Left out: what the numbers mean (`steer::health`, `steer::ewma`) and the numbers shown to operators (metrics).

mod cells;
mod registry;

pub use cells::{AnswerCounts, OriginCells, PlacementCells};
pub use registry::{LastError, OriginKey, OriginVitals, PlacementKey, PlacementVitals, Registry};

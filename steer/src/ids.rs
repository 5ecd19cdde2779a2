//! Dense ids: positions in a compiled [`Table`](crate::table::Table).
//!
//! A decision walks arrays, not maps, so everything it touches has a small number. An id means nothing outside the table
//! that gave it: whatever must survive a publish (health, counters, connections) is keyed by name instead.

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name($repr);

        impl $name {
            /// The id of the `index`th entry. `None` where the table could not hold so many.
            #[must_use]
            pub fn new(index: usize) -> Option<Self> {
                <$repr>::try_from(index).ok().map(Self)
            }

            /// The position in the table's array.
            #[inline]
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

dense_id!(
    /// A region's position in `Table::regions`.
    RegionId(u16)
);
dense_id!(
    /// A pool's position in `Table::pools`.
    PoolId(u16)
);
dense_id!(
    /// A placement's position in `Table::placements`; the placements of one pool stand next to each other.
    PlacementId(u32)
);
dense_id!(
    /// An origin's position in `Table::origins`; the origins of one placement stand next to each other.
    OriginId(u32)
);
dense_id!(
    /// A lane's position in `Table::lanes`.
    LaneId(u32)
);
dense_id!(
    /// A route's position in `Table::routes`.
    RouteId(u32)
);

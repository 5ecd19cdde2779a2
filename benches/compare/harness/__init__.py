"""The parts of `benches/compare/run`. Nothing but Python's own library."""

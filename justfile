# What people do here. `just` lists it.

[private]
default:
    @just --list

# Everything that CI checks: format, lints, docs, tests
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo test

# The tests alone; with real GeoIP databases if NEARSIDE_GEO_DIR names their folder
test *ARGS:
    cargo test {{ARGS}}

# Regions failing and returning, on this machine alone
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# What decisions cost; the figures belong in benches/RESULTS.md
bench *ARGS:
    cargo bench --package nearside-benches {{ARGS}}

# nearside beside nginx, HAProxy, Envoy, Traefik, Caddy and a bare forwarder; half an hour, alone on the machine
compare *ARGS:
    benches/compare/run {{ARGS}}

# The admin API, asked whatever its own document allows, and worse (schemathesis, from PyPI); a minute
fuzz-admin:
    cargo build --package nearside --bins
    tests/schemathesis/run

# Accept what the golden files would change to
accept:
    INSTA_UPDATE=always cargo test

# The image with nothing but the binary in it
image:
    docker build --tag nearside .

# Faults by methods, ten runs each, beside HAProxy and nginx where installed; writes docs/failover-matrix.md. Alone on the machine, for 80 minutes; --peer-runs 0 takes 50
matrix *ARGS:
    cargo build --release --package nearside --package nearside-tests --bins
    target/release/nearside-matrix --peers haproxy,nginx --peer-runs 3 {{ARGS}}

# An hour in which nothing fails, both processors busy with other things: no placement may fall. `just soak --duration 2m` is shorter
soak *ARGS:
    cargo build --release --package nearside --package nearside-tests --bins
    target/release/nearside-matrix soak {{ARGS}}

//! The binary. Everything is in the library; see there.

/// musl's own allocator serialises threads; this one does not, and idle connections take less memory with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    nearside::main()
}

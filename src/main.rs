//! `formgate`: arguments, command, exit code.

use std::process::ExitCode;

/// Small and quick for many small requests.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One provider for the whole process; a second call could only fail because of the first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    formgate::cli::main()
}

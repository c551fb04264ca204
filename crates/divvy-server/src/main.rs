//! divvyd: reads its command line and settings, builds the parts, runs the loops. Nothing else.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use divvy_server::chain::chain;
use divvy_server::daemon::{self, Options};
use divvy_server::{hook, pam, settings};

/// Shares the GPUs of this server among its VMs
#[derive(Debug, Parser)]
#[command(name = "divvyd", version, about)]
struct Arguments {
    /// Run on a simulated machine room instead of this machine: a2-edge, a16-pair, a10-trio, a40-rack,
    /// mixed-lab, h200-mig, a16-meets-a40
    #[arg(long, value_name = "ROOM")]
    sim: Option<String>,
    /// Where what was asked for is kept
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The Unix socket to answer on [env: DIVVY_SOCKET]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Answer over TCP too, to those who sign in or have the token; over TLS unless it is a loopback address
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The settings file
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Internal: write one value to a file that may hang
    #[arg(long, hide = true, value_name = "PATH")]
    write_worker: Option<String>,
    /// Internal: ask PAM about the password on standard input
    #[arg(long, hide = true)]
    pam_helper: bool,
    /// What libvirt's qemu hook runs, with libvirt's arguments
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true, value_name = "ARGUMENT")]
    libvirt_hook: Option<Vec<String>>,
}

/// Where things are when nobody says: system places for root, the user's own for anybody else.
struct Places {
    state_dir: PathBuf,
    socket: PathBuf,
}

fn places(room: Option<&str>) -> Places {
    let state_dir = if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/lib/divvy")
    } else {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        std::env::var_os("XDG_STATE_HOME")
            .map_or_else(|| home.join(".local/state"), PathBuf::from)
            .join("divvy")
    };
    let state_dir = room.map_or_else(|| state_dir.clone(), |room| state_dir.join(format!("room-{room}")));
    let socket = std::env::var_os("DIVVY_SOCKET").map(PathBuf::from);
    Places { state_dir, socket: socket.unwrap_or_else(divvy_api::endpoint::own_socket) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.pam_helper {
        return ExitCode::from(pam::helper::run());
    }
    let places = places(arguments.sim.as_deref());
    let socket = arguments.socket.clone().unwrap_or(places.socket);
    if let Some(path) = &arguments.write_worker {
        return ExitCode::from(divvy_host::worker::run_write_worker(Path::new("/"), path));
    }
    if let Some(call) = &arguments.libvirt_hook {
        return match hook::run(&socket, call) {
            Ok(()) => ExitCode::SUCCESS,
            Err(held_up) => fail(&held_up, 1),
        };
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let settings = match settings::read(arguments.settings.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, 2),
    };
    let options = Options {
        room: arguments.sim,
        state_dir: arguments.state_dir.unwrap_or(places.state_dir),
        socket,
        listen: arguments.listen.or(settings.listen),
        settings,
    };
    match daemon::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 3),
    }
}

fn fail(error: &(dyn std::error::Error + 'static), status: u8) -> ExitCode {
    eprintln!("divvyd: {}", chain(error));
    ExitCode::from(status)
}

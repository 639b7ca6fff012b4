//! `pyebpf view`: a recording in the browser of whoever called it, from a server on the loopback interface that answers for one
//! page and ends with Ctrl-C. Pure user space: needs no rights.

mod args;
mod browser;
mod contents;
mod neighbour;
mod request;
mod server;
mod speedscope;

pub(super) use self::args::Args;

use anyhow::Context as _;

use self::contents::Site;
use self::server::Server;
use super::failure::Failure;
use super::launch::Caller;
use super::{data, terminal};
use crate::session::stop_signal;

/// `caller` is who called sudo, before its rights were given up.
pub(super) fn run(args: &Args, caller: Option<&Caller>) -> Result<u8, Failure> {
    // Before anything is read, which may take a while.
    let folder = match &args.speedscope {
        None => None,
        Some(folder) => Some(speedscope::find(folder.as_deref(), caller)?),
    };
    let site = match folder {
        None => Site::of_page(contents::page(args)?),
        Some(folder) => speedscope::site(&folder, contents::for_speedscope(args)?)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the event loop")?;
    runtime.block_on(async {
        let server = Server::bind(site).await?;
        let address = server.address();
        terminal::status("Press Control-C to end.");
        data::print(&format!("{address}\n"))?;
        if !args.no_browser {
            browser::open(&address, caller);
        }
        tokio::select! {
            error = server.serve() => Err(error),
            () = stop_signal() => Ok(0),
        }
    })
}

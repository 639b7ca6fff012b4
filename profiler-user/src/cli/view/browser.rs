//! Opens the browser of whoever called pyebpf: with their rights, in their session, and not ended by our Ctrl-C.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::launch::Caller;
use super::super::terminal;

/// Opens an address, or says why it does not.
pub(super) fn open(address: &str, caller: Option<&Caller>) {
    if let Err(why) = start(address, caller) {
        terminal::status(&format!(
            "No browser was opened ({why}): open the address yourself."
        ));
    }
}

fn start(address: &str, caller: Option<&Caller>) -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        return Err("root has none".to_owned());
    }
    // Without a screen, what opens addresses would start a browser in this terminal.
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !has_screen {
        return Err("there is no screen".to_owned());
    }
    let mut command = Command::new("xdg-open");
    command
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    if let Some(caller) = caller {
        caller.set_environment(&mut command);
        set_session(&mut command);
    }
    let mut child = command.spawn().map_err(|error| format!("xdg-open: {error}"))?;
    // Nobody waits for a browser, but somebody has to take note of its end.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// What sudo takes out of the environment, and a browser needs to find its own windows.
fn set_session(command: &mut Command) {
    let folder = format!("/run/user/{}", rustix::process::geteuid().as_raw());
    if !Path::new(&folder).is_dir() {
        return;
    }
    command.env("XDG_RUNTIME_DIR", &folder);
    let bus = format!("{folder}/bus");
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none() && Path::new(&bus).exists() {
        command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={bus}"));
    }
}

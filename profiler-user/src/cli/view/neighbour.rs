//! Whose a connection of this host is, from the kernel's table of connections (`/proc/net/tcp`). A token in an address is
//! among the arguments of the browser that opens it, which every user of the host may read.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// This process's own network.
const TABLE: &str = "/proc/self/net/tcp";
/// Bytes of the table that are read: hundreds of thousands of connections.
const MOST_BYTES: u64 = 64 << 20;

/// Whether a connection to our `port` is that of a user who is neither root nor the one whom this process runs as. `false`
/// where nobody knows: then the token alone must do. If this process is root's, its page may be for any user.
pub(super) fn is_somebody_else(peer: SocketAddr, port: u16) -> bool {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 {
        return false;
    }
    let Ok(table) = File::open(TABLE) else {
        return false;
    };
    let lines = BufReader::new(table.take(MOST_BYTES))
        .lines()
        .map_while(Result::ok);
    let user = lines.skip(1).find_map(|line| user_of(&line, peer, port));
    user.is_some_and(|user| user != 0 && user != own)
}

/// The user of a line of the table, if it is the peer's side of that connection.
fn user_of(line: &str, peer: SocketAddr, port: u16) -> Option<u32> {
    let IpAddr::V4(address) = peer.ip() else {
        return None;
    };
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid ...
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (fields.next()?, fields.next()?);
    let is_it = is_end(local, address, peer.port()) && is_end(remote, Ipv4Addr::LOCALHOST, port);
    is_it.then(|| fields.nth(4)?.parse().ok())?
}

/// Whether an end of a connection, as the table has it, is this one.
fn is_end(text: &str, address: Ipv4Addr, port: u16) -> bool {
    let Some((host, number)) = text.split_once(':') else {
        return false;
    };
    let host = u32::from_str_radix(host, 16).map(|host| Ipv4Addr::from(host.to_ne_bytes()));
    host == Ok(address) && u16::from_str_radix(number, 16) == Ok(port)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use super::user_of;

    #[test]
    fn the_table_says_whose_a_connection_is() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        let peer = client.local_addr().expect("it is connected");
        let table = std::fs::read_to_string(super::TABLE).expect("every Linux has it");
        let users: Vec<u32> = table
            .lines()
            .filter_map(|line| user_of(line, peer, port))
            .collect();
        assert_eq!(users, [rustix::process::geteuid().as_raw()]);
        assert!(table.lines().all(|line| user_of(line, peer, port ^ 1).is_none()));
    }

    #[test]
    fn lines_that_are_none_say_nothing() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 0x1f90));
        let line = "   1: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 12345";
        assert_eq!(user_of(line, peer, 0x50), Some(1000));
        for line in [
            "",
            "sl local_address rem_address",
            "1: zz:1F90 0100007F:0050 01 a b c 1000",
            "1: 0100007F:1F90 0100007F:0050 01 a b c many",
        ] {
            assert_eq!(user_of(line, peer, 0x50), None, "{line}");
        }
    }
}

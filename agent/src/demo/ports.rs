//! Ports for the demo: the usual ones, or the next free when those are taken.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// A port on loopback that is free for TCP and UDP now: `wanted`, or one the system picks. Says which.
pub(super) fn free(name: &str, wanted: u16, taken: &mut Vec<u16>) -> std::io::Result<u16> {
    let is_free = |port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    };
    if wanted != 0 && !taken.contains(&wanted) && is_free(wanted) {
        taken.push(wanted);
        return Ok(wanted);
    }
    for _ in 0..64 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if !taken.contains(&port) && is_free(port) {
            taken.push(port);
            if wanted != 0 {
                super::progress::note(&format!("port {wanted} is in use; {name} takes {port}"));
            }
            return Ok(port);
        }
    }
    Err(std::io::Error::other(format!("no free port for {name}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_passed_over() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let mut taken = Vec::new();
        let other = free("test", port, &mut taken).unwrap();
        assert_ne!(other, port);
        assert_ne!(free("test", other, &mut taken).unwrap(), other);
    }
}

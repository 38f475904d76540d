//! A network of the bench's own, loopback and nothing else, and mounts of its own.
//!
//! The probes ask for names and addresses that the host's network has no business
//! with, and for ports that something else may have. What is mounted ends with the bench, however that ends.

/// Leaves the host's mounts, where root may. Must be called while there is one thread.
pub fn enter_own_mounts() {
    // SAFETY: unshare(2) takes a number; mount(2) is given strings that end, or nothing.
    let failed = unsafe {
        libc::unshare(libc::CLONE_NEWNS) < 0
            || libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) < 0
    };
    if failed {
        eprintln!("only root has mounts of its own: {}", std::io::Error::last_os_error());
    }
}

/// Leaves the network that the calling thread is in, where root may: for itself, and for what it starts.
///
/// Whether it could. Where not, the host's own is used, and that is said: names that nobody knows are then
/// asked of the host's name server.
pub fn enter_own_network() -> bool {
    // SAFETY: unshare(2) takes a number, and this one concerns the calling thread alone.
    let left = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
    if !left {
        eprintln!("only root has a network of its own: the probes use the host's");
        return false;
    }
    let raised = raise_loopback();
    if let Err(error) = &raised {
        eprintln!("loopback cannot be brought up: {error}");
    }
    raised.is_ok()
}

fn raise_loopback() -> std::io::Result<()> {
    // SAFETY: plain system calls on a socket of our own; `request` is a whole ifreq, and zeros are valid in it.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let done = libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request);
        let error = std::io::Error::last_os_error();
        libc::close(socket);
        if done < 0 {
            return Err(error);
        }
    }
    Ok(())
}

//! Calls on sockets.

use super::syscall;
use crate::errno::Errno;

/// getsockopt(2) of a number at the level of the socket itself.
pub fn socket_option(socket: i32, option: i32) -> Result<i32, Errno> {
    let (mut value, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
    let at = [&raw mut value as usize, &raw mut len as usize];
    let args = [socket as usize, libc::SOL_SOCKET as usize, option as usize, at[0], at[1], 0];
    // SAFETY: the kernel writes no more than the number.
    unsafe { syscall(libc::SYS_getsockopt, args) }.map(|_| value)
}

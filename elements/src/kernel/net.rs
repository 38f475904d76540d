//! Calls on sockets.

use super::syscall;
use crate::errno::Errno;

/// getsockopt(2) of a number at the level of the socket itself.
pub fn socket_option(socket: i32, option: i32) -> Result<i32, Errno> {
    number_of_socket(socket, libc::SOL_SOCKET, option)
}

/// getsockopt(2) of a number at a level.
pub fn number_of_socket(socket: i32, level: i32, option: i32) -> Result<i32, Errno> {
    let (mut value, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
    let at = [&raw mut value as usize, &raw mut len as usize];
    let args = [socket as usize, level as usize, option as usize, at[0], at[1], 0];
    // SAFETY: the kernel writes no more than the number.
    unsafe { syscall(libc::SYS_getsockopt, args) }.map(|_| value)
}

/// setsockopt(2) of a number.
pub fn set_socket_option(socket: i32, level: i32, option: i32, value: i32) -> Result<(), Errno> {
    let at = &raw const value as usize;
    let args = [socket as usize, level as usize, option as usize, at, size_of::<i32>(), 0];
    // SAFETY: the kernel reads the number.
    unsafe { syscall(libc::SYS_setsockopt, args) }.map(|_| ())
}

/// A number that no other socket has had or will have while the kernel runs: `SO_COOKIE` of socket(7).
pub fn socket_cookie(socket: i32) -> Result<u64, Errno> {
    const SO_COOKIE: usize = 57;
    let (mut value, mut len) = (0_u64, size_of::<u64>() as libc::socklen_t);
    let at = [&raw mut value as usize, &raw mut len as usize];
    let args = [socket as usize, libc::SOL_SOCKET as usize, SO_COOKIE, at[0], at[1], 0];
    // SAFETY: the kernel writes no more than the number.
    unsafe { syscall(libc::SYS_getsockopt, args) }.map(|_| value)
}

/// getsockname(2) or getpeername(2): how long the address is that is put into `bytes`.
pub fn name_of_socket(number: i64, socket: i32, bytes: &mut [u8; 128]) -> Result<usize, Errno> {
    let mut len = bytes.len() as libc::socklen_t;
    let args = [socket as usize, bytes.as_mut_ptr() as usize, &raw mut len as usize, 0, 0, 0];
    // SAFETY: the kernel writes no more than there is room for.
    unsafe { syscall(number, args) }.map(|_| len as usize)
}

/// socket(2) of the protocol that is usual for the family and the type.
pub fn socket(family: i32, kind: i32) -> Result<i32, Errno> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_socket, [family as usize, kind as usize, 0, 0, 0, 0]) }.map(|fd| fd as i32)
}

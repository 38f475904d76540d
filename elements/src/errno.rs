//! Error numbers, as the kernel gives them.

/// A Linux error number: positive, see errno(3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(
    /// The number.
    pub i32,
);

macro_rules! names {
    ($($name:ident)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`, see errno(3).")] pub const $name: Errno = Errno(libc::$name);)*
        }
    };
}

names! {
    E2BIG EACCES EAGAIN EBADF EBUSY EEXIST EFAULT EFBIG EINTR EINVAL EIO EISDIR ELOOP EMFILE EMLINK ENAMETOOLONG ENODATA ENODEV
    ENOENT ENOEXEC ENOMEM ENOSPC ENOSYS ENOTDIR ENOTEMPTY ENOTTY ENXIO EOPNOTSUPP EPERM ERANGE EROFS ESRCH ESTALE EXDEV
}

impl Errno {
    /// Splits a system call's raw return value into value and error.
    #[inline]
    pub fn result(raw: usize) -> Result<usize, Errno> {
        // The kernel keeps the last page of the number range for errors.
        if raw > usize::MAX - 4095 { Err(Errno((raw as isize).wrapping_neg() as i32)) } else { Ok(raw) }
    }
}

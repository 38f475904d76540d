//! The system calls that the elements answer.
//!
//! One table gives the gate's filter its numbers, and both doors their answers:
//! the gate for every call, the shim for those that go through syscall(2). A
//! line names the call, when the elements have a say in it (so that the gate's
//! filter lets the rest through), and the element's function. A new call of an
//! element is one more line.

use crate::files;
use crate::identity::credentials::{self, Scope, Whom};
use crate::identity::links;
use crate::ipc::{self, Kind};
use crate::kernel::{self, AT_FDCWD, OpenHow};
use crate::network::{LEVELS, Name};
use crate::process::exec::{self, Door, RunsAs};
use crate::time::{self, wait};
use crate::{Answer, Errno, Instance, user};

mod first;
mod sockets;

pub use first::FirstLook;

/// A call's arguments.
pub type Args = [usize; 6];

/// When the elements have a say in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Always.
    Always,
    /// Where the argument with this number is not null.
    NotNull(u32),
    /// Where the lower half of the argument with this number is one of these.
    Is(u32, &'static [u32]),
    /// Where the argument with this number has none of these bits.
    Without(u32, u32),
    /// Always, where a trace tells what name servers are asked.
    Traced,
}

use When::{Always, Is, NotNull, Traced};

impl When {
    /// Whether the elements have a say in a call with these arguments.
    #[inline]
    pub fn holds(self, args: &Args) -> bool {
        let word = |index: u32| args.get(index as usize).copied().unwrap_or(0);
        match self {
            Always | Traced => true,
            NotNull(index) => word(index) != 0,
            Is(index, values) => values.contains(&(word(index) as u32)),
            When::Without(index, bits) => word(index) as u32 & bits == 0,
        }
    }
}

macro_rules! calls {
    ($($number:ident $when:expr => $answer:expr;)*) => {
        /// The calls' numbers, and when the elements have a say.
        pub const CALLS: &[(u32, When)] = &[$((libc::$number as u32, $when)),*];

        impl Instance<'_> {
            /// Answers a call that has come in by a door, whatever it is.
            pub fn call(&self, door: &Door<'_>, number: i64, args: &Args) -> Answer {
                match number {
                    $(libc::$number if $when.holds(args) => {
                        // Apart, so that each call takes the stack that it needs
                        // itself: a page that is touched for the first time is dear.
                        #[inline(never)]
                        fn answer(instance: &Instance<'_>, door: &Door<'_>, args: &Args) -> Answer {
                            let answer: fn(&Instance<'_>, Door<'_>, Args) -> Answer = $answer;
                            answer(instance, *door, *args)
                        }
                        answer(self, door, args)
                    })*
                    _ => Answer::Pass,
                }
            }
        }
    };
}

calls! {
    SYS_open Always => |i, _, [path, flags, mode, ..]| open(i, AT_FDCWD, path, flags, mode);
    SYS_openat Always => |i, _, [dir, path, flags, mode, ..]| open(i, dir as i32, path, flags, mode);
    SYS_creat Always => |i, _, [path, mode, ..]| open(i, AT_FDCWD, path, CREAT as usize, mode);
    SYS_openat2 Always => |i, _, [dir, path, how, size, ..]| openat2(i, dir as i32, path, how, size);
    SYS_stat Always => |i, _, args @ [path, buf, ..]| i.told_of_file(libc::SYS_stat, args, i.stat_shown(AT_FDCWD, p(path), buf as *mut _, 0));
    SYS_lstat Always => |i, _, args @ [path, buf, ..]| i.told_of_file(libc::SYS_lstat, args, i.stat_shown(AT_FDCWD, p(path), buf as *mut _, libc::AT_SYMLINK_NOFOLLOW));
    SYS_newfstatat Always => |i, _, args @ [dir, path, buf, flags, ..]| i.told_of_file(libc::SYS_newfstatat, args, i.stat_shown(dir as i32, p(path), buf as *mut _, flags as i32));
    SYS_fstat Always => |i, _, args @ [fd, buf, ..]| i.told_of_file(libc::SYS_fstat, args, i.fstat_shown(fd as i32, buf as *mut _));
    SYS_statx Always => |i, _, args @ [dir, path, flags, mask, buf, _]| i.told_of_file(libc::SYS_statx, args, i.statx_shown(dir as i32, p(path), flags as i32, mask as u32, buf as *mut _));
    SYS_access Always => |i, _, [path, mode, ..]| i.access_shown(AT_FDCWD, p(path), mode as i32, 0);
    SYS_faccessat Always => |i, _, [dir, path, mode, ..]| i.access_shown(dir as i32, p(path), mode as i32, 0);
    SYS_faccessat2 Always => |i, _, [dir, path, mode, flags, ..]| i.access_shown(dir as i32, p(path), mode as i32, flags as i32);
    SYS_readlink Always => |i, _, [path, buf, size, ..]| i.readlinkat(AT_FDCWD, p(path), buf as *mut u8, int(size));
    SYS_readlinkat Always => |i, _, [dir, path, buf, size, ..]| i.readlinkat(dir as i32, p(path), buf as *mut u8, int(size));
    SYS_statfs Always => |i, _, [path, buf, ..]| i.look(libc::SYS_statfs, p(path), true, [buf, 0, 0]);
    SYS_getxattr Always => |i, _, [path, a, b, c, ..]| i.look(libc::SYS_getxattr, p(path), true, [a, b, c]);
    SYS_lgetxattr Always => |i, _, [path, a, b, c, ..]| i.look(libc::SYS_lgetxattr, p(path), false, [a, b, c]);
    SYS_listxattr Always => |i, _, [path, a, b, ..]| i.look(libc::SYS_listxattr, p(path), true, [a, b, 0]);
    SYS_llistxattr Always => |i, _, [path, a, b, ..]| i.look(libc::SYS_llistxattr, p(path), false, [a, b, 0]);
    SYS_inotify_add_watch Always => |i, _, [fd, path, mask, ..]| i.inotify_add_watch(fd as i32, p(path), mask as u32);
    SYS_name_to_handle_at Always => |i, _, [dir, path, handle, id, flags, _]| i.name_to_handle_at(dir as i32, p(path), [handle, id], flags as i32);
    SYS_fanotify_mark NotNull(4) => |i, _, [fd, flags, mask, dir, path, _]| i.fanotify_mark(fd as i32, flags as u32, mask as u64, dir as i32, p(path));

    SYS_mkdir Always => |i, _, [path, mode, ..]| i.mkdirat(AT_FDCWD, p(path), mode as u32);
    SYS_mkdirat Always => |i, _, [dir, path, mode, ..]| i.mkdirat(dir as i32, p(path), mode as u32);
    SYS_mknod Always => |i, _, [path, mode, dev, ..]| i.mknodat(AT_FDCWD, p(path), mode as u32, dev as u64);
    SYS_mknodat Always => |i, _, [dir, path, mode, dev, ..]| i.mknodat(dir as i32, p(path), mode as u32, dev as u64);
    SYS_symlink Always => |i, _, [target, path, ..]| i.symlinkat(p(target), AT_FDCWD, p(path));
    SYS_symlinkat Always => |i, _, [target, dir, path, ..]| i.symlinkat(p(target), dir as i32, p(path));
    SYS_link Always => |i, _, [old, new, ..]| i.linkat((AT_FDCWD, p(old)), (AT_FDCWD, p(new)), 0);
    SYS_linkat Always => |i, _, [a, old, b, new, flags, _]| i.linkat((a as i32, p(old)), (b as i32, p(new)), flags as i32);
    SYS_unlink Always => |i, _, [path, ..]| i.unlinkat(AT_FDCWD, p(path), 0);
    SYS_unlinkat Always => |i, _, [dir, path, flags, ..]| i.unlinkat(dir as i32, p(path), flags as i32);
    SYS_rmdir Always => |i, _, [path, ..]| i.unlinkat(AT_FDCWD, p(path), libc::AT_REMOVEDIR);
    SYS_rename Always => |i, _, [old, new, ..]| i.renameat2((AT_FDCWD, p(old)), (AT_FDCWD, p(new)), 0);
    SYS_renameat Always => |i, _, [a, old, b, new, ..]| i.renameat2((a as i32, p(old)), (b as i32, p(new)), 0);
    SYS_renameat2 Always => |i, _, [a, old, b, new, flags, _]| i.renameat2((a as i32, p(old)), (b as i32, p(new)), flags as u32);
    SYS_chmod Always => |i, _, [path, mode, ..]| i.fchmodat(AT_FDCWD, p(path), mode as u32, 0);
    SYS_fchmodat Always => |i, _, [dir, path, mode, ..]| i.fchmodat(dir as i32, p(path), mode as u32, 0);
    SYS_fchmodat2 Always => |i, _, [dir, path, mode, flags, ..]| i.fchmodat(dir as i32, p(path), mode as u32, flags as i32);
    SYS_chown Always => |i, _, [path, uid, gid, ..]| i.fchownat(AT_FDCWD, p(path), uid as u32, gid as u32, 0);
    SYS_lchown Always => |i, _, [path, uid, gid, ..]| i.fchownat(AT_FDCWD, p(path), uid as u32, gid as u32, libc::AT_SYMLINK_NOFOLLOW);
    SYS_fchownat Always => |i, _, [dir, path, uid, gid, flags, _]| i.fchownat(dir as i32, p(path), uid as u32, gid as u32, flags as i32);
    SYS_utimes Always => |i, _, [path, times, ..]| i.futimesat(AT_FDCWD, p(path), times as *const _);
    SYS_futimesat Always => |i, _, [dir, path, times, ..]| if path == 0 { i.set_times_by_descriptor(libc::SYS_futimesat, dir as i32, times) } else { i.futimesat(dir as i32, p(path), times as *const _) };
    SYS_utimensat Always => |i, _, [dir, path, times, flags, ..]| if path == 0 { i.set_times_by_descriptor(libc::SYS_utimensat, dir as i32, times) } else { i.utimensat(dir as i32, p(path), times as *const _, flags as i32) };
    SYS_fchmod Always => |i, _, args| i.modify_by_descriptor(libc::SYS_fchmod, args);
    SYS_fchown Always => |i, _, args| i.modify_by_descriptor(libc::SYS_fchown, args);
    SYS_fsetxattr Always => |i, _, args| i.modify_by_descriptor(libc::SYS_fsetxattr, args);
    SYS_fremovexattr Always => |i, _, args| i.modify_by_descriptor(libc::SYS_fremovexattr, args);
    SYS_fgetxattr Always => |i, _, args| i.look_at_attributes_by_descriptor(libc::SYS_fgetxattr, args);
    SYS_flistxattr Always => |i, _, args| i.look_at_attributes_by_descriptor(libc::SYS_flistxattr, args);
    SYS_fsync Always => |i, _, [fd, ..]| i.fsync(fd as i32);
    SYS_fdatasync Always => |i, _, [fd, ..]| i.fsync(fd as i32);
    SYS_utime Always => |i, _, [path, times, ..]| utime(i, path, times);
    SYS_truncate Always => |i, _, [path, len, ..]| i.alter(libc::SYS_truncate, p(path), true, [len, 0, 0, 0]);
    SYS_setxattr Always => |i, _, [path, a, b, c, d, _]| i.alter(libc::SYS_setxattr, p(path), true, [a, b, c, d]);
    SYS_lsetxattr Always => |i, _, [path, a, b, c, d, _]| i.alter(libc::SYS_lsetxattr, p(path), false, [a, b, c, d]);
    SYS_removexattr Always => |i, _, [path, a, ..]| i.alter(libc::SYS_removexattr, p(path), true, [a, 0, 0, 0]);
    SYS_lremovexattr Always => |i, _, [path, a, ..]| i.alter(libc::SYS_lremovexattr, p(path), false, [a, 0, 0, 0]);

    SYS_chdir Always => |i, _, [path, ..]| i.chdir(p(path));
    SYS_chroot Always => |i, _, [path, ..]| i.chroot(p(path));
    SYS_mount Always => |i, _, [source, target, kind, flags, data, _]| i.remounting(|| i.mount([source, target, kind, flags, data]));
    SYS_umount2 Always => |i, _, [target, flags, ..]| i.remounting(|| i.umount(p(target), flags as i32));
    SYS_pivot_root Always => |i, _, [new_root, put_old, ..]| i.remounting(|| i.pivot_root(p(new_root), p(put_old)));
    SYS_open_tree Always => |i, _, [dir, path, flags, ..]| i.open_tree((dir as i32, p(path)), flags as u32);
    SYS_move_mount Always => |i, _, [dir, from, other, to, flags, _]| i.remounting(|| i.move_mount((dir as i32, p(from)), (other as i32, p(to)), flags as u32));
    SYS_fspick Always => |i, _, [dir, path, flags, ..]| i.at_mount(libc::SYS_fspick, (dir as i32, p(path)), flags as u32, [flags, 0, 0]);
    SYS_mount_setattr Always => |i, _, [dir, path, flags, attributes, size, _]| i.at_mount(libc::SYS_mount_setattr, (dir as i32, p(path)), flags as u32, [flags, attributes, size]);
    SYS_swapon Always => |i, _, [path, flags, ..]| i.at_kernels_file(libc::SYS_swapon, p(path), flags);
    SYS_swapoff Always => |i, _, [path, ..]| i.at_kernels_file(libc::SYS_swapoff, p(path), 0);
    SYS_acct Always => |i, _, [path, ..]| i.at_kernels_file(libc::SYS_acct, p(path), 0);
    SYS_fchdir Always => |i, _, [fd, ..]| i.fchdir(fd as i32);
    SYS_getcwd Always => |i, _, [buf, size, ..]| i.getcwd(buf as *mut u8, size);
    SYS_getdents64 Always => |i, _, [fd, buf, size, ..]| i.getdents64(fd as i32, buf as *mut u8, size);
    SYS_dup Always => |_, _, args| duplicate(libc::SYS_dup, args);
    SYS_dup2 Always => |_, _, args| duplicate(libc::SYS_dup2, args);
    SYS_dup3 Always => |_, _, args| duplicate(libc::SYS_dup3, args);
    SYS_fcntl Is(1, DUPLICATES) => |_, _, args| duplicate(libc::SYS_fcntl, args);
    SYS_unshare Always => |_, _, [flags, ..]| unshare(flags);
    SYS_setns Always => |_, _, _| setns();

    SYS_bind NotNull(1) => |i, _, [fd, address, len, ..]| i.bind(fd as i32, p(address), len as u32 as usize);
    SYS_connect NotNull(1) => |i, _, [fd, address, len, ..]| i.connect(fd as i32, p(address), len as u32 as usize);
    SYS_sendto Always => |i, _, args| sockets::sendto(i, args);
    SYS_sendmsg Always => |i, _, args| sockets::sendmsg(i, args);
    SYS_sendmmsg Always => |i, _, args| sockets::sendmmsg(i, args);
    SYS_getsockname Always => |i, _, args| sockets::gives_address(i, libc::SYS_getsockname, args, Name::Own);
    SYS_getpeername Always => |i, _, args| sockets::gives_address(i, libc::SYS_getpeername, args, Name::Peer);
    SYS_recvfrom Always => |i, _, args| sockets::recvfrom(i, args);
    SYS_accept Always => |i, _, args| sockets::accept(i, libc::SYS_accept, args);
    SYS_accept4 Always => |i, _, args| sockets::accept(i, libc::SYS_accept4, args);
    SYS_recvmsg Always => |i, _, args| sockets::recvmsg(i, args);
    SYS_recvmmsg Always => |i, _, args| sockets::recvmmsg(i, args);
    SYS_read Traced => |i, _, args| sockets::read(i, libc::SYS_read, args);
    SYS_readv Traced => |i, _, args| sockets::read(i, libc::SYS_readv, args);
    SYS_write Traced => |i, _, args| sockets::write(i, libc::SYS_write, args);
    SYS_writev Traced => |i, _, args| sockets::write(i, libc::SYS_writev, args);

    SYS_setsockopt Is(1, LEVELS) => |i, _, args| i.setsockopt(args);
    SYS_shmget Always => |i, _, args| i.get_by_key(Kind::Memory, libc::SYS_shmget, args, args[2]);
    SYS_semget Always => |i, _, args| i.get_by_key(Kind::Semaphores, libc::SYS_semget, args, args[2]);
    SYS_msgget Always => |i, _, args| i.get_by_key(Kind::Queue, libc::SYS_msgget, args, args[1]);
    SYS_shmctl Always => |i, _, args| i.control(Kind::Memory, libc::SYS_shmctl, args, args[1], args[2]);
    SYS_semctl Always => |i, _, args| i.control(Kind::Semaphores, libc::SYS_semctl, args, args[2], args[3]);
    SYS_msgctl Always => |i, _, args| i.control(Kind::Queue, libc::SYS_msgctl, args, args[1], args[2]);
    SYS_mq_open Always => |i, _, [name, flags, mode, attributes, ..]| i.mq_open(p(name), flags as i32, mode, attributes);
    SYS_mq_unlink Always => |i, _, [name, ..]| i.mq_unlink(p(name));

    SYS_ioctl Is(1, links::NAMED) => |i, _, [fd, request, argument, ..]| i.ioctl(fd as i32, request as _, argument);
    SYS_sched_getaffinity Always => |i, _, [process, size, mask, ..]| i.sched_getaffinity(process as i32, size as u32 as usize, mask as *mut u8);
    SYS_sched_setaffinity Always => |i, _, [process, size, mask, ..]| i.sched_setaffinity(process as i32, size as u32 as usize, p(mask));
    SYS_sysinfo Always => |i, _, [info, ..]| i.sysinfo(info as *mut _);
    SYS_uname Always => |i, _, [buf, ..]| i.uname(buf as *mut _);
    SYS_sethostname Always => |i, _, [name, len, ..]| i.sethostname(p(name), len);
    SYS_setdomainname Always => |i, _, [name, len, ..]| i.setdomainname(p(name), len);

    SYS_clock_gettime Is(0, time::DATES) => |i, _, [clock, to, ..]| i.clock_gettime(clock as i32, to as *mut _);
    SYS_gettimeofday Always => |i, _, [to, zone, ..]| i.gettimeofday(to as *mut _, zone as *mut _);
    SYS_time Always => |i, _, [to, ..]| i.time(to as *mut _);
    SYS_clock_settime Is(0, &[libc::CLOCK_REALTIME as u32]) => |i, _, [_, to, ..]| i.clock_settime(to as *const _);
    SYS_settimeofday Always => |i, _, [to, zone, ..]| i.settimeofday(to as *const _, zone);
    SYS_adjtimex Always => |i, _, [about, ..]| i.adjtimex(about as *mut _);
    SYS_clock_adjtime Is(0, &[libc::CLOCK_REALTIME as u32]) => |i, _, [_, about, ..]| i.adjtimex(about as *mut _);
    SYS_clock_nanosleep Is(1, wait::ABSOLUTE) => |i, _, args| i.wait_until(libc::SYS_clock_nanosleep, args, args[0] as i32, 2);
    SYS_futex Is(1, wait::FUTEX) => |i, _, args| i.wait_until(libc::SYS_futex, args, libc::CLOCK_REALTIME, 3);
    SYS_futex_waitv Is(4, &[libc::CLOCK_REALTIME as u32]) => |i, _, args| i.wait_until(libc::SYS_futex_waitv, args, libc::CLOCK_REALTIME, 3);
    SYS_mq_timedsend NotNull(4) => |i, _, args| i.wait_until(libc::SYS_mq_timedsend, args, libc::CLOCK_REALTIME, 4);
    SYS_mq_timedreceive NotNull(4) => |i, _, args| i.wait_until(libc::SYS_mq_timedreceive, args, libc::CLOCK_REALTIME, 4);
    SYS_timer_create Always => |i, _, args| i.timer_create(args);
    SYS_timer_settime Is(1, wait::ABSOLUTE) => |i, _, args| i.timer_settime(args);
    SYS_timerfd_settime Is(1, wait::ABSOLUTE_TIMERFD) => |i, _, args| i.timerfd_settime(args);

    // Its requests would pass all of this by.
    SYS_io_uring_setup Always => |_, _, _| Answer::fail(Errno::ENOSYS);
    SYS_getuid Always => |i, _, _| i.real_id(Whom::User);
    SYS_geteuid Always => |i, _, _| i.effective_id(Whom::User);
    SYS_getgid Always => |i, _, _| i.real_id(Whom::Group);
    SYS_getegid Always => |i, _, _| i.effective_id(Whom::Group);
    SYS_getresuid Always => |i, _, [a, b, c, ..]| i.three_ids(Whom::User, [a, b, c].map(|to| to as *mut u32));
    SYS_getresgid Always => |i, _, [a, b, c, ..]| i.three_ids(Whom::Group, [a, b, c].map(|to| to as *mut u32));
    SYS_getgroups Always => |i, _, [room, to, ..]| i.getgroups(room as i32, to as *mut u32);
    SYS_setuid Always => |i, _, [id, ..]| i.set_id(Scope::Thread, Whom::User, id as u32);
    SYS_setgid Always => |i, _, [id, ..]| i.set_id(Scope::Thread, Whom::Group, id as u32);
    SYS_setreuid Always => |i, _, [real, effective, ..]| i.set_two_ids(Scope::Thread, Whom::User, real as u32, effective as u32);
    SYS_setregid Always => |i, _, [real, effective, ..]| i.set_two_ids(Scope::Thread, Whom::Group, real as u32, effective as u32);
    SYS_setresuid Always => |i, _, [a, b, c, ..]| i.set_three_ids(Scope::Thread, Whom::User, [a, b, c].map(|id| id as u32));
    SYS_setresgid Always => |i, _, [a, b, c, ..]| i.set_three_ids(Scope::Thread, Whom::Group, [a, b, c].map(|id| id as u32));
    SYS_setfsuid Always => |i, _, [id, ..]| i.set_files_id(Whom::User, id as u32);
    SYS_setfsgid Always => |i, _, [id, ..]| i.set_files_id(Whom::Group, id as u32);
    SYS_setgroups Always => |i, _, [count, from, ..]| i.setgroups(Scope::Thread, count as i32, from as *const u32);
    SYS_capget Always => |i, _, [header, data, ..]| i.capget(header as *mut u8, data as *mut u8);
    SYS_capset Always => |i, _, [header, data, ..]| i.capset(header as *mut u8, p(data));
    SYS_prctl Is(0, PRCTL) => |i, _, [option, a, b, c, d, _]| i.prctl(option as i32, a, b, [c, d]);
    SYS_kill Always => |i, _, [process, signal, ..]| i.kill(process as i32, signal as i32);
    SYS_tkill Always => |i, _, [process, signal, ..]| i.may_signal(process as i32, signal as i32);
    SYS_tgkill Always => |i, _, [process, _, signal, ..]| i.may_signal(process as i32, signal as i32);
    SYS_rt_sigqueueinfo Always => |i, _, [process, signal, ..]| i.may_signal(process as i32, signal as i32);
    SYS_rt_tgsigqueueinfo Always => |i, _, [process, _, signal, ..]| i.may_signal(process as i32, signal as i32);
    SYS_pidfd_send_signal Always => |i, _, [file, signal, ..]| i.pidfd_send_signal(file as i32, signal as i32);
    SYS_waitid NotNull(2) => |i, _, args| i.waitid(args);

    SYS_getsockopt Always => |i, _, args| i.getsockopt(args);

    SYS_execve Always => |i, d, [path, argv, envp, ..]| execveat(i, d, [AT_FDCWD as usize, path, argv, envp, 0, 0]);
    SYS_execveat Always => |i, d, args| execveat(i, d, args);
}

impl Instance<'_> {
    /// When the elements have a say in a call of the table under this view, if they may
    /// have any: a door need not bring them what only other policies ask for.
    pub fn when(&self, number: u32, when: When) -> Option<When> {
        let names = || self.view.identity().is_some_and(|identity| identity.has_names());
        match i64::from(number) {
            libc::SYS_uname | libc::SYS_sethostname | libc::SYS_setdomainname => names().then_some(when),
            libc::SYS_sched_getaffinity | libc::SYS_sched_setaffinity => self.cpus().map(|_| when),
            libc::SYS_sysinfo => (self.view.memory() != 0).then_some(when),
            libc::SYS_prctl if !self.plays() => Some(Is(0, SECCOMP)),
            libc::SYS_fstat => {
                (self.has_unions() || self.plays() || self.file_clock().is_some()).then_some(when)
            }
            // Whom root becomes is let into its image, and whoever becomes another may search other directories.
            number if changes_credentials(number) && self.has_unions() => Some(when),
            libc::SYS_setns => self.has_unions().then_some(when),
            _ if of_credentials(i64::from(number)) && !self.plays() => None,
            libc::SYS_ioctl if self.view.has_link_names() => Some(when),
            libc::SYS_ioctl => self.view.has_links().then_some(Is(1, links::REQUESTS)),
            libc::SYS_sendto | libc::SYS_recvfrom if self.tells_of_queries() => Some(Always),
            _ if when == Traced => self.tells_of_queries().then_some(Always),
            // Without other names, there is nothing to change but an address.
            libc::SYS_sendto if !self.view.has_link_names() => Some(NotNull(4)),
            libc::SYS_setsockopt => self.view.leads_to_unix().then_some(when),
            libc::SYS_getsockopt => match (self.view.leads_to_unix(), self.plays()) {
                (true, _) => Some(when),
                (false, true) => Some(Is(2, &[libc::SO_PEERCRED as u32, libc::SO_PEERNAME as u32])),
                (false, false) => Some(Is(2, &[libc::SO_PEERNAME as u32])),
            },
            number if ipc::CALLS.contains(&number) => self.own_names().map(|_| when),
            number if time::CALLS.contains(&number) => self.view.has_time().then_some(when),
            libc::SYS_fgetxattr | libc::SYS_flistxattr => (self.has_unions() || self.plays()).then_some(when),
            // Without links, there is nothing to change but an address.
            libc::SYS_recvfrom if !self.view.has_links() => Some(NotNull(4)),
            _ => Some(when),
        }
    }
}

/// What of prctl(2) is a door's own business.
pub const SECCOMP: &[u32] = &[libc::PR_GET_SECCOMP as u32, libc::PR_SET_SECCOMP as u32];

/// The options of prctl(2) that a door has a say in.
const PRCTL: &[u32] = &{
    let mut all = [0; SECCOMP.len() + credentials::OPTIONS.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] =
            if index < SECCOMP.len() { SECCOMP[index] } else { credentials::OPTIONS[index - SECCOMP.len()] };
        index += 1;
    }
    all
};

/// Whether a call gives a process other credentials.
fn changes_credentials(number: i64) -> bool {
    matches!(
        number,
        libc::SYS_setuid
            | libc::SYS_setgid
            | libc::SYS_setreuid
            | libc::SYS_setregid
            | libc::SYS_setresuid
            | libc::SYS_setresgid
            | libc::SYS_setfsuid
            | libc::SYS_setfsgid
            | libc::SYS_setgroups
            | libc::SYS_capset
    )
}

/// Whether a call is about credentials alone.
fn of_credentials(number: i64) -> bool {
    let asks = matches!(
        number,
        libc::SYS_getuid
            | libc::SYS_geteuid
            | libc::SYS_getgid
            | libc::SYS_getegid
            | libc::SYS_getresuid
            | libc::SYS_getresgid
            | libc::SYS_getgroups
            | libc::SYS_capget
            | libc::SYS_kill
            | libc::SYS_tkill
            | libc::SYS_tgkill
            | libc::SYS_rt_sigqueueinfo
            | libc::SYS_rt_tgsigqueueinfo
            | libc::SYS_pidfd_send_signal
            | libc::SYS_waitid
            | libc::SYS_fstat
    );
    asks || changes_credentials(number)
}

const CREAT: i32 = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
const DUPLICATES: &[u32] = &[libc::F_DUPFD as u32, libc::F_DUPFD_CLOEXEC as u32];

fn p(path: usize) -> *const u8 {
    path as *const u8
}

/// A size that the kernel takes for an int.
fn int(size: usize) -> usize {
    size.min(i32::MAX as usize)
}

fn open(instance: &Instance<'_>, dirfd: i32, path: usize, flags: usize, mode: usize) -> Answer {
    let (path, flags) = (p(path), flags as i32);
    if instance.plays() {
        let call = |mode| match open_by_view(instance, (dirfd, path), flags, mode) {
            Answer::Done(done) => done,
            Answer::Pass => Err(Errno::ENOSYS),
        };
        return Answer::Done(instance.open_played((dirfd, path), flags, mode as u32, call));
    }
    open_by_view(instance, (dirfd, path), flags, mode as u32)
}

fn open_by_view(instance: &Instance<'_>, (dirfd, path): (i32, *const u8), flags: i32, mode: u32) -> Answer {
    opened_at_last(instance, instance.openat(dirfd, path, flags, mode), (dirfd, path), flags, mode)
}

/// Opens what an answer lets pass, and tells of it.
#[inline(always)]
fn opened_at_last(
    instance: &Instance<'_>,
    answer: Answer,
    (dirfd, path): (i32, *const u8),
    flags: i32,
    mode: u32,
) -> Answer {
    match answer {
        Answer::Pass => {
            let opened = kernel::openat(dirfd, path, flags, mode);
            if let Ok(fd) = opened {
                instance.opened(dirfd, path, flags, fd);
            }
            Answer::Done(opened.map(|fd| fd as usize))
        }
        done => done,
    }
}

fn openat2(instance: &Instance<'_>, dirfd: i32, path: usize, how: usize, size: usize) -> Answer {
    if size != size_of::<OpenHow>() || !user::is_readable(how as *const u8, size) {
        return Answer::Pass;
    }
    // SAFETY: the struct can be read.
    let how = unsafe { (how as *const OpenHow).read_unaligned() };
    if instance.plays() {
        let (flags, mode) = (how.flags as i32, how.mode as u32);
        let call = |mode: u32| {
            let how = OpenHow { flags: how.flags, mode: mode.into(), resolve: how.resolve };
            match instance.openat2(dirfd, p(path), &how) {
                Answer::Done(done) => done,
                Answer::Pass => kernel::openat2(dirfd, p(path), &how).map(|fd| fd as usize),
            }
        };
        return Answer::Done(instance.open_played((dirfd, p(path)), flags, mode, call));
    }
    instance.openat2(dirfd, p(path), &how)
}

fn utime(instance: &Instance<'_>, path: usize, times: usize) -> Answer {
    if times == 0 {
        return instance.utimensat(AT_FDCWD, p(path), core::ptr::null(), 0);
    }
    if !user::is_readable(times as *const u8, size_of::<libc::utimbuf>()) {
        return Answer::fail(Errno::EFAULT);
    }
    // SAFETY: the struct can be read.
    let times = unsafe { (times as *const libc::utimbuf).read_unaligned() };
    let spec = |seconds| libc::timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = [spec(times.actime), spec(times.modtime)];
    instance.utimensat(AT_FDCWD, p(path), times.as_ptr(), 0)
}

/// setns(2): in another namespace a process may be another, or find other mounts.
fn setns() -> Answer {
    files::forget_answers();
    Answer::Pass
}

/// unshare(2)
fn unshare(flags: usize) -> Answer {
    const SEPARATE: i32 = libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_NEWNS | libc::CLONE_NEWUSER;
    if flags as i32 & libc::CLONE_NEWUSER != 0 {
        files::forget_answers();
    }
    // SAFETY: numbers only.
    let done = unsafe { kernel::syscall(libc::SYS_unshare, [flags, 0, 0, 0, 0, 0]) };
    if done.is_ok() && flags as i32 & SEPARATE != 0 {
        files::disable_base_cache();
    }
    Answer::Done(done)
}

fn duplicate(number: i64, args: Args) -> Answer {
    // SAFETY: numbers only.
    let done = unsafe { kernel::syscall(number, args) };
    if let Ok(new) = done {
        files::note_duplicate(args[0] as i32, new as i32);
    }
    Answer::Done(done)
}

fn execveat(instance: &Instance<'_>, door: Door<'_>, [dirfd, path, argv, envp, flags, _]: Args) -> Answer {
    let start = exec::Start {
        dirfd: dirfd as i32,
        path: p(path),
        argv: argv as *const *const u8,
        envp: envp as *const *const u8,
        flags: flags as i32,
        script: core::ptr::null(),
        runs_as: RunsAs::default(),
    };
    Answer::fail(instance.execveat(door, &start))
}

/// Makes a call as it was asked: negative where it fails.
fn pass(number: i64, args: Args) -> isize {
    // SAFETY: the program's own arguments, for the kernel to judge.
    match unsafe { kernel::waiting_syscall(number, args) } {
        Ok(value) => value as isize,
        Err(errno) => -(errno.0 as isize),
    }
}

/// What a call returned, as an answer.
fn answered(done: isize) -> Answer {
    Answer::Done(Errno::result(done as usize))
}

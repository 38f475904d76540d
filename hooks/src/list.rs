//! The list itself. One line a function: family, manual page, name, aliases,
//! arguments as libc declares them on a 64-bit system.

/// Calls the macro `$with` with the whole list.
#[macro_export]
macro_rules! for_each_hook {
    ($with:ident) => {
        $with! {
            open "open(2)" fn open [open64 __open __open64] (path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            open "open(2)" fn openat [openat64] (dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            open "open(2)" fn creat [creat64] (path: *const c_char, mode: mode_t) -> c_int;
            open "open(2)" fn __open_2 [__open64_2] (path: *const c_char, flags: c_int) -> c_int;
            open "open(2)" fn __openat_2 [__openat64_2] (dirfd: c_int, path: *const c_char, flags: c_int) -> c_int;
            open "openat2(2)" fn openat2 [] (dirfd: c_int, path: *const c_char, how: *const c_void, size: size_t) -> c_int;

            stat "stat(2)" fn stat [stat64] (path: *const c_char, buf: *mut stat) -> c_int;
            stat "stat(2)" fn lstat [lstat64] (path: *const c_char, buf: *mut stat) -> c_int;
            stat "stat(2)" fn fstatat [fstatat64] (dirfd: c_int, path: *const c_char, buf: *mut stat, flags: c_int) -> c_int;
            stat "stat(2)" fn __xstat [__xstat64] (version: c_int, path: *const c_char, buf: *mut stat) -> c_int;
            stat "stat(2)" fn __lxstat [__lxstat64] (version: c_int, path: *const c_char, buf: *mut stat) -> c_int;
            stat "stat(2)" fn __fxstatat [__fxstatat64] (version: c_int, dirfd: c_int, path: *const c_char, buf: *mut stat, flags: c_int) -> c_int;
            stat "stat(2)" fn fstat [fstat64] (fd: c_int, buf: *mut stat) -> c_int;
            stat "stat(2)" fn __fxstat [__fxstat64] (version: c_int, fd: c_int, buf: *mut stat) -> c_int;
            stat "statx(2)" fn statx [] (dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, buf: *mut statx) -> c_int;
            stat "access(2)" fn access [] (path: *const c_char, mode: c_int) -> c_int;
            stat "access(2)" fn faccessat [] (dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
            stat "euidaccess(3)" fn euidaccess [eaccess] (path: *const c_char, mode: c_int) -> c_int;
            stat "readlink(2)" fn readlink [] (path: *const c_char, buf: *mut c_char, size: size_t) -> ssize_t;
            stat "readlink(2)" fn readlinkat [] (dirfd: c_int, path: *const c_char, buf: *mut c_char, size: size_t) -> ssize_t;
            stat "readlink(2)" fn __readlink_chk [] (path: *const c_char, buf: *mut c_char, size: size_t, room: size_t) -> ssize_t;
            stat "readlink(2)" fn __readlinkat_chk [] (dirfd: c_int, path: *const c_char, buf: *mut c_char, size: size_t, room: size_t) -> ssize_t;
            stat "statfs(2)" fn statfs [statfs64 __statfs] (path: *const c_char, buf: *mut statfs) -> c_int;
            stat "statvfs(3)" fn statvfs [statvfs64] (path: *const c_char, buf: *mut statvfs) -> c_int;
            stat "pathconf(3)" fn pathconf [] (path: *const c_char, name: c_int) -> c_long;
            stat "ftok(3)" fn ftok [] (path: *const c_char, project: c_int) -> key_t;
            stat "open_by_handle_at(2)" fn name_to_handle_at [] (dirfd: c_int, path: *const c_char, handle: *mut c_void, mount: *mut c_int, flags: c_int) -> c_int;

            xattr "getxattr(2)" fn getxattr [] (path: *const c_char, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t;
            xattr "getxattr(2)" fn lgetxattr [] (path: *const c_char, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t;
            xattr "listxattr(2)" fn listxattr [] (path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t;
            xattr "listxattr(2)" fn llistxattr [] (path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t;
            xattr "getxattr(2)" fn fgetxattr [] (fd: c_int, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t;
            xattr "listxattr(2)" fn flistxattr [] (fd: c_int, list: *mut c_char, size: size_t) -> ssize_t;
            xattr "setxattr(2)" fn setxattr [] (path: *const c_char, name: *const c_char, value: *const c_void, size: size_t, flags: c_int) -> c_int;
            xattr "setxattr(2)" fn lsetxattr [] (path: *const c_char, name: *const c_char, value: *const c_void, size: size_t, flags: c_int) -> c_int;
            xattr "removexattr(2)" fn removexattr [] (path: *const c_char, name: *const c_char) -> c_int;
            xattr "removexattr(2)" fn lremovexattr [] (path: *const c_char, name: *const c_char) -> c_int;

            change "mkdir(2)" fn mkdir [] (path: *const c_char, mode: mode_t) -> c_int;
            change "mkdir(2)" fn mkdirat [] (dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int;
            change "mkfifo(3)" fn mkfifo [] (path: *const c_char, mode: mode_t) -> c_int;
            change "mkfifo(3)" fn mkfifoat [] (dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int;
            change "mknod(2)" fn mknod [] (path: *const c_char, mode: mode_t, device: dev_t) -> c_int;
            change "mknod(2)" fn mknodat [] (dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int;
            change "mknod(2)" fn __xmknod [] (version: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int;
            change "mknod(2)" fn __xmknodat [] (version: c_int, dirfd: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int;
            change "symlink(2)" fn symlink [] (target: *const c_char, path: *const c_char) -> c_int;
            change "symlink(2)" fn symlinkat [] (target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int;
            change "link(2)" fn link [] (old: *const c_char, new: *const c_char) -> c_int;
            change "link(2)" fn linkat [] (old_dir: c_int, old: *const c_char, new_dir: c_int, new: *const c_char, flags: c_int) -> c_int;
            change "unlink(2)" fn unlink [] (path: *const c_char) -> c_int;
            change "unlink(2)" fn unlinkat [] (dirfd: c_int, path: *const c_char, flags: c_int) -> c_int;
            change "rmdir(2)" fn rmdir [] (path: *const c_char) -> c_int;
            change "remove(3)" fn remove [] (path: *const c_char) -> c_int;
            change "rename(2)" fn rename [] (old: *const c_char, new: *const c_char) -> c_int;
            change "rename(2)" fn renameat [] (old_dir: c_int, old: *const c_char, new_dir: c_int, new: *const c_char) -> c_int;
            change "rename(2)" fn renameat2 [] (old_dir: c_int, old: *const c_char, new_dir: c_int, new: *const c_char, flags: c_uint) -> c_int;
            change "chmod(2)" fn chmod [] (path: *const c_char, mode: mode_t) -> c_int;
            change "chmod(2)" fn lchmod [] (path: *const c_char, mode: mode_t) -> c_int;
            change "chmod(2)" fn fchmodat [] (dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int;
            change "chown(2)" fn chown [] (path: *const c_char, uid: uid_t, gid: gid_t) -> c_int;
            change "chown(2)" fn lchown [] (path: *const c_char, uid: uid_t, gid: gid_t) -> c_int;
            change "chown(2)" fn fchownat [] (dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int;
            change "utime(2)" fn utime [] (path: *const c_char, times: *const utimbuf) -> c_int;
            change "utimes(2)" fn utimes [] (path: *const c_char, times: *const timeval) -> c_int;
            change "lutimes(3)" fn lutimes [] (path: *const c_char, times: *const timeval) -> c_int;
            change "futimesat(2)" fn futimesat [] (dirfd: c_int, path: *const c_char, times: *const timeval) -> c_int;
            change "utimensat(2)" fn utimensat [] (dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int;
            change "truncate(2)" fn truncate [truncate64] (path: *const c_char, length: off_t) -> c_int;
            change "inotify_add_watch(2)" fn inotify_add_watch [] (fd: c_int, path: *const c_char, mask: c_uint) -> c_int;
            change "fanotify_mark(2)" fn fanotify_mark [] (fd: c_int, flags: c_uint, mask: u64, dirfd: c_int, path: *const c_char) -> c_int;

            protect "chmod(2)" fn fchmod [] (fd: c_int, mode: mode_t) -> c_int;
            protect "chown(2)" fn fchown [] (fd: c_int, uid: uid_t, gid: gid_t) -> c_int;
            protect "futimens(3)" fn futimens [] (fd: c_int, times: *const timespec) -> c_int;
            protect "futimes(3)" fn futimes [] (fd: c_int, times: *const timeval) -> c_int;
            protect "setxattr(2)" fn fsetxattr [] (fd: c_int, name: *const c_char, value: *const c_void, size: size_t, flags: c_int) -> c_int;
            protect "removexattr(2)" fn fremovexattr [] (fd: c_int, name: *const c_char) -> c_int;

            cwd "chdir(2)" fn chdir [] (path: *const c_char) -> c_int;
            cwd "chdir(2)" fn fchdir [] (fd: c_int) -> c_int;
            cwd "daemon(3)" fn daemon [] (keeps_directory: c_int, keeps_streams: c_int) -> c_int;
            cwd "getcwd(3)" fn getcwd [] (buf: *mut c_char, size: size_t) -> *mut c_char;
            cwd "getcwd(3)" fn __getcwd_chk [] (buf: *mut c_char, size: size_t, room: size_t) -> *mut c_char;
            cwd "getcwd(3)" fn getwd [] (buf: *mut c_char) -> *mut c_char;
            cwd "getcwd(3)" fn __getwd_chk [] (buf: *mut c_char, room: size_t) -> *mut c_char;
            cwd "getcwd(3)" fn get_current_dir_name [] () -> *mut c_char;
            cwd "realpath(3)" fn realpath [] (path: *const c_char, resolved: *mut c_char) -> *mut c_char;
            cwd "realpath(3)" fn __realpath_chk [] (path: *const c_char, resolved: *mut c_char, room: size_t) -> *mut c_char;
            cwd "canonicalize_file_name(3)" fn canonicalize_file_name [] (path: *const c_char) -> *mut c_char;

            dir "opendir(3)" fn opendir [] (path: *const c_char) -> *mut c_void;
            dir "opendir(3)" fn fdopendir [] (fd: c_int) -> *mut c_void;
            dir "readdir(3)" fn readdir [readdir64] (dir: *mut c_void) -> *mut c_void;
            dir "readdir_r(3)" fn readdir_r [readdir64_r] (dir: *mut c_void, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int;
            dir "closedir(3)" fn closedir [] (dir: *mut c_void) -> c_int;
            dir "dirfd(3)" fn dirfd [] (dir: *mut c_void) -> c_int;
            dir "rewinddir(3)" fn rewinddir [] (dir: *mut c_void);
            dir "telldir(3)" fn telldir [] (dir: *mut c_void) -> c_long;
            dir "seekdir(3)" fn seekdir [] (dir: *mut c_void, position: c_long);
            dir "getdents(2)" fn getdents64 [getdents] (fd: c_int, buf: *mut c_void, size: size_t) -> ssize_t;
            dir "getdirentries(3)" fn getdirentries [getdirentries64] (fd: c_int, buf: *mut c_void, size: size_t, base: *mut off_t) -> ssize_t;

            stdio "fopen(3)" fn fopen [fopen64 _IO_fopen] (path: *const c_char, mode: *const c_char) -> *mut c_void;
            stdio "getmntent(3)" fn setmntent [__setmntent] (path: *const c_char, mode: *const c_char) -> *mut c_void;
            stdio "fopen(3)" fn freopen [freopen64] (path: *const c_char, mode: *const c_char, stream: *mut c_void) -> *mut c_void;

            glob "scandir(3)" fn scandir [scandir64] (path: *const c_char, list: *mut *mut *mut dirent64, select: Option<unsafe extern "C" fn(*const dirent64) -> c_int>, compare: Option<unsafe extern "C" fn(*const c_void, *const c_void) -> c_int>) -> c_int;
            glob "scandir(3)" fn scandirat [scandirat64] (dirfd: c_int, path: *const c_char, list: *mut *mut *mut dirent64, select: Option<unsafe extern "C" fn(*const dirent64) -> c_int>, compare: Option<unsafe extern "C" fn(*const c_void, *const c_void) -> c_int>) -> c_int;
            glob "glob(3)" fn glob [glob64] (pattern: *const c_char, flags: c_int, on_error: *const c_void, found: *mut Glob) -> c_int;

            walk "ftw(3)" fn ftw [ftw64] (path: *const c_char, visit: unsafe extern "C" fn(*const c_char, *const stat, c_int) -> c_int, descriptors: c_int) -> c_int;
            walk "nftw(3)" fn nftw [nftw64] (path: *const c_char, visit: unsafe extern "C" fn(*const c_char, *const stat, c_int, *mut Ftw) -> c_int, descriptors: c_int, flags: c_int) -> c_int;

            fts "fts(3)" fn fts_open [fts64_open] (paths: *const *const c_char, options: c_int, compare: Option<unsafe extern "C" fn(*const c_void, *const c_void) -> c_int>) -> *mut Fts;
            fts "fts(3)" fn fts_read [fts64_read] (tree: *mut Fts) -> *mut Ftsent;
            fts "fts(3)" fn fts_children [fts64_children] (tree: *mut Fts, options: c_int) -> *mut Ftsent;
            fts "fts(3)" fn fts_set [fts64_set] (tree: *mut Fts, entry: *mut Ftsent, instruction: c_int) -> c_int;
            fts "fts(3)" fn fts_close [fts64_close] (tree: *mut Fts) -> c_int;

            temp "mkstemp(3)" fn mkstemp [mkstemp64] (template: *mut c_char) -> c_int;
            temp "mkstemp(3)" fn mkostemp [mkostemp64] (template: *mut c_char, flags: c_int) -> c_int;
            temp "mkstemp(3)" fn mkstemps [mkstemps64] (template: *mut c_char, suffix: c_int) -> c_int;
            temp "mkstemp(3)" fn mkostemps [mkostemps64] (template: *mut c_char, suffix: c_int, flags: c_int) -> c_int;
            temp "mkdtemp(3)" fn mkdtemp [] (template: *mut c_char) -> *mut c_char;
            temp "mktemp(3)" fn mktemp [__mktemp] (template: *mut c_char) -> *mut c_char;
            temp "tmpfile(3)" fn tmpfile [tmpfile64] () -> *mut c_void;
            temp "tmpnam(3)" fn tmpnam [] (buffer: *mut c_char) -> *mut c_char;
            temp "tmpnam(3)" fn tmpnam_r [] (buffer: *mut c_char) -> *mut c_char;
            temp "tempnam(3)" fn tempnam [] (dir: *const c_char, prefix: *const c_char) -> *mut c_char;

            exec "execve(2)" fn execve [] (path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            exec "exec(3)" fn execv [] (path: *const c_char, argv: *const *const c_char) -> c_int;
            exec "exec(3)" fn execvp [] (file: *const c_char, argv: *const *const c_char) -> c_int;
            exec "exec(3)" fn execvpe [] (file: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            exec "execveat(2)" fn execveat [] (dirfd: c_int, path: *const c_char, argv: *const *const c_char, envp: *const *const c_char, flags: c_int) -> c_int;
            exec "fexecve(3)" fn fexecve [] (fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            spawn "posix_spawn(3)" fn posix_spawn [] (pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            spawn "posix_spawn(3)" fn posix_spawnp [] (pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            spawn "pidfd_spawn(3)" fn pidfd_spawn [] (pidfd: *mut c_int, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            spawn "pidfd_spawn(3)" fn pidfd_spawnp [] (pidfd: *mut c_int, file: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
            actions "posix_spawn_file_actions_init(3)" fn posix_spawn_file_actions_init [] (actions: *mut c_void) -> c_int;
            actions "posix_spawn_file_actions_destroy(3)" fn posix_spawn_file_actions_destroy [] (actions: *mut c_void) -> c_int;
            actions "posix_spawn_file_actions_addopen(3)" fn posix_spawn_file_actions_addopen [] (actions: *mut c_void, fd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            actions "posix_spawn_file_actions_addclose(3)" fn posix_spawn_file_actions_addclose [] (actions: *mut c_void, fd: c_int) -> c_int;
            actions "posix_spawn_file_actions_adddup2(3)" fn posix_spawn_file_actions_adddup2 [] (actions: *mut c_void, fd: c_int, new: c_int) -> c_int;
            actions "posix_spawn_file_actions_addchdir_np(3)" fn posix_spawn_file_actions_addchdir_np [posix_spawn_file_actions_addchdir] (actions: *mut c_void, path: *const c_char) -> c_int;
            actions "posix_spawn_file_actions_addfchdir_np(3)" fn posix_spawn_file_actions_addfchdir_np [posix_spawn_file_actions_addfchdir] (actions: *mut c_void, fd: c_int) -> c_int;
            actions "posix_spawn_file_actions_addclosefrom_np(3)" fn posix_spawn_file_actions_addclosefrom_np [] (actions: *mut c_void, from: c_int) -> c_int;
            actions "posix_spawn_file_actions_addtcsetpgrp_np(3)" fn posix_spawn_file_actions_addtcsetpgrp_np [] (actions: *mut c_void, fd: c_int) -> c_int;
            shell "system(3)" fn system [] (command: *const c_char) -> c_int;
            shell "popen(3)" fn popen [_IO_popen] (command: *const c_char, mode: *const c_char) -> *mut c_void;
            shell "popen(3)" fn pclose [] (stream: *mut c_void) -> c_int;

            descriptor "dup(2)" fn dup [] (old: c_int) -> c_int;
            descriptor "dup(2)" fn dup2 [__dup2] (old: c_int, new: c_int) -> c_int;
            descriptor "dup(2)" fn dup3 [] (old: c_int, new: c_int, flags: c_int) -> c_int;
            descriptor "fcntl(2)" fn fcntl [fcntl64 __fcntl] (fd: c_int, command: c_int, argument: usize) -> c_int;
            descriptor "unshare(2)" fn unshare [] (flags: c_int) -> c_int;
            descriptor "syscall(2)" fn syscall [] (number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long;

            socket "bind(2)" fn bind [] (socket: c_int, address: *const c_void, len: socklen_t) -> c_int;
            socket "connect(2)" fn connect [__connect] (socket: c_int, address: *const c_void, len: socklen_t) -> c_int;
            socket "send(2)" fn sendto [] (socket: c_int, data: *const c_void, size: size_t, flags: c_int, address: *const c_void, len: socklen_t) -> ssize_t;
            socket "send(2)" fn sendmsg [] (socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
            socket "sendmmsg(2)" fn sendmmsg [] (socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int;
            socket "getsockname(2)" fn getsockname [] (socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int;
            socket "getpeername(2)" fn getpeername [] (socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int;
            socket "accept(2)" fn accept [] (socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int;
            socket "accept(2)" fn accept4 [] (socket: c_int, address: *mut c_void, len: *mut socklen_t, flags: c_int) -> c_int;
            socket "recv(2)" fn recvfrom [] (socket: c_int, data: *mut c_void, size: size_t, flags: c_int, address: *mut c_void, len: *mut socklen_t) -> ssize_t;
            socket "recv(2)" fn recvmsg [] (socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
            socket "getsockopt(2)" fn setsockopt [] (socket: c_int, level: c_int, option: c_int, value: *const c_void, len: socklen_t) -> c_int;
            socket "recvmmsg(2)" fn recvmmsg [] (socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int;

            host "uname(2)" fn uname [] (buf: *mut utsname) -> c_int;
            host "gethostname(2)" fn gethostname [] (buf: *mut c_char, size: size_t) -> c_int;
            host "gethostname(2)" fn __gethostname_chk [] (buf: *mut c_char, size: size_t, room: size_t) -> c_int;
            host "gethostname(2)" fn sethostname [] (name: *const c_char, len: size_t) -> c_int;
            host "getdomainname(2)" fn getdomainname [] (buf: *mut c_char, size: size_t) -> c_int;
            host "getdomainname(2)" fn __getdomainname_chk [] (buf: *mut c_char, size: size_t, room: size_t) -> c_int;
            host "getdomainname(2)" fn setdomainname [] (name: *const c_char, len: size_t) -> c_int;
            host "gethostid(3)" fn gethostid [] () -> c_long;
            host "gethostid(3)" fn sethostid [] (id: c_long) -> c_int;

            names "getaddrinfo(3)" fn getaddrinfo [] (node: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int;
            names "getnameinfo(3)" fn getnameinfo [] (address: *const c_void, len: socklen_t, host: *mut c_char, host_len: socklen_t, service: *mut c_char, service_len: socklen_t, flags: c_int) -> c_int;
            names "gethostbyname(3)" fn gethostbyname [] (name: *const c_char) -> *mut hostent;
            names "gethostbyname(3)" fn gethostbyname2 [] (name: *const c_char, family: c_int) -> *mut hostent;
            names "gethostbyname(3)" fn gethostbyname_r [] (name: *const c_char, to: *mut hostent, buf: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int;
            names "gethostbyname(3)" fn gethostbyname2_r [] (name: *const c_char, family: c_int, to: *mut hostent, buf: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int;
            names "gethostbyname(3)" fn gethostbyaddr [] (address: *const c_void, len: socklen_t, family: c_int) -> *mut hostent;
            names "gethostbyname(3)" fn gethostbyaddr_r [] (address: *const c_void, len: socklen_t, family: c_int, to: *mut hostent, buf: *mut c_char, size: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int;
            names "getservent(3)" fn getservbyname [] (name: *const c_char, protocol: *const c_char) -> *mut servent;
            names "getservent(3)" fn getservbyport [] (port: c_int, protocol: *const c_char) -> *mut servent;
            names "getservent_r(3)" fn getservbyname_r [] (name: *const c_char, protocol: *const c_char, to: *mut servent, buf: *mut c_char, size: size_t, result: *mut *mut servent) -> c_int;
            names "getservent_r(3)" fn getservbyport_r [] (port: c_int, protocol: *const c_char, to: *mut servent, buf: *mut c_char, size: size_t, result: *mut *mut servent) -> c_int;
            names "resolver(3)" fn __res_init [] () -> c_int;
            names "resolver(3)" fn __res_ninit [] (state: *mut c_void) -> c_int;
            names "resolver(3)" fn res_query [__res_query] (name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, size: c_int) -> c_int;
            names "resolver(3)" fn res_search [__res_search] (name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, size: c_int) -> c_int;
            names "resolver(3)" fn res_querydomain [__res_querydomain] (name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, size: c_int) -> c_int;
            names "resolver(3)" fn res_send [__res_send] (message: *const u8, len: c_int, answer: *mut u8, size: c_int) -> c_int;

            users "getpwnam(3)" fn getpwnam [] (name: *const c_char) -> *mut passwd;
            users "getpwnam(3)" fn getpwnam_r [] (name: *const c_char, to: *mut passwd, buf: *mut c_char, size: size_t, result: *mut *mut passwd) -> c_int;
            users "getpwnam(3)" fn getpwuid [] (uid: uid_t) -> *mut passwd;
            users "getpwnam(3)" fn getpwuid_r [] (uid: uid_t, to: *mut passwd, buf: *mut c_char, size: size_t, result: *mut *mut passwd) -> c_int;
            users "getpwent(3)" fn setpwent [] ();
            users "getpwent(3)" fn getpwent [] () -> *mut passwd;
            users "getpwent(3)" fn getpwent_r [] (to: *mut passwd, buf: *mut c_char, size: size_t, result: *mut *mut passwd) -> c_int;
            users "getpwent(3)" fn endpwent [] ();
            users "getgrnam(3)" fn getgrnam [] (name: *const c_char) -> *mut group;
            users "getgrnam(3)" fn getgrnam_r [] (name: *const c_char, to: *mut group, buf: *mut c_char, size: size_t, result: *mut *mut group) -> c_int;
            users "getgrnam(3)" fn getgrgid [] (gid: gid_t) -> *mut group;
            users "getgrnam(3)" fn getgrgid_r [] (gid: gid_t, to: *mut group, buf: *mut c_char, size: size_t, result: *mut *mut group) -> c_int;
            users "getgrent(3)" fn setgrent [] ();
            users "getgrent(3)" fn getgrent [] () -> *mut group;
            users "getgrent(3)" fn getgrent_r [] (to: *mut group, buf: *mut c_char, size: size_t, result: *mut *mut group) -> c_int;
            users "getgrent(3)" fn endgrent [] ();
            users "getspnam(3)" fn getspnam [] (name: *const c_char) -> *mut spwd;
            users "getspnam(3)" fn getspnam_r [] (name: *const c_char, to: *mut spwd, buf: *mut c_char, size: size_t, result: *mut *mut spwd) -> c_int;
            users "getspnam(3)" fn setspent [] ();
            users "getspnam(3)" fn getspent [] () -> *mut spwd;
            users "getspnam(3)" fn getspent_r [] (to: *mut spwd, buf: *mut c_char, size: size_t, result: *mut *mut spwd) -> c_int;
            users "getspnam(3)" fn endspent [] ();
            users "gshadow(5)" fn getsgnam [] (name: *const c_char) -> *mut Sgrp;
            users "gshadow(5)" fn getsgnam_r [] (name: *const c_char, to: *mut Sgrp, buf: *mut c_char, size: size_t, result: *mut *mut Sgrp) -> c_int;
            users "gshadow(5)" fn setsgent [] ();
            users "gshadow(5)" fn getsgent [] () -> *mut Sgrp;
            users "gshadow(5)" fn getsgent_r [] (to: *mut Sgrp, buf: *mut c_char, size: size_t, result: *mut *mut Sgrp) -> c_int;
            users "gshadow(5)" fn endsgent [] ();
            users "getgrouplist(3)" fn getgrouplist [] (user: *const c_char, group: gid_t, groups: *mut gid_t, count: *mut c_int) -> c_int;
            users "initgroups(3)" fn initgroups [] (user: *const c_char, group: gid_t) -> c_int;
            login "getlogin(3)" fn getlogin [] () -> *mut c_char;
            login "getlogin(3)" fn getlogin_r [] (buf: *mut c_char, size: size_t) -> c_int;
            login "getlogin(3)" fn __getlogin_r_chk [] (buf: *mut c_char, size: size_t, room: size_t) -> c_int;
            users "cuserid(3)" fn cuserid [] (buf: *mut c_char) -> *mut c_char;
            lock "lckpwdf(3)" fn lckpwdf [] () -> c_int;
            lock "lckpwdf(3)" fn ulckpwdf [] () -> c_int;

            credentials "getuid(2)" fn getuid [] () -> uid_t;
            credentials "getuid(2)" fn geteuid [] () -> uid_t;
            credentials "getgid(2)" fn getgid [] () -> gid_t;
            credentials "getgid(2)" fn getegid [] () -> gid_t;
            credentials "getresuid(2)" fn getresuid [] (real: *mut uid_t, effective: *mut uid_t, saved: *mut uid_t) -> c_int;
            credentials "getresuid(2)" fn getresgid [] (real: *mut gid_t, effective: *mut gid_t, saved: *mut gid_t) -> c_int;
            credentials "getgroups(2)" fn getgroups [] (room: c_int, list: *mut gid_t) -> c_int;
            credentials "getgroups(2)" fn __getgroups_chk [] (room: c_int, list: *mut gid_t, len: size_t) -> c_int;
            credentials "setuid(2)" fn setuid [] (uid: uid_t) -> c_int;
            credentials "setgid(2)" fn setgid [] (gid: gid_t) -> c_int;
            credentials "seteuid(2)" fn seteuid [] (uid: uid_t) -> c_int;
            credentials "seteuid(2)" fn setegid [] (gid: gid_t) -> c_int;
            credentials "setreuid(2)" fn setreuid [] (real: uid_t, effective: uid_t) -> c_int;
            credentials "setreuid(2)" fn setregid [] (real: gid_t, effective: gid_t) -> c_int;
            credentials "setresuid(2)" fn setresuid [] (real: uid_t, effective: uid_t, saved: uid_t) -> c_int;
            credentials "setresuid(2)" fn setresgid [] (real: gid_t, effective: gid_t, saved: gid_t) -> c_int;
            credentials "setfsuid(2)" fn setfsuid [] (uid: uid_t) -> c_int;
            credentials "setfsgid(2)" fn setfsgid [] (gid: gid_t) -> c_int;
            credentials "setgroups(2)" fn setgroups [] (count: size_t, list: *const gid_t) -> c_int;
            credentials "capget(2)" fn capget [] (header: *mut c_void, data: *mut c_void) -> c_int;
            credentials "capget(2)" fn capset [] (header: *mut c_void, data: *const c_void) -> c_int;
            credentials "prctl(2)" fn prctl [] (option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int;
            credentials "kill(2)" fn kill [__kill] (process: pid_t, signal: c_int) -> c_int;
            credentials "killpg(3)" fn killpg [] (group: pid_t, signal: c_int) -> c_int;
            credentials "sigqueue(3)" fn sigqueue [] (process: pid_t, signal: c_int, value: sigval) -> c_int;
            credentials "pidfd_send_signal(2)" fn pidfd_send_signal [] (file: c_int, signal: c_int, info: *mut c_void, flags: c_uint) -> c_int;
            credentials "getsockopt(2)" fn getsockopt [] (socket: c_int, level: c_int, option: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int;

            link "netdevice(7)" fn ioctl [] (file: c_int, request: c_ulong, argument: usize) -> c_int;
            link "if_nametoindex(3)" fn if_nametoindex [] (name: *const c_char) -> c_uint;
            link "if_nametoindex(3)" fn if_indextoname [] (index: c_uint, name: *mut c_char) -> *mut c_char;
            link "if_nameindex(3)" fn if_nameindex [] () -> *mut c_void;
            link "getifaddrs(3)" fn getifaddrs [] (list: *mut *mut c_void) -> c_int;

            machine "sched_setaffinity(2)" fn sched_getaffinity [] (process: pid_t, size: size_t, mask: *mut u8) -> c_int;
            machine "sched_setaffinity(2)" fn sched_setaffinity [] (process: pid_t, size: size_t, mask: *const u8) -> c_int;
            machine "pthread_setaffinity_np(3)" fn pthread_getaffinity_np [] (thread: c_ulong, size: size_t, mask: *mut u8) -> c_int;
            machine "pthread_setaffinity_np(3)" fn pthread_setaffinity_np [] (thread: c_ulong, size: size_t, mask: *const u8) -> c_int;
            machine "sysinfo(2)" fn sysinfo [] (info: *mut sysinfo) -> c_int;
            machine "sysconf(3)" fn sysconf [__sysconf] (name: c_int) -> c_long;
            machine "get_nprocs(3)" fn get_nprocs [] () -> c_int;
            machine "get_nprocs(3)" fn get_nprocs_conf [] () -> c_int;
            machine "get_phys_pages(3)" fn get_phys_pages [] () -> c_long;
            machine "get_phys_pages(3)" fn get_avphys_pages [] () -> c_long;

            ipc "shmget(2)" fn shmget [] (key: key_t, size: size_t, flags: c_int) -> c_int;
            ipc "semget(2)" fn semget [] (key: key_t, count: c_int, flags: c_int) -> c_int;
            ipc "msgget(2)" fn msgget [] (key: key_t, flags: c_int) -> c_int;
            ipc "shmctl(2)" fn shmctl [] (id: c_int, command: c_int, buffer: *mut c_void) -> c_int;
            ipc "semctl(2)" fn semctl [] (id: c_int, number: c_int, command: c_int, argument: usize) -> c_int;
            ipc "msgctl(2)" fn msgctl [] (id: c_int, command: c_int, buffer: *mut c_void) -> c_int;
            ipc "mq_open(3)" fn mq_open [] (name: *const c_char, flags: c_int, mode: mode_t, attributes: *mut c_void) -> c_int;
            ipc "mq_open(3)" fn __mq_open_2 [] (name: *const c_char, flags: c_int) -> c_int;
            ipc "mq_unlink(3)" fn mq_unlink [] (name: *const c_char) -> c_int;

            clock "clock_gettime(2)" fn clock_gettime [] (clock: clockid_t, to: *mut timespec) -> c_int;
            clock "gettimeofday(2)" fn gettimeofday [__gettimeofday] (to: *mut timeval, zone: *mut c_void) -> c_int;
            clock "time(2)" fn time [] (to: *mut i64) -> i64;
            clock "timespec_get(3)" fn timespec_get [] (to: *mut timespec, base: c_int) -> c_int;
            clock "ftime(3)" fn ftime [] (to: *mut Timeb) -> c_int;
            set_clock "clock_settime(2)" fn clock_settime [] (clock: clockid_t, to: *const timespec) -> c_int;
            set_clock "settimeofday(2)" fn settimeofday [] (to: *const timeval, zone: *const c_void) -> c_int;
            set_clock "stime(2)" fn stime [] (to: *const i64) -> c_int;
            set_clock "adjtime(3)" fn adjtime [] (by: *const timeval, left: *mut timeval) -> c_int;
            set_clock "adjtimex(2)" fn adjtimex [__adjtimex ntp_adjtime] (about: *mut timex) -> c_int;
            set_clock "adjtimex(2)" fn clock_adjtime [] (clock: clockid_t, about: *mut timex) -> c_int;
            set_clock "ntp_gettime(3)" fn ntp_gettime [] (to: *mut Ntp) -> c_int;
            set_clock "ntp_gettime(3)" fn ntp_gettimex [] (to: *mut Ntpx) -> c_int;
            timer "timer_create(2)" fn timer_create [] (clock: clockid_t, event: *mut c_void, timer: *mut usize) -> c_int;
            timer "timer_settime(2)" fn timer_settime [] (timer: usize, flags: c_int, new: *const itimerspec, old: *mut itimerspec) -> c_int;
            timer "timerfd_create(2)" fn timerfd_settime [] (fd: c_int, flags: c_int, new: *const itimerspec, old: *mut itimerspec) -> c_int;

            shm "shm_open(3)" fn shm_open [] (name: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            shm "shm_open(3)" fn shm_unlink [] (name: *const c_char) -> c_int;
            shm "sem_open(3)" fn sem_open [] (name: *const c_char, flags: c_int, mode: mode_t, value: c_uint) -> *mut c_void;
            shm "sem_close(3)" fn sem_close [] (semaphore: *mut c_void) -> c_int;
            shm "sem_unlink(3)" fn sem_unlink [] (name: *const c_char) -> c_int;
        }
    };
}

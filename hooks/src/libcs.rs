//! Which libc has which symbol of the table.
//!
//! Looked up in glibc 2.36 and musl 1.2.3. A symbol that is in no list is in
//! both; tests/tests/symbols.rs holds the lists against the libc that it runs on.

/// Whether glibc has a symbol of the table.
pub fn is_in_glibc(name: &str) -> bool {
    !has(ONLY_MUSL, name) && !has(NEITHER, name)
}

/// Whether musl has a symbol of the table.
pub fn is_in_musl(name: &str) -> bool {
    !has(ONLY_GLIBC, name) && !has(NEITHER, name)
}

fn has(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|listed| listed == name)
}

/// In musl alone.
const ONLY_MUSL: &str = "\
    _dl_debug_addr getdents res_init";

/// In later releases of either.
const NEITHER: &str = "\
    __mktemp openat2 pidfd_getpid pidfd_spawn pidfd_spawnp posix_spawn_file_actions_addchdir \
    posix_spawn_file_actions_addfchdir";

/// In glibc alone.
const ONLY_GLIBC: &str = "\
    _IO_file_fopen _IO_file_open _IO_fopen _IO_popen _IO_proc_open __backtrace __backtrace_symbols \
    __backtrace_symbols_fd __confstr_chk __connect __dcgettext __dgettext __dup2 __fcntl __getauxval \
    __getcwd_chk __getdomainname_chk __gethostname_chk __getlogin_r_chk __getwd_chk __ivaliduser __mq_open_2 __nss_configure_lookup \
    __nss_database_lookup __nss_group_lookup __nss_hosts_lookup __nss_next __nss_passwd_lookup \
    __open __open64 __open64_2 __open_2 __openat64_2 __openat_2 __ptsname_r_chk __readlink_chk \
    __readlinkat_chk __realpath_chk __res_init __res_mkquery __res_ninit __res_nmkquery __res_nquery \
    __res_nquerydomain __res_nsearch __res_nsend __res_query __res_querydomain __res_search \
    __res_send __setmntent __statfs __strftime_l __sysconf __syslog_chk __ttyname_r_chk __vfork \
    __vsyslog_chk _dl_find_object _mcleanup _nl_default_dirname authdes_create authdes_getucred \
    authdes_pk_create backtrace backtrace_symbols backtrace_symbols_fd callrpc \
    canonicalize_file_name chflags clnt_create clntunix_create dladdr1 dlmopen endsgent execveat fattach \
    fcntl64 fdetach fsconfig fsopen fspick fts64_children fts64_close fts64_open fts64_read \
    fts64_set gai_cancel gai_suspend getaddrinfo_a getaliasbyname getaliasbyname_r getaliasent getaliasent_r getdate_r \
    getdirentries getdirentries64 getfsent getfsfile getfsspec getgrent_r gethostent_r \
    getnetbyaddr_r getnetbyname_r getnetent_r getnetgrent getnetgrent_r getprotobyname_r \
    getprotobynumber_r getprotoent_r getpt getpublickey getpw getpwent_r getrpcbyname getrpcbyname_r \
    getrpcbynumber getrpcbynumber_r getrpcent getrpcent_r getrpcport getsecretkey getservent_r \
    getsgent getsgent_r getsgnam getsgnam_r getspent_r getttyent getttynam getutent_r getutid_r \
    getutline_r getwd glob_pattern_p innetgr iruserok iruserok_af key_decryptsession \
    key_decryptsession_pk key_encryptsession key_encryptsession_pk key_gendes key_get_conv \
    key_secretkey_is_set key_setnet key_setsecret login logout logwtmp mount_setattr move_mount \
    mtrace netname2user nfsservctl open_tree pidfd_send_signal posix_spawn_file_actions_addclosefrom_np \
    posix_spawn_file_actions_addtcsetpgrp_np rcmd rcmd_af renameat2 res_nmkquery res_nquery \
    res_nquerydomain res_nsearch res_nsend revoke rexec rexec_af ruserok ruserok_af ruserpass \
    scandirat scandirat64 setaliasent setfsent sethostid setnetgrent setrpcent setsgent setttyent \
    statx svcunix_create timelocal tmpnam_r ttyslot uselib";

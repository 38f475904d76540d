//! The words of the verbs that have to do with instances and their volumes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use policy::Door;

use super::{EXIT_STATUS, door_named};

/// `create`
#[derive(Args)]
#[command(
    override_usage = "launcher create [OPTIONS] --policy <FILE> [<PROGRAM> [ARGUMENT]...]",
    after_help = "\
Exit status: 0 if the instance is there, 125 if not. What has been made of it then
is used by the next `create`, or taken away by `rm`."
)]
pub struct Create {
    /// The policy file
    #[arg(short, long, value_name = "FILE")]
    pub policy: PathBuf,
    /// The instance's name, where it is not the application's: one policy can have many
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The door by which calls reach the view, whatever the policy says: shim, gate or auto
    #[arg(long, value_name = "DOOR", value_parser = door_named)]
    pub door: Option<Door>,
    /// What `start` runs: the program, as the application names it, and its arguments; that of the
    /// image, where none is named
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// `start`
#[derive(Args)]
#[command(after_help = format!("\
The policy is read anew. The environment is that of who starts it, as the policy
changes it; the working directory is that of the first start.

Exit status: {EXIT_STATUS}"))]
pub struct Start {
    /// The instance
    pub name: String,
    /// Run it in the background; `launcher logs` has what it prints
    #[arg(short, long)]
    pub detach: bool,
}

/// `restart`
#[derive(Args)]
#[command(after_help = format!("Exit status: {EXIT_STATUS}"))]
pub struct Restart {
    #[command(flatten)]
    pub start: Start,
    /// How many seconds it may take to end before KILL
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
    /// The signal that ends it, instead of the one that its policy or image names, or TERM
    #[arg(long)]
    pub signal: Option<String>,
}

/// `exec`
#[derive(Args)]
#[command(
    override_usage = "launcher exec [OPTIONS] <NAME> <PROGRAM> [ARGUMENT]...",
    after_help = format!("\
The program has the instance's view, door, user and working directory, and the
environment of who asks for it, as the policy and the image change it.

Exit status: {EXIT_STATUS}")
)]
pub struct Exec {
    /// The instance, or the application
    pub name: String,
    /// Who it runs as, in one of the forms of `app.user`
    #[arg(short, long)]
    pub user: Option<String>,
    /// The app path that it is started in
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The door by which its calls reach the view, instead of the instance's: shim, gate or auto
    #[arg(long, value_name = "DOOR", value_parser = door_named)]
    pub door: Option<Door>,
    /// The program, as the application names it, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// `cp`
#[derive(Args)]
#[command(after_help = "\
One of both is NAME:/PATH. A directory that is there gets what is copied under its
own name; one that is not is made, if what it is to lie in is there. DIR/. is what
is in DIR. Links are copied as links.

With - for DST, a tar archive of SRC goes to standard output; with - for SRC, one
from standard input, which may be compressed, is unpacked in the directory DST.

Exit status: 0 if all is copied, else 125.")]
pub struct Cp {
    /// Keep owners; else copies belong to who makes them
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what SRC leads to, where it is a link
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// What is copied
    #[arg(value_name = "SRC")]
    pub from: OsString,
    /// Where to
    #[arg(value_name = "DST")]
    pub to: OsString,
}

/// `logs`
#[derive(Args)]
#[command(after_help = "\
What an instance prints that runs in the foreground goes to where it was started, and
is in no log. A log that is longer than 8 MiB is moved aside at the next start,
and printed before the new one; what lies further back is gone.

Exit status: 0, or 125 if there is no log.")]
pub struct Logs {
    /// The instance
    pub name: String,
    /// Go on printing what comes, until the instance has ended
    #[arg(short, long)]
    pub follow: bool,
    /// Print only so many lines of the end
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub lines: Option<usize>,
}

/// `stop`
#[derive(Args)]
#[command(after_help = "\
Daemons that have left their parents are processes of the application too. The
signal goes to those that no other process of it has started.

Exit status: 0 if none is left, 125 if none was there or some are left.")]
pub struct Stop {
    /// The application's name
    pub name: String,
    /// How many seconds it may take before KILL
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
    /// The signal, instead of the one that its policy or image names, or TERM
    #[arg(long)]
    pub signal: Option<String>,
}

/// `rm`
#[derive(Args)]
#[command(after_help = "\
An instance that runs is not removed. Volumes stay, to be had again by an instance of this
name, and to be removed by `launcher volume rm`.

Exit status: 0 if they are gone, 125 if one is not; then those after it are there still.")]
pub struct Rm {
    /// The instances
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Take the volumes away too that are the instance's own; not those that have a name in a policy
    #[arg(long)]
    pub volumes: bool,
}

/// `volume`
#[derive(Subcommand)]
pub enum VolumeVerb {
    /// List the volumes, and who uses them
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take volumes away with all that is in them
    #[command(after_help = "\
A volume that a process runs on, or that an instance keeps, is not removed.

Exit status: 0 if they are gone, 125 if one is not; then those after it are there still.")]
    Rm {
        /// The volumes
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

//! The words of the verbs that have to do with what an instance has changed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `diff`
#[derive(Args)]
#[command(after_help = "\
A letter and an app path on each line: A for what was added, C for what was
changed, D for what is gone; below a directory that is gone nothing is listed.
A directory is changed where its owner, mode, time or attributes are.

Exit status: 0, whether anything was changed or not; 125 if that cannot be told.")]
pub struct Diff {
    /// The instance
    pub name: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `commit`
#[derive(Args)]
#[command(after_help = "\
TARGET is oci:DIR[:TAG], an OCI layout that is made or gets one image more, or a
name in the store of images. The image has the layers of the one that the
instance runs on, and one of what it has changed. Volumes and mounts are no
part of it. The policy's env, workdir and user go into its configuration.

SOURCE_DATE_EPOCH, in seconds, is the time that the image says it was made at.

Exit status: 0 if the image is there, 125 if not; then all is as before.")]
pub struct Commit {
    /// The instance
    pub name: String,
    /// What becomes of it
    pub target: String,
    /// Replace an image of that name in the store
    #[arg(long)]
    pub replace: bool,
    /// How the layers of a layout are compressed
    #[arg(long, value_enum, default_value_t = Compression::Gzip)]
    pub compression: Compression,
    /// Keep the image's own configuration, whatever the policy says of the start
    #[arg(long)]
    pub image_config: bool,
    /// Change a limit on what an image may ask of this host, in the store
    #[arg(long, value_name = "KEY=NUMBER")]
    pub limit: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// By gzip, which all readers know
    Gzip,
    /// By zstd
    Zstd,
}

/// `export`
#[derive(Args)]
#[command(after_help = "\
The file has the policy, the image or the layers, what has been changed, and
what the policy names by relative paths. Absolute sources are the host's own,
there as here. It goes to standard output: launcher export shop > shop.tar.zst

Exit status: 0 if it is whole, 125 if not.")]
pub struct Export {
    /// The instance
    pub name: String,
    /// Take its volumes along
    #[arg(long)]
    pub volumes: bool,
}

/// `import`
#[derive(Args)]
#[command(after_help = format!("\
The limits that --limit can change: {}.

Exit status: 0 if the instance is there, 125 if it was refused; then it is not.",
    image::Limits::WORDS.join(", ")))]
pub struct Import {
    /// The file, or - for standard input
    pub file: PathBuf,
    /// The name that the instance has here, where it is not that which it had
    #[arg(long)]
    pub name: Option<String>,
    /// Change a limit on what the file may ask of this host
    #[arg(long, value_name = "KEY=NUMBER")]
    pub limit: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

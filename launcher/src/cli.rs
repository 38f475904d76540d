//! The command line: what can be asked, and who answers.

mod changes;
mod instances;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use policy::Door;

pub use changes::{Commit, Compression, Diff, Export, Import};
pub use instances::{Cp, Create, Exec, Logs, Restart, Rm, Start, Stop, VolumeVerb};

use crate::output::say;
use crate::{FAILED, commands};

/// How it is used, a command and what it does on each line.
pub const EXAMPLES: &str = "  \
  launcher --policy shop.toml /opt/shop/bin/shopd --daemon   run a program
  launcher check --policy shop.toml                          is the policy right?
  launcher explain --policy shop.toml /etc/shop.conf         what does this path become?
  launcher trace --policy shop.toml -- ls /opt/shop          what does it ask for, what does it get?
  launcher doctor --policy shop.toml /opt/shop/bin/shopd     will it run here, and if not, why?
  launcher run --detach --policy shop.toml                   run its image, in the background
  launcher exec shop /bin/sh                                 run a further program in it
";

/// How it ends.
pub const EXIT_STATUS: &str = "\
the program's own; 125 if the launcher fails, 126 if the program
is found but cannot be run, 127 if it is not found.";

/// Run a legacy program in its own view of files, as if it had never moved.
///
/// A policy file says what the program finds at which path. The program runs
/// unchanged and unprivileged; its files are served inside its own process.
#[derive(Parser)]
#[command(
    name = "launcher",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "launcher [OPTIONS] --policy <FILE> <PROGRAM> [ARGUMENT]...\n       launcher <COMMAND>",
    after_help = format!("Examples:\n{EXAMPLES}\nExit status: {EXIT_STATUS}")
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: Option<Run>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a program in its view (what `launcher` does without a verb)
    Run(Run),
    /// Say whether a policy is right, and if not, all that is wrong with it
    Check(Check),
    /// Say what app paths become, and which line of the policy decides
    Explain(Explain),
    /// Run a program and print what it asks for and what it gets
    Trace(Trace),
    /// Say what this host and a program allow
    Doctor(Doctor),
    /// List the processes that run in views
    Ps {
        /// List the instances too that are kept and do not run
        #[arg(short, long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an instance with all that it needs, and run nothing
    Create(Create),
    /// Run an instance again, as it was created or run before
    Start(Start),
    /// End what runs in an instance, and start it anew
    Restart(Restart),
    /// Run a further program in an instance that runs
    Exec(Exec),
    /// Copy files into an instance or out of it, whether it runs or not
    Cp(Cp),
    /// Print what an instance has printed that was started with --detach
    Logs(Logs),
    /// End an application: by its signal, then by KILL
    Stop(Stop),
    /// Take instances away, with the changes that are kept of them
    Rm(Rm),
    /// List what an instance has changed
    Diff(Diff),
    /// Make an image of what an instance has become
    Commit(Commit),
    /// Write an instance into one file, with all that it needs elsewhere
    Export(Export),
    /// Take in an instance that `export` has written
    Import(Import),
    /// Look at volumes, and take them away
    Volume {
        #[command(subcommand)]
        verb: VolumeVerb,
    },
    /// Keep images: bring them in, look at them, take them away
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Print the JSON schema of the policy file
    Schema,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page per verb
    Man {
        /// The directory to write the pages to
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Where the policy is.
#[derive(Args)]
pub struct PolicyFile {
    /// The policy file
    #[arg(short, long, value_name = "FILE")]
    pub policy: PathBuf,
}

/// `run`
#[derive(Args)]
#[command(
    override_usage = "launcher run [OPTIONS] --policy <FILE> [<PROGRAM> [ARGUMENT]...]",
    after_help = format!("Exit status: {EXIT_STATUS}")
)]
pub struct Run {
    /// The policy file
    #[arg(short, long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Say on standard error what is placed where, and which door is used
    #[arg(short, long)]
    pub verbose: bool,
    /// The door by which calls reach the view, whatever the policy says: shim, gate or auto
    #[arg(long, value_name = "DOOR", value_parser = door_named)]
    pub door: Option<Door>,
    /// The instance's name, where it is not the application's: one policy can have many
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Run it in the background; `launcher logs` has what it prints
    #[arg(short, long)]
    pub detach: bool,
    /// The program, as the application names it, and its arguments; that of the image, where none is named
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// `check`
#[derive(Args)]
#[command(after_help = "Exit status: 0 if the policy is right, 1 if it is wrong or cannot be read.")]
pub struct Check {
    #[command(flatten)]
    pub policy: PolicyFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `explain`
#[derive(Args)]
#[command(after_help = "Exit status: 0, whatever becomes of the paths; 125 if the policy is wrong.")]
pub struct Explain {
    #[command(flatten)]
    pub policy: PolicyFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// App paths, as the application says them; or connect:ADDRESS:PORT, bind:ADDRESS:PORT, host:NAME
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// `trace`
#[derive(Args)]
#[command(
    override_usage = "launcher trace [OPTIONS] --policy <FILE> <PROGRAM> [ARGUMENT]...",
    after_help = format!("Exit status: {EXIT_STATUS}")
)]
pub struct Trace {
    #[command(flatten)]
    pub policy: PolicyFile,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// The door by which calls reach the view, whatever the policy says: shim, gate or auto
    #[arg(long, value_name = "DOOR", value_parser = door_named)]
    pub door: Option<Door>,
    /// Also print calls that no mount touches
    #[arg(short, long)]
    pub all: bool,
    /// Write to this file instead of standard error
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The program, as the application names it, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// `doctor`
#[derive(Args)]
#[command(after_help = "\
Exit status: that of the gravest finding: 0 for \"pass\", 1 for \"warn\", 2 for
\"blocked\"; 125 if the policy is wrong.")]
pub struct Doctor {
    /// The policy file, to look at the program as it would be run
    #[arg(short, long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The door by which the program would be run, whatever the policy says: shim, gate or auto
    #[arg(long, value_name = "DOOR", value_parser = door_named)]
    pub door: Option<Door>,
    /// The program, as the application names it
    pub program: Option<PathBuf>,
}

/// `image`
#[derive(Subcommand)]
pub enum ImageVerb {
    /// Bring an image in
    #[command(after_help = format!("\
SOURCE is one of {}.

The limits that --limit can change: {}.

Exit status: 0 if the image is there, 125 if it was refused; then nothing of it is.",
        image::source::FORMS, image::Limits::WORDS.join(", ")))]
    Import {
        /// Where it comes from
        source: String,
        /// The name that it has here
        #[arg(long)]
        name: String,
        /// Replace an image of that name
        #[arg(long)]
        replace: bool,
        /// Keep the layers' archives as well: `commit` gives them back with their digests
        #[arg(long)]
        keep_archives: bool,
        /// Change a limit on what an image may ask of this host
        #[arg(long, value_name = "KEY=NUMBER")]
        limit: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the images
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an image: its configuration and its layers
    Show {
        /// The image
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an image away; `gc` frees its layers
    Rm {
        /// The image
        name: String,
    },
    /// Take away the layers that no image has, and what imports left that were cut off
    Gc {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The door of this name.
fn door_named(name: &str) -> Result<Door, String> {
    match name {
        "auto" => Ok(Door::Auto),
        "shim" => Ok(Door::Shim),
        "gate" => Ok(Door::Gate),
        _ => Err("there are shim, gate and auto".into()),
    }
}

/// Reads the form that systemd units and scripts use, `--policy FILE PROGRAM…`.
/// The parser would take as long for it as all else that a start does.
fn plain(arguments: &[OsString]) -> Option<Run> {
    let [_, option, policy, program, ..] = arguments else { return None };
    let is_word = |text: &OsString| !text.is_empty() && !text.as_encoded_bytes().starts_with(b"-");
    let is_path = program.as_encoded_bytes().contains(&b'/');
    if !(option == "--policy" || option == "-p") || !is_word(policy) || !is_word(program) || !is_path {
        return None;
    }
    let program = arguments.get(3..).unwrap_or(&[]).to_vec();
    Some(Run { policy: policy.into(), verbose: false, door: None, name: None, detach: false, program })
}

/// Whether a word is a command of the launcher's.
pub fn is_verb(word: &str) -> bool {
    Cli::command().find_subcommand(word).is_some()
}

/// What to say where a program, or a verb that is none, stands before any policy.
fn without_policy(word: &str, error: clap::Error) -> clap::Error {
    let mut command = Cli::command();
    if let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) {
        let name = option.split('=').next();
        if command.get_arguments().any(|known| known.get_long() == name) {
            return error;
        }
        let message = format!(
            "no option is called `{word}`\n\n  before the program stand --policy FILE and, if wanted, --verbose"
        );
        return command.error(ErrorKind::UnknownArgument, message);
    }
    if word.starts_with('-') || is_verb(word) {
        return error;
    }
    let near = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .find(|verb| verb.starts_with(word) || verb.get(..3).is_some_and(|start| word.starts_with(start)));
    let remedy = match near {
        Some(verb) => format!("did you mean `launcher {verb}`?"),
        None => format!("to run it: launcher --policy FILE {word}"),
    };
    let message = format!("no policy is named, and `{word}` is no command\n\n  {remedy}");
    command.error(ErrorKind::MissingRequiredArgument, message)
}

/// Reads the command line, does what it says, and gives the exit status.
pub fn main(arguments: Vec<OsString>) -> u8 {
    if let Some(run) = plain(&arguments) {
        return finish(commands::run::run(&run));
    }
    let first = arguments.get(1).cloned();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let error = match first.as_deref().and_then(OsStr::to_str) {
                Some(word) if error.kind() == ErrorKind::MissingRequiredArgument => {
                    without_policy(word, error)
                }
                _ => error,
            };
            let fine = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return match error.print().and_then(|()| std::io::stdout().flush()) {
                // A reader that has gone away has seen what it wanted to see.
                Err(error) if fine && error.kind() != std::io::ErrorKind::BrokenPipe => {
                    finish(Err(error).context("cannot write the answer"))
                }
                _ if fine => 0,
                _ => FAILED,
            };
        }
    };
    let done = match (cli.verb, cli.run) {
        (Some(Verb::Run(run)), _) | (None, Some(run)) => commands::run::run(&run),
        (Some(Verb::Check(check)), _) => commands::check::check(&check),
        (Some(Verb::Explain(explain)), _) => commands::explain::explain(&explain),
        (Some(Verb::Trace(trace)), _) => commands::trace::trace(&trace),
        (Some(Verb::Doctor(doctor)), _) => commands::doctor::doctor(&doctor),
        (Some(Verb::Ps { all, json }), _) => commands::ps::ps(all, json),
        (Some(Verb::Create(create)), _) => commands::create::create(&create),
        (Some(Verb::Start(start)), _) => commands::create::start(&start),
        (Some(Verb::Restart(restart)), _) => commands::create::restart(&restart),
        (Some(Verb::Exec(exec)), _) => commands::exec::exec(&exec),
        (Some(Verb::Cp(cp)), _) => commands::cp::cp(&cp),
        (Some(Verb::Logs(logs)), _) => commands::logs::logs(&logs),
        (Some(Verb::Stop(stop)), _) => commands::stop::stop(&stop),
        (Some(Verb::Rm(rm)), _) => commands::rm::rm(&rm),
        (Some(Verb::Diff(diff)), _) => commands::diff::run(&diff),
        (Some(Verb::Commit(commit)), _) => commands::commit::commit(&commit),
        (Some(Verb::Export(export)), _) => commands::export::export(&export),
        (Some(Verb::Import(import)), _) => commands::import::import(&import),
        (Some(Verb::Volume { verb }), _) => commands::volume::volume(&verb),
        (Some(Verb::Image { verb }), _) => commands::image::image(&verb),
        (Some(Verb::Schema), _) => commands::print(&format!("{:#}\n", policy::schema())),
        (Some(Verb::Completions { shell }), _) => commands::completions(shell, &mut Cli::command()),
        (Some(Verb::Man { dir }), _) => commands::man(dir.as_deref(), Cli::command()),
        (None, None) => {
            let error = Cli::command()
                .error(ErrorKind::MissingRequiredArgument, "no policy and no program are named");
            let _ = error.print();
            return FAILED;
        }
    };
    finish(done)
}

fn finish(done: anyhow::Result<u8>) -> u8 {
    done.unwrap_or_else(|error| {
        say!("launcher: {error:#}");
        FAILED
    })
}

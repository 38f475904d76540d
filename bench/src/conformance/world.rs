//! What the probes find: a tree as the new host has it, what the policy says is to stand there, and
//! that same thing said to each peer in its own way.
//!
//! `appl` is where the application remembers its files. The host has other
//! files there, so that a program that sees the host's gets an answer, and a wrong one.

use std::fmt::Write as _;
use std::fs;
use std::io::Result;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::servers::Servers;

/// Who the programs run as, where the bench itself is root.
const USER: u32 = 12345;

/// What the policy says the kernel's release is.
const RELEASE: &str = "2.6.32-754.el6.x86_64";

/// Where the instances are led that bind port 80.
const LED: [u16; 2] = [18080, 18081];

/// One thing that stands at another path.
pub struct Bind {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where the program finds it.
    pub at: PathBuf,
    /// Whether the program may change it.
    pub read_write: bool,
}

/// The trees, policies, programs and servers.
pub struct World {
    /// The directory that all of it is in.
    pub dir: PathBuf,
    /// Who the programs run as, where it is not who runs the bench.
    pub user: Option<u32>,
    /// How long a start may take, in seconds.
    pub patience: &'static str,
    servers: Servers,
}

/// The programs that are asked, and what they are called in a world: dynamic, static and of musl.
pub fn probes() -> Vec<(String, PathBuf)> {
    let kinds: [(&str, &str, &[&str]); 3] =
        [("", "gcc", &[]), ("-static", "gcc", &["-static"]), ("-musl", "musl-gcc", &["-DPLAIN"])];
    let all = [("files", "proof"), ("host", "proof_host")];
    let each = all.into_iter().flat_map(|probe| kinds.map(|kind| (probe, kind)));
    each.map(|((name, source), (kind, compiler, flags))| {
        let flags = [flags, &["-lresolv"]].concat();
        (format!("{name}{kind}"), tests::compiled_by(compiler, source, &flags, &format!("{source}{kind}")))
    })
    .collect()
}

impl World {
    /// Makes one of several.
    pub fn new(number: usize, patience: &'static str) -> Result<World> {
        let dir = std::env::temp_dir().join(format!("launcher-proof-{}-{number}", std::process::id()));
        let user = tests::is_root().then_some(USER);
        let world = World { dir, user, patience, servers: Servers::start()? };
        fs::create_dir_all(world.dir.join("bin"))?;
        world.place_programs()?;
        world.make_etc()?;
        world.make_policies()?;
        world.make_fake_root()?;
        world.make_scripts()?;
        Ok(world)
    }

    fn place_programs(&self) -> Result<()> {
        let bin = self.dir.join("bin");
        for (name, built) in probes() {
            fs::copy(built, bin.join(name))?;
        }
        for name in ["files", "host"] {
            let setuid = bin.join(format!("{name}-setuid"));
            fs::copy(bin.join(name), &setuid)?;
            fs::set_permissions(setuid, fs::Permissions::from_mode(0o4755))?;
        }
        let library = tests::compiled("empty", &["-O2", "-shared", "-fPIC", "-nostartfiles"], "empty.so");
        fs::copy(library, bin.join("library.so"))?;
        fs::copy(tests::launcher(), bin.join("launcher"))?;
        Ok(())
    }

    /// Where the application's paths begin.
    pub fn app(&self) -> PathBuf {
        self.dir.join("appl")
    }

    /// Puts everything back to how it was before any probe.
    pub fn renew(&self) -> Result<()> {
        for name in ["appl", "host", "state", "run", "scratch", "overlay"] {
            let _ = fs::remove_dir_all(self.dir.join(name));
        }
        self.make_trees()?;
        for name in ["state", "run", "scratch", "overlay"] {
            fs::create_dir_all(self.dir.join(name))?;
        }
        fs::set_permissions(self.dir.join("run"), fs::Permissions::from_mode(0o700))?;
        // What fakeroot knows of owners.
        write(&self.dir.join("scratch/owners"), "")?;
        if let Some(user) = self.user {
            for name in ["appl", "host", "state", "run", "scratch", "overlay"] {
                give(&self.dir.join(name), user)?;
            }
        }
        Ok(())
    }

    fn make_trees(&self) -> Result<()> {
        let (app, host, bin) = (self.app(), self.dir.join("host"), self.dir.join("bin"));
        // What the new host has at the old paths.
        for name in ["conf", "hidden", "denied", "data/file", "rw/file", "union/file", "union/both"] {
            write(&app.join(name), "host\n")?;
        }
        for name in ["data/dir", "scratch", "union/dir"] {
            fs::create_dir_all(app.join(name))?;
        }
        let data = host.join("data");
        for (name, text) in [("file", "mapped\n"), ("dir/one", "1\n"), ("dir/two", "2\n")] {
            write(&data.join(name), text)?;
        }
        symlink("file", data.join("link"))?;
        symlink(app.join("conf"), data.join("inside"))?;
        for program in ["files", "library.so"] {
            fs::copy(bin.join(program), data.join(program))?;
        }
        let at = app.join("data");
        write(&data.join("script"), &format!("#!{0}/sh\nexec {0}/files open {0}/file\n", at.display()))?;
        fs::copy("/bin/sh", data.join("sh"))?;
        fs::set_permissions(data.join("script"), fs::Permissions::from_mode(0o755))?;
        write(&host.join("conf"), "inline\n")?;
        fs::create_dir_all(host.join("empty"))?;
        for instance in ["a", "b"] {
            let rw = host.join(format!("rw-{instance}"));
            write(&rw.join("instance"), &format!("{instance}\n"))?;
            write(&rw.join("file"), "text\n")?;
            write(&rw.join("secret"), "secret\n")?;
            fs::set_permissions(rw.join("secret"), fs::Permissions::from_mode(0o600))?;
        }
        for (name, text) in [("file", "base\n"), ("both", "lower\n"), ("dir/one", "1\n"), ("dir/two", "2\n")]
        {
            write(&host.join("base").join(name), text)?;
        }
        for (name, text) in [("both", "upper\n"), ("dir/three", "3\n")] {
            write(&host.join("patch").join(name), text)?;
        }
        Ok(())
    }

    /// The files of /etc that the policy amounts to, for those that mount them one by one.
    fn make_etc(&self) -> Result<()> {
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        let services = fs::read_to_string("/etc/services").unwrap_or_default();
        for (name, text) in [
            ("hostname", "erp01\n"),
            ("machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("os-release", "ID=rhel\nVERSION_ID=6.10\n"),
            ("passwd", "root:x:0:0::/root:/bin/sh\noracle:x:54321:54321::/home/oracle:/bin/bash\n"),
            ("group", "root:x:0:\noracle:x:54321:\ndba:x:54322:oracle\n"),
            ("hosts", &format!("127.9.2.3 db.old.corp\n{hosts}")),
            ("services", &format!("shop 9001/tcp\n{services}")),
            ("resolv.conf", "nameserver 127.0.0.1\n"),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"),
            ("dns", "A mail.old.corp 127.9.2.4\n"),
        ] {
            write(&self.dir.join("etc").join(name), text)?;
        }
        let proxychains = format!(
            "strict_chain\nquiet_mode\ndnat 127.9.2.3:5432 127.0.0.1:{}\n\
             dnat 127.9.2.3:5433 127.0.0.1:{}\n[ProxyList]\nsocks5 127.0.0.1 {}\n",
            self.servers.greeter, self.servers.echo, self.servers.proxy
        );
        write(&self.dir.join("etc/proxychains.conf"), &proxychains)
    }

    fn make_policies(&self) -> Result<()> {
        for (instance, led) in ["a", "b"].into_iter().zip(LED) {
            let mounts = self.mounts(instance);
            for (kind, more) in [
                ("plain", String::new()),
                ("root", "run_as = \"root\"\n".into()),
                ("time", "[time]\noffset = \"-400d\"\n".into()),
                ("network", self.network(led)),
            ] {
                let text = format!("[app]\nname = \"{kind}-{instance}\"\n{}{more}{mounts}", identity());
                write(&self.policy(kind, instance), &text)?;
            }
        }
        Ok(())
    }

    fn mounts(&self, instance: &str) -> String {
        let (app, host) = (self.app().display().to_string(), self.dir.join("host").display().to_string());
        let mut text = String::new();
        for (at, what) in [
            ("data", format!("source = \"{host}/data\"")),
            ("rw", format!("source = \"{host}/rw-{instance}\"\naccess = \"read-write\"")),
            ("conf", "content = \"inline\\n\"".into()),
            ("hidden", "kind = \"hidden\"".into()),
            ("denied", "kind = \"denied\"".into()),
            ("scratch", "kind = \"empty\"".into()),
            ("union", format!("layers = [\"{host}/base\", \"{host}/patch\"]\nwrite = \"private\"")),
        ] {
            // Writing to a string does not fail.
            let _ = writeln!(text, "[[mount]]\nat = \"{app}/{at}\"\n{what}");
        }
        text
    }

    fn network(&self, led: u16) -> String {
        let Servers { greeter, echo, names, .. } = self.servers;
        format!(
            "[network]\nhosts = {{ \"db.old.corp\" = [\"127.9.2.3\"] }}\n\
             resolver = {{ nameservers = [\"127.0.0.1:{names}\"] }}\nservices = {{ shop = \"9001/tcp\" }}\n\
             order = [\"hosts\", \"dns\"]\n\
             [[network.bind]]\nfrom = \"0.0.0.0:80\"\nto = \"127.0.0.1:{led}\"\n\
             [[network.connect]]\nfrom = \"127.9.2.3:5432\"\nto = \"127.0.0.1:{greeter}\"\n\
             [[network.connect]]\nfrom = \"127.9.2.3:5433\"\nto = \"127.0.0.1:{echo}\"\n\
             [[network.connect]]\nfrom = \"127.9.2.6:*\"\naction = \"deny\"\n"
        )
    }

    /// A policy by its kind (`rows.rs`) and instance.
    pub fn policy(&self, kind: &str, instance: &str) -> PathBuf {
        self.dir.join(format!("{kind}-{instance}.toml"))
    }

    /// What is to stand at which path, for those that can say so one by one. A union is its
    /// lowest layer to those that know none.
    pub fn binds(&self, instance: &str, unions: bool) -> Vec<Bind> {
        let (app, host) = (self.app(), self.dir.join("host"));
        let rw = format!("rw-{instance}");
        let mut binds = vec![
            Bind { source: host.join("data"), at: app.join("data"), read_write: false },
            Bind { source: host.join(rw), at: app.join("rw"), read_write: true },
            Bind { source: host.join("conf"), at: app.join("conf"), read_write: false },
            Bind { source: host.join("empty"), at: app.join("scratch"), read_write: true },
        ];
        if !unions {
            binds.push(Bind { source: host.join("base"), at: app.join("union"), read_write: true });
        }
        for (name, at) in ETC {
            let at = Path::new(at);
            if at.exists() {
                binds.push(Bind {
                    source: self.dir.join("etc").join(name),
                    at: at.into(),
                    read_write: false,
                });
            }
        }
        binds
    }

    /// A root directory for fakechroot, which knows no other way: links to what the paths are to lead to.
    fn make_fake_root(&self) -> Result<()> {
        for instance in ["a", "b"] {
            let root = self.fake_root(instance);
            let etc = root.join("etc");
            fs::create_dir_all(&etc)?;
            for entry in fs::read_dir("/etc")?.flatten() {
                symlink(entry.path(), etc.join(entry.file_name()))?;
            }
            for Bind { source, at, .. } in self.binds(instance, false) {
                let place = root.join(at.strip_prefix("/").unwrap_or(&at));
                let _ = fs::remove_file(&place);
                fs::create_dir_all(place.parent().unwrap_or(&root))?;
                symlink(source, place)?;
            }
        }
        Ok(())
    }

    fn fake_root(&self, instance: &str) -> PathBuf {
        self.dir.join(format!("fakeroot/{instance}"))
    }

    /// The script by which root has the kernel make the view, in a namespace of mounts and names.
    fn make_scripts(&self) -> Result<()> {
        for instance in ["a", "b"] {
            let dir = self.dir.display();
            let mut script = format!(
                "set -e\nmount --make-rprivate /\nroot={dir}/newroot\nmkdir -p $root\nmount --rbind / $root\n\
                 hostname erp01\necho corp.example > /proc/sys/kernel/domainname\n"
            );
            for Bind { source, at, read_write } in self.binds(instance, true) {
                let (source, at) = (source.display(), at.display());
                let _ = writeln!(script, "mount --bind '{source}' \"$root{at}\"");
                if !read_write {
                    let _ = writeln!(script, "mount -o remount,bind,ro \"$root{at}\"");
                }
            }
            let overlay = format!("{dir}/overlay");
            let _ = writeln!(
                script,
                "mkdir -p {overlay}/upper-{instance} {overlay}/work-{instance}\n\
                 {own}mount -t overlay -o redirect_dir=on,lowerdir={dir}/host/patch:{dir}/host/base,upperdir={overlay}/upper-{instance},\
                 workdir={overlay}/work-{instance} overlay \"$root{app}/union\"\nuser=$1\nshift\n\
                 exec chroot $user \"$root\" \"$@\"",
                own = self.user.map_or(String::new(), |user| format!(
                    "chown {user}:{user} {overlay}/upper-{instance}\n"
                )),
                app = self.app().display(),
            );
            write(&self.dir.join(format!("kernel-{instance}.sh")), &script)?;
        }
        Ok(())
    }

    /// A text with the names in braces filled in.
    pub fn fill(&self, text: &str, kind: &str, instance: &str) -> String {
        let bin = self.dir.join("bin").display().to_string();
        let dir = self.dir.display().to_string();
        let app = format!("{dir}/appl");
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let exclude = ["/usr", "/bin", "/lib", "/lib64", "/sbin", "/proc", "/dev", "/sys"].join(":");
        [
            ("{launcher}", format!("{bin}/launcher")),
            ("{policy}", self.policy(kind, instance).display().to_string()),
            ("{root}", self.fake_root(instance).display().to_string()),
            ("{exclude}", format!("{exclude}:{bin}:{dir}/host")),
            ("{script}", format!("{dir}/kernel-{instance}.sh")),
            ("{scratch}", format!("{dir}/scratch")),
            ("{etc}", format!("{dir}/etc")),
            ("{user}", self.user.map_or(String::new(), |user| format!("--userspec={user}:{user}"))),
            ("{uid}", self.user.unwrap_or(0).to_string()),
            ("{data}", format!("{app}/data")),
            ("{rw}", format!("{app}/rw")),
            ("{union}", format!("{app}/union")),
            ("{app}", app),
            ("{source}", format!("{dir}/host/rw-{instance}")),
            ("{base}", format!("{dir}/host/base")),
            ("{instance}", instance.to_owned()),
            ("{release}", RELEASE.to_owned()),
            ("{greeter}", self.servers.greeter.to_string()),
            ("{now}", now.to_string()),
            ("{date}", date(now - 400 * 86400)),
        ]
        .into_iter()
        .fold(programs(text, &bin), |text, (name, value)| text.replace(name, &value))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The names of the probes, in all their builds.
fn programs(text: &str, bin: &str) -> String {
    let mut text = text.to_owned();
    for program in ["files", "host"] {
        for kind in ["", "-static", "-musl", "-setuid"] {
            text = text.replace(&format!("{{{program}{kind}}}"), &format!("{bin}/{program}{kind}"));
        }
    }
    text
}

/// The files of /etc that a policy amounts to.
const ETC: &[(&str, &str)] = &[
    ("hostname", "/etc/hostname"),
    ("machine-id", "/etc/machine-id"),
    ("os-release", "/etc/os-release"),
    ("passwd", "/etc/passwd"),
    ("group", "/etc/group"),
    ("hosts", "/etc/hosts"),
    ("services", "/etc/services"),
    ("resolv.conf", "/etc/resolv.conf"),
    ("nsswitch.conf", "/etc/nsswitch.conf"),
];

fn identity() -> String {
    format!(
        "[identity]\nhostname = \"erp01\"\ndomainname = \"corp.example\"\n\
         machine_id = \"0123456789abcdef0123456789abcdef\"\nhost_id = 0x0a01020f\ncpus = 3\nmemory = \"1536MiB\"\n\
         os_release = {{ ID = \"rhel\", VERSION_ID = \"6.10\" }}\nkernel = {{ release = \"{RELEASE}\" }}\n\
         users = [{{ name = \"oracle\", uid = 54321, home = \"/home/oracle\", shell = \"/bin/bash\" }}]\n\
         groups = [{{ name = \"dba\", gid = 54322, members = [\"oracle\"] }}]\n"
    )
}

/// The date of a time in seconds, as `date -u +%F` has it, of another process than
/// those that are asked.
fn date(seconds: u64) -> String {
    let said = Command::new("date").args(["-u", "+%F", "-d", &format!("@{seconds}")]).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}

/// Writes a file and the directories above it.
fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}

/// Gives a tree to a user.
fn give(path: &Path, user: u32) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(user))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}

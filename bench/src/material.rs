//! What whole programs work on: a tree of many files, large files, a cluster of postgresql's and sources.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ground::Ground;

/// Files whose first write is measured: the name of a size, its bytes, how many are written to in one sample, and by how
/// many names there is one.
const SIZES: [(&str, usize, u32, u32); 4] = [
    ("4K", 4 << 10, 50, 5000),
    ("1M", 1 << 20, 10, 1000),
    ("64M", 64 << 20, 1, 100),
    ("1G", 1 << 30, 1, 100),
];

impl Ground {
    /// The tree of 20,000 files, and the program that reads it.
    pub fn make_many(&self) -> std::io::Result<()> {
        let many = self.source(0).join("many");
        for directory in 0..400 {
            let directory = many.join(format!("{}/{}", directory / 20, directory % 20));
            fs::create_dir_all(&directory)?;
            for file in 0..50 {
                fs::write(directory.join(file.to_string()), format!("file {file}\n").repeat(file + 1))?;
            }
        }
        let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/read.go");
        // An index that is as young as its files makes git(1) read them all again.
        let commit = "git init -q . && git add . && git -c user.name=bench -c user.email=bench@localhost commit -qm all \
            && cp -a . \"$1\" && sleep 1.1 && for tree in . \"$1\"; do cd \"$tree\"; rm .git/index; git reset -q; done";
        let mut git = Command::new("sh");
        git.args(["-ec", commit, "sh"]).arg(self.at(0).join("many")).current_dir(&many);
        let mut build = Command::new("go");
        build.arg("build").arg("-o").arg(self.reader()).arg(go);
        build.env("CGO_ENABLED", "0").env("GOCACHE", self.dir.join("gocache")).env("GOFLAGS", "-mod=mod");
        for mut command in [git, build] {
            let status = command.status()?;
            if !status.success() {
                return Err(std::io::Error::other(format!("{command:?}: {status}")));
            }
        }
        Ok(())
    }

    /// Files of the sizes that `is_wanted`, each by as many names as are written to at most.
    pub fn make_large(&self, is_wanted: fn(&str) -> bool) -> std::io::Result<()> {
        const LINE: &str = "64 bytes of a file that is large, one line of it after another.\n";
        for (name, size, times, names) in SIZES.into_iter().filter(|(name, ..)| is_wanted(name)) {
            let large = self.large().join(name);
            fs::create_dir_all(&large)?;
            let mut file = fs::File::create(large.join("0"))?;
            let block = LINE.repeat(size.min(1 << 20) / LINE.len());
            for _ in 0..size / block.len() {
                file.write_all(block.as_bytes())?;
            }
            for name in 1..names {
                fs::hard_link(large.join("0"), large.join(name.to_string()))?;
            }
            fs::write(self.scratch().join(format!("next-{name}")), format!("0 {times}\n"))?;
        }
        Ok(())
    }

    /// A cluster of postgresql's: for native, in the mount, and beside them.
    pub fn make_cluster(&self) -> std::io::Result<()> {
        let make = "user() { setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }\n\
            bin=$(echo /usr/lib/postgresql/*/bin); chmod 1777 $1; user $bin/initdb -A trust -N -D $1/pg > $1/said\n\
            user $bin/pg_ctl -s -w -D $1/pg -l $1/log -o \"-k $1 -c listen_addresses=\" start\n\
            PGHOST=$1 user $bin/pgbench -i -q postgres > $1/said 2>&1\n\
            user $bin/pg_ctl -s -w -m fast -D $1/pg stop; cp -a $1/pg $2; cp -a $1/pg $3; cp -a $1/pg $2/pg-union";
        let mut command = Command::new("sh");
        command.args(["-ec", make, "sh"]).arg(self.scratch()).arg(self.at(0)).arg(self.source(0));
        let status = command.current_dir("/").status()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("{command:?}: {status}"))) }
    }

    /// Fifty files of C with their Makefile, and three hundred modules of JavaScript, for native and in the mount.
    pub fn make_sources(&self) -> std::io::Result<()> {
        for tree in [self.at(0), self.source(0)] {
            let (c, js) = (tree.join("c"), tree.join("js"));
            fs::create_dir(&c)?;
            fs::create_dir(&js)?;
            for file in 0..50 {
                let text = format!(
                    "#include <stdio.h>\n#include \"all.h\"\nint f{file}(int n) {{ return printf(\"%d\\n\", n + MORE); }}\n"
                );
                fs::write(c.join(format!("f{file}.c")), text)?;
            }
            fs::write(c.join("all.h"), "#define MORE 1\n")?;
            let makefile = "OBJECTS = $(patsubst %.c,$(OUT)/%.o,$(wildcard *.c))\n$(OUT)/all.a: $(OBJECTS)\n\tar rc $@ $^\n\
                            $(OUT)/%.o: %.c all.h\n\tgcc -O1 -c -o $@ $<\n";
            fs::write(c.join("Makefile"), makefile)?;
            let mut index = String::new();
            for module in 0..300 {
                fs::write(
                    js.join(format!("m{module}.js")),
                    format!("export const m{module} = () => {module};\n"),
                )?;
                let _ = writeln!(
                    index,
                    "import {{ m{module} }} from './m{module}.js'; console.log(m{module}());"
                );
            }
            fs::write(js.join("index.js"), index)?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn large(&self) -> PathBuf {
        self.at(0).join("large")
    }

    /// The Go program that reads all files of a tree, programs/read.go.
    pub fn reader(&self) -> PathBuf {
        self.dir.join("read")
    }
}

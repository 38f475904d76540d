//! The demo: one small program, two instances at the same time, three answers.

use std::path::Path;
use std::process::Command;

use crate::{Result, root};

const PROGRAM: &str = r#"
printf '%s\n' "  /etc/shop.conf:   $(cat /etc/shop.conf 2>&1)"
printf '%s\n' "  /var/lib/shop:    $(ls /var/lib/shop 2>&1 | tr '\n' ' ')"
printf '%s\n' "  ls /root:         $(ls /root 2>&1 | head -n 1)"
printf '%s\n' "  touch /opt/shop/x: $(touch /opt/shop/x 2>&1 && echo done)"
"#;

/// Runs it.
pub fn run(launcher: &Path) -> Result<()> {
    let scratch = root().join("target/demo");
    let setup = |error: std::io::Error| format!("cannot set up {}: {error}", scratch.display());
    let mut children = Vec::new();
    for (name, port) in [("north", 9000), ("south", 9100)] {
        let data = scratch.join(name);
        std::fs::create_dir_all(&data).map_err(setup)?;
        std::fs::write(data.join(format!("orders-{name}.db")), "").map_err(setup)?;
        let policy = scratch.join(format!("{name}.toml"));
        let text = format!(
            "[[mount]]\nat = \"/etc/shop.conf\"\ncontent = \"port={port}\"\n\n\
             [[mount]]\nat = \"/var/lib/shop\"\nsource = \"./{name}\"\naccess = \"read-write\"\n\n\
             [[mount]]\nat = \"/opt/shop\"\nsource = \"./{name}\"\n\n\
             [[mount]]\nat = \"/root\"\nkind = \"hidden\"\n"
        );
        std::fs::write(&policy, text).map_err(setup)?;
        let mut command = Command::new(launcher);
        command.arg("--policy").arg(&policy).args(["sh", "-c", PROGRAM]);
        command.stdout(std::process::Stdio::piped());
        let shown = format!("launcher --policy {}", policy.display());
        children.push((shown, command.spawn().map_err(|error| format!("cannot run the launcher: {error}"))?));
    }
    println!("on the host itself:");
    let status = Command::new("sh").args(["-c", PROGRAM]).status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("the program on the host: {status}"));
    }
    for (shown, child) in children {
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        println!("{shown}:\n{}", String::from_utf8_lossy(&output.stdout).trim_end());
        if !output.status.success() {
            return Err(format!("{shown}: {}", output.status));
        }
    }
    Ok(())
}

//! The order of a door's code, for its build script: what programs run often lies together (often.txt).

const FILES: [&str; 3] = ["layout.ld", "../elements/often.rs", "../elements/often.txt"];

/// Writes the door's layout, layout.ld, with the sections of those functions where it says `OFTEN`; tells where to.
pub fn layout(out: &str) -> String {
    let read = |name: &str| std::fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    for name in FILES {
        println!("cargo::rerun-if-changed={name}");
    }
    let [layout, _, often] = FILES;
    let written = format!("{out}/layout.ld");
    std::fs::write(&written, read(layout).replace("OFTEN", &sections(&read(often))))
        .expect("OUT_DIR is writable");
    written
}

/// The sections of functions: each has one of its own, by its mangled name. What stands between the module
/// and the function's own name, as `<impl Instance>`, may be anything.
fn sections(often: &str) -> String {
    let functions = often.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    functions.map(|path| format!("*(.text.*_ZN{}17h*)\n    ", mangled(path))).collect()
}

fn mangled(path: &str) -> String {
    let parts: Vec<&str> = path.split("::").collect();
    let own = parts.iter().rposition(|part| *part != "{closure}").expect("a path has a name");
    let part = |(at, part): (usize, &&str)| match *part {
        "elements" | "view" if at == 0 => format!("{}launcher_{part}", "launcher_".len() + part.len()),
        "{closure}" => "*closure*".to_owned(),
        _ if at == own => format!("*{}{part}", part.len()),
        _ => format!("{}{part}", part.len()),
    };
    parts.iter().enumerate().map(part).collect()
}

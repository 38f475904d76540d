//! The text of a policy: taken, or refused with a reason and a place.

use std::path::Path;

/// Reads a policy, and what becomes of it.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let variables = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
    let policy = policy::parse(Path::new("/p/app.toml"), &text, &variables);
    let lines = text.matches('\n').count() + 1;
    match policy.and_then(|policy| policy::plan(&policy, false)) {
        Ok(plan) => {
            let [instance, kept, volumes] = ["/instance", "/kept", "/volumes"].map(Path::new);
            let places = policy::Places { instance, kept, volumes };
            let image = plan.image(&places);
            let view = crate::guarded::Guarded::new(&image, 8);
            assert!(view::View::from_bytes(view.bytes()).is_ok(), "what we compile, we can read");
            assert_eq!(plan.digest(b"", &places).len(), 32);
        }
        Err(report) => {
            assert!(!report.diagnostics().is_empty(), "a reason");
            for found in report.diagnostics() {
                assert!((1..=lines).contains(&found.line) && found.column >= 1, "{found:?}");
                assert!(!found.message.is_empty() && found.span.end <= text.len(), "{found:?}");
            }
            assert!(!report.render(true).is_empty() && !report.render(false).is_empty());
            assert!(report.to_json().to_string().starts_with('{'));
        }
    }
}

/// Policies that are right, and some that are not.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../../policies/legacy-shop.toml"),
        include_str!("../../../policies/nginx.toml"),
        include_str!("../../../policies/redis.toml"),
        "coverage = \"best-effort\"\n[app]\nname = \"x\"\nworkdir = \"/w\"\nno_new_privs = false\n",
        "[env]\nclear = true\nkeep = [\"PATH\"]\nunset = []\nset = { A = \"${HOME}/${X:-y}$$\", \"B C\" = '' }\n",
        "[[mount]]\nat = \"/a\"\nkind = \"hidden\"\n[[mount]]\nat = \"/a/b\"\ncontent = \"\"\"\nx\n\"\"\"\nmode = \"0600\"\n",
        "mount = [{ at = \"/e\", kind = \"empty\" }, { at = \"/e/d\", kind = \"denied\" }, { at = \"/e/s\", source = \"/etc\" }]\n",
        "[mount]\nat = \"/a\"\nkind = \"hiden\"\nat = \"/b\"\r\n[[app]]\nname = 5\n",
        "\u{feff}a = [[[{ b.c.d = 1979-05-27T07:32:00Z }]]]\n\"\\u00e9\" = +inf\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

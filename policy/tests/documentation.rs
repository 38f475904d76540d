//! What the documentation shows must be right.

use std::path::Path;

use launcher_policy::{parse, plan, schema};

fn docs(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_example_in_the_policy_page_is_a_policy() {
    let page = docs("policy.md");
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or("")).collect();
    assert!(examples.len() >= 4);
    for example in examples {
        let policy = parse(Path::new("/docs/policy.md"), example, &|_| None);
        let planned = policy.and_then(|policy| plan(&policy, false));
        if let Err(report) = planned {
            panic!("{report}");
        }
    }
}

#[test]
fn the_policy_page_documents_every_key() {
    let page = docs("policy.md");
    let schema = schema();
    let mut keys: Vec<String> = Vec::new();
    let definitions = schema["$defs"].as_object().expect("definitions").values();
    for table in definitions.chain([&schema]) {
        keys.extend(table["properties"].as_object().into_iter().flat_map(|keys| keys.keys().cloned()));
    }
    assert!(keys.iter().any(|key| key == "optional"));
    for key in keys {
        let shown = [format!("`{key}`"), format!("`[{key}]`"), format!("`[[{key}]]`")];
        assert!(
            shown.iter().any(|shown| page.contains(shown.as_str())),
            "docs/policy.md does not say `{key}`"
        );
    }
}

#[test]
fn the_schema_that_is_checked_in_is_current() {
    let current = format!("{:#}\n", schema());
    assert!(docs("policy.schema.json") == current, "run `launcher schema > docs/policy.schema.json`");
}

//! `${VAR}` and `${VAR:-default}` in values. `$$` is a dollar sign.

use std::ops::Range;

use crate::Variables;

/// Why a value cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
pub struct Unexpanded {
    /// The words in question, as bytes of the value.
    pub words: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What was expected instead.
    pub expected: String,
    /// What to do about it.
    pub help: String,
}

/// Puts the variables in.
///
/// # Errors
///
/// Each variable that is not set and has no default, and each `$` that begins
/// neither of the forms.
pub fn expand(value: &str, variables: Variables<'_>) -> Result<String, Vec<Unexpanded>> {
    let mut out = String::with_capacity(value.len());
    let mut wrong = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let start = value.len() - rest.len() + at;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some((name, default, after)) = form(rest) else {
            wrong.push(Unexpanded {
                words: start..start + 1,
                message: "a `$` that begins no variable".into(),
                expected: "`${NAME}` or `${NAME:-default}`".into(),
                help: "write `$$` for a dollar sign".into(),
            });
            continue;
        };
        // As in the shell, ":-" also stands in for a variable that is empty.
        match (variables(name), default) {
            (Some(found), Some(default)) if found.is_empty() => out.push_str(default),
            (Some(found), _) => out.push_str(&found),
            (None, Some(default)) => out.push_str(default),
            (None, None) => wrong.push(Unexpanded {
                words: start..value.len() - after.len(),
                message: format!("the variable `{name}` is not set"),
                expected: "a variable of the launcher's environment".into(),
                help: format!("set it, or give a default: `${{{name}:-…}}`"),
            }),
        }
        rest = after;
    }
    out.push_str(rest);
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

/// The name and the default of `{NAME}` and `{NAME:-default}`, and what follows.
fn form(rest: &str) -> Option<(&str, Option<&str>, &str)> {
    let (inside, after) = rest.strip_prefix('{')?.split_once('}')?;
    let (name, default) =
        inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    let first_is_digit = name.starts_with(|c: char| c.is_ascii_digit());
    let fits =
        !name.is_empty() && !first_is_digit && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    fits.then_some((name, default, after))
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn variables(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/u".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn a_set_variable_is_put_in() {
        assert_eq!(expand("${HOME}/x", &variables).unwrap(), "/home/u/x");
    }

    #[test]
    fn a_default_stands_in_for_what_is_unset_or_empty() {
        assert_eq!(expand("${NOT:-/a}${EMPTY:-/b}", &variables).unwrap(), "/a/b");
    }

    #[test]
    fn two_dollars_are_one() {
        assert_eq!(expand("$$5 $${HOME}", &variables).unwrap(), "$5 ${HOME}");
    }

    #[test]
    fn an_unset_variable_without_default_is_refused_by_name() {
        let wrong = expand("${NOT}/${NEITHER}", &variables).unwrap_err();
        let told: Vec<_> = wrong.iter().map(|wrong| (wrong.words.clone(), wrong.message.as_str())).collect();
        assert_eq!(
            told,
            [(0..6, "the variable `NOT` is not set"), (7..17, "the variable `NEITHER` is not set")]
        );
    }

    #[test]
    fn a_lone_dollar_is_refused() {
        for value in ["$", "$HOME", "${", "${}", "${1}", "${A B}"] {
            assert!(expand(value, &variables).is_err(), "{value}");
        }
    }
}

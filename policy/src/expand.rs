//! `${VAR}` and `${VAR:-default}` in values. `$$` is a dollar sign.

use crate::Variables;

/// Why a value cannot be expanded: the words in question (bytes of the value),
/// what is wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Unexpanded {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Puts the variables in.
///
/// # Errors
///
/// A variable that is not set and has no default, or a `$` that begins
/// neither of the forms.
pub fn expand(value: &str, variables: Variables<'_>) -> Result<String, Unexpanded> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let form = || Unexpanded {
            message: "a `$` that begins no variable".into(),
            help: "write `${NAME}` or `${NAME:-default}`, and `$$` for a dollar sign".into(),
        };
        let (inside, after) =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or_else(form)?;
        let (name, default) =
            inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        let first_is_digit = name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || first_is_digit || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(form());
        }
        // As in the shell, ":-" also stands in for a variable that is empty.
        match (variables(name), default) {
            (Some(found), Some(default)) if found.is_empty() => out.push_str(default),
            (Some(found), _) => out.push_str(&found),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(Unexpanded {
                    message: format!("the variable `{name}` is not set"),
                    help: format!("set it, or give a default: `${{{name}:-…}}`"),
                });
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
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
        assert!(expand("${NOT}", &variables).unwrap_err().message.contains("`NOT`"));
    }

    #[test]
    fn a_lone_dollar_is_refused() {
        for value in ["$", "$HOME", "${", "${}", "${1}", "${A B}"] {
            assert!(expand(value, &variables).is_err(), "{value}");
        }
    }
}

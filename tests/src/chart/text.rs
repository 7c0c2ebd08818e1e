//! From objects with marks to the text of chart templates.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

/// The marks inside of a text, and the expression that stands for each.
const VALUES: [(&str, &str); 9] = [
    ("<namespace>", ".Release.Namespace"),
    ("<instance>", ".Values.instance"),
    ("<secrets>", r#"join "," .Values.secrets"#),
    ("<host-disks>", r#"include "backup-controller.host-disks" ."#),
    ("<suffix>", r#"include "backup-controller.suffix" ."#),
    ("<controller-image>", r#"include "backup-controller.image" (list . .Values.images.controller)"#),
    ("<mover-image>", r#"include "backup-controller.image" (list . .Values.images.mover)"#),
    ("<pull-policy>", ".Values.images.pullPolicy"),
    ("<pod-security>", r#"ternary "privileged" "baseline" .Values.hostDisks.enabled"#),
];

/// The marks that stand for a map or a list, which is left out when it is empty.
const STRUCTURES: [(&str, &str); 3] = [
    ("<nodeSelector>", ".Values.nodeSelector"),
    ("<tolerations>", ".Values.tolerations"),
    ("<resources>", ".Values.resources"),
];

/// The mark that stands for a text of many lines, which ends with a line's end.
const CONFIG: (&str, &str) = ("<config>", r#"include "backup-controller.config" ."#);

/// One template that makes these objects.
pub(super) fn template(objects: &[Value]) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        for line in serde_yaml::to_string(object)?.lines() {
            text.push_str(&expand(line));
            text.push('\n');
        }
    }
    if let Some(line) = text.lines().find(|line| mark_in(line).is_some()) {
        bail!("nothing stands for the mark of: {}", line.trim());
    }
    Ok(text)
}

/// Each mark is somewhere: one that kustomize dropped would be a value without effect.
pub(super) fn every_mark_is_used<'a>(texts: impl Iterator<Item = &'a String>) -> Result<()> {
    let all = texts.fold(String::new(), |all, text| all + text);
    let structures = STRUCTURES.iter().chain([&CONFIG]).chain(&VALUES);
    for (mark, expression) in structures {
        ensure!(all.contains(expression), "the mark {mark} came to no place");
    }
    Ok(())
}

/// `<name>`, if a line has one.
fn mark_in(line: &str) -> Option<&str> {
    let letters = |c: char| c.is_ascii_alphabetic() || c == '-';
    line.match_indices('<').find_map(|(start, _)| {
        let name = line[start + 1..].split_once('>')?.0;
        (!name.is_empty() && name.chars().all(letters)).then_some(name)
    })
}

/// A line of YAML as a line, or several, of a template.
fn expand(line: &str) -> String {
    // What looks like an expression and is none.
    let line = line.replace("{{", r#"{{ "{{" }}"#);
    if let Some((key, mark)) = line.rsplit_once(": ") {
        if let Some((_, of)) = STRUCTURES.iter().find(|(m, _)| *m == mark) {
            let indent = key.len() - key.trim_start().len() + 2;
            return format!("{{{{- with {of} }}}}\n{key}:\n{{{{ toYaml . | indent {indent} }}}}\n{{{{- end }}}}");
        }
        if mark == CONFIG.0 {
            let indent = key.len() - key.trim_start().len() + 2;
            return format!("{key}: |\n{{{{ {} | trimSuffix \"\\n\" | indent {indent} }}}}", CONFIG.1);
        }
    }
    VALUES.iter().fold(line, |line, (mark, expression)| place(&line, mark, expression))
}

/// An expression that is all of a scalar is quoted, whatever its value looks like.
fn place(line: &str, mark: &str, expression: &str) -> String {
    let whole = line.strip_suffix(mark).filter(|before| before.ends_with(": ") || before.ends_with("- "));
    match whole {
        Some(before) => format!("{before}{{{{ {expression} | quote }}}}"),
        None => line.replace(mark, &format!("{{{{ {expression} }}}}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(object: &Value) -> String {
        template(std::slice::from_ref(object)).map_err(|e| e.to_string()).unwrap_or_else(|e| e)
    }

    #[test]
    fn a_whole_value_is_quoted_and_a_part_is_not() {
        let text = lines(&json!({"a": "<namespace>", "b": ["<instance>"], "c": "is '<namespace>' here"}));
        assert_eq!(
            text,
            "---\na: {{ .Release.Namespace | quote }}\nb:\n- {{ .Values.instance | quote }}\n\
             c: is '{{ .Release.Namespace }}' here\n"
        );
    }

    #[test]
    fn an_empty_structure_leaves_no_key() {
        let text = lines(&json!({"spec": {"resources": "<resources>"}}));
        assert_eq!(
            text,
            "---\nspec:\n{{- with .Values.resources }}\n  resources:\n{{ toYaml . | indent 4 }}\n{{- end }}\n"
        );
    }

    #[test]
    fn what_looks_like_an_expression_stays_text() {
        assert_eq!(lines(&json!({"a": "x {{json y}} ${Z}"})), "---\na: x {{ \"{{\" }}json y}} ${Z}\n");
    }

    #[test]
    fn a_mark_that_nothing_stands_for_is_an_error() {
        assert!(lines(&json!({"a": "<surprise>"})).contains("nothing stands for the mark of: a: <surprise>"));
    }
}

//! What gateways write: elements are known by their names, since gateways err about namespaces.

use roxmltree::{Document, Node, ParsingOptions};
use sremp_core::constants::MAX_UPNP_NODES;

/// Parses an answer. Document types, which could blow up or fetch something, are refused.
pub(super) fn parse(text: &str) -> Option<Document<'_>> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_UPNP_NODES,
        ..ParsingOptions::default()
    };
    // some gateways begin with an empty line, or end with a zero byte
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    Document::parse_with_options(text, options).ok()
}

/// The text of the first element of this name.
pub(super) fn text<'a>(document: &'a Document<'_>, name: &str) -> Option<&'a str> {
    let element = document.descendants().find(|node| is(node, name))?;
    Some(element.text().unwrap_or_default().trim())
}

/// The text of a child element of this name.
pub(super) fn child<'a>(node: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    let child = node.children().find(|child| is(child, name))?;
    Some(child.text().unwrap_or_default().trim())
}

/// Whether it is an element of this name.
pub(super) fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_blow_up_is_refused() {
        let good = "\n<a xmlns='x'><b> c </b></a>\0";
        let document = parse(good).unwrap();
        assert_eq!(text(&document, "b"), Some("c"));
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_UPNP_NODES as usize));
        let deep = "<a>".repeat(20_000);
        let closed = format!("{}{}", "<a>".repeat(9_000), "</a>".repeat(9_000));
        let laughs = "<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]><a>&d;</a>";
        let foreign = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>";
        for bad in [&many, &deep, &closed, laughs, foreign, "<a>", "a", ""] {
            assert!(parse(bad).is_none(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}

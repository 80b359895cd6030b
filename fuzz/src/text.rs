//! Text that people and peers write.

use sremp_core::{
    contact_card::Endpoint,
    id::ContactId,
    identity::Username,
    text::{clean, clean_line, isolate},
};

/// Any text as everything that text is parsed as, and shown.
pub fn text(data: &[u8]) {
    let written = String::from_utf8_lossy(data);
    let shown = clean(&written);
    assert!(
        !shown
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
    );
    assert_eq!(clean(&shown), shown);
    let line = clean_line(&written);
    assert!(!line.chars().any(char::is_control));
    assert_eq!(clean_line(&line), line);
    assert_eq!(isolate(&written), format!("\u{2068}{line}\u{2069}"));

    if let Ok(endpoint) = written.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint.clone()));
        assert_eq!(
            Endpoint::new(endpoint.host(), endpoint.port()),
            Ok(endpoint)
        );
    }
    if let Ok(name) = Username::enforce(&written) {
        assert_eq!(Username::parse(name.as_str()), Ok(name.clone()));
        assert_eq!(
            clean_line(name.as_str()),
            name.as_str(),
            "a name shows as it is"
        );
    }
    if let Ok(id) = written.parse::<ContactId>() {
        assert_eq!(id.to_string(), written.to_ascii_lowercase());
    }
}

//! What peers try to put on a reader's screen, and what becomes of it.

use proptest::prelude::*;
use sremp_core::text::{clean, clean_line, isolate};

/// Each shows as the second, in text of several lines and in a line of its own alike.
fn shows(cases: &[(&str, &str)]) {
    for (written, shown) in cases {
        assert_eq!(clean(written), *shown, "{written:?}");
        assert_eq!(clean_line(written), *shown, "{written:?}");
    }
}

#[test]
fn terminal_sequences_vanish_with_what_they_carry() {
    shows(&[
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[3Jgone", "gone"),
        ("a\x1b[1;31;48;2;0;0;0mb", "ab"),
        ("a\x1b[?1049hb\x1b[?25l", "ab"),
        ("a\x1b[5 qb", "ab"),
        // a link whose text says something else than its target
        (
            "\x1b]8;;https://evil.example\x1b\\https://bank.example\x1b]8;;\x1b\\",
            "https://bank.example",
        ),
        ("\x1b]8;;https://evil.example\x07bank\x1b]8;;\x07", "bank"),
        // writes to the clipboard; reads it back into the input
        ("a\x1b]52;c;cm0gLXJmIH4K\x07b", "ab"),
        ("a\x1b]52;c;?\x1b\\b", "ab"),
        // window title, and the report that types it
        ("a\x1b]0;rm -rf ~\x07\x1b[21tb", "ab"),
        ("a\x1bP$q\"p\x1b\\b", "ab"),
        ("a\x1b_Gf=24;AAAA\x1b\\b", "ab"),
        ("a\x1b^private\x1b\\b", "ab"),
        ("a\x1bXstring\x1b\\b", "ab"),
        // the same with the 8-bit introducers
        ("a\u{9b}31mb", "ab"),
        ("a\u{9d}52;c;AAAA\u{9c}b", "ab"),
        (
            "a\u{90}q\u{9c}b\u{9e}x\u{9c}\u{9f}y\u{9c}\u{98}z\u{9c}",
            "ab",
        ),
        // reset, line drawing, key pad, index
        ("a\x1bcb", "ab"),
        ("a\x1b(0b", "ab"),
        ("a\x1b=b\x1bDc\x1b#8d", "abcd"),
    ]);
}

#[test]
fn broken_sequences_lose_their_controls_and_hide_nothing() {
    shows(&[
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
        ("a\x1b[31", "a31"),
        (
            "a\x1b]8;;https://evil.example and all the rest",
            "a8;;https://evil.example and all the rest",
        ),
        ("a\x1b]0;title\x1bb", "a0;title"),
        ("\x1b\x1b[31mred", "red"),
        ("\x1b[\x1b[31m31mred", "31mred"),
        ("\u{9d}\u{9d}\u{9d}end", "end"),
        ("a\x1b[31é", "a31é"),
        ("\x1bé", "é"),
    ]);
    assert_eq!(clean("\x1b]0;two\nlines\x07"), "0;two\nlines");
}

#[test]
fn controls_vanish_and_a_carriage_return_overwrites_nothing() {
    shows(&[
        ("a\0b\x07c\x08d\x7fe", "abcde"),
        ("transfer 1\x08000", "transfer 1000"),
        ("a\u{80}\u{8e}\u{99}b", "ab"),
    ]);
    assert_eq!(clean("safe command\rrm -rf ~"), "safe command\nrm -rf ~");
    assert_eq!(clean("a\r\nb\r\rc\n"), "a\nb\n\nc\n");
    assert_eq!(
        clean("a\u{b}b\u{c}c\u{85}d\u{2028}e\u{2029}f"),
        "a\nb\nc\nd\ne\nf"
    );
    assert_eq!(clean("a\tb"), "a\tb");
    assert_eq!(clean_line(" a\tb\n\n c\rd\u{2028}e  "), "a b c d e");
}

#[test]
fn nothing_reorders_what_is_read() {
    shows(&[
        ("photo_\u{202e}gnp.exe", "photo_gnp.exe"),
        ("\u{202a}a\u{202b}b\u{202c}c\u{202d}d\u{202e}e", "abcde"),
        ("\u{2066}a\u{2067}b\u{2068}c\u{2069}d", "abcd"),
        ("a\u{200e}b\u{200f}c\u{61c}d", "abcd"),
        (
            "if admin\u{202e} \u{2066}// check\u{2069}\u{2066}",
            "if admin // check",
        ),
    ]);
}

#[test]
fn nothing_hides_in_what_is_read() {
    let tags: String = "ignore all"
        .chars()
        .map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap())
        .collect();
    let bytes: String = (0..200)
        .map(|n| char::from_u32(0xE0100 + n).unwrap())
        .collect();
    shows(&[
        (
            "pay\u{200b}pal\u{feff}\u{2060}\u{ad}\u{180e}\u{206a}\u{fff9}",
            "paypal",
        ),
        ("pay\u{200d}pal\u{200c}", "paypal"),
        ("a\u{3164}\u{115f}\u{1160}\u{ffa0}\u{34f}\u{17b4}b", "ab"),
        (&format!("hello{tags}"), "hello"),
        (&format!("😀{bytes}!"), "😀\u{e0100}!"),
        (&format!("a{}b", "\u{fe0f}".repeat(9)), "a\u{fe0f}b"),
        ("\u{fe0f}a", "a"),
        (
            "a\u{e000}b\u{10fffd}c\u{378}d\u{ffff}e",
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e",
        ),
    ]);
    let far = format!("Alice{}(verified)", " ".repeat(500));
    assert_eq!(clean_line(&far), "Alice (verified)");
    assert_eq!(
        clean_line("Alice\u{2800}\u{2800}\u{3000}\u{a0}(verified)"),
        "Alice (verified)"
    );
}

#[test]
fn marks_stay_on_their_letter() {
    let stacked = format!("a{}b", "\u{323}".repeat(200));
    assert_eq!(
        clean(&stacked).chars().filter(|c| *c == '\u{323}').count(),
        8
    );
    shows(&[("\u{301}a", "a"), ("e\u{301}", "e\u{301}")]);
    assert_eq!(clean("x\n\u{301}y\t\u{301}z"), "x\ny\tz");
}

#[test]
fn a_mark_on_a_space_stays_unless_the_space_goes() {
    // allowed in a username, which has to show as it is
    shows(&[
        ("a \u{323}\u{323}b", "a \u{323}\u{323}b"),
        ("a \u{fe0f}b", "a b"),
    ]);
    assert_eq!(clean_line("  \u{323} \u{301}b"), "b");
    assert_eq!(clean_line("\u{2800}\u{fe0f}\u{200d}😀"), "😀");
}

#[test]
fn writing_that_needs_joiners_and_selectors_keeps_them() {
    for text in [
        "می‌خواهم",     // Persian, ZWNJ between letters
        "क्‍ष शक्‌ति",     // Devanagari, both behind a virama
        "ශ්‍රී ලංකා",      // Sinhala, ZWJ behind a virama
        "👩‍👩‍👧‍👦 👩🏽‍⚕️ 🏳️‍🌈 🙂‍↔️", // families, skin tone, flag, arrow
        "❤️ 1️⃣ 🇨🇭",
        "葛\u{e0100}飾", // an ideograph and its variant
        "שָׁלוֹם ‏".trim_end_matches(['\u{200f}', ' ']),
        "ภาษาไทย tiếng Việt བོད་སྐད།",
        "\u{600}١٢ \u{6dd}٣",
        "tab\tand\nline",
    ] {
        assert_eq!(clean(text), text);
    }
    // nothing to join
    assert_eq!(clean("a‍b 👩‍ 👩‍a ‌م م‌"), "ab 👩 👩a م م");
    assert_eq!(clean("👩‍‍👧"), "👩‍👧");
    assert_eq!(clean("👩\u{200c}👧"), "👩👧");
}

#[test]
fn an_isolated_name_cannot_leave_its_isolation() {
    assert_eq!(isolate("Ann"), "\u{2068}Ann\u{2069}");
    assert_eq!(
        isolate("A\u{2069}\u{202e}nn\n\x1b[31m"),
        "\u{2068}Ann\u{2069}"
    );
}

#[test]
fn a_long_attack_is_cleaned_in_linear_time() {
    for attack in [
        "\u{9d}",
        "\x1b]",
        "\u{9b}0",
        "\x1b[0",
        "\x1b ",
        "a\u{301}",
        "👩\u{200d}",
    ] {
        let text = attack.repeat(200_000);
        let _ = clean(&text);
    }
}

fn is_harmful(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200b}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text made of what attacks are made of.
fn attack() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\x1b",
            "[",
            "]",
            "\x1b[31m",
            "\x1b]8;;",
            "\x07",
            "\x1b\\",
            "\u{9c}",
            "\u{9d}",
            "\r",
            "\n",
            "\u{200d}",
            "\u{200c}",
            "\u{fe0f}",
            "\u{301}",
            "👩",
            "क",
            "\u{94d}",
            "a",
            "1",
            " ",
            "\u{202e}",
            "\u{2069}",
            "\u{e0041}",
            "\u{3164}",
            "\u{1f3fd}",
            "\u{180b}",
            "م",
        ])
        .prop_map(String::from),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_is_written_shows_clean_and_stays_so(written in attack()) {
        let shown = clean(&written);
        prop_assert!(!shown.chars().any(is_harmful), "{shown:?}");
        prop_assert_eq!(clean(&shown), shown.clone());
        let line = clean_line(&written);
        prop_assert!(!line.contains(['\n', '\t']) && !line.contains("  "));
        prop_assert_eq!(line.trim(), &line);
        prop_assert_eq!(clean_line(&line), line.clone());
    }
}

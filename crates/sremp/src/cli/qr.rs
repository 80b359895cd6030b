//! QR codes in half-block characters: a module is half as high as a character and as wide.

use std::io::{self, Write};

use qrcode::{Color, EcLevel, QrCode};
use sremp_client::card;

use super::Out;

/// Light modules around the code, without which cameras do not find it (ISO/IEC 18004: four).
const QUIET_ZONE: isize = 4;

/// Draws a card's code if there is somebody to see it.
///
/// # Errors
/// Those of writing.
pub(crate) fn draw_card(to: &mut dyn Write, card: &str, out: Out) -> io::Result<()> {
    if !out.terminal || out.plain {
        return Ok(());
    }
    let drawn = card::read(card)
        .ok()
        .and_then(|card| draw(&card.qr, out.colour));
    match drawn {
        Some(code) => write!(to, "\n{code}"),
        None => Ok(()),
    }
}

/// Draws the code of a text if there is somebody to see it.
///
/// # Errors
/// Those of writing.
pub(crate) fn draw_text(to: &mut dyn Write, text: &str, out: Out) -> io::Result<()> {
    let seen = out.terminal && !out.plain;
    match seen.then(|| draw(text, out.colour)).flatten() {
        Some(code) => write!(to, "\n{code}"),
        None => Ok(()),
    }
}

/// The code of a text; `None` if it does not fit into one. With colour the code is black on white
/// whatever the terminal's colours are, without it suits light letters on a dark ground.
fn draw(text: &str, colour: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = isize::try_from(code.width()).ok()?;
    let inside = |at: isize| usize::try_from(at).ok().filter(|_| at < width);
    let light = |x: isize, y: isize| match (inside(x), inside(y)) {
        (Some(x), Some(y)) => code[(x, y)] == Color::Light,
        _ => true,
    };
    let (start, end) = if colour {
        ("\x1b[97;40m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut drawing = String::new();
    for y in (-QUIET_ZONE..width + QUIET_ZONE).step_by(2) {
        drawing.push_str(start);
        for x in -QUIET_ZONE..width + QUIET_ZONE {
            drawing.push(match (light(x, y), light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawing.push_str(end);
        drawing.push('\n');
    }
    Some(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_of_usual_size_fits_into_80_columns_with_its_quiet_zone() {
        // 66 bytes, an endpoint, a name and the signature, in base32.
        let text = format!("SREMP:1/{}", "A7".repeat(134));
        let drawing = draw(&text, false).unwrap();
        let lines: Vec<&str> = drawing.lines().collect();
        let width = lines[0].chars().count();
        assert!(width <= 80, "{width}");
        assert!(lines.iter().all(|line| line.chars().count() == width));
        let quiet = "█".repeat(width);
        assert_eq!(lines[..2], [quiet.as_str(), quiet.as_str()]);
        assert_eq!(*lines.last().unwrap(), quiet.as_str());
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("████") && line.ends_with("████"))
        );
    }

    #[test]
    fn the_drawing_holds_the_modules_of_the_code() {
        let text = "SREMP:1/ABC";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let drawing = draw(text, false).unwrap();
        let grid: Vec<Vec<char>> = drawing.lines().map(|l| l.chars().collect()).collect();
        for y in 0..code.width() {
            for x in 0..code.width() {
                let character = grid[(y + 4) / 2][x + 4];
                let light = match y % 2 {
                    0 => matches!(character, '█' | '▀'),
                    _ => matches!(character, '█' | '▄'),
                };
                assert_eq!(light, code[(x, y)] == Color::Light, "{x}, {y}");
            }
        }
    }
}

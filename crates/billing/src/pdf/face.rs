//! The two type faces of every PDF reader that we set in, and how wide their text is.

use std::{collections::HashMap, sync::LazyLock};

use printpdf::BuiltinFont;

/// Millimetres of a typographic point.
pub const MM_PER_PT: f32 = 25.4 / 72.0;
/// What stands for a letter the face does not have.
const REPLACEMENT: char = '?';
/// The space's width in thousandths of the size; the same in both faces, and not in the faces' own tables.
const SPACE: f32 = 278.0;

/// Regular or bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Regular,
    Bold,
}

/// Thousandths of the size by letter.
type Widths = HashMap<char, f32>;

static REGULAR: LazyLock<Widths> = LazyLock::new(|| widths(BuiltinFont::Helvetica));
static BOLD: LazyLock<Widths> = LazyLock::new(|| widths(BuiltinFont::HelveticaBold));

/// Every letter of the faces' encoding, with its width.
fn widths(font: BuiltinFont) -> Widths {
    let mut widths = Widths::from([(' ', SPACE)]);
    let Some(font) = font.get_parsed_font() else { return widths };
    let per_em = f32::from(font.units_per_em.max(1));
    // The encoding's letters are Latin-1 and a handful of punctuation.
    for letter in (0x21_u32..0x180).chain(0x2000..0x2123).filter_map(char::from_u32) {
        let width = font.lookup_glyph_index(letter as u32).and_then(|glyph| font.glyph_widths.get(&glyph));
        if let Some(width) = width {
            widths.insert(letter, f32::from(*width) * 1_000.0 / per_em);
        }
    }
    widths
}

impl Face {
    pub const fn font(self) -> BuiltinFont {
        match self {
            Self::Regular => BuiltinFont::Helvetica,
            Self::Bold => BuiltinFont::HelveticaBold,
        }
    }

    fn widths(self) -> &'static Widths {
        match self {
            Self::Regular => &REGULAR,
            Self::Bold => &BOLD,
        }
    }

    /// The text with every letter the face cannot show replaced; line ends and tabs become spaces.
    pub fn settable(self, text: &str) -> String {
        text.chars()
            .map(|letter| match letter {
                letter if letter.is_whitespace() => ' ',
                letter if self.widths().contains_key(&letter) => letter,
                _ => REPLACEMENT,
            })
            .collect()
    }

    /// Width in millimetres of settable text at `size` points.
    pub fn width(self, text: &str, size: f32) -> f32 {
        let thousandths: f32 = text.chars().map(|letter| self.widths().get(&letter).copied().unwrap_or(500.0)).sum();
        thousandths / 1_000.0 * size * MM_PER_PT
    }

    /// Breaks text into rows no wider than `max` millimetres: between words, and inside a word that is too long.
    pub fn wrap(self, text: &str, size: f32, max: f32) -> Vec<String> {
        let mut rows = Vec::new();
        let mut row = String::new();
        for word in self.settable(text).split_whitespace() {
            let longer = if row.is_empty() { word.to_owned() } else { format!("{row} {word}") };
            if self.width(&longer, size) <= max {
                row = longer;
                continue;
            }
            if !row.is_empty() {
                rows.push(std::mem::take(&mut row));
            }
            for letter in word.chars() {
                row.push(letter);
                if row.chars().count() > 1 && self.width(&row, size) > max {
                    row.pop();
                    rows.push(std::mem::replace(&mut row, letter.to_string()));
                }
            }
        }
        if !row.is_empty() || rows.is_empty() {
            rows.push(row);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_helvetica() {
        let hundredths = |face: Face, text: &str| (face.width(text, 1_000.0) / MM_PER_PT).round() as i64;
        assert_eq!(hundredths(Face::Regular, "A"), 667);
        assert_eq!(hundredths(Face::Regular, "Rp 1"), 722 + 556 + 278 + 556);
        assert_eq!(hundredths(Face::Bold, "A"), 722);
    }

    #[test]
    fn text_wraps_between_words_and_inside_long_ones_and_loses_nothing() {
        let text = "satu dua tiga pneumonoultramicroscopicsilicovolcanoconiosis empat";
        let rows = Face::Regular.wrap(text, 10.0, 25.0);
        assert!(rows.len() > 3);
        assert!(rows.iter().all(|row| Face::Regular.width(row, 10.0) <= 25.0));
        assert_eq!(rows.concat().replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn letters_the_face_lacks_are_replaced_and_accents_stay() {
        assert_eq!(Face::Regular.settable("Zoé – 山\nx"), "Zoé – ? x");
    }
}

//! Rust source reduced to what counts: comments and the insides of literals blanked, functions measured.

/// The same text, line by line, with comments and the contents of string and character literals as blanks.
pub fn bare(source: &str) -> String {
    let characters: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < characters.len() {
        let end = end_of_skipped(&characters, at);
        if end == at {
            out.push(characters[at]);
            at += 1;
        } else {
            out.extend(characters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none begins there.
fn end_of_skipped(text: &[char], at: usize) -> usize {
    let next = text.get(at + 1).copied();
    let follows_word = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    match text[at] {
        '/' if next == Some('/') => position(text, at, |rest| rest[0] == '\n'),
        '/' if next == Some('*') => end_of_block_comment(text, at),
        '"' => end_of_string(text, at),
        'r' if !follows_word || text[at - 1] == 'b' => end_of_raw_string(text, at).unwrap_or(at),
        '\'' => end_of_character(text, at),
        _ => at,
    }
}

fn position(text: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..text.len()).find(|at| found(&text[*at..])).unwrap_or(text.len())
}

fn end_of_block_comment(text: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at + 1 < text.len() {
        match (text[at], text[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn end_of_string(text: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

fn end_of_raw_string(text: &[char], from: usize) -> Option<usize> {
    let hashes = text[from + 1..].iter().take_while(|c| **c == '#').count();
    let open = from + 1 + hashes;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    Some((position(text, open + 1, |rest| rest.starts_with(&close)) + close.len()).min(text.len()))
}

/// A quote begins a character unless it begins a lifetime.
fn end_of_character(text: &[char], from: usize) -> usize {
    match (text.get(from + 1), text.get(from + 2)) {
        (Some('\\'), _) => (position(text, from + 3, |rest| rest[0] == '\'') + 1).min(text.len()),
        (Some(_), Some('\'')) => from + 3,
        _ => from,
    }
}

/// A function's name, first line (from 1), and the number of lines between its braces.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub line: usize,
    /// Lines of its body.
    pub length: usize,
}

/// Every function with a body, nested ones too. Takes text that [`bare`] made.
pub fn functions(bare: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in bare.match_indices("fn ") {
        let begins_word = bare[..start].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let name: String = bare[start + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !begins_word || name.is_empty() {
            continue;
        }
        if let Some((open, close)) = body(&bare[start..]) {
            let line = bare[..start].matches('\n').count() + 1;
            let length = bare[start + open..start + close].matches('\n').count().saturating_sub(1);
            found.push(Function { name, line, length });
        }
    }
    found
}

/// The places of the braces around the body; none for a declaration without one.
fn body(from: &str) -> Option<(usize, usize)> {
    let (mut open, mut depth, mut brackets) = (None, 0_usize, 0_usize);
    for (at, character) in from.char_indices() {
        match character {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if open.is_none() && brackets == 0 => return None,
            '{' => {
                open = open.or(Some(at));
                depth += 1;
            }
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((open?, at));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_kept() {
        let source =
            "let a = \"}{ // \\\" \"; // }\n/* { /* { */ } */ let b = r#\"\"}\"#; let c = '}'; fn f<'a>() {}\n";
        let bare = bare(source);
        assert_eq!(bare.matches('\n').count(), 2);
        assert_eq!((bare.matches('{').count(), bare.matches('}').count()), (1, 1), "{bare}");
        assert!(bare.contains("fn f<'a>() {}"));
    }

    #[test]
    fn functions_are_measured_between_their_braces() {
        let source =
            "trait T { fn no_body(&self, a: [u8; 3]); }\nfn one() {\n    a();\n    b();\n}\nfn two() { c() }\n";
        let lengths: Vec<(String, usize, usize)> =
            functions(source).into_iter().map(|f| (f.name, f.line, f.length)).collect();
        assert_eq!(lengths, [("one".to_owned(), 2, 2), ("two".to_owned(), 6, 0)]);
    }
}

//! Arguments as one text, which names a process for people. Used by the tracker.

/// Characters of a program's text that are kept: it says which program it is, not what it does.
const PROGRAM_CHARACTERS: usize = 80;

/// The arguments, joined by spaces. The text of a program (`python3 -c TEXT`, `sh -c TEXT`) can be as long as it likes, so
/// only its beginning is kept.
pub(super) fn text<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> String {
    let mut text = String::new();
    let mut is_program = false;
    for (position, argument) in arguments.into_iter().enumerate() {
        let argument = argument.as_ref();
        if position > 0 {
            text.push(' ');
        }
        // An option of the same name of another program takes a path, which has no spaces most of the time.
        let is_text = is_program && argument.contains([' ', '\n', ';']);
        match argument.char_indices().nth(PROGRAM_CHARACTERS) {
            Some((end, _)) if is_text => {
                text.push_str(argument.get(..end).unwrap_or(argument));
                text.push('…');
            }
            _ => text.push_str(argument),
        }
        is_program = argument == "-c";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn the_text_of_a_program_is_cut_and_nothing_else() {
        let program = "import time; ".repeat(20);
        let shown = text(["python3", "-c", &program, "argument"]);
        let expected: String = program.chars().take(80).collect();
        assert_eq!(shown, format!("python3 -c {expected}… argument"));
        let path = format!("/srv/{}/app.py", "long/".repeat(40));
        assert_eq!(text(["python3", &path]), format!("python3 {path}"));
        assert_eq!(text(["gunicorn", "-c", &path]), format!("gunicorn -c {path}"));
        let characters = "é ".repeat(60);
        assert_eq!(text(["-c", &characters]).chars().count(), 3 + 80 + 1);
    }
}

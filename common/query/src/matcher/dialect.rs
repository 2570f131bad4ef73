//! From PCRE, which clients write, to the syntax of the `regex` crate, which matches in linear time.
//! What means the same is passed on, what is only written otherwise is rewritten, and what needs backtracking
//! (lookaround, backreferences, possessive quantifiers, recursion) is refused.

type Refused = String;

/// Translates a pattern. `extended` and `multi_line` are the options `x` and `m`.
pub(super) fn translate(pattern: &str, extended: bool, multi_line: bool) -> Result<String, Refused> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut translator = Translator {
        chars: &chars,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        extended,
        // An inline `(?m)` changes the dollar on the way, so it is then left as it is.
        dollar_ends_text: !multi_line && !has_inline_multi_line(pattern),
    };
    translator.run()?;
    Ok(translator.out)
}

fn has_inline_multi_line(pattern: &str) -> bool {
    pattern
        .split("(?")
        .skip(1)
        .any(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').any(|c| c == 'm'))
}

struct Translator<'p> {
    chars: &'p [char],
    at: usize,
    out: String,
    extended: bool,
    dollar_ends_text: bool,
}

/// Where text may end, as PCRE's dollar and `\Z` see it: also before a last line break.
const END: &str = r"(?:\n?\z)";

impl Translator<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }

    fn rest_starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn run(&mut self) -> Result<(), Refused> {
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '$' if self.dollar_ends_text => self.out.push_str(END),
                '*' | '+' | '?' => self.quantifier(&c.to_string())?,
                '{' => match self.bounded_quantifier() {
                    Some(text) => self.quantifier(&text)?,
                    None => self.out.push_str("\\{"),
                },
                '}' | ']' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '#' if self.extended => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                other => self.out.push(other),
            }
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}` after its brace; PCRE takes any other brace as a letter.
    fn bounded_quantifier(&mut self) -> Option<String> {
        let length = self.chars[self.at..].iter().position(|c| *c == '}')?;
        let body: String = self.chars[self.at..self.at + length].iter().collect();
        let (low, high) = body.split_once(',').unwrap_or((&body, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) {
            return None;
        }
        self.at += length + 1;
        Some(format!("{{{body}}}"))
    }

    fn quantifier(&mut self, text: &str) -> Result<(), Refused> {
        self.out.push_str(text);
        match self.peek(0) {
            Some('+') => Err("possessive quantifiers are not supported".to_owned()),
            Some('?') => {
                self.at += 1;
                self.out.push('?');
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn group(&mut self) -> Result<(), Refused> {
        if self.rest_starts_with("*") {
            return Err("verbs are not supported".to_owned());
        }
        if !self.rest_starts_with("?") {
            self.out.push('(');
            return Ok(());
        }
        if self.rest_starts_with("?#") {
            while let Some(c) = self.next() {
                if c == ')' {
                    return Ok(());
                }
            }
            return Err("missing ) after (?# comment".to_owned());
        }
        for (start, what) in [
            ("?=", "lookahead is not supported"),
            ("?!", "lookahead is not supported"),
            ("?<=", "lookbehind is not supported"),
            ("?<!", "lookbehind is not supported"),
            ("?>", "atomic groups are not supported"),
            ("?|", "branch reset is not supported"),
            ("?(", "conditional groups are not supported"),
            ("?R", "recursion is not supported"),
            ("?&", "recursion is not supported"),
            ("?P>", "recursion is not supported"),
            ("?P=", "backreferences are not supported"),
            ("?C", "callouts are not supported"),
        ] {
            if self.rest_starts_with(start) {
                return Err(what.to_owned());
            }
        }
        if self.peek(1).is_some_and(|c| c.is_ascii_digit() || c == '+') {
            return Err("recursion is not supported".to_owned());
        }
        self.out.push('(');
        if self.rest_starts_with("?'") {
            self.at += 2;
            self.out.push_str("?<");
            while let Some(c) = self.next() {
                if c == '\'' {
                    self.out.push('>');
                    return Ok(());
                }
                self.out.push(c);
            }
            return Err("subpattern name expected".to_owned());
        }
        Ok(())
    }

    /// An escape outside of a class, after its backslash.
    fn escape(&mut self) -> Result<(), Refused> {
        let Some(c) = self.next() else { return Err("\\ at end of pattern".to_owned()) };
        match c {
            'w' | 'W' | 'd' | 'D' | 's' | 'S' | 'h' | 'H' | 'v' | 'V' | 'N' => self.out.push_str(set(c)),
            'b' => self.out.push_str("(?-u:\\b)"),
            'B' => self.out.push_str("(?-u:\\B)"),
            'R' => self.out.push_str("(?:\\r\\n|[\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}])"),
            'Z' => self.out.push_str(END),
            'Q' => self.quote(),
            'E' => {}
            'A' | 'z' | 'p' | 'P' => {
                self.out.push('\\');
                self.out.push(c);
            }
            '1'..='9' | 'k' | 'g' => return Err("backreferences are not supported".to_owned()),
            'G' | 'K' | 'C' | 'X' => return Err(format!("\\{c} is not supported")),
            other => self.literal_escape(other)?,
        }
        Ok(())
    }

    /// The escapes that stand for one character, in and out of classes.
    fn literal_escape(&mut self, c: char) -> Result<(), Refused> {
        match c {
            'a' | 'f' | 'n' | 'r' | 't' => {
                self.out.push('\\');
                self.out.push(c);
            }
            'e' => self.out.push_str("\\x1b"),
            '0'..='7' => {
                let mut code = c as u32 - '0' as u32;
                for _ in 0..2 {
                    let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                self.out.push_str(&format!("\\x{{{code:x}}}"));
            }
            'x' => {
                // PCRE takes up to two digits, even none.
                if self.peek(0) == Some('{') {
                    self.out.push_str("\\x");
                    while let Some(c) = self.next() {
                        self.out.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                } else {
                    let mut code = 0;
                    for _ in 0..2 {
                        let Some(digit) = self.peek(0).and_then(|c| c.to_digit(16)) else { break };
                        code = code * 16 + digit;
                        self.at += 1;
                    }
                    self.out.push_str(&format!("\\x{{{code:x}}}"));
                }
            }
            'c' => {
                let Some(control) = self.next().filter(char::is_ascii) else {
                    return Err("\\c must be followed by a printable ASCII character".to_owned());
                };
                self.out.push_str(&format!("\\x{{{:x}}}", control.to_ascii_uppercase() as u32 ^ 64));
            }
            other if other.is_ascii_alphanumeric() => {
                return Err(format!("unrecognized character follows \\: {other}"));
            }
            other => self.letter(other),
        }
        Ok(())
    }

    /// `\Q…\E`: everything in between is letters.
    fn quote(&mut self) {
        while self.at < self.chars.len() {
            if self.rest_starts_with("\\E") {
                self.at += 2;
                return;
            }
            if let Some(c) = self.next() {
                self.letter(c);
            }
        }
    }

    /// A character that stands for itself, wherever it is.
    fn letter(&mut self, c: char) {
        if c == '<'
            || c == '>'
            || c.is_alphanumeric()
            || !(c.is_ascii_punctuation() || c.is_ascii_whitespace())
        {
            // `\<` and `\>` would be word boundaries.
            self.out.push(c);
        } else if c.is_ascii_punctuation() {
            self.out.push('\\');
            self.out.push(c);
        } else {
            // White space would vanish under the option `x`.
            self.out.push_str(&format!("\\x{{{:x}}}", c as u32));
        }
    }

    fn class(&mut self) -> Result<(), Refused> {
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.next() else {
                return Err("missing terminating ] for character class".to_owned());
            };
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if matches!(self.peek(0), Some(':')) && self.posix_class() => {}
                '[' if matches!(self.peek(0), Some('.' | '=')) => {
                    return Err("POSIX collating elements are not supported".to_owned());
                }
                '\\' => self.class_escape()?,
                '-' => self.out.push('-'),
                other => self.letter(other),
            }
            // A second dash would be taken for a difference of classes.
            if c == '-' && self.peek(0) == Some('-') {
                self.at += 1;
                self.out.push_str("\\-");
            }
            first = false;
        }
    }

    /// `[:alpha:]` after its first bracket, if it is one.
    fn posix_class(&mut self) -> bool {
        let rest = &self.chars[self.at..];
        let Some(end) = rest.windows(2).position(|pair| pair == [':', ']']).filter(|end| *end > 0) else {
            return false;
        };
        let name: String = rest[1..end].iter().collect();
        if !name.trim_start_matches('^').bytes().all(|byte| byte.is_ascii_lowercase()) {
            return false;
        }
        self.out.push_str(&format!("[:{name}:]"));
        self.at += end + 2;
        true
    }

    fn class_escape(&mut self) -> Result<(), Refused> {
        let Some(c) = self.next() else { return Err("\\ at end of pattern".to_owned()) };
        match c {
            'w' | 'W' | 'd' | 'D' | 's' | 'S' | 'h' | 'H' | 'v' | 'V' => self.out.push_str(set(c)),
            'b' => self.out.push_str("\\x08"),
            'p' | 'P' => {
                self.out.push('\\');
                self.out.push(c);
                if self.peek(0) == Some('{') {
                    while let Some(c) = self.next() {
                        self.out.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                }
            }
            'Q' => self.quote(),
            'E' => {}
            '8' | '9' | 'B' | 'R' | 'X' | 'N' => {
                return Err(format!("\\{c} is not allowed in a character class"));
            }
            other => self.literal_escape(other)?,
        }
        Ok(())
    }
}

/// Sets by letter. PCRE without UCP keeps them to ASCII, the `regex` crate would not.
fn set(letter: char) -> &'static str {
    match letter {
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\x0b\\x0c\\r\\x20]",
        'S' => "[^\\t\\n\\x0b\\x0c\\r\\x20]",
        'h' => "[\\t\\x20\\x{a0}\\x{1680}\\x{180e}\\x{2000}-\\x{200a}\\x{202f}\\x{205f}\\x{3000}]",
        'H' => "[^\\t\\x20\\x{a0}\\x{1680}\\x{180e}\\x{2000}-\\x{200a}\\x{202f}\\x{205f}\\x{3000}]",
        'v' => "[\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}]",
        'V' => "[^\\n\\x0b\\x0c\\r\\x{85}\\x{2028}\\x{2029}]",
        _ => "[^\\n]",
    }
}

/// The literal beginning of an anchored pattern, and whether the pattern asks for nothing else.
pub(super) fn prefix(pattern: &str, options: &str) -> Option<(String, bool)> {
    if options.contains(['i', 'x']) {
        return None;
    }
    let rest = match pattern.strip_prefix("\\A") {
        Some(rest) => rest,
        None if options.contains('m') => return None,
        None => pattern.strip_prefix('^')?,
    };
    // An alternative on the outer level would not begin with the prefix.
    if rest.contains('|') {
        return None;
    }
    let mut prefix = String::new();
    let mut chars = rest.chars().peekable();
    let mut exact = true;
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => escaped,
                _ => {
                    exact = false;
                    break;
                }
            },
            '*' | '?' | '{' => {
                // The character before may be absent.
                prefix.pop();
                exact = false;
                break;
            }
            '.' | '+' | '(' | ')' | '[' | ']' | '^' | '$' | '}' => {
                // Everything that goes on is all right, if any character does; without `s` a line break does not stop
                // the match either, for `.*` may match nothing.
                exact = c == '.' && chars.clone().eq("*".chars());
                break;
            }
            other => other,
        };
        prefix.push(literal);
    }
    if prefix.is_empty() { None } else { Some((prefix, exact)) }
}

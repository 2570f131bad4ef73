//! The locales that MongoDB knows (ICU 57), how each is called in BCP 47, and for which of them there are rules here.

/// Locales whose rules are here, by their ICU names.
pub(super) const BUILT: &[&str] = &[
    "af",
    "am",
    "ar",
    "as",
    "az",
    "be",
    "bg",
    "bn",
    "bs",
    "bs_Cyrl",
    "ca",
    "chr",
    "cs",
    "cy",
    "da",
    "de",
    "de_AT",
    "dsb",
    "ee",
    "el",
    "en",
    "en_US",
    "en_US_POSIX",
    "eo",
    "es",
    "et",
    "fa",
    "fi",
    "fil",
    "fo",
    "fr",
    "fr_CA",
    "ga",
    "gl",
    "gu",
    "ha",
    "he",
    "hi",
    "hr",
    "hsb",
    "hu",
    "hy",
    "id",
    "ig",
    "is",
    "it",
    "ja",
    "ka",
    "kk",
    "km",
    "kn",
    "ko",
    "kok",
    "ky",
    "lb",
    "lo",
    "lt",
    "lv",
    "mk",
    "ml",
    "mn",
    "mr",
    "ms",
    "mt",
    "my",
    "nb",
    "ne",
    "nl",
    "nn",
    "om",
    "or",
    "pa",
    "pl",
    "ps",
    "pt",
    "ro",
    "ru",
    "si",
    "sk",
    "sl",
    "sq",
    "sr",
    "sr_Latn",
    "sv",
    "sw",
    "ta",
    "te",
    "th",
    "to",
    "tr",
    "ug",
    "uk",
    "ur",
    "vi",
    "yo",
    "zh",
    "zh_Hant",
    "zu",
];

/// Locales with rules of their own that the data in this program lacks.
const UNBUILT: &[&str] = &["bo", "dz", "fa_AF", "haw", "kl", "lkt", "ln", "se", "smn", "wae", "yi"];

/// Variants with their locales, the name behind `@collation=` and the one in BCP 47.
pub(super) const VARIANTS: &[(&str, &str, &str)] = &[
    ("ar", "compat", "compat"),
    ("bn", "traditional", "trad"),
    ("de", "phonebook", "phonebk"),
    ("de_AT", "phonebook", "phonebk"),
    ("es", "traditional", "trad"),
    ("fi", "traditional", "trad"),
    ("ja", "unihan", "unihan"),
    ("kn", "traditional", "trad"),
    ("ko", "unihan", "unihan"),
    ("si", "dictionary", "dict"),
    ("vi", "traditional", "trad"),
    ("zh", "stroke", "stroke"),
    ("zh", "unihan", "unihan"),
    ("zh", "zhuyin", "zhuyin"),
    ("zh_Hant", "pinyin", "pinyin"),
    ("zh_Hant", "unihan", "unihan"),
    ("zh_Hant", "zhuyin", "zhuyin"),
];

/// Variants of MongoDB's without data here; the empty locale stands for all.
const UNBUILT_VARIANTS: &[(&str, &str)] = &[
    ("", "emoji"),
    ("", "eor"),
    ("", "search"),
    ("ko", "searchjl"),
    ("ln", "phonetic"),
    ("sv", "standard"),
    ("zh", "big5han"),
    ("zh", "gb2312han"),
    ("zh", "standard"),
    ("zh_Hant", "big5han"),
    ("zh_Hant", "gb2312han"),
    ("zh_Hant", "standard"),
];

/// What is known of a locale.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its language tag.
    Tag(String),
    /// MongoDB has it, we have no rules for it.
    Unbuilt,
    /// There is none of this name; perhaps the one inside was meant.
    Unknown(Option<&'static str>),
}

/// Looks up a locale. Names are exact, as ICU writes them.
pub(super) fn find(locale: &str) -> Found {
    let (base, variant) = match locale.split_once('@') {
        None => (locale, None),
        Some((base, rest)) => match rest.strip_prefix("collation=") {
            Some(variant) => (base, Some(variant)),
            None => return Found::Unknown(meant(base)),
        },
    };
    let built = BUILT.contains(&base);
    if !built && !UNBUILT.contains(&base) {
        return Found::Unknown(meant(base));
    }
    let tag = base.replace('_', "-");
    let Some(variant) = variant else { return if built { Found::Tag(tag) } else { Found::Unbuilt } };
    let here = VARIANTS.iter().find(|(of, name, _)| *of == base && *name == variant);
    match here {
        Some((_, _, short)) => Found::Tag(format!("{tag}-u-co-{short}")),
        None if UNBUILT_VARIANTS
            .iter()
            .any(|(of, name)| (of.is_empty() || *of == base) && *name == variant) =>
        {
            Found::Unbuilt
        }
        None => Found::Unknown(meant(base)),
    }
}

/// The locale that was written in another case, with hyphens, or with more parts than there are.
fn meant(base: &str) -> Option<&'static str> {
    let mut wanted = base.replace('-', "_");
    loop {
        let known = BUILT.iter().chain(UNBUILT).find(|name| name.eq_ignore_ascii_case(&wanted));
        if let Some(known) = known {
            return Some(known);
        }
        wanted.truncate(wanted.rfind('_')?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_are_known_by_their_exact_names() {
        let tag = |tag: &str| Found::Tag(tag.to_owned());
        assert_eq!(find("en_US"), tag("en-US"));
        assert_eq!(find("de@collation=phonebook"), tag("de-u-co-phonebk"));
        assert_eq!(find("haw"), Found::Unbuilt);
        assert_eq!(find("en@collation=search"), Found::Unbuilt);
        assert_eq!(find("en-US"), Found::Unknown(Some("en_US")));
        assert_eq!(find("DE_ch"), Found::Unknown(Some("de")));
        assert_eq!(find("de@collation=nope"), Found::Unknown(Some("de")));
        assert_eq!(find("en@currency=EUR"), Found::Unknown(Some("en")));
        assert_eq!(find("xx"), Found::Unknown(None));
        assert_eq!(find(""), Found::Unknown(None));
        let mut all: Vec<_> = BUILT.iter().chain(UNBUILT).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), BUILT.len() + UNBUILT.len(), "a locale is listed twice");
    }
}

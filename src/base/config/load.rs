//! Reading the configuration: defaults, file, environment; and saying where a mistake is.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::providers::{Format, Serialized, Toml};
use figment::{Figment, Profile, Provider};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use toml::Spanned;

use super::{Config, check, keys};

const PREFIX: &str = "MYELIN_";
/// Names the configuration file, and is therefore no key of it.
const FILE: &str = "MYELIN_CONFIG";
/// Makes tests write the files that they compare with.
const BLESS: &str = "MYELIN_BLESS";
/// The file that is read when none is named.
const USUAL: &str = "myelin.toml";

/// The configuration cannot be used. Shows one line per mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    mistakes: Vec<String>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("\n"))
    }
}

impl std::error::Error for Error {}

/// The variables of this process that concern the configuration.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((
            name.into_string().ok()?,
            value.to_string_lossy().into_owned(),
        ))
    };
    std::env::vars_os()
        .filter_map(text)
        .filter(|(name, _)| name.starts_with(PREFIX) && name != FILE && name != BLESS)
        .collect()
}

/// The configuration file: the one that was named, or else the one that `MYELIN_CONFIG` names, or else `myelin.toml` in the current directory, if
/// there is one.
#[must_use]
pub fn locate(named: Option<PathBuf>) -> Option<PathBuf> {
    let usual = || Some(PathBuf::from(USUAL)).filter(|path| path.exists());
    named
        .or_else(|| std::env::var_os(FILE).map(PathBuf::from))
        .or_else(usual)
}

impl Config {
    /// Reads `file`, if there is one, and then `variables`, as [`environment`] gives them.
    ///
    /// # Errors
    /// If the file cannot be read, or anything in it or in the environment is not understood.
    pub fn load(file: Option<&Path>, variables: &[(String, String)]) -> Result<Self, Error> {
        let source = match file {
            None => Source::default(),
            Some(path) => Source {
                name: path.to_owned(),
                text: read(path)?,
                lines: Vec::new(),
            },
        };
        Self::read(source, variables)
    }

    fn read(mut source: Source, variables: &[(String, String)]) -> Result<Self, Error> {
        let tree = keys::tree();
        let mut mistakes = source.scan(&tree)?;
        let environment = Environment::read(variables, &tree, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(Error { mistakes });
        }
        let place = |key: &str| {
            environment
                .place(key)
                .or_else(|| source.place(key))
                .unwrap_or_else(|| key.to_owned())
        };
        let figment = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::string(&source.text))
            .merge(&environment);
        let config: Self = figment.extract().map_err(|error| Error {
            mistakes: error
                .into_iter()
                .map(|error| sentence(&error, &place))
                .collect(),
        })?;
        let mistakes: Vec<String> = check::mistakes(&config)
            .into_iter()
            .map(|(key, sentence)| format!("{} {sentence}", place(key)))
            .collect();
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Error { mistakes })
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error {
        mistakes: vec![format!(
            "cannot read the configuration file {}: {error}",
            path.display()
        )],
    })
}

/// What is wrong with a value, without showing the value: it may be a secret.
fn sentence(error: &figment::Error, place: &dyn Fn(&str) -> String) -> String {
    let place = place(&error.path.join("."));
    match &error.kind {
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => format!(
            "{place} expects {}, found {}",
            expected_words(expected),
            found_words(found)
        ),
        Kind::UnknownVariant(found, known) => {
            let known: Vec<String> = known.iter().map(|variant| format!("{variant:?}")).collect();
            format!("{place} expects {}, found {found:?}", known.join(" or "))
        }
        Kind::Message(message) => format!("{place} {message}"),
        other => format!("{place} {other}"),
    }
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "path string" => "a path in quotes",
        "a string" => "a text in quotes",
        other => other,
    }
}

const fn found_words(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) => "a whole number",
        Actual::Signed(number) if *number < 0 => "a negative number",
        Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a fraction",
        Actual::Str(_) | Actual::Char(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// The file, and on which line each of its keys stands.
#[derive(Default)]
struct Source {
    name: PathBuf,
    text: String,
    lines: Vec<(String, usize)>,
}

impl Source {
    /// Notes every key's line, and says which keys do not exist.
    fn scan(&mut self, tree: &Map<String, Value>) -> Result<Vec<String>, Error> {
        let root: Node = toml::from_str(&self.text).map_err(|error| Error {
            mistakes: vec![self.syntax(&error)],
        })?;
        let mut mistakes = Vec::new();
        if let Node::Table(entries) = &root {
            self.walk(entries, &[], tree, &mut mistakes);
        }
        Ok(mistakes)
    }

    fn syntax(&self, error: &toml::de::Error) -> String {
        let line = error.span().map_or(1, |span| self.line(span.start));
        format!(
            "{}:{line}: {}",
            self.name.display(),
            error.message().replace('\n', ", ")
        )
    }

    fn walk(
        &mut self,
        entries: &[(Spanned<String>, Node)],
        above: &[&str],
        tree: &Map<String, Value>,
        mistakes: &mut Vec<String>,
    ) {
        for (key, node) in entries {
            let path = [above, &[key.get_ref().as_str()]].concat();
            let dotted = path.join(".");
            self.lines
                .push((dotted.clone(), self.line(key.span().start)));
            let place = self.place(&dotted).unwrap_or_default();
            match (keys::find(tree, &path), node) {
                (None, Node::Table(entries))
                    if keys::advice(tree, &path).is_empty() && !entries.is_empty() =>
                {
                    // A section of another server: its keys may be known one by one.
                    self.walk(entries, &path, tree, mistakes);
                }
                (None, _) => {
                    mistakes.push(format!("{place} is not a key{}", keys::advice(tree, &path)));
                }
                (Some(Value::Object(_)), Node::Table(entries)) => {
                    self.walk(entries, &path, tree, mistakes);
                }
                (Some(Value::Object(_)), Node::Leaf) => mistakes.push(format!(
                    "{place} is a section: its keys go under [{dotted}]"
                )),
                (Some(_), Node::Table(_)) => {
                    mistakes.push(format!("{place} expects a single value, found a table"));
                }
                (Some(_), Node::Leaf) => {}
            }
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.text
            .bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
            + 1
    }

    /// `myelin.toml:12: storage.path`, for a key that stands in the file; also found by an element of its value.
    fn place(&self, key: &str) -> Option<String> {
        let within = |(known, _): &&(String, usize)| {
            key.strip_prefix(known.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let (known, line) = self
            .lines
            .iter()
            .filter(within)
            .max_by_key(|(known, _)| known.len())?;
        Some(format!("{}:{line}: {known}", self.name.display()))
    }
}

/// The shape of a TOML document: its keys with their places; values do not matter.
enum Node {
    Table(Vec<(Spanned<String>, Node)>),
    Leaf,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Table(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
}

/// What the environment sets, in the types that the keys have.
#[derive(Default)]
struct Environment {
    values: Map<String, Value>,
    names: Vec<(String, String)>,
}

impl Environment {
    fn read(
        variables: &[(String, String)],
        tree: &Map<String, Value>,
        mistakes: &mut Vec<String>,
    ) -> Self {
        let mut environment = Self::default();
        for (name, text) in variables {
            let Some(key) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let key = key.to_ascii_lowercase().replace("__", ".");
            let path: Vec<&str> = key.split('.').collect();
            match keys::find(tree, &path) {
                None => mistakes.push(format!(
                    "{name}: {key} is not a key{}",
                    keys::advice(tree, &path)
                )),
                Some(Value::Object(_)) => mistakes.push(format!(
                    "{name}: {key} is a section: its keys are set as {name}__…"
                )),
                Some(default) => {
                    insert(&mut environment.values, &path, value(text, default));
                    environment.names.push((key.clone(), name.clone()));
                }
            }
        }
        environment
    }

    /// The variable that set `key` or the value it is an element of.
    fn place(&self, key: &str) -> Option<String> {
        let within = |(known, _): &&(String, String)| {
            key.strip_prefix(known.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let (key, name) = self.names.iter().find(within)?;
        Some(format!("{name}: {key}"))
    }
}

/// `text` in the type that the key's default has. What does not fit stays a text, and is refused with the key's own sentence.
fn value(text: &str, default: &Value) -> Value {
    let parsed = match default {
        Value::Bool(_) => text.parse().ok().map(Value::Bool),
        Value::Number(_) => serde_json::from_str::<serde_json::Number>(text)
            .ok()
            .map(Value::Number),
        Value::Array(_) if text.trim_start().starts_with('[') => serde_json::from_str(text).ok(),
        Value::Array(_) => {
            let entries = text
                .split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty());
            Some(Value::Array(
                entries
                    .map(|entry| Value::String(entry.to_owned()))
                    .collect(),
            ))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn insert(values: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => {
            values.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let section = values
                .entry((*key).to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(section) = section {
                insert(section, rest, value);
            }
        }
    }
}

impl Provider for &Environment {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("environment")
    }

    fn data(&self) -> Result<figment::value::Map<Profile, figment::value::Dict>, figment::Error> {
        Serialized::defaults(&self.values).data()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let source = Source {
            name: "myelin.toml".into(),
            text: text.to_owned(),
            lines: Vec::new(),
        };
        Config::read(source, &variables).map_err(|error| error.to_string())
    }

    fn refused(text: &str, variables: &[(&str, &str)], sentence: &str) {
        assert_eq!(load(text, variables).map(|_| ()).unwrap_err(), sentence);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let text = "server_name = \"file.example\"\n[storage]\npath = \"/file\"\n[limits]\nbody = \"1 MiB\"\n";
        let variables = [
            ("MYELIN_STORAGE__PATH", "/variable"),
            ("MYELIN_LIMITS__RATES", "false"),
            ("MYELIN_LISTEN__ADDRESSES", "0.0.0.0:1, [::]:2"),
        ];
        let config = load(text, &variables).unwrap();
        assert_eq!(config.server_name, "file.example");
        assert_eq!(config.storage.path, Path::new("/variable"));
        assert_eq!(config.limits.body.bytes(), 1 << 20);
        assert!(!config.limits.rates);
        assert_eq!(config.listen.addresses.len(), 2);
        assert_eq!(
            config.media.reservation.duration(),
            Duration::from_secs(86_400)
        );
    }

    #[test]
    fn a_secret_of_digits_keeps_its_zeros() {
        let variables = [
            ("MYELIN_REGISTRATION__SHARED_SECRET", "00123"),
            ("MYELIN_REGISTRATION__TOKEN", "true"),
        ];
        let config = load("", &variables).unwrap();
        assert_eq!(config.registration.shared_secret.unwrap().expose(), "00123");
        assert_eq!(config.registration.token.unwrap().expose(), "true");
    }

    #[test]
    fn one_address_needs_no_brackets() {
        assert_eq!(
            load("listen.addresses = \"0.0.0.0:80\"", &[])
                .unwrap()
                .listen
                .addresses
                .len(),
            1
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        refused(
            "\nserver_nmae = \"a.example\"",
            &[],
            "myelin.toml:2: server_nmae is not a key; did you mean server_name?",
        );
        refused(
            "[storage]\n\npaht = 1\n[log]\nlevl = 2",
            &[],
            "myelin.toml:3: storage.paht is not a key; did you mean storage.path?\nmyelin.toml:5: log.levl is not a key; did you mean log.level?",
        );
        refused("xyzzy = 1", &[], "myelin.toml:1: xyzzy is not a key");
        refused(
            "",
            &[("MYELIN_STORAGE__PAHT", "x")],
            "MYELIN_STORAGE__PAHT: storage.paht is not a key; did you mean storage.path?",
        );
    }

    #[test]
    fn other_servers_names_are_translated() {
        refused(
            "enable_registration = true",
            &[],
            "myelin.toml:1: enable_registration is not a key; here it is called registration.enabled",
        );
        refused(
            "[global]\nserver_name = \"a.example\"\nport = 80",
            &[],
            "myelin.toml:2: global.server_name is not a key; here it is called server_name, at the top of the file\nmyelin.toml:3: global.port is not a key",
        );
        refused(
            "report_stats = false",
            &[],
            "myelin.toml:1: report_stats is not a key; this server has no need for it",
        );
    }

    #[test]
    fn a_wrong_value_says_where_and_what_is_expected() {
        refused(
            "[limits]\nbody = \"much\"",
            &[],
            "myelin.toml:2: limits.body expects a size such as \"50 MiB\", found \"much\"",
        );
        refused(
            "[limits]\nrates = \"yes\"",
            &[],
            "myelin.toml:2: limits.rates expects true or false, found a text",
        );
        refused(
            "[passwords]\npasses = -1",
            &[],
            "myelin.toml:2: passwords.passes expects a whole number, found a negative number",
        );
        refused(
            "[listen]\naddresses = [\"0.0.0.0:80\", \"localhost:80\"]",
            &[],
            "myelin.toml:2: listen.addresses expects an IP address and a port such as \"127.0.0.1:8008\" or \"[::]:8008\", found \"localhost:80\"",
        );
        refused(
            "[listen]\naddresses = [8008]",
            &[],
            "myelin.toml:2: listen.addresses expects a list whose entries are each an IP address and a port such as \"127.0.0.1:8008\" or \"[::]:8008\"",
        );
        refused(
            "[media]\nreservation = 30",
            &[],
            "myelin.toml:2: media.reservation expects a time such as \"30d\", \"1h 30m\" or \"10s\", found the plain number 30",
        );
        refused(
            "[log]\nformat = \"xml\"",
            &[],
            "myelin.toml:2: log.format expects \"human\" or \"json\", found \"xml\"",
        );
        refused(
            "registration = true",
            &[],
            "myelin.toml:1: registration is a section: its keys go under [registration]",
        );
        refused(
            "[server_name]\nname = \"x\"",
            &[],
            "myelin.toml:1: server_name expects a single value, found a table",
        );
        refused(
            "",
            &[("MYELIN_PASSWORDS__PASSES", "two")],
            "MYELIN_PASSWORDS__PASSES: passwords.passes expects a whole number, found a text",
        );
        refused(
            "server_name = \"https://a.example\"",
            &[],
            "myelin.toml:1: server_name \"https://a.example\" must be a bare name such as \"example.org\", without https:// and without a path",
        );
    }

    #[test]
    fn a_secret_is_not_shown_when_it_is_refused() {
        let error = load("[registration]\ntoken = 918273645", &[]).unwrap_err();
        assert_eq!(
            error,
            "myelin.toml:2: registration.token expects a text in quotes, found a whole number"
        );
    }

    #[test]
    fn a_broken_file_says_where() {
        let error = load("server_name = \"a.example\"\n[storage\npath = 1", &[]).unwrap_err();
        assert!(error.starts_with("myelin.toml:2: "), "{error}");
    }
}

//! Plays bindings/conformance/cases.txt, which says what every binding of the library does alike.

use nuthatch::{Cache, Error, Fetched, InsertOptions, Lease, LoadError, ManualClock, Version};
use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;
use std::{env, fs, process};

const RUN_BYTES_MIN: usize = 65; // a run of one byte is written as such from here on

/// A line of the file, taken apart.
#[derive(Default)]
struct Step {
    verb: String,
    strings: Vec<Vec<u8>>,
    words: Vec<String>,
    options: HashMap<String, String>,
    wanted: String,
}

fn parse_string(text: &str) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let c = rest.as_bytes()[0];
        if c == b'"' {
            rest = &rest[1..];
            break;
        }
        if c != b'\\' {
            bytes.push(c);
            rest = &rest[1..];
        } else if let Some(hex) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
            rest = &hex[2..];
        } else {
            bytes.push(rest.as_bytes()[1]);
            rest = &rest[2..];
        }
    }
    if let Some(times) = rest.strip_prefix('*') {
        let end = times.find(' ').unwrap_or(times.len());
        bytes = bytes.repeat(times[..end].parse().unwrap());
        rest = &times[end..];
    }
    (bytes, rest)
}

fn parse(line: &str) -> Step {
    let end = line.find(' ').unwrap_or(line.len());
    let mut step = Step { verb: line[..end].to_string(), ..Step::default() };
    let mut rest = &line[end..];
    while !rest.is_empty() {
        if let Some(wanted) = rest.strip_prefix(" -> ") {
            step.wanted = wanted.to_string();
            break;
        }
        rest = rest.strip_prefix(' ').expect("a blank between words");
        if let Some(text) = rest.strip_prefix('"') {
            let (string, after) = parse_string(text);
            step.strings.push(string);
            rest = after;
            continue;
        }
        let end = rest.find(' ').unwrap_or(rest.len());
        match rest[..end].split_once('=') {
            Some((name, value)) => drop(step.options.insert(name.to_string(), value.to_string())),
            None => step.words.push(rest[..end].to_string()),
        }
        rest = &rest[end..];
    }
    step
}

fn written(bytes: &[u8]) -> String {
    let is_run = bytes.len() >= RUN_BYTES_MIN && bytes.iter().all(|byte| *byte == bytes[0]);
    let mut text = String::from("\"");
    for byte in if is_run { &bytes[..1] } else { bytes } {
        match byte {
            b'"' | b'\\' => text.extend(['\\', *byte as char]),
            0x20..=0x7e => text.push(*byte as char),
            _ => text += &format!("\\x{byte:02x}"),
        }
    }
    text.push('"');
    if is_run {
        text += &format!("*{}", bytes.len());
    }
    text
}

fn error_word(error: Error) -> String {
    match error {
        Error::Missing => "missing",
        Error::Exists => "exists",
        Error::Changed => "changed",
        Error::NotANumber => "type",
        Error::OutOfRange => "range",
        Error::TooLarge => "too_large",
        other => panic!("cases.txt has no word for: {other}"),
    }
    .to_string()
}

fn done<T>(result: Result<T, Error>) -> String {
    result.map_or_else(error_word, |_| "ok".to_string())
}

fn was_there(result: Result<bool, Error>) -> String {
    result.map_or_else(error_word, |found| if found { "ok" } else { "missing" }.to_string())
}

fn said<T: Display>(result: Result<T, Error>) -> String {
    result.map_or_else(error_word, |value| value.to_string())
}

struct World {
    cache: Option<Cache>,
    clock: ManualClock,
    memory_bytes: u64,
    versions: HashMap<String, Version>,
    leases: HashMap<String, Lease>,
}

impl World {
    fn new() -> World {
        let mut world = World {
            cache: None,
            clock: ManualClock::new(),
            memory_bytes: 16 << 20,
            versions: HashMap::new(),
            leases: HashMap::new(),
        };
        world.open(None);
        world
    }

    fn open(&mut self, value_bytes_max: Option<u64>) {
        let mut builder = Cache::builder().memory(self.memory_bytes).clock(self.clock.clone());
        if let Some(bytes) = value_bytes_max {
            builder = builder.value_max(bytes);
        }
        self.cache = Some(builder.build().unwrap());
    }

    /// What comes of a step, as text.
    fn play(&mut self, step: &Step) -> String {
        let cache = self.cache.clone().unwrap();
        let number = |name: &str| step.options.get(name).map(|text| text.parse::<u64>().unwrap());
        let time = |name: &str| number(name).map(Duration::from_millis);
        let key: &[u8] = step.strings.first().map_or(&[], |key| key);
        let value: &[u8] = step.strings.get(1).map_or(&[], |value| value);
        let has_word = |word: &str| step.words.last().map_or(false, |last| last == word);

        let mut options = InsertOptions::new();
        if let Some(ttl) = time("ttl") {
            options = options.ttl(ttl);
        }
        if let Some(soft_ttl) = time("soft_ttl") {
            options = options.soft_ttl(soft_ttl);
        }
        if let Some(flags) = number("flags") {
            options = options.flags(flags as u32);
        }
        for tag in step.options.get("tags").iter().flat_map(|tags| tags.split(',')) {
            options = options.tag(tag);
        }

        match step.verb.as_str() {
            "new" => {
                self.memory_bytes = number("memory").unwrap();
                self.open(number("value_max"));
                String::new()
            }
            "advance" => {
                self.clock.advance(Duration::from_millis(step.words[0].parse().unwrap()));
                String::new()
            }
            "set" => done(cache.insert_with(key, value, &options)),
            "add" => done(cache.add(key, value, &options)),
            "replace" => done(cache.replace(key, value, &options)),
            "cas" => done(cache.compare_and_swap(key, value, self.versions[&step.options["if"]], &options)),
            "cas_missing" => done(cache.compare_and_swap(key, value, Version::from_u64(1), &options)),
            "version" => match cache.get(key) {
                Some(value) => {
                    self.versions.insert(step.options["as"].clone(), value.version());
                    "ok".to_string()
                }
                None => "missing".to_string(),
            },
            "get" => self.get_in_every_way(key),
            "get_many" => self.get_many(&step.strings),
            "flags" => cache.get(key).map_or("missing".to_string(), |value| value.flags().to_string()),
            "expires_in" => cache.get(key).map_or("missing".to_string(), |value| {
                value.expires_in().map_or("never".to_string(), |left| left.as_millis().to_string())
            }),
            "is_stale" => {
                cache.get(key).map_or("missing", |value| if value.is_stale() { "yes" } else { "no" }).to_string()
            }
            "append" => done(cache.append(key, value)),
            "prepend" => done(cache.prepend(key, value)),
            "increment" => said(cache.increment(key, step.words[0].parse().unwrap())),
            "touch" => {
                let ttl = Duration::from_millis(step.words[0].parse().unwrap());
                was_there(cache.touch(key, (ttl != Duration::ZERO).then(|| ttl)))
            }
            "delete" => was_there(cache.remove(key)),
            "make_stale" => was_there(cache.make_stale(key)),
            "purge_tag" if has_word("soft") => done(cache.purge_tag_softly(key)),
            "purge_tag" => done(cache.purge_tag(key)),
            "clear" => done(cache.clear()),
            "count" => cache.len().to_string(),
            "keys" => {
                let mut keys: Vec<Vec<u8>> = cache.iter().map(|entry| entry.unwrap().key).collect();
                keys.sort();
                let texts: Vec<String> = keys.iter().map(|key| written(key)).collect();
                if texts.is_empty() {
                    "none".to_string()
                } else {
                    texts.join(" ")
                }
            }
            "fetch" => self.fetch(key, step.options["as"].clone(), time("lease").unwrap_or(Duration::from_secs(10))),
            "fill" if has_word("negative") => {
                done(self.leases[&step.options["by"]].fill_negative(time("ttl").unwrap()))
            }
            "fill" => done(self.leases[&step.options["by"]].fill(value, &options)),
            "give_up" => done(self.leases[&step.options["by"]].give_up()),
            "load" => {
                let mut is_loaded = false;
                let loaded = cache.get_or_try_insert_with(key, options, || {
                    is_loaded = true;
                    if has_word("fails") {
                        Err(())
                    } else {
                        Ok(value.to_vec())
                    }
                });
                match loaded {
                    Ok(value) => format!("{} {}", if is_loaded { "loaded" } else { "cached" }, written(&value)),
                    Err(LoadError::Failed(())) => "failed".to_string(),
                    Err(error) => format!("{error:?}"),
                }
            }
            "restart" => {
                let path = env::temp_dir().join(format!("nuthatch-rust-cases-{}", process::id()));
                drop(cache);
                self.leases.clear();
                self.cache.take().unwrap().save(&path).unwrap();
                let builder = Cache::builder().memory(self.memory_bytes).clock(self.clock.clone());
                let (cache, count) = builder.build_restored(&path).unwrap();
                self.cache = Some(cache);
                count.to_string()
            }
            other => panic!("no such step: {other}"),
        }
    }

    /// All ways to read a value must agree.
    fn get_in_every_way(&self, key: &[u8]) -> String {
        let cache = self.cache.as_ref().unwrap();
        let text = cache.try_get(key).map_or_else(error_word, |value| {
            value.map_or("missing".to_string(), |value| {
                assert_eq!(value.pieces().collect::<Vec<_>>().concat(), &value[..]);
                written(&value.into_owned())
            })
        });
        let value = cache.get_with(key, |value| value.to_vec());
        assert_eq!(value.is_some(), cache.contains_key(key));
        assert_eq!(value.is_some(), cache.get(key).is_some());
        let mut buffer = vec![0; value.as_ref().map_or(0, Vec::len)];
        assert_eq!(cache.get_into(key, &mut buffer), value.as_ref().map(Vec::len));
        if let Some(value) = value {
            assert_eq!(text, written(&value));
            assert_eq!(buffer, value);
        }
        text
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> String {
        let cache = self.cache.as_ref().unwrap();
        let texts: Vec<String> = cache
            .get_many(keys)
            .iter()
            .map(|value| value.as_ref().map_or("missing".to_string(), |value| written(value)))
            .collect();
        let mut looked = vec!["missing".to_string(); keys.len()];
        cache.get_many_with(keys, |i, value| looked[i] = written(value));
        assert_eq!(texts, looked);
        texts.join(" ")
    }

    fn fetch(&mut self, key: &[u8], name: String, lease: Duration) -> String {
        let cache = self.cache.clone().unwrap();
        let (text, lease) = match cache.fetch(key, lease).unwrap() {
            Fetched::Hit(value) => (format!("hit {}", written(&value)), None),
            Fetched::Stale(value) => (format!("stale {}", written(&value)), None),
            Fetched::Renew(value, lease) => (format!("stale_lease {}", written(&value)), Some(lease)),
            Fetched::Wait => ("wait".to_string(), None),
            Fetched::Miss(lease) => ("lease".to_string(), Some(lease)),
            Fetched::Negative => ("negative".to_string(), None),
            other => panic!("without early_percent there is no {other:?}"),
        };
        if let Some(lease) = lease {
            self.leases.insert(name, lease);
        }
        text
    }
}

#[test]
fn rust_does_as_every_binding_does() {
    let path = env::var("NUTHATCH_CASES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/cases.txt").to_string());
    let text = fs::read_to_string(path).unwrap();
    let mut world = None;
    let (mut name, mut case_count, mut wrong) = ("", 0, Vec::new());

    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(case) = line.strip_prefix("case ") {
            name = case;
            case_count += 1;
            world = Some(World::new());
        } else if let Some(here) = &mut world {
            let step = parse(line);
            let outcome = here.play(&step);
            if outcome != step.wanted {
                wrong.push(format!("case {name}:\n    {line:.200}\n    came out as: {outcome:.200}"));
                world = None; // what comes after it in the case says nothing
            }
        }
    }
    assert!(case_count > 40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

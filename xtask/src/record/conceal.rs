//! Hides what names one server or one piece of hardware: serial numbers, UUIDs, hardware addresses of
//! network interfaces, the host name. Each is replaced by a number that counts up, the same for the same, so
//! that a fixture still shows what is alike and what is not. Where such things stand is not known here
//! but for a PCI device's own serial number and for files that have nothing else in them.

use std::collections::BTreeMap;

const UUID_GROUPS: &[usize] = &[8, 4, 4, 4, 12];

/// Parts of the names of files that are not opened, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("serial", "serial numbers"),
    ("unique_id", "serial numbers"),
    ("asset", "serial numbers"),
    ("vpd", "serial numbers"),
    ("rom", "a window into the hardware"),
    ("resource", "a window into the hardware"),
];
/// Beginnings and parts like these, but harmless.
const KEPT: &[&str] = &["resource"];

/// Why a file of this name is not opened; None: it may be.
pub fn left_out(name: &str) -> Option<&'static str> {
    let is_one = |part: &str| match part {
        // `resource` tells of the windows, `resource0` and its like are windows; so is `rom` by that name.
        "resource" => name.starts_with(part) && !name.ends_with("_resize"),
        "rom" | "vpd" => name == part,
        part => name.contains(part),
    };
    let found = LEFT_OUT.iter().find(|(part, _)| is_one(part));
    found.filter(|_| !KEPT.contains(&name)).map(|(_, why)| *why)
}

/// What was replaced so far, by what.
#[derive(Default)]
pub struct Concealer {
    host_name: Option<String>,
    /// Texts as they are found, in lower case.
    numbers: BTreeMap<String, u64>,
    serials: BTreeMap<u64, u64>,
}

impl Concealer {
    pub fn new(host_name: Option<String>) -> Self {
        // A shorter name is a part of too many words.
        let host_name = host_name.filter(|name| name.len() > 2 && name != "localhost");
        Self { host_name, ..Self::default() }
    }

    /// Learns the serial number of a device, so that it is hidden wherever it stands.
    pub fn learn_serial(&mut self, config: &[u8]) {
        let serial = serial_at(config).and_then(|at| config.get(at..at + 8)).and_then(|b| b.try_into().ok());
        let serial = serial.map(u64::from_le_bytes).filter(|serial| !matches!(*serial, 0 | u64::MAX));
        if let Some(serial) = serial {
            let next = self.serials.len() as u64 + 1;
            self.serials.entry(serial).or_insert(next);
        }
    }

    /// A configuration space with counted serial numbers; that there is one, stays.
    pub fn config(&self, bytes: &mut [u8]) {
        for (serial, number) in &self.serials {
            for (find, put) in
                [(serial.to_le_bytes(), number.to_le_bytes()), (serial.to_be_bytes(), number.to_be_bytes())]
            {
                let places = bytes.windows(8).enumerate().filter(|(_, window)| *window == find);
                let places: Vec<usize> = places.map(|(at, _)| at).collect();
                for at in places {
                    bytes[at..at + 8].copy_from_slice(&put);
                }
            }
        }
    }

    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (serial, number) in &self.serials {
            text = text.replace(&format!("{serial:016x}"), &format!("{number:016x}"));
            text = text.replace(&format!("{serial:016X}"), &format!("{number:016X}"));
        }
        if let Some(name) = &self.host_name {
            text = without_word(&text, name);
        }
        self.numbered(&text)
    }

    /// Runs of hexadecimal digits, `-` and `:` that have the form of a UUID or of a hardware address.
    fn numbered(&mut self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
            let is_inside = |c: char| c.is_ascii_hexdigit() || c == '-' || c == ':';
            let end = rest[start..].find(|c| !is_inside(c)).map_or(rest.len(), |bytes| start + bytes);
            told.push_str(&rest[..start]);
            told.push_str(&self.replaced(&rest[start..end]));
            rest = &rest[end..];
        }
        told.push_str(rest);
        told
    }

    /// A run, with a UUID or an address at its end replaced (`GPU-` begins before the digits, and a word
    /// that ends in a digit may stand before a dash).
    fn replaced(&mut self, run: &str) -> String {
        const UUID_CHARS: usize = 36;
        let cut = run.len().checked_sub(UUID_CHARS).filter(|at| run.is_char_boundary(*at));
        if let Some((before, uuid)) = cut.map(|at| run.split_at(at))
            && is_uuid(uuid)
        {
            let number = self.number(uuid);
            return format!("{before}00000000-0000-4000-8000-{number:012x}");
        }
        if is_address(run) {
            let bytes = self.number(run).to_be_bytes();
            return format!("02:00:00:{:02x}:{:02x}:{:02x}", bytes[5], bytes[6], bytes[7]);
        }
        run.to_owned()
    }

    fn number(&mut self, found: &str) -> u64 {
        let next = self.numbers.len() as u64 + 1;
        *self.numbers.entry(found.to_ascii_lowercase()).or_insert(next)
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let has_form = groups.iter().map(|group| group.len()).eq(UUID_GROUPS.iter().copied());
    has_form && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Six pairs or more; a PCI address has other groups.
fn is_address(text: &str) -> bool {
    let groups: Vec<&str> = text.split(':').collect();
    groups.len() >= 6
        && groups.iter().all(|group| group.len() == 2 && group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The text with `server` in place of a word.
fn without_word(text: &str, word: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut last = 0;
    for (at, _) in text.match_indices(word) {
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_part =
            is_letter(text[..at].chars().next_back()) || is_letter(text[at + word.len()..].chars().next());
        if !is_part {
            told.push_str(&text[last..at]);
            told.push_str("server");
            last = at + word.len();
        }
    }
    told.push_str(&text[last..]);
    told
}

/// Where the serial number stands in a configuration space: PCI Express, extended capability 3.
fn serial_at(config: &[u8]) -> Option<usize> {
    let mut at = 0x100;
    for _ in 0..(4096 - 0x100) / 8 {
        let header = u32::from_le_bytes(config.get(at..at + 4)?.try_into().ok()?);
        match header {
            0 | u32::MAX => return None,
            header if header & 0xffff == 3 => return Some(at + 4),
            header => at = (header >> 20) as usize & !3,
        }
        if at < 0x100 {
            return None;
        }
    }
    None
}

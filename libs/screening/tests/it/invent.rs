//! Invented values with valid check digits, the same for the same seed. Used by tests and by the measurement.

/// A small generator (SplitMix64): the same seed gives the same values everywhere.
pub(crate) struct Invent(u64);

impl Invent {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    pub(crate) fn of(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len() as u64) as usize])).collect()
    }

    pub(crate) fn word(&mut self) -> &'static str {
        const WORDS: [&str; 16] = [
            "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "joist", "kelp", "larch",
            "maple", "nectar", "otter", "pebble",
        ];
        WORDS[self.below(16) as usize]
    }

    pub(crate) fn email(&mut self) -> String {
        let (first, last) = (self.word(), self.word());
        format!("{first}.{last}{}@mail{}.example.org", self.below(10_000), self.below(50))
    }

    /// A Visa number; the last digit makes Luhn's sum right.
    pub(crate) fn card(&mut self) -> String {
        let body = format!("4{}", self.digits(14));
        let sum: u32 = body
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, byte)| {
                let value = u32::from(byte - b'0') << (1 - (place & 1));
                value - 9 * u32::from(value > 9)
            })
            .sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    }

    /// A German account number with its two check digits.
    pub(crate) fn iban(&mut self) -> String {
        let account = format!("{}{}", 1 + self.below(8), self.digits(17));
        let rest =
            format!("{account}131400").bytes().fold(0u32, |rest, byte| (rest * 10 + u32::from(byte - b'0')) % 97);
        format!("DE{:02}{account}", 98 - rest)
    }

    /// A British mobile number from the range kept for drama.
    pub(crate) fn phone(&mut self) -> String {
        format!("+44 7700 900{}", self.digits(3))
    }

    pub(crate) fn ipv4(&mut self) -> String {
        format!("{}.{}.{}.{}", 11 + self.below(200), self.below(256), self.below(256), 1 + self.below(254))
    }

    /// A Spanish NIF with its letter.
    pub(crate) fn nif(&mut self) -> String {
        let number = self.below(100_000_000);
        format!("{number:08}{}", char::from(b"TRWAGMYFPDXBNJZSQVHLCKE"[(number % 23) as usize]))
    }

    /// A Brazilian CPF with both check digits and its separators.
    pub(crate) fn cpf(&mut self) -> String {
        let mut digits: Vec<u32> = self.digits(9).bytes().map(|byte| u32::from(byte - b'0')).collect();
        for length in [9, 10] {
            let sum: u32 = digits
                .iter()
                .take(length)
                .enumerate()
                .map(|(place, digit)| digit * (length as u32 + 1 - place as u32))
                .sum();
            let rest = sum % 11;
            digits.push(if rest < 2 { 0 } else { 11 - rest });
        }
        let text: String = digits.iter().map(u32::to_string).collect();
        format!("{}.{}.{}-{}", &text[..3], &text[3..6], &text[6..9], &text[9..])
    }

    pub(crate) fn password(&mut self) -> String {
        format!(
            "{}{}{}!",
            self.word(),
            self.below(100),
            self.of(b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz", 4)
        )
    }

    pub(crate) fn sentence(&mut self) -> String {
        let mut sentence = String::new();
        for _ in 0..12 {
            sentence.push_str(self.word());
            sentence.push(' ');
        }
        sentence
    }

    /// One line of a table as breaches have them.
    pub(crate) fn row(&mut self, id: u64) -> String {
        let remark = if self.below(10) == 0 { self.sentence() } else { format!("{} {}", self.word(), self.word()) };
        format!(
            "{id},{} {},{},{},{},{},{},{remark},{}\n",
            self.word(),
            self.word(),
            self.email(),
            self.phone(),
            self.card(),
            self.iban(),
            self.ipv4(),
            self.password()
        )
    }

    /// The header of [`Invent::row`].
    pub(crate) const HEADER: &'static str = "id,name,email,phone,card,iban,ip,remark,password\n";
}

//! The address of a database: postgres://login:password@host:port/database?options.

use anyhow::{Result, bail};

/// The parts of an address, as they were written.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    login: String,
    password: Option<String>,
    host: String,
    database: String,
    options: Option<String>,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let shape = "write it as postgres://login:password@host:5432/database";
        let Some(rest) = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) else {
            bail!("the database's address does not begin with postgres://; {shape}");
        };
        let (rest, options) = match rest.split_once('?') {
            Some((rest, options)) => (rest, Some(options.to_owned())),
            None => (rest, None),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let Some((user, host)) = authority.rsplit_once('@') else {
            bail!("the database's address names no login; {shape}");
        };
        let (login, password) = match user.split_once(':') {
            Some((login, password)) => (login, Some(password.to_owned())),
            None => (user, None),
        };
        if login.is_empty() {
            bail!("the database's address names no login; {shape}");
        }
        if database.is_empty() || database.contains('/') {
            bail!("the database's address names no database; {shape}");
        }
        Ok(Self { login: login.to_owned(), password, host: host.to_owned(), database: database.to_owned(), options })
    }

    /// A database of this machine, by TCP: PostgreSQL's accounts are not those of the machine.
    pub(super) fn local(port: u16, login: &str, password: &str) -> Self {
        Self {
            login: login.to_owned(),
            password: Some(password.to_owned()),
            host: format!("127.0.0.1:{port}"),
            database: super::postgres::DATABASE.to_owned(),
            options: None,
        }
    }

    /// The same database for another login.
    pub(super) fn with_login(&self, login: &str, password: &str) -> Self {
        Self { login: login.to_owned(), password: Some(password.to_owned()), ..self.clone() }
    }

    /// The same server and login, another database.
    pub(super) fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    pub(super) fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        let options = self.options.as_ref().map(|options| format!("?{options}")).unwrap_or_default();
        format!("postgres://{}{password}@{}/{}{options}", self.login, self.host, self.database)
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// For people: without the password.
    pub(super) fn shown(&self) -> String {
        format!(
            "{} at {} as {}",
            self.database,
            if self.host.is_empty() { "this machine" } else { &self.host },
            self.login
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn parts_are_replaced_and_the_rest_stays() {
        let text = "postgres://owner:p%40ss@db.example:5433/archive?sslmode=require";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.url(), text);
        assert_eq!(
            address.with_login("service", "s").with_database("postgres").url(),
            "postgres://service:s@db.example:5433/postgres?sslmode=require"
        );
        assert!(!address.shown().contains("ss@"), "{}", address.shown());
        assert_eq!(Address::parse("postgresql://o@/carrel").unwrap().url(), "postgres://o@/carrel");
        assert_eq!(Address::local(5432, "o", "p").url(), "postgres://o:p@127.0.0.1:5432/carrel");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, words) in [
            ("mysql://o@h/d", "does not begin with postgres://"),
            ("postgres://h/d", "names no login"),
            ("postgres://:p@h/d", "names no login"),
            ("postgres://o:p@h", "names no database"),
            ("postgres://o:p@h/", "names no database"),
            ("postgres://o:p@h/a/b", "names no database"),
        ] {
            let error = Address::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}

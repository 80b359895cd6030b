//! SPDX licence expressions.

/// Whether a crate under this expression may be used when these licences are allowed: one side of
/// an OR (or of the old `/`), both sides of an AND.
pub(crate) fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut parser = Parser {
        tokens: spaced.split_whitespace().collect(),
        at: 0,
        allowed,
    };
    let verdict = parser.or();
    verdict && parser.at == parser.tokens.len()
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    allowed: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> bool {
        let mut verdict = self.and();
        while self.eat("OR") {
            verdict |= self.and();
        }
        verdict
    }

    fn and(&mut self) -> bool {
        let mut verdict = self.one();
        while self.eat("AND") {
            verdict &= self.one();
        }
        verdict
    }

    fn one(&mut self) -> bool {
        if self.eat("(") {
            let verdict = self.or();
            return self.eat(")") && verdict;
        }
        let Some(licence) = self.next() else {
            return false;
        };
        if self.eat("WITH") {
            let exception = self.next().unwrap_or_default();
            return self
                .allowed
                .contains(&format!("{licence} WITH {exception}").as_str());
        }
        self.allowed.contains(&licence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"];
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "GPL-3.0/MIT",
            "(GPL-3.0 OR ISC) AND MIT",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR GPL-3.0) AND Zlib",
            "Apache-2.0",
            "(MIT",
            "MIT ISC",
        ] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}

//! An error and everything that caused it, on one line of the log.

use std::{error::Error, fmt};

/// Displays an error followed by its causes, separated by colons.
pub struct Causes<'a>(pub &'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file cannot be read")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no space left")]
    struct Inner;

    #[test]
    fn an_error_stands_before_its_causes_and_alone_without_any() {
        assert_eq!(Causes(&Outer(Inner)).to_string(), "the file cannot be read: no space left");
        assert_eq!(Causes(&Inner).to_string(), "no space left");
    }
}

//! Pages of a list, and the tokens that continue it (the contract, 2.8).

use crate::protocol::exception::Exception;
use crate::protocol::operations::Call;
use crate::protocol::shape::Input;
use crate::protocol::token::{Reader, Writer};

/// What a token continues. The numbers are the first bytes of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Streams = 2,
    Shards = 3,
    Consumers = 4,
    Channels = 5,
}

/// For how long a token is good, in milliseconds.
const LIFE_MS: u64 = 300_000;

/// A page that is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    kind: TokenKind,
    /// What the list is of and how it is filtered: the same on each page.
    scope: String,
    /// The last item of the page before.
    pub(crate) after: Option<String>,
}

impl Page {
    /// The page that a request asks for, with a token or without. `scope` is what a token must have
    /// been made for.
    pub(crate) fn of(
        call: &Call<'_>,
        input: &Input,
        kind: TokenKind,
        scope: &str,
    ) -> Result<Self, Exception> {
        let Some(token) = input.text("NextToken") else {
            return Ok(Self::first(kind, scope));
        };
        let page = Self::continued(call, token, kind)?;
        if page.scope == scope {
            Ok(page)
        } else {
            Err(invalid_token())
        }
    }

    /// The first page of a list.
    pub(crate) fn first(kind: TokenKind, scope: &str) -> Self {
        let scope = scope.to_owned();
        Self {
            kind,
            scope,
            after: None,
        }
    }

    /// The page that a token asks for, of whichever scope.
    pub(crate) fn continued(
        call: &Call<'_>,
        token: &str,
        kind: TokenKind,
    ) -> Result<Self, Exception> {
        let content = call.account.token_key.open(token);
        let read = content.as_deref().and_then(|content| {
            let mut reader = Reader::new(kind as u8, content)?;
            let (issued_ms, _serial) = (reader.number()?, reader.number()?);
            let (scope, after) = (reader.text()?.to_owned(), reader.text()?.to_owned());
            reader.end()?;
            let after = Some(after);
            Some((issued_ms, Self { kind, scope, after }))
        });
        let (issued_ms, page) = read.ok_or_else(invalid_token)?;
        if call.now().as_millis().saturating_sub(issued_ms) > LIFE_MS {
            return Err(Exception::expired_next_token(
                "The NextToken has expired: it is older than 300 seconds.",
            ));
        }
        Ok(page)
    }

    /// What the list is of and how it is filtered.
    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    /// The token of the page after `last`.
    pub(crate) fn next_token(&self, call: &Call<'_>, last: &str) -> String {
        let content = Writer::new(self.kind as u8)
            .number(call.now().as_millis())
            .number(call.account.next_serial())
            .text(&self.scope)
            .text(last);
        call.account.token_key.seal(content.content())
    }
}

pub(crate) fn invalid_token() -> Exception {
    Exception::invalid_argument("NextToken is invalid.")
}

//! Statements on either engine. Owns the few kinds of values that all tables are made of, so that one text of SQL
//! serves both; opening each of them is left to [`crate::store::sqlite`] and [`crate::store::postgres`].

use std::time::Duration;

use bytes::Bytes;
use sqlx::AssertSqlSafe;
use sqlx::PgPool;
use sqlx::Row as _;
use sqlx::SqlitePool;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::store::sqlite::Locked;

/// What may go wrong with a store, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine says so.
    #[error("{0}")]
    Sql(#[from] sqlx::Error),
    /// It cannot be used as it is; says how to mend it.
    #[error("{0}")]
    Unusable(String),
    /// The engine says nothing.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The store has ended.
    #[error("the store is closed")]
    Closed,
}

/// A store's engine.
#[derive(Debug)]
pub enum Engine {
    /// One file.
    Sqlite {
        /// One connection.
        writer: SqlitePool,
        /// Several.
        readers: SqlitePool,
        /// Kept for as long as a gateway writes.
        lock: Option<Locked>,
    },
    /// A server.
    Postgres(PgPool),
}

/// A value of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A text, or none.
    Text(Option<String>),
    /// A number, or none.
    Int(Option<i64>),
    /// Bytes, or none.
    Bytes(Option<Bytes>),
}

impl Arg {
    /// A text. Without NUL, which PostgreSQL does not take.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Text(Some(if text.contains('\0') {
            text.replace('\0', "\u{fffd}")
        } else {
            text
        }))
    }

    /// A text that may be missing.
    #[must_use]
    pub fn maybe(text: Option<&str>) -> Self {
        text.map_or(Self::Text(None), Self::text)
    }

    /// A number.
    #[must_use]
    pub const fn int(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

/// A statement and its values, `$1` being the first.
#[derive(Debug, Clone)]
pub struct Statement {
    text: String,
    args: Vec<Arg>,
}

impl Statement {
    /// A statement of this text. What comes from outside is never part of it, always a value.
    pub fn new(text: impl Into<String>, args: impl Into<Vec<Arg>>) -> Self {
        Self {
            text: text.into(),
            args: args.into(),
        }
    }

    /// A statement whose text grows with what is asked.
    #[must_use]
    pub fn growing(text: &str) -> Self {
        Self::new(text, Vec::new())
    }

    /// Adds a piece of text.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value at this place of the text.
    pub fn bind(&mut self, arg: Arg) -> &mut Self {
        self.args.push(arg);
        let place = format!("${}", self.args.len());
        self.push(&place)
    }
}

/// One row of an answer.
#[derive(Debug)]
pub enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// The text of a column.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        Ok(self.maybe_text(column)?.unwrap_or_default())
    }

    /// The text of a column that may be empty.
    ///
    /// # Errors
    /// It is none.
    pub fn maybe_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// The number of a column; 0 where it is empty.
    ///
    /// # Errors
    /// It is none.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        let number: Option<i64> = match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        };
        Ok(number.unwrap_or_default())
    }

    /// The bytes of a column that may be empty.
    ///
    /// # Errors
    /// They are none.
    pub fn maybe_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }
}

/// The statement with its values bound, for either engine: their types differ, the calls do not.
macro_rules! bound {
    ($statement:expr) => {{
        let Statement { text, args } = $statement;
        let mut query = sqlx::query(AssertSqlSafe(text));
        for arg in args {
            query = match arg {
                Arg::Text(text) => query.bind(text),
                Arg::Int(number) => query.bind(number),
                Arg::Bytes(bytes) => query.bind(bytes.map(Vec::from)),
            };
        }
        query
    }};
}

/// Several statements that count together or not at all.
#[derive(Debug)]
pub enum Transaction {
    /// Of SQLite.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// Of PostgreSQL.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Transaction {
    /// Carries out a statement; how many rows it touched.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(inner) => bound!(statement)
                .execute(&mut **inner)
                .await?
                .rows_affected(),
            Self::Postgres(inner) => bound!(statement)
                .execute(&mut **inner)
                .await?
                .rows_affected(),
        })
    }

    /// Carries out a statement that gives rows.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(inner) => {
                let rows = bound!(statement).fetch_all(&mut **inner).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(inner) => {
                let rows = bound!(statement).fetch_all(&mut **inner).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Makes it count; when this returns, it is on disk.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => inner.commit().await?,
            Self::Postgres(inner) => inner.commit().await?,
        }
        Ok(())
    }
}

impl Engine {
    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// The engine cannot be had.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            // At once, so that whoever waits for another process waits here and not half way.
            Self::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    /// Reads rows.
    ///
    /// # Errors
    /// The engine cannot be had, or refuses.
    pub async fn rows(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                let rows = bound!(statement).fetch_all(readers).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                let rows = bound!(statement).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// One statement that writes, in a transaction of its own; how many rows it touched.
    ///
    /// # Errors
    /// The engine cannot be had, or refuses.
    pub async fn execute(&self, statement: Statement) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let touched = transaction.execute(statement).await?;
        transaction.commit().await?;
        Ok(touched)
    }

    /// Whether a row may be claimed past those that others hold.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite {
                writer, readers, ..
            } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A table as far as rows are put into it.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name and columns, as an `INSERT` has them.
    pub into: &'static str,
}

/// The statements that put rows into a table, many rows each. Their number of rows is a power of two, so that there
/// are few different texts and each is prepared once.
#[must_use]
pub fn inserts(table: &Table, rows: Vec<Vec<Arg>>) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let many = 1_usize << rows.len().min(MOST_ROWS).ilog2();
        let mut statement = Statement::growing("INSERT INTO ");
        statement.push(table.into).push(" VALUES ");
        for number in 0..many {
            statement.push(if number == 0 { "(" } else { ", (" });
            let row = rows.next().unwrap_or_default();
            for (column, arg) in row.into_iter().enumerate() {
                if column > 0 {
                    statement.push(", ");
                }
                statement.bind(arg);
            }
            statement.push(")");
        }
        // A row that is there already was written by an attempt whose answer was lost.
        statement.push(" ON CONFLICT DO NOTHING");
        statements.push(statement);
    }
    statements
}

/// The most rows of one statement.
const MOST_ROWS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_in_many_at_a_time() {
        let table = Table { into: "a (b, c)" };
        let row = || vec![Arg::int(1), Arg::text("x\0y")];
        let statements = inserts(&table, (0..7).map(|_| row()).collect());
        let counts: Vec<usize> = statements.iter().map(|one| one.args.len()).collect();
        assert_eq!(counts, [8, 4, 2]);
        assert_eq!(
            statements[1].text,
            "INSERT INTO a (b, c) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING"
        );
        assert_eq!(statements[2].args[1], Arg::Text(Some("x\u{fffd}y".into())));
        assert_eq!(inserts(&table, Vec::new()).len(), 0);
    }
}

//! PostgreSQL: one server, any number of gateways. Owns opening it.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPoolOptions;

use crate::store::engine::Engine;
use crate::store::engine::StoreError;
use crate::store::settings::Role;
use crate::store::settings::Server;
use crate::store::tables;

/// The tables, version by version.
pub static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// How many connections one gateway has.
const CONNECTIONS: u32 = 8;
/// How long a connection may be waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Different statements that are kept prepared on a connection.
const PREPARED: usize = 256;

/// Connects; a gateway brings the tables up to date. Several that start at once do that one after the other.
///
/// # Errors
/// The server cannot be had, or its tables are of a newer version.
pub async fn open(server: &Server, role: Role) -> Result<Engine, StoreError> {
    let mut options: PgConnectOptions = server.url.parse()?;
    if let Some(password) = &server.password {
        options = options.password(password.expose());
    }
    let options = options
        .application_name("formgate")
        .statement_cache_capacity(PREPARED);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .map_err(|error| unusable(server, &error.to_string()))?;
    let tables = match role {
        Role::Gateway => tables::update(&MIGRATIONS, &pool).await,
        Role::Command => tables::check(&MIGRATIONS, tables::version(&pool).await),
    };
    tables.map_err(|why| unusable(server, &why))?;
    Ok(Engine::Postgres(pool))
}

fn unusable(server: &Server, why: &str) -> StoreError {
    StoreError::Unusable(format!("the store {} cannot be used: {why}", server.url))
}

//! HTTP.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{COOKIE, HeaderMap, SET_COOKIE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use larder::{Invalidated, at_least};
use sqlx::SqlitePool;

use crate::articles::{self, Draft, Problem};

pub(crate) fn all(database: SqlitePool) -> Router {
    Router::new()
        .route("/", get(front_page))
        .route("/articles/{id}", get(read).put(write))
        .route("/stats", get(async || larder::stats().to_string()))
        .with_state(database)
        .layer(middleware::from_fn(read_your_writes))
}

/// Who has written sees it in the next request, whichever instance that comes to.
async fn read_your_writes(request: Request, next: Next) -> Response {
    at_least(&last_write(request.headers()), next.run(request)).await
}

/// The token of the client's last write. Whatever else it sends counts as none.
fn last_write(headers: &HeaderMap) -> Invalidated {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut cookies = cookies.flat_map(|cookies| cookies.split(';'));
    let token = cookies.find_map(|cookie| cookie.trim().strip_prefix("last-write="));
    token.and_then(|token| token.parse().ok()).unwrap_or_default()
}

async fn front_page(State(database): State<SqlitePool>) -> Result<String, Problem> {
    articles::front_page(&database).await
}

async fn read(State(database): State<SqlitePool>, Path(id): Path<i64>) -> Result<Response, Problem> {
    Ok(match articles::article(&database, id).await? {
        Some(article) => Json(article).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such article\n").into_response(),
    })
}

async fn write(
    State(database): State<SqlitePool>,
    Path(id): Path<i64>,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    let token = articles::write(&database, id, draft).await?;
    // By then every instance has heard of it.
    let cookie = format!("last-write={token}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax");
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{self}\n")).into_response()
    }
}

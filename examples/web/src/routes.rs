//! HTTP.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use sqlx::SqlitePool;

use crate::articles::{self, Draft, Problem};

pub(crate) fn all(database: SqlitePool) -> Router {
    Router::new()
        .route("/", get(front_page))
        .route("/articles/{id}", get(read).put(write))
        .route("/stats", get(async || larder::stats().to_string()))
        .with_state(database)
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
) -> Result<StatusCode, Problem> {
    articles::write(&database, id, draft).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{self}\n")).into_response()
    }
}

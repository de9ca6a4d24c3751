//! HTTP.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::articles::{self, Article, Database, Draft, Problem};

pub(crate) fn all(database: Database) -> Router {
    Router::new()
        .route("/", get(front_page))
        .route("/articles/{id}", get(read).put(write))
        .route("/stats", get(async || larder::stats().to_string()))
        .with_state(database)
}

async fn front_page(State(database): State<Database>) -> Result<String, Problem> {
    articles::front_page(&database).await
}

async fn read(State(database): State<Database>, Path(id): Path<u64>) -> Result<Json<Article>, Response> {
    match articles::article(&database, id).await {
        Ok(Some(article)) => Ok(Json(article)),
        Ok(None) => Err((StatusCode::NOT_FOUND, "there is no such article\n").into_response()),
        Err(problem) => Err(problem.into_response()),
    }
}

async fn write(
    State(database): State<Database>,
    Path(id): Path<u64>,
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

//! Reading requests: a body of JSON, a query, a part of the path. Whatever is malformed is refused with a
//! problem that names it.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{StatusCode, header, request::Parts};
use divvy_api::requests::check_name;
use serde::de::DeserializeOwned;

use super::error::Failed;

/// A body of JSON.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|text| {
            text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        });
        if !is_json {
            let detail =
                format!("the body is {}, not application/json", content_type.unwrap_or("of no content type"));
            return Err(Failed::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type",
                detail,
                "send Content-Type: application/json",
            ));
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| match rejection
                .status()
            {
                status @ StatusCode::PAYLOAD_TOO_LARGE => {
                    Failed::new(status, "body_too_large", rejection.body_text(), "name fewer things at once")
                }
                status => Failed::new(status, "body_unreadable", rejection.body_text(), ""),
            })?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failed> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        // A list would be read as the members in their order, whatever they are called.
        return Err(Failed::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "body_malformed",
            "the body is a list, not an object".to_owned(),
            "",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Failed::new(status, "body_malformed", format!("the body is not what is asked for: {error}"), "")
    })
}

/// A query; a member that is not known is refused.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let Query(query) =
            Query::from_request_parts(parts, state).await.map_err(|rejection: QueryRejection| {
                Failed::new(StatusCode::UNPROCESSABLE_ENTITY, "query_malformed", rejection.body_text(), "")
            })?;
        Ok(Self(query))
    }
}

/// One name in the path.
#[derive(utoipa::ToSchema)]
#[schema(min_length = 1, max_length = 128)]
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let Path(name): Path<String> =
            Path::from_request_parts(parts, state).await.map_err(|rejection: PathRejection| {
                Failed::new(StatusCode::BAD_REQUEST, "path_malformed", rejection.body_text(), "")
            })?;
        check_name(|| "the name in the path".to_owned(), &name)?;
        Ok(Self(name))
    }
}

//! The form of a manual top-up, read as it comes: a sum, and a file whose own bytes say what it is.

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
    web,
};
use futures::StreamExt;
use minispod_domain::{
    manual_topup::PROOF_MAX_BYTES,
    ports::proofs::ProofDraft,
    topup::{LEAST_AMOUNT, MOST_AMOUNT},
};
use minispod_events::Proof;
use minispod_kernel::Rupiah;

use crate::{
    error::{ApiError, FieldError},
    state::AppState,
};

/// Longest wait for the whole form.
const DEADLINE: Duration = Duration::from_mins(1);
/// Beside the file: the sum, names and boundaries.
const FRAME_MAX_BYTES: u64 = 16 * 1024;
/// Longest text of a sum.
const AMOUNT_MAX_BYTES: usize = 16;
/// First bytes that tell every kind of file apart.
const HEAD_BYTES: usize = 12;

/// A form that fits. The file is not kept yet.
pub struct Upload {
    pub amount: Rupiah,
    pub proof: Proof,
    pub draft: Box<dyn ProofDraft>,
}

/// Reads the form. What does not fit is named, and its file is gone.
pub async fn read(state: &AppState, request: &HttpRequest, payload: web::Payload) -> Result<Upload, ApiError> {
    let header = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let kind = header(header::CONTENT_TYPE).unwrap_or_default().trim_start();
    if !kind.get(..FORM.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(FORM)) {
        let message = "The request body must be multipart/form-data";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let announced = header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > PROOF_MAX_BYTES + FRAME_MAX_BYTES) {
        return Err(too_large());
    }
    let form = Multipart::new(request.headers(), payload);
    tokio::time::timeout(DEADLINE, read_form(state, form)).await.map_err(|_| {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "The request body did not arrive in time")
    })?
}

const FORM: &str = "multipart/form-data";

async fn read_form(state: &AppState, mut form: Multipart) -> Result<Upload, ApiError> {
    let (mut amount, mut file) = (None, None);
    while let Some(field) = form.next().await {
        let field = field.map_err(broken)?;
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "amount" if amount.is_none() => amount = Some(read_amount(field).await?),
            "proof" if file.is_none() => file = Some(read_file(state, field).await?),
            name => {
                let known = ["amount", "proof"].contains(&name);
                let message = if known { "This field was sent twice" } else { "This field is not known" };
                return Err(ApiError::invalid_field(if known { name } else { "form" }, message));
            }
        }
    }
    match (amount, file) {
        (Some(amount), Some((proof, draft))) => Ok(Upload { amount, proof, draft }),
        (amount, file) => {
            let missing =
                [("amount", amount.is_none(), "Amount is required"), ("proof", file.is_none(), "Proof is required")];
            let faults = missing.into_iter().filter(|(_, is_missing, _)| *is_missing);
            Err(ApiError::invalid(faults.map(|(field, _, message)| FieldError::new(field, message)).collect()))
        }
    }
}

async fn read_amount(mut field: Field) -> Result<Rupiah, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(broken)?;
        if text.len() + chunk.len() > AMOUNT_MAX_BYTES {
            return Err(bad_amount());
        }
        text.extend_from_slice(&chunk);
    }
    let text = std::str::from_utf8(&text).map_err(|_| bad_amount())?;
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.parse().ok().filter(|_| is_whole).map(Rupiah::new);
    amount.filter(|amount| (LEAST_AMOUNT..=MOST_AMOUNT).contains(amount)).ok_or_else(bad_amount)
}

/// Chunk by chunk to where it will lie; never whole in memory, and never under a name that its sender gave.
async fn read_file(state: &AppState, mut field: Field) -> Result<(Proof, Box<dyn ProofDraft>), ApiError> {
    let mut draft = state.proofs.begin().await?;
    let (mut head, mut size) = (Vec::with_capacity(HEAD_BYTES), 0_u64);
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(broken)?;
        size += chunk.len() as u64;
        if size > PROOF_MAX_BYTES {
            return Err(too_large());
        }
        let rest = HEAD_BYTES.saturating_sub(head.len());
        head.extend(chunk.iter().take(rest));
        if head.len() == HEAD_BYTES && kind_of(&head).is_none() {
            return Err(bad_proof());
        }
        draft.write(&chunk).await?;
    }
    let media_type = kind_of(&head).ok_or_else(bad_proof)?.to_owned();
    Ok((Proof { digest: draft.digest(), media_type, size }, draft))
}

/// What a file is by its first bytes; what its sender calls it does not count.
fn kind_of(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        _ => None,
    }
}

fn bad_amount() -> ApiError {
    let message = format!("Amount must be {LEAST_AMOUNT} to {MOST_AMOUNT} whole rupiah");
    ApiError::invalid_field("amount", &message)
}

fn bad_proof() -> ApiError {
    ApiError::invalid_field("proof", "The proof must be a JPEG, PNG, WebP or PDF file")
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "The proof is larger than 5 MiB")
}

/// The form breaks off or was never one. Nothing of it is repeated.
fn broken(_: MultipartError) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FORM", "The request body is not a valid form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_own_bytes_say() {
        for (head, kind) in [
            (&b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01"[..], Some("image/jpeg")),
            (b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", Some("image/png")),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"%PDF-1.7\n%\xE2\xE3", Some("application/pdf")),
            (b"<!doctype html>", None),
            (b"<svg xmlns=\"h", None),
            (b"GIF89a\x01\0\x01\0\0\0", None),
            (b"RIFF\x24\0\0\0WAVEfmt ", None),
            (b"MZ\x90\0\x03\0\0\0\x04\0\0\0", None),
            (b"#!/bin/sh\nec", None),
            (b"", None),
        ] {
            assert_eq!(kind_of(head), kind, "{head:?}");
        }
    }
}

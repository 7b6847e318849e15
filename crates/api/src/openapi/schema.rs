//! Building blocks of the document's schemas (JSON Schema 2020-12, as OpenAPI 3.1 uses it), and the named ones.

use serde_json::{Map, Value, json};

/// A text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// A text of `min` to `max` characters.
pub fn bounded(min: usize, max: usize) -> Value {
    json!({ "type": "string", "minLength": min, "maxLength": max })
}

/// A password to be set: 8 to 128 characters with a small and a large letter, a digit and one of `@$!%*?&`.
pub fn new_password() -> Value {
    let mut password = bounded(8, 128);
    password["examples"] = json!(["Rahasia!1"]);
    password
}

/// A text that follows a regular expression.
pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// One of `words`.
pub fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// An id: `c` and 24 base-36 characters.
pub fn id() -> Value {
    json!({ "type": "string", "pattern": "^c[a-z0-9]{24}$" })
}

/// An instant, ISO 8601 in UTC with milliseconds.
pub fn date() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A mail address.
pub fn email() -> Value {
    json!({ "type": "string", "format": "email" })
}

pub fn hostname(max: usize) -> Value {
    json!({ "type": "string", "format": "hostname", "minLength": 1, "maxLength": max })
}

/// Whole rupiah in a text, as the contract has it.
pub fn money() -> Value {
    json!({ "type": "string", "pattern": "^-?[0-9]+$", "description": "whole rupiah" })
}

/// A whole number.
pub fn int() -> Value {
    json!({ "type": "integer" })
}

/// A whole number from `min` to `max`.
pub fn range(min: i64, max: i64) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max })
}

/// Any number.
pub fn number() -> Value {
    json!({ "type": "number" })
}

/// A yes or no.
pub fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// Anything.
pub fn any() -> Value {
    json!({})
}

/// A map of texts.
pub fn texts() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

/// Nothing.
pub fn null() -> Value {
    json!({ "type": "null" })
}

/// A list of `item`.
pub fn list(item: Value) -> Value {
    json!({ "type": "array", "items": item })
}

/// `schema`, or null.
pub fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// A named schema of [`named`].
pub fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object that always has these members; more may come.
pub fn object(members: &[(&str, Value)]) -> Value {
    let properties: Map<_, _> = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// An object with members that must and members that may be sent; `strict` refuses any other.
pub fn form(required: &[(&str, Value)], optional: &[(&str, Value)], strict: bool) -> Value {
    let mut form = object(required);
    for (name, schema) in optional {
        form["properties"][*name] = schema.clone();
    }
    if strict {
        form["additionalProperties"] = false.into();
    }
    form
}

/// All members of several objects.
pub fn all(parts: &[Value]) -> Value {
    json!({ "allOf": parts })
}

/// `{page, limit, total, totalPages}`.
pub fn pages() -> Value {
    of("Pagination")
}

/// A whole number, its text, or null for not said.
pub fn loose_int() -> Value {
    nullable(json!({ "anyOf": [int(), pattern("^-?[0-9]{1,15}$")] }))
}

/// A yes or no, its text, or null for not said.
pub fn loose_flag() -> Value {
    nullable(json!({ "anyOf": [flag(), words(&["true", "false"])] }))
}

/// `{currentPage, totalPages, totalCount, hasNext, hasPrev}`.
pub fn counted_pages() -> Value {
    of("CountedPages")
}

/// The named schemas.
pub fn named() -> Value {
    let user_mini = object(&[("id", id()), ("name", text()), ("email", text())]);
    let role = words(&["USER", "ADMINISTRATOR"]);
    let user = object(&[
        ("id", id()),
        ("email", text()),
        ("name", text()),
        ("role", role),
        ("isActive", flag()),
        ("createdAt", date()),
    ]);
    let tokens = object(&[("accessToken", text()), ("refreshToken", text()), ("expiresIn", text())]);
    let by_cursor = [("nextCursor", nullable(text()))];
    let counts = [("page", int()), ("limit", int()), ("total", int()), ("totalPages", int())];
    let pagination = form(&counts, &by_cursor, false);
    let counts = [
        ("currentPage", int()),
        ("totalPages", int()),
        ("totalCount", int()),
        ("hasNext", flag()),
        ("hasPrev", flag()),
    ];
    let counted_pages = form(&counts, &by_cursor, false);
    let invoice_mini = object(&[("id", id()), ("invoiceNumber", text()), ("status", text())]);
    let error = form(
        &[
            ("success", json!({ "const": false })),
            ("message", text()),
            ("code", json!({ "type": ["string", "object"] })),
            ("details", null()),
            ("timestamp", date()),
            ("statusCode", int()),
        ],
        &[("errors", list(object(&[("field", text()), ("message", text())])))],
        false,
    );
    let problem = form(
        &[
            ("type", text()),
            ("title", text()),
            ("status", int()),
            ("detail", text()),
            ("code", json!({ "type": ["string", "object"] })),
            ("requestId", text()),
        ],
        &[("errors", list(object(&[("pointer", text()), ("detail", text())])))],
        false,
    );
    json!({
        "Error": error,
        "Problem": problem,
        "UserMini": user_mini,
        "User": user,
        "Tokens": tokens,
        "Pagination": pagination,
        "CountedPages": counted_pages,
        "InvoiceMini": invoice_mini,
        "Metric": metric(),
        "Service": service(),
        "ServiceGroup": service_group(),
        "Subscription": subscription(),
        "Instance": instance(),
        "Transaction": transaction(),
        "TransactionRow": transaction_row(),
        "TopUp": topup(),
        "Payment": payment(),
        "Invoice": invoice(),
    })
}

fn metric() -> Value {
    object(&[
        ("id", text()),
        ("subscriptionId", id()),
        ("cpuUsage", text()),
        ("memUsage", text()),
        ("cpuUsageMax", text()),
        ("memUsageMax", text()),
        ("storageUsage", nullable(text())),
        ("networkIn", nullable(text())),
        ("networkOut", nullable(text())),
        ("samples", int()),
        ("recordedAt", date()),
    ])
}

fn service() -> Value {
    object(&[
        ("id", id()),
        ("name", text()),
        ("displayName", text()),
        ("description", text()),
        ("version", text()),
        ("isActive", flag()),
        ("variant", text()),
        ("variantDisplayName", text()),
        ("sortOrder", int()),
        ("isDefaultVariant", flag()),
        ("cpuRequest", text()),
        ("cpuLimit", text()),
        ("memRequest", text()),
        ("memLimit", text()),
        ("monthlyPrice", money()),
        ("availableQuota", int()),
        ("dockerImage", text()),
        ("containerPort", int()),
        ("environmentVars", texts()),
        ("category", text()),
        ("tags", list(text())),
        ("icon", text()),
        ("features", list(text())),
        ("volumeSize", text()),
        ("volumeMountPath", text()),
        ("volumeName", text()),
        ("storageClass", text()),
        ("accessMode", text()),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}

fn service_group() -> Value {
    let variant = object(&[
        ("id", id()),
        ("variant", text()),
        ("variantDisplayName", text()),
        ("description", text()),
        ("cpuSpec", text()),
        ("memSpec", text()),
        ("monthlyPrice", money()),
        ("availableQuota", int()),
        ("isDefault", flag()),
        ("features", list(text())),
        ("sortOrder", int()),
    ]);
    object(&[
        ("name", text()),
        ("displayName", text()),
        ("description", text()),
        ("category", text()),
        ("tags", list(text())),
        ("icon", text()),
        ("variants", list(variant)),
    ])
}

fn subscription() -> Value {
    object(&[
        ("id", id()),
        ("userId", id()),
        ("serviceId", id()),
        ("status", words(&["PENDING_DEPLOYMENT", "ACTIVE", "SUSPENDED", "EXPIRED", "CANCELLED"])),
        ("startDate", date()),
        ("expiresAt", date()),
        ("subdomain", nullable(text())),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}

fn instance() -> Value {
    object(&[("id", id()), ("status", text()), ("internalUrl", nullable(text())), ("externalUrl", nullable(text()))])
}

fn transaction() -> Value {
    let actions = object(&[("canPay", flag()), ("canCancel", flag()), ("canDownloadInvoice", flag())]);
    object(&[
        ("id", id()),
        ("date", date()),
        ("type", words(&["TOPUP", "SERVICE_PURCHASE", "REFUND", "ADJUSTMENT", "PROMOTION"])),
        ("description", text()),
        ("amount", money()),
        ("currency", text()),
        ("status", text()),
        ("reference", nullable(text())),
        ("referenceType", nullable(text())),
        ("paymentMethod", nullable(text())),
        ("paymentGateway", nullable(text())),
        ("invoice", nullable(of("InvoiceMini"))),
        ("actions", actions),
    ])
}

fn transaction_row() -> Value {
    object(&[
        ("id", id()),
        ("userId", id()),
        ("type", text()),
        ("status", text()),
        ("description", text()),
        ("amount", money()),
        ("currency", text()),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}

fn topup() -> Value {
    object(&[
        ("id", id()),
        ("orderId", text()),
        ("amount", money()),
        ("currency", text()),
        ("status", words(&["PENDING", "PAID", "EXPIRED", "CANCELLED", "FAILED"])),
        ("paymentType", nullable(text())),
        ("transactionId", nullable(text())),
        ("paidAt", nullable(date())),
        ("expiredAt", nullable(date())),
        ("createdAt", date()),
        ("invoice", nullable(of("InvoiceMini"))),
    ])
}

fn payment() -> Value {
    object(&[
        ("transactionId", id()),
        ("orderId", text()),
        ("amount", money()),
        ("currency", text()),
        ("status", text()),
        ("snapToken", nullable(text())),
        ("redirectUrl", nullable(text())),
        ("expiresAt", date()),
    ])
}

fn invoice() -> Value {
    object(&[
        ("id", id()),
        ("invoiceNumber", text()),
        ("type", words(&["TOPUP", "SUBSCRIPTION"])),
        ("amount", money()),
        ("currency", text()),
        ("status", text()),
        ("description", text()),
        ("createdAt", date()),
    ])
}

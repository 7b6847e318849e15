//! The ports of domain, billing and api, filled from the store: people, secrets, orders, invoice documents.
//!
//! Everything here reads the log, never a read model: an effect may come before the projector.

use async_trait::async_trait;
use minispod_auth::LinkToken;
use minispod_billing::{
    Buyer, InvoiceDocument, InvoiceState, Order, Orders, Reference, Seller, TaxRows, render_invoice,
};
use minispod_domain::ports::{Documents, LinkKind, Links, People, Person, PortError, Secrets};
use minispod_events::{Event, Fact, InvoiceEvent, InvoiceLine, IssuedTerms, UserEvent};
use minispod_kernel::{Language, Rupiah, Timestamp, sensitive::FORGOTTEN_TEXT};
use minispod_store::Store;

/// A port's failure with its cause.
fn failed(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError { what: what.to_owned(), source: source.into() }
}

/// The facts of one aggregate, personal fields opened.
async fn history(store: &Store, aggregate_type: &str, id: &str) -> Result<Vec<Event>, PortError> {
    let what = format!("the history of {aggregate_type} {id}");
    let recorded = store.log().history(aggregate_type, id).await.map_err(|error| failed(&what, error))?;
    let mut facts =
        recorded.into_iter().map(Fact::read).collect::<Result<Vec<_>, _>>().map_err(|error| failed(&what, error))?;
    store.vault().open_facts(&mut facts).await.map_err(|error| failed(&what, error))?;
    Ok(facts.into_iter().map(|fact| fact.event).collect())
}

/// People, from their accounts' histories.
pub struct LogPeople(pub Store);

#[async_trait]
impl People for LogPeople {
    async fn find(&self, user_id: &str) -> Result<Option<Person>, PortError> {
        person(&self.0, user_id, None).await
    }
}

/// Somebody as he was called at an instant, or now. Who is forgotten since has no name at any instant.
async fn person(store: &Store, user_id: &str, at: Option<Timestamp>) -> Result<Option<Person>, PortError> {
    let mut found: Option<(String, String)> = None;
    for event in history(store, "user", user_id).await? {
        let is_later = at.is_some_and(|at| event.occurred_at() > at);
        match event {
            Event::User(UserEvent::UserRegistered { name, email, .. }) => {
                found = name.open().cloned().zip(email.open().cloned());
            }
            Event::User(UserEvent::UserForgotten { .. }) => found = None,
            Event::User(UserEvent::UserProfileChanged { name, email, .. }) if !is_later => {
                if let Some(person) = &mut found {
                    if let Some(name) = name.as_ref().and_then(|name| name.open()) {
                        person.0.clone_from(name);
                    }
                    if let Some(email) = email.as_ref().and_then(|email| email.open()) {
                        person.1.clone_from(email);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found.map(|(name, email)| Person { id: user_id.to_owned(), name, email }))
}

/// Secrets, from the vault.
pub struct VaultSecrets(pub Store);

#[async_trait]
impl Secrets for VaultSecrets {
    async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.0.vault().find(owner, name).await.map_err(|error| failed("the vault", error))
    }
    async fn keep(&self, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, PortError> {
        self.0.vault().keep(owner, name, value).await.map_err(|error| failed("the vault", error))
    }
    async fn replace(&self, owner: &str, name: &str, value: &[u8]) -> Result<(), PortError> {
        self.0.vault().replace(owner, name, value).await.map_err(|error| failed("the vault", error))
    }
}

/// Tokens of mailed links: made here, kept as hashes in the vault.
pub struct VaultLinks(pub Store);

#[async_trait]
impl Links for VaultLinks {
    async fn fresh(&self, kind: LinkKind, user_id: &str) -> Result<String, PortError> {
        let token = LinkToken::generate(user_id, self.0.ids().as_ref());
        let kept = token.kept(self.0.clock().now().plus(kind.life()));
        let owner = format!("user/{user_id}");
        self.0.vault().replace(&owner, kind.secret_name(), &kept).await.map_err(|error| failed("the vault", error))?;
        Ok(token.text().to_owned())
    }
}

/// Top-up orders, from their histories.
pub struct LogOrders(pub Store);

#[async_trait]
impl Orders for LogOrders {
    async fn find(&self, topup_id: &str, order_id: &str) -> Result<Option<Order>, PortError> {
        let events = history(&self.0, "topup", topup_id).await?;
        let topup = events.iter().filter_map(|event| match event {
            Event::TopUp(event) => Some(event),
            _ => None,
        });
        Ok(Order::from_history(topup_id, order_id, topup))
    }
}

/// Invoice PDFs, drawn on demand: an issued invoice never changes.
pub struct InvoiceDocuments {
    pub store: Store,
    /// For invoices that were issued before they kept theirs.
    pub seller: Seller,
    pub language: Language,
}

#[derive(Default)]
struct InvoiceFold {
    user_id: String,
    lines: Vec<InvoiceLine>,
    total: Rupiah,
    references: Vec<Reference>,
    issued: Option<(String, Timestamp)>,
    terms: Option<IssuedTerms>,
    void: bool,
}

impl InvoiceFold {
    fn add(&mut self, event: InvoiceEvent) {
        match event {
            InvoiceEvent::InvoiceDrafted { user_id, subject, lines, total, .. } => {
                self.references = Reference::of(&subject);
                (self.user_id, self.lines, self.total) = (user_id, lines, total);
            }
            InvoiceEvent::InvoiceIssued { number, terms, occurred_at, .. } => {
                self.issued = Some((number, occurred_at));
                self.terms = terms;
            }
            InvoiceEvent::InvoiceVoided { .. } => self.void = true,
            InvoiceEvent::InvoicePaid { .. } | InvoiceEvent::InvoiceDownloaded { .. } => {}
        }
    }
}

#[async_trait]
impl Documents for InvoiceDocuments {
    async fn invoice_pdf(&self, invoice_id: &str, language: Option<Language>) -> Result<Option<Vec<u8>>, PortError> {
        let mut fold = InvoiceFold::default();
        for event in history(&self.store, "invoice", invoice_id).await? {
            if let Event::Invoice(event) = event {
                fold.add(event);
            }
        }
        let Some((number, issued_at)) = fold.issued else { return Ok(None) };
        let issued_on = issued_at.jakarta_date();
        let person = person(&self.store, &fold.user_id, Some(issued_at)).await?;
        let (name, email) = person.map_or_else(
            || (FORGOTTEN_TEXT.to_owned(), FORGOTTEN_TEXT.to_owned()),
            |person| (person.name, person.email),
        );
        let document = InvoiceDocument {
            number,
            issued_on,
            state: if fold.void { InvoiceState::Void } else { InvoiceState::Paid { on: issued_on } },
            seller: fold.terms.as_ref().map_or_else(|| self.seller.clone(), |terms| terms.seller.clone()),
            buyer: Buyer { name, email, customer_id: fold.user_id },
            lines: fold.lines,
            total: fold.total,
            tax: fold.terms.and_then(|terms| terms.tax).map_or(TaxRows::Hidden, TaxRows::Included),
            references: fold.references,
        };
        let language = language.unwrap_or(self.language);
        // Drawing takes tens of milliseconds of pure computing.
        let drawn = tokio::task::spawn_blocking(move || render_invoice(&document, language)).await;
        let pdf = drawn.map_err(|error| failed("the invoice", error))?.map_err(|error| failed("the invoice", error))?;
        Ok(Some(pdf))
    }
}

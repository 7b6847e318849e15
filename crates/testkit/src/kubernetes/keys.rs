//! Throw-away certificates, keys and tokens of one control plane.

use std::{fs, io, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

pub(super) const AUTHORITY: &str = "authority.crt";
pub(super) const SERVER_CERTIFICATE: &str = "server.crt";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const ACCOUNTS_KEY: &str = "accounts.key";
pub(super) const ACCOUNTS_PUBLIC_KEY: &str = "accounts.pub";
pub(super) const TOKENS: &str = "tokens.csv";

/// Writes the files into `directory`; returns the administrator's token.
pub(super) fn write(directory: &Path) -> io::Result<String> {
    let authority_key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = params.self_signed(&authority_key).map_err(io::Error::other)?;
    let issuer = Issuer::new(params, authority_key);

    let names = ["localhost", "127.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
    let server_key = KeyPair::generate().map_err(io::Error::other)?;
    let params = CertificateParams::new(names).map_err(io::Error::other)?;
    let server = params.signed_by(&server_key, &issuer).map_err(io::Error::other)?;
    let accounts_key = KeyPair::generate().map_err(io::Error::other)?;
    // Any unguessable text will do; a fresh key's digits are one.
    let seed = KeyPair::generate().map_err(io::Error::other)?;
    let digits = seed.serialized_der().iter().rev().take(16);
    let token = digits.fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let token = format!("{token:032x}");

    for (name, text) in [
        (AUTHORITY, authority.pem()),
        (SERVER_CERTIFICATE, server.pem()),
        (SERVER_KEY, server_key.serialize_pem()),
        (ACCOUNTS_KEY, accounts_key.serialize_pem()),
        (ACCOUNTS_PUBLIC_KEY, accounts_key.public_key_pem()),
        (TOKENS, format!("{token},administrator,1,system:masters\n")),
    ] {
        fs::write(directory.join(name), text)?;
    }
    Ok(token)
}

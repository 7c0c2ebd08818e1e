//! Which environment variables restic is given: closed lists. restic starts other programs, and it and they read many
//! more, of which some load code or run commands; the pods of copies are root's. What no list names never gets there.

/// What the owner of a source may say of it: how much at once, and by which proxy.
const OF_SOURCES: [&str; 16] = [
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "RESTIC_COMPRESSION",
    "RESTIC_HTTP_USER_AGENT",
    "RESTIC_KEY_HINT",
    "RESTIC_PACK_SIZE",
    "RESTIC_READ_CONCURRENCY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// What backends are told beside: by the Secret, or by the administrator.
const OF_BACKENDS: [&str; 49] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_ACCOUNT_KEY",
    "AZURE_ACCOUNT_NAME",
    "AZURE_ACCOUNT_SAS",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_ENDPOINT_SUFFIX",
    "AZURE_TENANT_ID",
    "B2_ACCOUNT_ID",
    "B2_ACCOUNT_KEY",
    "GOOGLE_ACCESS_TOKEN",
    "GOOGLE_PROJECT_ID",
    "MINIO_ACCESS_KEY",
    "MINIO_ROOT_PASSWORD",
    "MINIO_ROOT_USER",
    "MINIO_SECRET_KEY",
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_APPLICATION_CREDENTIAL_NAME",
    "OS_APPLICATION_CREDENTIAL_SECRET",
    "OS_AUTH_TOKEN",
    "OS_AUTH_URL",
    "OS_PASSWORD",
    "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME",
    "OS_PROJECT_NAME",
    "OS_REGION_NAME",
    "OS_STORAGE_URL",
    "OS_TENANT_ID",
    "OS_TENANT_NAME",
    "OS_TRUST_ID",
    "OS_USERNAME",
    "OS_USER_DOMAIN_ID",
    "OS_USER_DOMAIN_NAME",
    "OS_USER_ID",
    "RESTIC_AWS_ASSUME_ROLE_ARN",
    "RESTIC_AWS_ASSUME_ROLE_EXTERNAL_ID",
    "RESTIC_AWS_ASSUME_ROLE_POLICY",
    "RESTIC_AWS_ASSUME_ROLE_REGION",
    "RESTIC_AWS_ASSUME_ROLE_SESSION_NAME",
    "RESTIC_AWS_ASSUME_ROLE_STS_ENDPOINT",
    "ST_AUTH",
    "ST_KEY",
    "ST_USER",
];
/// What names a file, which must be one of the Secret's. None of these files can name a program: an
/// `AWS_SHARED_CREDENTIALS_FILE` can, and is none of them.
const OF_FILES: [&str; 2] = ["AZURE_CLIENT_CERTIFICATE_PATH", "GOOGLE_APPLICATION_CREDENTIALS"];
/// What concerns restic's own program, and no other that it starts.
const OF_THE_PROGRAM: [&str; 3] = ["GOGC", "GOMAXPROCS", "GOMEMLIMIT"];

/// Whether the owner of a source may set it, who need not be one who may read the Secret.
#[must_use]
pub fn is_for_sources(name: &str) -> bool {
    OF_SOURCES.contains(&name)
}

/// Whether the administrator or a Secret may set it. The password and the like are the Secret's alone, and not here.
#[must_use]
pub fn is_known(name: &str) -> bool {
    is_for_sources(name) || OF_BACKENDS.contains(&name) || is_file(name)
}

/// Whether it names a file.
#[must_use]
pub fn is_file(name: &str) -> bool {
    OF_FILES.contains(&name)
}

/// Whether restic needs it where it starts another program, as ssh, which gets all of it but `RESTIC_*`.
#[must_use]
pub fn is_of_the_program(name: &str) -> bool {
    name.starts_with("RESTIC_") || OF_THE_PROGRAM.contains(&name)
}

/// What the owner of a source may set, for words.
#[must_use]
pub fn for_sources() -> String {
    OF_SOURCES.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these makes restic, or a program that it starts, run code or read files of somebody's choice.
    #[test]
    fn no_list_has_a_variable_that_loads_code() {
        for name in [
            "AWS_CONFIG_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_FORCE_CLI_CREDENTIAL",
            "GCONV_PATH",
            "GODEBUG",
            "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
            "HOME",
            "LD_PRELOAD",
            "LOCPATH",
            "OPENSSL_CONF",
            "OPENSSL_ENGINES",
            "OPENSSL_MODULES",
            "PATH",
            "RESTIC_CACERT",
            "RESTIC_PASSWORD_COMMAND",
            "RESTIC_REPOSITORY",
            "RESTIC_REPOSITORY_FILE",
            "RESTIC_TLS_CLIENT_CERT",
            "SSH_ASKPASS",
            "SSH_AUTH_SOCK",
            "SSH_SK_HELPER",
            "SSL_CERT_FILE",
            "TMPDIR",
            "",
        ] {
            assert!(!is_known(name) && !is_for_sources(name), "{name}");
        }
    }

    /// Whoever sets only these leads nobody's credentials elsewhere, and names no file.
    #[test]
    fn the_owner_of_a_source_sets_no_credentials_and_no_file() {
        for name in OF_BACKENDS.iter().chain(&OF_FILES) {
            assert!(is_known(name) && !is_for_sources(name), "{name}");
        }
    }
}

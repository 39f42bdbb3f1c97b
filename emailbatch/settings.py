"""Django settings. Each variable of the environment is read here, and docs/settings.md lists each one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from batches import limits
from batches.smtp.oauth import CLIENT_VARIABLES
from emailbatch import __version__
from emailbatch.environment import (
    Environment,
    find_public_url,
    find_stray_oauth_variables,
    read_anymail,
    read_database,
    read_groups,
    read_relay_oauth,
    read_relay_urls,
    read_returns_oauth,
)
from emailbatch.localstack import addresses

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()

DEBUG = env.bool("DEBUG", default=False)

# --- Services: if a variable is unset, the service is the local stack's --------------------------------

IS_LOCAL_DATABASE = not env.secret("DATABASE_URL")
IS_LOCAL_REDIS = not env.secret("REDIS_URL")
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="django.core.mail.backends.smtp.EmailBackend")
# Our own SMTP replaces Django's. Kept separately, because Django's test runner overwrites EMAIL_BACKEND.
SEND_BACKEND = "" if EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend" else EMAIL_BACKEND
RELAY_URLS = read_relay_urls(env)  # the relays of EMAIL_URL_<NAME>, by name
RELAY_OAUTH = read_relay_oauth(env, RELAY_URLS, ends=CLIENT_VARIABLES)  # the values of EMAIL_OAUTH_*, by relay
STRAY_OAUTH_VARIABLES = find_stray_oauth_variables(env, RELAY_URLS, ends=CLIENT_VARIABLES)
IS_LOCAL_INBOX = not (env.secret("EMAIL_URL") or SEND_BACKEND or RELAY_URLS)
IS_LOCAL_STACK = IS_LOCAL_DATABASE or IS_LOCAL_REDIS or IS_LOCAL_INBOX

DATABASE_URL = env.secret("DATABASE_URL") or addresses.database_url(DATA_DIR)
REDIS_URL = env.secret("REDIS_URL") or addresses.redis_url(DATA_DIR)
# If only further relays are set, there is no relay "default": mail must not end in the local inbox.
EMAIL_URL = env.secret("EMAIL_URL") or ("" if RELAY_URLS else addresses.inbox_url(DATA_DIR))

DATABASES = {"default": read_database(DATABASE_URL)}
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=0)
if DATABASE_POOL_SIZE and DATABASES["default"]:
    # The web process answers each request in its own thread. A pool keeps many requests at once from using up
    # PostgreSQL's connections. A process that forks (the worker) must not have a pool.
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": DATABASE_POOL_SIZE, "timeout": 30}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Security: what a deployment must set is in batches/checks.py --------------------------------------

SECRET_KEY = env.secret("SECRET_KEY") or (addresses.local_secret_key(DATA_DIR) if IS_LOCAL_STACK else "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
if IS_LOCAL_STACK and not ALLOWED_HOSTS:
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not IS_LOCAL_STACK)
SECURE_REDIRECT_EXEMPT = [r"^api/health$", r"^metrics$"]  # monitoring asks for them without the proxy, so without HTTPS
if env.bool("TRUST_X_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if IS_LOCAL_STACK else 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "batches.accounts.signed_out.refuse_forgery"
# A browser takes a cookie of such a name only over https, and never from another host of the same domain (RFC 6265bis,
# section 4.1.3).
if SESSION_COOKIE_SECURE:
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
MESSAGE_STORAGE = "batches.web.message_storage.MessageStorage"
SECURE_CONTENT_TYPE_NOSNIFF = True
AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", default=0)
X_FRAME_OPTIONS = "SAMEORIGIN"
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
PRIVATE_HOSTS = env.list("PRIVATE_HOSTS", default=[])
DEFAULT_EXCEPTION_REPORTER = "emailbatch.error_reports.Reporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "emailbatch.error_reports.SettingsFilter"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains is a decision about a whole domain, not about one application on it
    "security.W021",  # so is HSTS preloading
    "security.W019",  # our own pages show the preview of a template in a frame
]

# --- Signing in: see batches/accounts -------------------------------------------------------------------

REQUIRE_MFA = env.choice("REQUIRE_MFA", choices=("off", "senders", "all"), default="off")
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=28800)
SESSION_MAX_SECONDS = env.int("SESSION_MAX_SECONDS", default=86400)
SESSION_COOKIE_AGE = SESSION_IDLE_SECONDS
REAUTHENTICATE_ABOVE = env.int("REAUTHENTICATE_ABOVE", default=0)
REAUTHENTICATE_SECONDS = env.int("REAUTHENTICATE_SECONDS", default=900)

OIDC_URL = env.str("OIDC_URL", default="").strip()
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.secret("OIDC_CLIENT_SECRET")
OIDC_NAME = env.str("OIDC_NAME", default="OpenID Connect")
OIDC_SCOPES = env.str("OIDC_SCOPES", default="openid profile email")
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", default="groups")
OIDC_GROUPS = read_groups(env.list("OIDC_GROUPS", default=[]))  # the groups of this site, by the claim's values
# A subject is unique at its provider only. So the accounts of another provider are others.
OIDC_PROVIDER_ID = f"openid-{hashlib.sha256(OIDC_URL.rstrip('/').encode()).hexdigest()[:16]}"

ACCOUNT_ADAPTER = "batches.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {"reauthenticate": "batches.accounts.forms.PasswordAgainForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_REAUTHENTICATION_TIMEOUT = REAUTHENTICATE_SECONDS
ACCOUNT_REAUTHENTICATION_METHODS = ("password", "mfa")
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False  # batches/accounts/guesses.py limits guesses before they are checked
MFA_ADAPTER = "batches.accounts.sealing.SealingAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # nobody can sign up, so no address can keep its owner out
MFA_TOTP_TOLERANCE = 1  # the code before and the code after, because clocks differ
MFA_TOTP_ISSUER = "Email Batch"
MFA_FORMS = {
    "authenticate": "batches.accounts.forms.CodeForm",
    "reauthenticate": "batches.accounts.forms.CodeAgainForm",
    "activate_totp": "batches.accounts.forms.AddAppForm",
    "add_webauthn": "batches.accounts.forms.AddPasskeyForm",
    "authenticate_webauthn": "batches.accounts.forms.PasskeyForm",
    "reauthenticate_webauthn": "batches.accounts.forms.PasskeyAgainForm",
    "login_webauthn": "batches.accounts.forms.SignInByPasskeyForm",
}
SOCIALACCOUNT_ADAPTER = "batches.accounts.openid_users.OpenIdUsers"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a sign-in is a link, because form-action of our policy names this site only
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": OIDC_SCOPES.split(),
        "APPS": [
            {
                "provider_id": OIDC_PROVIDER_ID,
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_URL.rstrip("/")},
            }
        ],
    }
}
# What allauth must remember once for all web processes: which codes were used. In PostgreSQL, so that it is not lost.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "batches_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# --- Sending -------------------------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="webmaster@localhost")
SEND_CONNECTIONS = env.int("SEND_CONNECTIONS", default=10)
SEND_WINDOW = env.int("SEND_WINDOW", default=128)
SEND_LANES = env.int("SEND_LANES", default=4)
SEND_RATE = env.float("SEND_RATE", default=0)
SEND_MAX_ATTEMPTS = env.int("SEND_MAX_ATTEMPTS", default=3)
SEND_ON_CRASH = env.str("SEND_ON_CRASH", default="resend")
SEND_LEASE_SECONDS = env.float("SEND_LEASE_SECONDS", default=15)
SEND_RETRY_SECONDS = env.float("SEND_RETRY_SECONDS", default=60)
SEND_REPLY_TIMEOUT_SECONDS = env.float("SEND_REPLY_TIMEOUT_SECONDS", default=300)
SEND_FINAL_REPLY_TIMEOUT_SECONDS = env.float("SEND_FINAL_REPLY_TIMEOUT_SECONDS", default=600)
# A site's own reply rules. A relative path is relative to the project's folder.
SEND_REPLY_RULES = env.str("SEND_REPLY_RULES", default="").strip()
if SEND_REPLY_RULES:
    SEND_REPLY_RULES = str(BASE_DIR / SEND_REPLY_RULES)
# What one user may send. 0 is no limit.
SEND_LARGE_ABOVE = env.int("SEND_LARGE_ABOVE", default=0)
USER_DAILY_RECIPIENTS = env.int("USER_DAILY_RECIPIENTS", default=0)
USER_DAILY_BATCHES = env.int("USER_DAILY_BATCHES", default=0)
APPROVAL_ABOVE = env.int("APPROVAL_ABOVE", default=0)
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", default=256 * 1024 * 1024)
# The limit of a request's body without files, which is kept in memory. A list posted as JSON has about 60 bytes
# for each recipient.
DATA_UPLOAD_MAX_MEMORY_SIZE = min(UPLOAD_MAX_BYTES, 16 * 1024 * 1024)
UPLOADS_AT_ONCE = env.int("UPLOADS_AT_ONCE", default=8)
UPLOADS_PER_USER = env.int("UPLOADS_PER_USER", default=3)
UPLOADS_TOTAL_MAX_BYTES = env.int("UPLOADS_TOTAL_MAX_BYTES", default=4 * UPLOAD_MAX_BYTES)
UPLOAD_MAX_SECONDS = env.float("UPLOAD_MAX_SECONDS", default=3600)
RENDER_CHILDREN = env.int("RENDER_CHILDREN", default=4)
SPREADSHEETS_AT_ONCE = env.int("SPREADSHEETS_AT_ONCE", default=2)

# --- Who does not want it, and what comes back: see docs/returns.md -------------------------------------

# The address of this site as recipients see it, in links of mails: https://mail.example.org
PUBLIC_URL = env.str("PUBLIC_URL", default="").strip().rstrip("/") or find_public_url(
    ALLOWED_HOSTS, is_local=IS_LOCAL_STACK
)
# The keys of the tokens in unsubscribe links, the newest first. Apart from SECRET_KEY: a link must work for years.
UNSUBSCRIBE_KEYS = env.secret("UNSUBSCRIBE_KEYS").replace(",", " ").split()
if not UNSUBSCRIBE_KEYS and IS_LOCAL_STACK:
    UNSUBSCRIBE_KEYS = addresses.local_unsubscribe_key(DATA_DIR).split()
BOUNCE_ADDRESS = env.str("BOUNCE_ADDRESS", default="").strip()
RETURNS_URL = env.secret("RETURNS_URL")
RETURNS_OAUTH = read_returns_oauth(env, ends=CLIENT_VARIABLES)  # the values of RETURNS_OAUTH_*
# What lets providers in at /hooks/, each user:password. Without one there are no such addresses.
WEBHOOK_SECRETS = env.secret("WEBHOOK_SECRET").replace(",", " ").split()
ANYMAIL = {**read_anymail(env), "WEBHOOK_SECRET": WEBHOOK_SECRETS}  # the others: keys with which some providers sign
SEND_STOP_ABOVE = env.float("SEND_STOP_ABOVE", default=0)
SEND_CANARY_SECONDS = env.float("SEND_CANARY_SECONDS", default=0)
WEBHOOK_PRIVATE_HOSTS = env.list("WEBHOOK_PRIVATE_HOSTS", default=[])

# The name servers that the sender check asks, as ADDRESS or ADDRESS:PORT. Empty: those of this machine.
DNS_SERVERS = env.list("DNS_SERVERS", default=[])

# --- Retention -----------------------------------------------------------------------------------------

RETENTION_DAYS = env.int("RETENTION_DAYS", default=0)
# What holds personal data outside the database: batches.people.stores. Dotted paths, because the application knows no
# part of the local stack.
PERSONAL_DATA_STORES = ["emailbatch.localstack.inbox_people.InboxStore"] if IS_LOCAL_INBOX else []
# Tells the inbox of which batch a message is, and which batches a user may see. A path for the same reason.
INBOX_BATCHES = "batches.inbox_batches.InboxBatches"

# --- Queues and the channel layer ----------------------------------------------------------------------

RQ_QUEUES = {
    name: {
        "URL": REDIS_URL,
        "DEFAULT_TIMEOUT": -1,  # no limit from RQ, because the lease limits a lane
        "SERIALIZER": "rq.serializers.JSONSerializer",
    }
    for name in ("high", "default")
}
RQ = {"WORKER_CLASS": "batches.worker.Worker", "SHOW_ADMIN_LINK": True}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}

# --- The application -----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "channels",
    "django_rq",
    "ninja",
    "emailbatch.localstack",
    "batches",
]
# What make up calls after the migration. Dotted paths, because the local stack imports nothing of the application.
FIRST_START_STEPS = ["batches.welcome.create_welcome_template"]
VERSION = __version__  # the API states it
STOP_GRACE_SECONDS = limits.STOP_GRACE_SECONDS  # make up reads it here, for the same reason
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "batches.web.middleware.security_headers",  # after static files, and before all that may answer by itself
    "batches.api.errors.json_errors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "batches.web.languages.Languages",
    "batches.audit_middleware.audit_requests",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "batches.web.middleware.UnstorableValues",
    "allauth.account.middleware.AccountMiddleware",
    "batches.accounts.middleware.Sessions",
    "batches.accounts.signed_out.KeptForms",
    "batches.web.middleware.BusyRendering",
    "batches.web.middleware.MethodPages",
]
ROOT_URLCONF = "emailbatch.urls"
ASGI_APPLICATION = "emailbatch.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["batches.templatetags.words"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "batches.accounts.context.account",
                "batches.web.menu.menu",
            ],
        },
    }
]
PASSWORD_RESET_TIMEOUT = 7 * 24 * 3600  # how long the link of an invitation works
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"

# What no person reads is in English: log lines, commands, what is stored. A request is answered in the language of the
# person (batches/languages.py), and SITE_LANGUAGE is for those of whom nothing is known.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("es", "Español"), ("fr", "Français")]  # as their speakers say
SITE_LANGUAGE = env.choice("LANGUAGE_CODE", choices=("en", "de", "es", "fr"), default="en")
LANGUAGE_COOKIE_NAME = "__Host-language" if SESSION_COOKIE_SECURE else "language"
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["emailbatch.formats"]
TIME_ZONE = env.time_zone("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
SERVESTATIC_USE_FINDERS = True

LOG_LEVEL = env.choice("LOG_LEVEL", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "emailbatch.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "error_mails": {"class": "emailbatch.error_reports.ErrorMails", "formatter": "line", "level": "ERROR"},
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # At DEBUG it writes every statement with its values. Those are the recipients.
        "django.db.backends": {"level": "INFO"},
        # In place of Django's own handlers, which write lines without our formatter. The console is the root's.
        # aiosmtpd. At INFO it writes the addresses of each message.
        "mail.log": {"level": "WARNING"},
        "django": {"handlers": [] if DEBUG else ["error_mails"]},
        "django.server": {"handlers": [], "propagate": True},
        # It writes a line for each form that a report has not, and an error for fields that a stranger has left out.
        "flufl.bounce": {"level": "CRITICAL"},
    },
}

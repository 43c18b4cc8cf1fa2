"""Makes the server's certificate that the settings describe."""

from penstockd.clock import Clock
from penstockd.config import ConfigError, ConfigErrors, Settings
from penstockd.logs.log import Log
from penstockd.tls import CertificateFiles


def certificate(settings: Settings, *, clock: Clock, log: Log) -> CertificateFiles | None:
    """Return the files, or None in plaintext; raises ConfigErrors for what is no certificate, or not with this key."""
    tls = settings.server.tls
    if tls is None:
        return None
    files = CertificateFiles(cert=tls.cert, key=tls.key, client_ca=tls.client_ca, clock=clock, log=log)
    try:
        files.check()
    except OSError as error:
        raise ConfigErrors([ConfigError("server.tls", f"cannot be used: {error}")]) from error
    return files

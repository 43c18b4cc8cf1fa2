"""Runs the daemon in this process, from its settings to its end."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from grpc_health.v1 import health

from penstockd.admin import Admin
from penstockd.app import App
from penstockd.builders.certificate import certificate
from penstockd.builders.ledger import open_ledger
from penstockd.builders.sources import sources
from penstockd.clock import Clock, SystemClock
from penstockd.config import Settings, cautions, secret_values
from penstockd.exporters.exporters import Exporters, exporters_from
from penstockd.gauges.daemon_gauge import show_build, show_certificate, show_dropped
from penstockd.gauges.gauges import Gauges
from penstockd.grpc_server import grpc_server
from penstockd.invitation import invitation
from penstockd.ledger_watch import LedgerWatch
from penstockd.lifecycle import Daemon, Ports
from penstockd.listener import Listener
from penstockd.logs.log import Log
from penstockd.logs.log_sink import LogSink
from penstockd.logs.setup import write_logs_to
from penstockd.loop_watch import LoopWatch
from penstockd.metrics.loop_lag import LoopLag
from penstockd.reflection import add_reflection
from penstockd.reload import Reload
from penstockd.service import SERVICES
from penstockd.signals import Signals
from penstockd.snapshot.counters import Counters
from penstockd.snapshot.take import Snapshots
from penstockd.tls import CertificateFiles
from penstockd.upkeep import Upkeep

YOUNG = 5000
"""Objects more than there were at its last look, after which the collector looks at them."""


async def serve(load: Callable[[], Settings], *, environ: Mapping[str, str], version: str, started_at: float) -> None:
    """Serve until a signal ends it; `started_at` is when the process began, in monotonic seconds.

    SIGTERM and SIGINT drain, a second one hurries, SIGHUP reloads until then; once it has ended, none of them does
    anything.
    Raises ConfigErrors, CannotListen and CannotOpenLedger.
    """
    signals = Signals()
    settings = load()
    sink = write_logs_to(sys.stderr, level=settings.log.level, style=settings.log.format)
    sink.hide(secret_values(settings))
    clock, log = SystemClock(), Log("penstockd")
    telemetry = _telemetry(environ, log, version=version)
    ledger = open_ledger(settings, clock=clock, log=log, instruments=telemetry.instruments)
    reads_certificates = settings.server.requires_certificates
    app = App(ledger=ledger, clock=clock, log=log, exporters=telemetry, reads_certificates=reads_certificates)
    app.use(app.build(settings))
    certificates = certificate(settings, clock=clock, log=log)
    snapshots = _snapshots(app, telemetry, sink, certificates, clock=clock, version=version)
    await app.state.reconciliation.start()
    watch = LedgerWatch(health=app.health, changes=app.state.changes)
    await ledger.start(watch.tell, app.state.reconciliation.count_losses)

    # What was read stays: a full collection that walks over it holds up all calls, for a second at 10,000 tenants.
    gc.collect()
    gc.freeze()
    # A call makes a hundred objects that end with it: looked at every few calls, as by default, they are no garbage.
    gc.set_threshold(YOUNG)
    daemon = Daemon(
        listeners=_listeners(settings, app, certificates),
        admin=_admin(settings, app, telemetry, snapshots, log),
        adapter=app.adapter,
        health=app.health,
        changes=app.state.changes,
        drain_delay=settings.server.drain_delay,
        drain_timeout=settings.server.drain_timeout,
        closers=[app.state.settle, ledger.stop, partial(asyncio.to_thread, telemetry.stop), app.succession.close],
        log=log,
    )
    signals.on_stop(daemon.stop)
    signals.take_stops()
    ports = await daemon.start()
    for warning in cautions(settings, clock.wall()):
        log.warning(warning)
    _say_ready(settings, ports, log, version=version, startup=time.monotonic() - started_at)
    upkeep = Upkeep(log=log, clock=clock)
    reload = Reload(app, load, started=settings, clock=clock, sink=sink, log=log)
    reloading = upkeep.start(partial(reload.whenever, signals.reload_asked))
    signals.on_stop(reloading.cancel)
    works = (
        app.state.keep_up,
        app.state.reconciliation.keep_up,
        LoopLag(telemetry.instruments, clock=clock).watch,
        LoopWatch(clock=clock, log=log).watch,
        snapshots.keep_up,
        app.adapter.cut_stalled_readers,
    )
    kept_up = [upkeep.start(work) for work in works]
    await daemon.run()
    for task in kept_up:
        task.cancel()
    signals.ignore()


def _telemetry(environ: Mapping[str, str], log: Log, *, version: str) -> Exporters:
    """What the standard variables ask for, and a word about what of them cannot be had."""
    telemetry = exporters_from(environ, version=version)
    for ignored in telemetry.ignored:
        log.warning("a telemetry setting cannot be used", setting=ignored.setting, instead=ignored.instead)
    return telemetry


def _snapshots(
    app: App,
    telemetry: Exporters,
    sink: LogSink,
    certificates: CertificateFiles | None,
    *,
    clock: Clock,
    version: str,
) -> Snapshots:
    """What takes snapshots of all this; what is the process's own, whatever it serves, is shown as metrics as well."""
    dropped: Mapping[str, Callable[[], int]] = {
        "logs": lambda: sink.dropped,
        "spans": lambda: telemetry.spans.dropped,
        "metrics": lambda: telemetry.metrics_dropped,
    }
    gauges = Gauges(telemetry.meter)
    show_build(gauges, version)
    show_dropped(gauges, dropped)
    if certificates is not None:
        show_certificate(gauges, lambda: certificates.expires_at)
    counters = Counters(
        telemetry.instruments, app.state.tally, lambda: {signal: read() for signal, read in dropped.items()}
    )
    parts = sources(succession=app.succession, state=app.state, health=app.health, certificates=certificates)
    return Snapshots(parts, counters, clock=clock, version=version)


def _admin(settings: Settings, app: App, telemetry: Exporters, snapshots: Snapshots, log: Log) -> Admin:
    """The HTTP port."""
    return Admin(
        host=settings.admin.listen.host,
        port=settings.admin.listen.port,
        token=settings.admin.token.reveal() if settings.admin.token else None,
        registry=telemetry.registry,
        health=app.health,
        snapshot=snapshots.take,
        log=log,
    )


def _listeners(settings: Settings, app: App, certificates: CertificateFiles | None) -> list[Listener]:
    """The main server, and the one for health alone where the settings ask for it."""
    server = grpc_server(
        handlers=[app.adapter],
        max_message=settings.server.max_message_bytes,
        max_streams=settings.server.max_concurrent_streams,
    )
    app.health.servicer.add_to(server)
    if settings.server.reflection:
        add_reflection(server, (*SERVICES, health.SERVICE_NAME))
    credentials = certificates.credentials() if certificates else None
    listen = str(settings.server.listen)
    listeners = [Listener(server=server, address=listen, setting="PENSTOCK_LISTEN", credentials=credentials)]
    if settings.server.health_listen is not None:
        probed = grpc_server(handlers=(), max_message=4096, max_streams=100, grace=60.0)
        app.health.servicer.add_to(probed)
        address = str(settings.server.health_listen)
        listeners.append(Listener(server=probed, address=address, setting="server.health_listen"))
    return listeners


def _say_ready(settings: Settings, ports: Ports, log: Log, *, version: str, startup: float) -> None:
    listens = {
        "listen": str(settings.server.listen.with_port(ports.grpc)),
        "admin": str(settings.admin.listen.with_port(ports.admin)),
    }
    if settings.server.health_listen is not None and ports.health is not None:
        listens["health"] = str(settings.server.health_listen.with_port(ports.health))
    log.info(
        "serving",
        version=version,
        **listens,
        environment=settings.environment,
        models=list(settings.models),
        agents=list(settings.agents),
        startup_ms=round(startup * 1000),
    )
    if line := invitation(settings, settings.server.listen.with_port(ports.grpc)):
        log.info(line)

"""Runs the daemon in this process, from its settings to its end."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Mapping

from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from penstockd.admin import Admin
from penstockd.app import App
from penstockd.builders.certificate import certificate
from penstockd.builders.ledger import open_ledger
from penstockd.clock import SystemClock
from penstockd.config import Settings
from penstockd.exporters import exporters
from penstockd.grpc_server import grpc_server
from penstockd.lifecycle import Daemon, Listener, Ports
from penstockd.log import Log, write_logs_to
from penstockd.service import SERVICES


async def serve(load: Callable[[], Settings], *, environ: Mapping[str, str], version: str, started_at: float) -> None:
    """Serve until a signal ends it; `started_at` is when the process began, in monotonic seconds.

    SIGTERM and SIGINT drain, a second one hurries, SIGHUP reloads. Raises ConfigErrors, CannotListen and
    CannotOpenLedger.
    """
    settings = load()
    write_logs_to(sys.stderr, level=settings.log.level, style=settings.log.format)
    log = Log("penstockd")
    telemetry = exporters(environ, version=version)
    clock = SystemClock()
    ledger = open_ledger(settings, clock=clock, log=log)
    app = App(
        ledger=ledger,
        clock=clock,
        log=log,
        exporters=telemetry,
        reads_certificates=settings.server.requires_certificates,
    )
    app.use(app.build(settings))
    await ledger.start(app.show_ledger)
    await app.remember_spending()

    async def flush() -> None:
        await asyncio.to_thread(telemetry.stop)

    daemon = Daemon(
        listeners=_listeners(settings, app, log),
        admin=Admin(
            host=settings.admin.listen.host,
            port=settings.admin.listen.port,
            token=settings.admin.token.reveal() if settings.admin.token else None,
            registry=telemetry.registry,
            health=app.health,
        ),
        adapter=app.adapter,
        health=app.health,
        drain_delay=settings.server.drain_delay,
        drain_timeout=settings.server.drain_timeout,
        closers=[app.settle, ledger.stop, flush, app.close],
        log=log,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: app.reload(load))
    ports = await daemon.start()
    _say_ready(settings, ports, log, version=version, startup=time.monotonic() - started_at)
    upkeep = asyncio.create_task(app.keep_up())
    await daemon.run()
    upkeep.cancel()


def _listeners(settings: Settings, app: App, log: Log) -> list[Listener]:
    """The main server, and the one for health alone where the settings ask for it."""
    server = grpc_server(
        interceptors=[app.adapter],
        max_message=settings.server.max_message_bytes,
        max_streams=settings.server.max_concurrent_streams,
        longest_call=max(settings.server.max_call.unary, settings.server.max_call.stream),
    )
    health_pb2_grpc.add_HealthServicer_to_server(app.health.servicer, server)
    if settings.server.reflection:
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    certificates = certificate(settings, log)
    credentials = certificates.credentials() if certificates else None
    listeners = [Listener(server=server, address=str(settings.server.listen), credentials=credentials)]
    if settings.server.health_listen is not None:
        probed = grpc_server(interceptors=(), max_message=4096, max_streams=100, longest_call=60.0)
        health_pb2_grpc.add_HealthServicer_to_server(app.health.servicer, probed)
        listeners.append(Listener(server=probed, address=str(settings.server.health_listen)))
    return listeners


def _say_ready(settings: Settings, ports: Ports, log: Log, *, version: str, startup: float) -> None:
    for warning in settings.warnings:
        log.warning(warning)
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
    if settings.environment == "development":
        log.info('try it from a second terminal: penstock call "hello"')

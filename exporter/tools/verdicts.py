"""What the tools say to people, in English and Spanish; decides nothing.

Each text is keyed; `{…}` are filled in by `Words.say`. Both languages have every key.
"""

# A table reads best with one row a line:
# ruff: noqa: E501

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LANGUAGES: Final = ("en", "es")

ENGLISH: Final[Mapping[str, str]] = {
    "fine": "fine",
    "no_rows": "no rows today",
    "no_rows.do": "Nothing came in yet today. If something did, check the skill id and the time zone.",
    "unreadable": "fine, but {count} cells could not be read",
    "unreadable.do": "Report it: run probe again with --record FILE and attach the file.",
    "known": "fine (asked {ago} ago; these are the exporter's figures)",
    "recent": "not asked: the last call was {ago} ago",
    "recent.do": "A query is asked at most once per interval: try again in {wait}.",
    "closing": "not asked: the exporter is about to close yesterday",
    "closing.do": "Its call goes first: try again in {wait}.",
    "hours": "not asked: outside of poll_hours",
    "hours.do": "No request leaves outside of poll_hours: try again in {wait}.",
    "budget": "not asked: the day's calls (daily_requests) are used up",
    "budget.do": "Try again in {wait}, when the operation's next day begins.",
    "held.quota": "not asked: the day's quota is used up",
    "held.unauthorized": "not asked: this token was refused before",
    "held.quota.do": "The operation is asked once an hour until its next day: try again in {wait}.",
    "held.unauthorized.do": "Put the right token into its place and it is asked at once; the same one in {wait}.",
    "after": "not asked: the call before it failed ({reason})",
    "connect": "no connection",
    "connect.do": "Wolkvox drops connections from addresses that are not on its allow list: add this machine's public address in Wolkvox; then check proxy and firewall.",
    "server": "the server's name is not known",
    "server.do": "Check `server` (the wvNNNN you see after logging in at manager.wolkvox.com) and this machine's DNS.",
    "tls": "no TLS connection",
    "tls.do": "Name the certificate of a private CA, or of a company's proxy that looks into TLS, in `ca_file`; then check `url`, `proxy` and this machine's clock.",
    "interrupted": "the connection broke before the answer was whole",
    "interrupted.do": "Mostly passing: try again. If it stays, look at proxy and firewall.",
    "timeout": "no whole answer in time",
    "timeout.do": "Wolkvox is slow just now: try again, or raise `timeout`.",
    "http": "the server answered with an error",
    "http.do": "Mostly passing: try again later.",
    "redirect": "the server wants to send us elsewhere",
    "redirect.do": "Check `server` or `url`; redirects are never followed, since the token would travel.",
    "bad_request": "Wolkvox does not understand the question",
    "bad_request.do": "Check the skill id; report it with --record FILE if it is right.",
    "unauthorized": "the token is refused",
    "unauthorized.do": "Make a token in Wolkvox (Manager, API tokens) and put it into its place: it is read before each request, no restart.",
    "quota": "the day's quota is used up",
    "quota.do": "Set `daily_requests` to licences x 1000, and look for other programs that use the operation's calls.",
    "concurrency": "another program uses the token at the same time",
    "concurrency.do": "Give the exporter a token of its own.",
    "forbidden": "refused: maintenance, or the API is switched off",
    "forbidden.do": "Wait: Wolkvox switches the API off during maintenance. If it stays, ask Wolkvox.",
    "not_found": "the server does not know this report",
    "not_found.do": "Check `server`; it may be another operation's.",
    "too_large": "the answer is too large",
    "too_large.do": "Report it with --record FILE.",
    "malformed": "the answer cannot be read",
    "malformed.do": "Report it: run probe again with --record FILE and attach the file.",
    "internal": "a defect of the exporter",
    "internal.do": "Please report it.",
    "formula.inbound": "Service level: over inbound, as expected ({count} figures agree).",
    "formula.answered": "Service level: over ANSWERED here ({count} figures agree), not over inbound: the counters of the answer wait are too low. Please report it with --record FILE.",
    "formula.neither": "Service level: {count} figures agree with no one formula. Please report it with --record FILE.",
    "formula.unknown": "Service level: too little volume to tell what it is a share of.",
    "summary": "{good} of {count} queries are fine or empty.",
    "legend": "Each channel: the figures as read, and below them as Wolkvox sent them.",
    "read": "as read",
    "sent": "as sent",
    "skill": "skill",
    "channel": "channel",
    "recorded": "{count} answers recorded in {file}, without token and names.",
}  # fmt: skip

SPANISH: Final[Mapping[str, str]] = {
    "fine": "bien",
    "no_rows": "sin filas hoy",
    "no_rows.do": "Hoy todavía no ha entrado nada. Si entró algo, revise el id del skill y la zona horaria.",
    "unreadable": "bien, pero {count} celdas no se pudieron leer",
    "unreadable.do": "Repórtelo: ejecute probe otra vez con --record ARCHIVO y adjunte el archivo.",
    "known": "bien (consultado hace {ago}; son las cifras del exporter)",
    "recent": "sin consultar: la última llamada fue hace {ago}",
    "recent.do": "Cada consulta se hace como máximo una vez por intervalo: intente de nuevo en {wait}.",
    "closing": "sin consultar: el exporter está por cerrar el día de ayer",
    "closing.do": "Su llamada va primero: intente de nuevo en {wait}.",
    "hours": "sin consultar: fuera de poll_hours",
    "hours.do": "Fuera de poll_hours no sale ninguna petición: intente de nuevo en {wait}.",
    "budget": "sin consultar: se agotaron las llamadas del día (daily_requests)",
    "budget.do": "Intente de nuevo en {wait}, cuando empiece el siguiente día de la operación.",
    "held.quota": "sin consultar: se agotó la cuota del día",
    "held.unauthorized": "sin consultar: este token ya fue rechazado",
    "held.quota.do": "A la operación se le pregunta una vez por hora hasta el día siguiente: intente de nuevo en {wait}.",
    "held.unauthorized.do": "Ponga el token correcto en su lugar y se consulta de inmediato; el mismo, en {wait}.",
    "after": "sin consultar: falló la llamada anterior ({reason})",
    "connect": "sin conexión",
    "connect.do": "Wolkvox descarta las conexiones de direcciones que no están en su lista de permitidas: agregue en Wolkvox la dirección pública de esta máquina; después revise proxy y firewall.",
    "server": "no se conoce el nombre del servidor",
    "server.do": "Revise `server` (el wvNNNN que ve al entrar en manager.wolkvox.com) y el DNS de esta máquina.",
    "tls": "sin conexión TLS",
    "tls.do": "Indique en `ca_file` el certificado de la CA privada, o del proxy de la empresa que inspecciona TLS; después revise `url`, `proxy` y el reloj de esta máquina.",
    "interrupted": "la conexión se cortó antes de tener la respuesta completa",
    "interrupted.do": "Casi siempre es pasajero: intente de nuevo. Si sigue, revise proxy y firewall.",
    "timeout": "no hubo respuesta completa a tiempo",
    "timeout.do": "Wolkvox está lento en este momento: intente de nuevo o suba `timeout`.",
    "http": "el servidor respondió con un error",
    "http.do": "Casi siempre es pasajero: intente más tarde.",
    "redirect": "el servidor quiere enviarnos a otra dirección",
    "redirect.do": "Revise `server` o `url`; nunca se siguen redirecciones, porque el token viajaría.",
    "bad_request": "Wolkvox no entiende la pregunta",
    "bad_request.do": "Revise el id del skill; si es correcto, repórtelo con --record ARCHIVO.",
    "unauthorized": "el token fue rechazado",
    "unauthorized.do": "Cree un token en Wolkvox (Manager, tokens de API) y póngalo en su lugar: se lee antes de cada petición, sin reiniciar.",
    "quota": "se agotó la cuota del día",
    "quota.do": "Configure `daily_requests` con licencias x 1000 y busque otros programas que usen las llamadas de la operación.",
    "concurrency": "otro programa usa el token al mismo tiempo",
    "concurrency.do": "Déle al exporter un token propio.",
    "forbidden": "rechazado: mantenimiento, o la API está apagada",
    "forbidden.do": "Espere: Wolkvox apaga la API durante el mantenimiento. Si sigue, pregunte a Wolkvox.",
    "not_found": "el servidor no conoce este reporte",
    "not_found.do": "Revise `server`; puede ser el de otra operación.",
    "too_large": "la respuesta es demasiado grande",
    "too_large.do": "Repórtelo con --record ARCHIVO.",
    "malformed": "la respuesta no se puede leer",
    "malformed.do": "Repórtelo: ejecute probe otra vez con --record ARCHIVO y adjunte el archivo.",
    "internal": "un defecto del exporter",
    "internal.do": "Por favor, repórtelo.",
    "formula.inbound": "Nivel de servicio: sobre las entrantes, como se espera ({count} cifras coinciden).",
    "formula.answered": "Nivel de servicio: aquí es sobre las CONTESTADAS ({count} cifras coinciden), no sobre las entrantes: los contadores de espera quedan bajos. Por favor, repórtelo con --record ARCHIVO.",
    "formula.neither": "Nivel de servicio: {count} cifras no coinciden con una sola fórmula. Por favor, repórtelo con --record ARCHIVO.",
    "formula.unknown": "Nivel de servicio: muy poco volumen para saber sobre qué se calcula.",
    "summary": "{good} de {count} consultas están bien o vacías.",
    "legend": "Cada canal: las cifras leídas y, debajo, como las envió Wolkvox.",
    "read": "leído",
    "sent": "enviado",
    "skill": "skill",
    "channel": "canal",
    "recorded": "{count} respuestas grabadas en {file}, sin token ni nombres.",
}  # fmt: skip

_TEXTS: Final = {"en": ENGLISH, "es": SPANISH}


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: str

    def say(self, key: str, **values: object) -> str:
        """The text of a key, filled in; raises KeyError for a key or a value that lacks."""
        return _TEXTS[self.language][key].format_map(values)

    def advice(self, key: str, **values: object) -> str:
        """What to do about it; "" where there is nothing to do."""
        return self.say(f"{key}.do", **values) if f"{key}.do" in ENGLISH else ""


def language_of(environ: Mapping[str, str]) -> str:
    """The language of a terminal, from LC_ALL, LC_MESSAGES or LANG; English otherwise."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "es" if environ[name].lower().startswith("es") else "en"
    return "en"


def span(seconds: float) -> str:
    """Seconds for people, in at most two units: `45 s`, `4 min 20 s`, `25 h 50 min`.

    Rounded up: who waits that long has waited long enough.
    """
    rest = max(0, math.ceil(seconds))
    if rest < 60:
        return f"{rest} s"
    if rest < 3600:
        minutes, rest = divmod(rest, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(math.ceil(rest / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"

"""The words of the status page in English and Spanish; decides nothing, formats nothing.

Both languages stand side by side, so that no text can be changed or added in one alone.
"""

# A text is easier to read and to compare where it is not cut into lines:
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LANGUAGES: Final = ("en", "es")  # the first one is for whoever asks for neither

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    # The page
    "language": ("English", "Español"),
    "as_of": ("As of", "Actualizado"),
    "skip": ("Skip to the figures", "Ir a las cifras"),
    "operations": ("Operations", "Operaciones"),
    "no_operations": ("No operation is being polled", "No se consulta ninguna operación"),
    "all_fine": ("All queries are fresh", "Todas las consultas están al día"),
    "attention_one": ("1 of {total} queries needs a look", "1 de {total} consultas requiere atención"),
    "attention_many": (
        "{count} of {total} queries need a look",
        "{count} de {total} consultas requieren atención",
    ),
    "starting": ("Waiting for the first answers", "A la espera de las primeras respuestas"),
    "targets_fine": ("all targets met", "se cumplen todas las metas"),
    "missed_one": ("1 target missed", "1 meta incumplida"),
    "missed_many": ("{count} targets missed", "{count} metas incumplidas"),
    # An operation
    "interval": ("Polled every", "Se consulta cada"),
    "stretched": ("stretched from {} to fit the day's calls", "ampliado desde {} para que alcancen las consultas del día"),
    "calls_today": ("Calls today", "Consultas de hoy"),
    "calls_of": ("{used} of {limit}", "{used} de {limit}"),
    "calls_unlimited": ("{used}, no ceiling set", "{used}, sin tope definido"),
    "poll_hours": ("Poll hours", "Horario de consulta"),
    "poll_always": ("around the clock", "las 24 horas"),
    "poll_open": ("open until {}", "abierto hasta {}"),
    "poll_closed": ("closed until {}", "cerrado hasta {}"),
    "open_now": ("open", "abierto"),
    "closed_now": ("closed", "cerrado"),
    "no_query": (
        "No query yet: the skills are being looked up.",
        "Todavía no hay consultas: se están buscando los skills.",
    ),
    "pause_quota": (
        "Paused: Wolkvox says that the day's calls are used up. It is asked once an hour, "
        "next at {next}; the polls go on after midnight, {day_end} at the latest.",
        "En pausa: Wolkvox indica que se agotó la cuota del día. Se le pregunta una vez por hora, "
        "la próxima a las {next}; las consultas siguen después de la medianoche, {day_end} a más tardar.",
    ),
    "pause_unauthorized": (
        "Paused: the token is refused. Next attempt at {next}, or as soon as its file holds "
        "another token.",
        "En pausa: el token fue rechazado. Próximo intento a las {next}, o apenas haya otro token "
        "en su archivo.",
    ),
    "pause_ceiling": (
        "Paused: the {limit} calls of the day are used up. The polls go on at {day_end}.",
        "En pausa: se usaron las {limit} consultas del día. Las consultas siguen a las {day_end}.",
    ),
    # A query
    "state_fresh": ("Fresh", "Al día"),
    "state_late": ("Late", "Con retraso"),
    "state_expired": ("Expired", "Vencida"),
    "state_waiting": ("Waiting", "En espera"),
    "state_paused": ("Paused", "En pausa"),
    "state_closed": ("Closed", "Fuera de horario"),
    "age": ("data {} old", "datos de hace {}"),
    "never": ("no answer yet", "sin respuesta todavía"),
    "next": ("next poll in {}", "próxima consulta en {}"),
    "due": ("next poll now", "próxima consulta ahora"),
    "no_figures": ("No current figures.", "Sin cifras vigentes."),
    "no_traffic": ("No interactions today.", "Sin interacciones hoy."),
    "what_to_do": ("What to do", "Qué hacer"),
    "queries_one": ("1 query", "1 consulta"),
    "queries_many": ("{count} queries", "{count} consultas"),
    # Figures
    "figures": ("Today's figures by skill and channel", "Cifras de hoy por skill y canal"),
    "whole": ("The whole operation", "La operación completa"),
    "whole_note": (
        "Wolkvox counts every interaction here once more: never add it to the skills.",
        "Wolkvox vuelve a contar aquí cada interacción: no se suma a los skills.",
    ),
    "channel": ("Skill and channel", "Skill y canal"),
    "inbound": ("Inbound", "Entrantes"),
    "answered": ("Answered", "Atendidas"),
    "abandoned": ("Abandoned", "Abandonadas"),
    "level_10": ("SL 10 s", "NS 10 s"),
    "level_20": ("SL 20 s", "NS 20 s"),
    "level_30": ("SL 30 s", "NS 30 s"),
    "abandonment": ("Abandonment", "Abandono"),
    "asa": ("ASA", "ASA"),
    "ata": ("ATA", "ATA"),
    "goal_min": ("✓ min. {}", "✓ mín. {}"),
    "goal_max": ("✓ max. {}", "✓ máx. {}"),
    "goal_below": ("▼ below {}", "▼ bajo {}"),
    "goal_above": ("▲ above {}", "▲ sobre {}"),
    "legend": (
        "SL: answered within so many seconds, over inbound. ASA: average speed of answer. "
        "ATA: average time to abandonment. A dash: Wolkvox gives no value. "
        "Marked: ▼ ▲ misses its target, ✓ meets it.",
        "NS: nivel de servicio, atendidas dentro de tantos segundos sobre entrantes. ASA: tiempo "
        "promedio de atención. ATA: tiempo promedio de abandono. Un guion: Wolkvox no da el valor. "
        "Marcas: ▼ ▲ incumple la meta, ✓ la cumple.",
    ),
    "cut_rows": (
        "{count} more channels are neither shown nor judged here; the metrics hold them all.",
        "{count} canales más no se muestran ni se evalúan aquí; las métricas los tienen todos.",
    ),
    # The exporter
    "exporter": ("Exporter", "Exportador"),
    "version": ("Version", "Versión"),
    "state": ("State file", "Archivo de estado"),
    "writable": ("writable", "se puede escribir"),
    "not_writable": ("not writable", "no se puede escribir"),
    "not_writable_notice": (
        "The state cannot be written, so no request leaves: look for a full disk or missing "
        "rights. It goes on by itself once that is solved.",
        "No se puede escribir el estado y por eso no sale ninguna consulta: revise si el disco está "
        "lleno o si faltan permisos. Continúa por sí solo cuando se resuelva.",
    ),
    "configuration": ("Configuration", "Configuración"),
    "loaded": ("loaded at {}", "cargada: {}"),
    "not_reloaded": (
        "the last reload failed, what was loaded at {} stays in force; the log says why",
        "falló la última recarga, sigue vigente la anterior ({}); el registro dice por qué",
    ),
    "links": ("Further pages", "Otras páginas"),
    "link_metrics": ("Metrics", "Métricas"),
    "link_healthy": ("Healthy", "Salud"),
    "link_ready": ("Ready", "Preparado"),
    "link_config": ("Configuration", "Configuración"),
    "link_docs": ("Reference", "Referencia"),
    "refreshes": (
        "This page refreshes itself every {} seconds.",
        "Esta página se actualiza sola cada {} segundos.",
    ),
    # Units
    "percent": ("{}%", "{}\u00a0%"),
    # Failures by reason: what it is, and what to do about it
    "reason_connect": ("no connection", "sin conexión"),
    "do_connect": (
        "Wolkvox drops connections from addresses that are not on its allow list: add the "
        "public address of this machine in Wolkvox. Then check server name, DNS, proxy and firewall.",
        "Wolkvox descarta las conexiones desde direcciones que no están en su lista de IP "
        "permitidas: agregue en Wolkvox la IP pública de esta máquina. Después revise el nombre del servidor, DNS, proxy y firewall.",
    ),
    "reason_interrupted": ("connection broken off", "conexión interrumpida"),
    "do_interrupted": (
        "The connection ended before the answer was whole. Once is nothing; if it stays, look "
        "at the proxy and the firewall in between.",
        "La conexión terminó antes de que la respuesta llegara completa. Una vez no es nada; si se "
        "repite, revise el proxy y el firewall intermedios.",
    ),
    "reason_timeout": ("no answer in time", "sin respuesta a tiempo"),
    "do_timeout": (
        "Wolkvox answers too slowly. It mostly passes; if it stays, set a longer timeout.",
        "Wolkvox responde demasiado lento. Casi siempre pasa solo; si persiste, configure un "
        "timeout mayor.",
    ),
    "reason_http": ("error of the server", "error del servidor"),
    "do_http": (
        "Wolkvox has a fault of its own. The exporter goes on asking at each slot; if it lasts, "
        "tell Wolkvox support.",
        "Es una falla de Wolkvox. El exportador sigue consultando en cada turno; si dura, avise al "
        "soporte de Wolkvox.",
    ),
    "reason_redirect": ("redirected", "redirección"),
    "do_redirect": (
        "The address leads elsewhere, and redirects are never followed, since the token would "
        "travel along. Check server or url in the configuration.",
        "La dirección lleva a otro lugar, y las redirecciones no se siguen porque el token viajaría "
        "con ellas. Revise server o url en la configuración.",
    ),
    "reason_bad_request": ("request refused", "consulta rechazada"),
    "do_bad_request": (
        "Wolkvox does not take the request. Check that the skill id exists in this operation.",
        "Wolkvox no acepta la consulta. Revise que el id del skill exista en esta operación.",
    ),
    "reason_unauthorized": ("token refused", "token rechazado"),
    "do_unauthorized": (
        "The token is wrong, was replaced, or cannot be read. Put the right one into its file: it is "
        "read before each request, no restart is needed.",
        "El token es incorrecto, fue reemplazado o no se puede leer. Ponga el correcto en su archivo: "
        "se lee antes de cada consulta, no hace falta reiniciar.",
    ),
    "reason_quota": ("quota used up", "cuota agotada"),
    "do_quota": (
        "The day's calls are used up, perhaps by another program with the same operation. Set "
        "daily_requests below what the licences allow, so that the others keep their share.",
        "Se agotaron las consultas del día, quizá por otro programa con la misma operación. Defina "
        "daily_requests por debajo de lo que permiten las licencias, para que los demás conserven su parte.",
    ),
    "reason_concurrency": ("token in use elsewhere", "token en uso en otra parte"),
    "do_concurrency": (
        "Another program uses the same token at the same time. Give the exporter a token of "
        "its own.",
        "Otro programa usa el mismo token al mismo tiempo. Asigne al exportador un token propio.",
    ),
    "reason_forbidden": ("access closed", "acceso cerrado"),
    "do_forbidden": (
        "Wolkvox is in maintenance, or the API is switched off for this operation. Wait: the "
        "exporter goes on trying at each slot. If it lasts, ask Wolkvox to enable the API.",
        "Wolkvox está en mantenimiento o la API está desactivada para esta operación. Espere: el "
        "exportador sigue intentando en cada turno. Si dura, pida a Wolkvox que active la API.",
    ),
    "reason_not_found": ("not found", "no encontrado"),
    "do_not_found": (
        "The server name is wrong, or this server lacks the report. Check server: it is the "
        "number in the address where you log in.",
        "El nombre del servidor está mal o ese servidor no tiene el reporte. Revise server: es el "
        "número de la dirección en la que usted inicia sesión.",
    ),
    "reason_too_large": ("answer too large", "respuesta demasiado grande"),
    "do_too_large": (
        "No report is that large: something else answers at this address. Check server, url and "
        "proxy.",
        "Ningún reporte es tan grande: en esa dirección responde otra cosa. Revise server, url y "
        "proxy.",
    ),
    "reason_malformed": ("answer not readable", "respuesta ilegible"),
    "do_malformed": (
        "What came is no report; often it is the login or error page of a proxy in between. "
        "Check server, url and proxy.",
        "Lo que llegó no es un reporte; suele ser la página de acceso o de error de un proxy "
        "intermedio. Revise server, url y proxy.",
    ),
    "reason_internal": ("defect of the exporter", "defecto del exportador"),
    "do_internal": (
        "The log holds a traceback: please report it. The exporter goes on.",
        "El registro contiene un traceback: por favor repórtelo. El exportador sigue funcionando.",
    ),
}  # fmt: skip

_CATALOGUES: Final = {
    language: MappingProxyType({key: both[number] for key, both in _TEXTS.items()})
    for number, language in enumerate(LANGUAGES)
}


def catalogue(language: str) -> Mapping[str, str]:
    """Every text of the page in one of LANGUAGES, by its key."""
    return _CATALOGUES[language]

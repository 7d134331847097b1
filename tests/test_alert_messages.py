"""What a person reads when an alert fires: every alert, every receiver, both languages.

The receivers are those of docs/alerting.md. A real Alertmanager sends to servers on loopback;
what a real Slack, Teams, Telegram or PagerDuty makes of it is not tried here.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import needs
from tests.alert_sinks import Sink, sinks
from tests.e2e_prometheus import serving
from tests.e2e_support import wait_for
from tests.rules_months import TICKET
from tests.rules_support import ROOT, alerts, ask, read_rules

TEMPLATES = ROOT / "deploy/alertmanager"
SHARDS = ROOT / "deploy/prometheus/wolkvox-shards.rules.yml"
LANGUAGES = ("en", "es")
SKILL = 'Ventas & "Co" <1>'
VALUES = {
    "job": "wolkvox",
    "instance": "a:19655",
    "operation": "acme",
    "skill": SKILL,
    "skill_id": "4173",
    "type_interaction": "inbound",
    "threshold_seconds": "20",
}
BIG, RISK = "WolkvoxServiceLevelCollapse", "WolkvoxMonthAtRisk"
# One of each kind of alert: on a pair, a count, a skill, an exporter, a field, a shard.
FEW = (
    BIG, "WolkvoxNobodyAnswers", "WolkvoxDataStale", "WolkvoxExporterDown",
    "WolkvoxAnswerUnreadable", "WolkvoxShardTwice",
)  # fmt: skip
KINDS = ("slack", "pagerduty", "email", "telegram", "teams", "whatsapp")


def every_alert() -> dict[str, Mapping[str, Any]]:
    """The body of each alert that is shipped."""
    more = read_rules(SHARDS.read_text(encoding="utf-8"))
    return {rule.name: rule.body for rule in (*alerts().values(), *more) if rule.alert}


def firing(name: str, body: Mapping[str, Any], **more: str) -> dict[str, Any]:
    """An alert as Prometheus sends it, an hour and five minutes after it began."""
    notes = body["annotations"]
    about = set(re.findall(r"\$labels\.(\w+)", " ".join(notes.values())))
    labels = {
        "alertname": name,
        **{key: text for key, text in VALUES.items() if key in about},
        **{key: text for key, text in body["labels"].items() if "{{" not in text},
        **more,
    }
    sent = {
        "description": f"What it means for {labels.get('skill')}.",
        "runbook_url": f"https://runbooks.test/{notes['runbook_url'].rpartition('/')[2]}",
        "dashboard_url": "https://grafana.test/d/board?var-a=b&var-c=d",
    }
    if "value" in notes:
        sent["value"] = "0 of 12" if name == "WolkvoxNobodyAnswers" else "62.5 %"
    if "target" in notes:
        sent["target"] = "79.5 %"
    if name == RISK:  # as it is seen to fire
        labels, sent = {"alertname": name, **TICKET["labels"]}, {**TICKET["annotations"]}
    if "operation" in labels:
        sent["since"] = "14:05"
    return {"labels": labels, "annotations": sent, "startsAt": stamp(-65 * 60)}


def stamp(seconds: float) -> str:
    """A moment so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def receivers(sink: Sink, newer: bool) -> list[dict[str, Any]]:
    """Those of the page, in both languages, with the addresses of the sink."""
    page = (ROOT / "docs/alerting.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```yaml\n(.*?)```", page, re.S) if "slack" in b)
    made: dict[str, Any] = {"name": "all"}
    for language in LANGUAGES:
        text = block.replace("wolkvox.es", f"wolkvox.{language}")
        (one,) = yaml.safe_load(text)["receivers"]
        web = f"{sink.url}/{{}}-{language}"
        own: dict[str, dict[str, Any]] = {
            "slack": {"api_url": web.format("slack")},
            "pagerduty": {"routing_key": "key", "url": web.format("pagerduty")},
            "email": {"to": f"email-{language}@localhost"},
            "telegram": {"api_url": web.format("telegram"), "bot_token": "key"},
            "msteamsv2": {"webhook_url": web.format("teams")},
            "webhook": {"url": web.format("whatsapp"), "send_resolved": True},
        }
        for kind, more in own.items():
            (config,) = one[f"{kind}_configs"]
            config = {k: v for k, v in config.items() if not k.endswith("_file")} | more
            if kind in {"msteamsv2", "webhook"} and not newer:
                # It cannot send this yet; what the template makes can be seen all the same.
                kind, text = "slack", config.get("text") or config["payload"]
                url = more.get("webhook_url") or more["url"]
                title = config.get("title", "")
                config = {"api_url": url, "title": title, "text": text, "send_resolved": True}
            made.setdefault(f"{kind}_configs", []).append(config)
    return [made]


Messages = dict[tuple[str, str, str, str], str]


@pytest.fixture(scope="module", params=[FEW, pytest.param(None, marks=pytest.mark.slow)])
def chosen(request: pytest.FixtureRequest) -> dict[str, Mapping[str, Any]]:
    """Some alerts, or all."""
    wanted = request.param
    return {k: v for k, v in every_alert().items() if wanted is None or k in wanted}


@pytest.fixture(scope="module")
def messages(
    chosen: dict[str, Mapping[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Messages]:
    """What was sent of each alert, by receiver, language, state and alert."""
    version = needs.run("prometheus-alertmanager", "--version")
    newer = int(re.findall(r"version 0\.(\d+)", version.stdout + version.stderr)[0]) >= 32
    sent = [firing(name, body) for name, body in chosen.items()]
    body = chosen[BIG]
    # These begin now: with a beginning in the past nobody waits for the rest of a group.
    big = [firing(BIG, body, operation="big", skill=f"S{n:02}") for n in range(60)]
    sent += [{key: one[key] for key in ("labels", "annotations")} for one in big]
    with sinks() as sink:
        config = {
            "global": {
                "smtp_smarthost": sink.mail,
                "smtp_from": "a@localhost",
                "smtp_require_tls": False,
            },
            "templates": [str(TEMPLATES / "*.tmpl")],
            "route": {
                "receiver": "all",
                "group_by": ["alertname", "operation"],
                "group_wait": "1s",
                "group_interval": "1s",
            },
            "receivers": receivers(sink, newer),
        }
        directory = tmp_path_factory.mktemp("messages")
        file = directory / "alertmanager.yml"
        file.write_text(json.dumps(config), encoding="utf-8")
        flags = (f"--config.file={file}", f"--storage.path={directory / 'data'}")
        program = "prometheus-alertmanager"
        expected = (len(chosen) + 1) * len(KINDS) * len(LANGUAGES)
        with serving(program, directory, *flags, "--cluster.listen-address=") as address:
            url = f"http://{address}/api/v2/alerts"
            ask(url, json.dumps(sent).encode())
            wait_for(told(sink, "firing", expected), "all messages", 60, log(directory), 0.2)
            resolved = [{**one, "endsAt": stamp(0)} for one in sent]
            ask(url, json.dumps(resolved).encode())
            wait_for(told(sink, "resolved", expected), "the ends", 60, log(directory), 0.2)
        yield dict(read(place, message) for place, message in sink.got)


def told(sink: Sink, state: str, expected: int) -> Callable[[], bool]:
    """Whether so many different messages tell that state."""
    return lambda: (
        sum(key[2] == state for key in dict(read(*one) for one in sink.got)) == expected
    )


def log(directory: Path) -> Callable[[], str]:
    """What a failed wait tells."""
    return lambda: (directory / "prometheus-alertmanager.log").read_text("utf-8")[-2000:]


def read(place: str, sent: Any) -> tuple[tuple[str, str, str, str], str]:
    """Who was told, and the text that a person sees."""
    kind, _, language = place.partition("/")[0].partition("-")
    if kind == "email":
        parts = [sent.get_body((form,)).get_content() for form in ("plain", "html")]
        text = "\n".join([str(sent["Subject"]), *parts])
    elif kind == "pagerduty":
        payload = sent["payload"]
        text = "\n".join([payload["summary"], *map(str, payload["custom_details"].values())])
    elif kind == "telegram":
        text = sent["text"]
    elif "attachments" in sent and "content" in sent["attachments"][0]:
        text = "\n".join(part["text"] for part in sent["attachments"][0]["content"]["body"])
    elif "attachments" in sent:
        one = sent["attachments"][0]
        text = f"{one.get('title', '')}\n{one['text']}"
        text = json.loads(text)["text"] if kind == "whatsapp" else text
    else:
        assert sent.keys() == {"status", "severity", "text"}
        text = sent["text"]
    (name,) = set(re.findall(r"[.]md#(\w+)", text))
    state = "resolved" if "lasted" in text or "duró" in text else "firing"
    return (kind, language, state, name + ("big" if "big" in text else "")), text


def test_every_message_says_what_it_must(
    chosen: dict[str, Mapping[str, Any]], messages: Messages
) -> None:
    """Figure, target, channel, since when, what it means, and the way to the runbook."""
    for name, body in chosen.items():
        sent = firing(name, body)
        notes, labels = sent["annotations"], sent["labels"]
        page = notes["runbook_url"]
        for kind in KINDS:
            english, spanish = (
                html.unescape(messages[kind, language, "firing", name.lower()])
                for language in LANGUAGES
            )
            where = f"{kind} {name}\n{english}\n{spanish}"
            for key in ("value", "target", "since", "description", "runbook_url"):
                text = notes.get(key, "")
                text = text.replace('"', "'") if kind == "whatsapp" else text
                assert text in english, where
            for key in ("value", "target"):
                text = re.sub(" ?%", " %", notes.get(key, "")).replace(".", ",")
                assert text.replace("of", "de") in spanish, where
            since = notes.get("since", "UTC")
            assert re.search(rf"desde las (\d\d:\d\d )?{since}", spanish), where
            assert labels.get("type_interaction", "") in spanish, where
            spanish_page = page.replace("README.md", "es.md").replace(
                "shards.md", "shards.es.md"
            )
            assert spanish_page in spanish, where
            foreign = r"\b(of|since|target|limit|last|within|lasted|more)\b"
            assert not re.search(foreign, spanish), where
            for text in (english, spanish):
                assert not re.search(r"no value|Inf|%!|\bValor\b|\bValue\b", text), where


def test_every_resolved_message_says_how_long_it_was(
    chosen: dict[str, Mapping[str, Any]], messages: Messages
) -> None:
    """An hour and five minutes, in words of the language."""
    for name in chosen:
        for kind in KINDS:
            for language, words in (("en", "lasted 1 h 5 min"), ("es", "duró 1 h 5 min")):
                text = messages[kind, language, "resolved", name.lower()]
                assert words in text, (kind, name, text)
                assert "✅" in text, (kind, name, text)


def test_a_message_names_ten_and_counts_the_rest(messages: Messages) -> None:
    """Sixty skills make a message that a phone can show."""
    for state in ("firing", "resolved"):
        for kind in KINDS:
            for language, rest in (("en", "… and 50 more"), ("es", "… y 50 más")):
                text = messages[kind, language, state, BIG.lower() + "big"]
                text = text.partition("<html")[2] or text  # an e-mail's two parts say the same
                assert rest in text, (kind, text)
                assert "(60)" in text, (kind, text)
                text = text.replace("What it means for S00", "")
                assert len(re.findall(r"\bS\d\d\b", text)) == 10, (kind, text)


class Tags(HTMLParser):
    """Notes which elements are open, and refuses one that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Open one."""
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the last one."""
        assert self.open.pop() == tag


def test_each_receiver_gets_its_own_markup(messages: Messages) -> None:
    """A name with quotes, & and < > harms no message, and nobody reads another's marks."""
    quoted = {
        "slack": 'Ventas &amp; "Co" &lt;1&gt;',
        "telegram": "Ventas &amp; &#34;Co&#34; &lt;1&gt;",
        "whatsapp": "Ventas & 'Co' <1>",
    }
    for (kind, _, state, name), text in messages.items():
        if name == BIG.lower():
            assert quoted.get(kind, SKILL) in text, (kind, text)
        if kind in {"pagerduty", "email"}:
            assert not re.search(r"\*|&lt;https|\]\(", text), (kind, text)
        if kind in {"telegram", "email"}:
            tags = Tags()
            tags.feed(text[text.find("<html") :] if kind == "email" else text)
            assert tags.open == [], (kind, state, text)
        if kind == "slack":
            assert re.search(r"<https://runbooks\.test/[^|>]+\|\w+>", text), text
        if kind == "teams":
            assert re.search(r"\[\w+\]\(https://runbooks\.test/[^)]+\)", text), text


def test_a_message_does_without_what_is_missing() -> None:
    """No figure that is none, no link to nowhere, UTC where no operation is concerned."""
    alert = firing("WolkvoxDataStale", every_alert()["WolkvoxDataStale"])
    alert["annotations"] = {"value": "+Inf", "runbook_url": "/README.md#x", "dashboard_url": ""}
    alert |= {"status": "firing", "startsAt": "2026-11-27T19:05:00Z"}
    for language, since in (("en", "since 19:05 UTC"), ("es", "desde las 19:05 UTC")):
        text = rendered(["slack.text"], alert, language)
        assert since in text
        assert not re.search(r"Inf|md|Grafana|\||no value", text), text


def test_what_a_figure_is_compared_with_has_its_own_name() -> None:
    """A target of the service level, a limit of waits and abandonment, last week of traffic."""
    for name, english, spanish in (
        (
            "WolkvoxServiceLevelBelowTarget",
            "(target 79.5 % within 20 s)",
            "(meta 79,5 % en 20 s)",
        ),
        ("WolkvoxAbandonmentHigh", "(limit 79.5 %)", "(límite 79,5 %)"),
        ("WolkvoxAnswerSlow", "(limit 79.5 %)", "(límite 79,5 %)"),
        ("WolkvoxTrafficVanished", "(last week 79.5 %)", "(la semana pasada 79,5 %)"),
    ):
        alert = firing(name, every_alert()[name]) | {"status": "firing"}
        assert english in rendered(["slack.text"], alert, "en")
        assert spanish in rendered(["slack.text"], alert, "es")


@pytest.mark.slow
def test_a_ticket_on_a_lost_month_reads_well() -> None:
    """Word for word what a person is told of it, in both languages."""
    alert = firing(RISK, every_alert()[RISK]) | {"status": "firing"}
    for language, title, line, meaning in (
        ("en", "Warning: lost · Ventas · inbound — the month's target is at risk",
         "66.67% (target 80% within 20 s), since 14:05", TICKET["annotations"]["description"]),
        ("es", "Aviso: lost · Ventas · inbound — la meta del mes está en riesgo",
         "66,67 % (meta 80 % en 20 s), desde las 14:05",
         "Con lo que va del mes y lo esperado, el mes terminará bajo la meta."),
    ):  # fmt: skip
        text = rendered(["slack.title", "plain.text"], alert, language)
        said = (f"🟠 {title}", f"• lost · Ventas · inbound: {line}", "", meaning)
        assert text.startswith("\n".join(said)), text


def rendered(names: list[str], alert: Mapping[str, Any], language: str) -> str:
    """What amtool makes of some templates and one alert."""
    data = {
        "status": alert["status"],
        "alerts": [alert],
        "commonLabels": alert["labels"],
        "commonAnnotations": alert["annotations"],
    }
    text = "\n".join(f'{{{{ template "wolkvox.{language}.{name}" . }}}}' for name in names)
    run = subprocess.run(
        [
            needs.needs("amtool"), "template", "render",
            f"--template.glob={TEMPLATES}/*.tmpl", f"--template.text={text}",
            "--template.data=/dev/stdin",
        ],
        input=json.dumps(data), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
def test_amtool_renders_every_template_of_every_alert() -> None:
    """`amtool template render`, which people use to try a change, agrees with all of them."""
    names = [
        "slack.title", "slack.text", "plain.line", "plain.text", "teams.title", "teams.text",
        "telegram.text", "whatsapp.json", "email.html",
    ]  # fmt: skip
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.tmpl"))
    for language in LANGUAGES:
        defined = set(re.findall(rf'define "wolkvox\.{language}\.(\w+\.\w+)"', text))
        assert defined == set(names)
        for name, body in every_alert().items():
            for status in ("firing", "resolved"):
                alert = firing(name, body) | {"status": status, "endsAt": stamp(0)}
                made = rendered(names, alert, language)
                assert name.lower() in made
                assert "no value" not in made

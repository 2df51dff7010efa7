"""The card of a loaded definition: the output of ``%det_load``."""

from __future__ import annotations

import json
import time
from pathlib import PurePath
from typing import Any

from detjupyter.picture.html import NOTHING, Html, output, with_code
from detjupyter.picture.numbers import format_bytes, format_count
from detjupyter.picture.summary import headline
from detjupyter.protocol.records import CardRecord, ChangeRecord, HyperparameterRecord, SessionRecord
from detjupyter.text import one_line

_OPEN_UP_TO = 8
_HASH_SHOWN = 12
_LONGEST_VALUE = 200
_MOST_SENTENCES = 4
_MONOSPACE = ("file", "definition", "config", "code")
_STYLE = """\
.{id} dl{{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 14px;margin:0}}
.{id} dt{{float:none;width:auto;padding:0;color:var(--jp-ui-font-color2,inherit);opacity:.85;font-weight:400}}
.{id} dd{{margin:0;padding:0;overflow-x:auto}}
.{id} table{{border-collapse:collapse;margin:2px 0 0;font-size:12px}}
.{id} td{{text-align:left;vertical-align:top;padding:1px 16px 1px 0;border:0;overflow-wrap:break-word}}
.{id} tr{{background:none!important}}
.{id} .w{{border-left:3px solid #d68a00;padding:2px 10px;margin:0 0 8px}}
.{id} .w+.w{{margin-top:-4px}}
.{id} .n{{margin:8px 0 0}}
"""


def card_bundle(card: CardRecord, session: SessionRecord | None = None) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of the card; with ``session``, the card also shows its state."""
    facts = _facts(card)
    state = headline(session) if session is not None else None
    return output(_html(card, facts, state), _text(card, facts, state), _STYLE)


def _warnings(card: CardRecord) -> list[str]:
    """Return sentences about what the user should act on, each with the next step."""
    warnings = list(card.warnings)
    if card.changed:
        what = "; ".join(map(_change, card.changed[:_MOST_SENTENCES])) + _more(len(card.changed))
        warnings.append(f"Code changed since {_clock(card.loaded_at)}: {what}. `%det_reload` applies the changes.")
    unshipped = card.usage.unshipped if card.usage is not None else ()
    warnings += [file.sentence for file in unshipped[:_MOST_SENTENCES]]
    if len(unshipped) > _MOST_SENTENCES:
        warnings.append(f"{len(unshipped) - _MOST_SENTENCES} more files are used but not shipped: `%det_check` names them.")
    return warnings


def _change(change: ChangeRecord) -> str:
    if change.what != "edited":
        return f"{change.path} {change.what}"
    return f"{change.path} ({', '.join(change.names[:_MOST_SENTENCES])}{_more(len(change.names))})" if change.names else change.path


def _more(count: int) -> str:
    return f" and {count - _MOST_SENTENCES} more" if count > _MOST_SENTENCES else ""


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _facts(card: CardRecord) -> list[tuple[str, str]]:
    files = f"{format_count(card.included_files)} ship ({format_bytes(card.included_bytes)} of {format_bytes(card.limit_bytes)})"
    left_out = format_count(card.excluded_entries) if card.excluded_entries else "none"
    more = []
    if card.determined_differences:
        paths = "1 path" if card.determined_differences == 1 else f"{format_count(card.determined_differences)} paths"
        more.append(("as Determined", f"its uploader decides differently about {paths}: `%det_files --as determined`"))
    if card.usage is not None and card.usage.unused_files:
        files_named = ", ".join(card.usage.unused) + (", …" if card.usage.unused_files > len(card.usage.unused) else "")
        more.append(("not used so far", f"{files_named} ({format_bytes(card.usage.unused_bytes)})"))
    if card.startup_hook is not None:
        more.append(("startup hook", f"{_inside(card.startup_hook, card.definition_root)}; `%det_load --startup-hook` runs it"))
    return [
        ("framework", card.framework),
        ("definition", card.definition_root),
        ("file", f"{_inside(card.file, card.definition_root)}:{card.line}"),
        ("config", _inside(card.config_path, card.definition_root) if card.config_path else "none"),
        ("device", card.device),
        ("seed", f"{card.seed} (drawn)" if card.is_seed_drawn else str(card.seed)),
        ("files", f"{files}, left out: {left_out}"),
        *more,
        ("code", f"{card.bundle_hash[:_HASH_SHOWN]}, loaded {_clock(card.loaded_at)}"),
    ]


def _inside(path: str, root: str) -> str:
    """Return ``path`` relative to the definition, or unchanged if it is outside."""
    return str(PurePath(path).relative_to(root)) if PurePath(path).is_relative_to(root) else path


def _html(card: CardRecord, facts: list[tuple[str, str]], state: str | None) -> Html:
    rows = NOTHING.join(Html("<dt>{}</dt><dd>{}</dd>").format(name, _fact_html(name, value)) for name, value in facts)
    status = Html('<span class="f">{}</span>').format(state) if state else NOTHING
    head = Html('<div class="h"><b>{}</b><span class="m f">{}</span>{}</div>').format(card.class_name, card.entrypoint, status)
    warnings = NOTHING.join(Html('<div class="w">{}</div>').format(with_code(warning)) for warning in _warnings(card))
    notes = NOTHING.join(Html('<div class="n f">{}</div>').format(with_code(note)) for note in (*card.notes, *card.file_notes))
    body = Html("{}\n{}<dl>{}<dt>hyperparameters</dt><dd>{}</dd></dl>{}")
    return body.format(head, warnings, rows, _hyperparameters_html(card), notes)


def _fact_html(name: str, value: str) -> Html:
    return Html("<code>{}</code>").format(value) if name in _MONOSPACE else with_code(value)


def _hyperparameters_html(card: CardRecord) -> Html:
    if not card.hyperparameters:
        return Html("none")
    row = Html('<tr><td><code>{}</code></td><td><code>{}</code></td><td class="f">{}</td></tr>')
    rows = NOTHING.join(row.format(item.name, _with_changes(item, card), item.origin) for item in card.hyperparameters)
    table = Html("<table>{}</table>").format(rows)
    if len(card.hyperparameters) <= _OPEN_UP_TO:
        return table
    return Html("<details><summary>{} values</summary>{}</details>").format(len(card.hyperparameters), table)


def _text(card: CardRecord, facts: list[tuple[str, str]], state: str | None) -> str:
    lines = [f"{card.class_name}  ({card.entrypoint})"]
    width = max(len(name) for name, _ in facts)
    if state:
        lines.append(f"  {state}")
    lines += [f"  ! {warning}" for warning in _warnings(card)]
    lines += [f"  {name:<{width}} {one_line(value)}" for name, value in facts]
    lines += ["  hyperparameters", *_hyperparameters_text(card)] if card.hyperparameters else ["  hyperparameters none"]
    lines += [f"  {note}" for note in (*card.notes, *card.file_notes)]
    return "\n".join(lines)


def _hyperparameters_text(card: CardRecord) -> list[str]:
    items = [(one_line(item.name), one_line(_with_changes(item, card)), item.origin) for item in card.hyperparameters]
    name_width = max(len(name) for name, _, _ in items)
    value_width = min(40, max(len(value) for _, value, _ in items))
    return [f"    {name:<{name_width}}  {value:<{value_width}}  {origin}".rstrip() for name, value, origin in items]


def _with_changes(item: HyperparameterRecord, card: CardRecord) -> str:
    """Return a value, preceded by the values that reloads have replaced: ``0.003 → 0.0001 at 106``."""
    changes = [change for change in card.hyperparameter_changes if change.name == item.name]
    if not changes:
        return _value(item.value)
    return _value(changes[0].before) + "".join(f" → {_value(change.now)} at {change.batches_trained:,}" for change in changes)


def _value(value: Any) -> str:  # Any: any value that YAML can hold
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # keys that are not strings, or a cycle
        text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"

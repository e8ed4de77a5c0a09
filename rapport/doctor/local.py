"""Looks a data folder over without touching it. Each check says what it found and what to do; none stops the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rapport import disk
from rapport.customers import queries
from rapport.plan import folder as plan_folder
from rapport.replay.sort import SCRATCH
from rapport.terminal.output import counted
from schemas.errors import DataFolderError, NotPublished, PlanError, RapportError, RowError
from schemas.topics import OUTPUTS
from sinks.lake import manifest, views
from sinks.marts import generations
from sinks.marts.publisher import is_current, published_positions, shows_all
from stream.clock import wall_now
from stream.embedded import ages
from stream.embedded.ages import DifferentDays
from stream.embedded.reader import Reader
from stream.embedded.store import LAKE, PUBLISHED

OF_ONE_DAY = "restore both from one backup, or rapport doctor --set-offsets, which says what is lacking then"
WHOLE = "taking them in again changes nothing; for all of it replay everything into a new folder"
ANOTHER = "restore the folder from a backup, or replay into a new one"
"""What is left to do where what is damaged cannot be mended here."""
FREE_WARN = 2 * 1024 * 1024 * 1024


class Verdict(StrEnum):
    ok = "ok"
    warn = "warn"
    fail = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(data: Path, plan: Path | None) -> list[Finding]:
    """Every check, in the order in which trouble usually starts."""
    from rapport.doctor.identity import of_identity  # it reports in this module's words

    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("plan", lambda: of_plan(plan, data)),
        ("disk", lambda: of_disk(data)),
        ("store", lambda: _store(data)),
        ("lake", lambda: _lake(data)),
        ("published", lambda: _published(data)),
        ("leftovers", lambda: _leftovers(data)),
        ("identifiers", lambda: of_identity(data, plan)),
    ]
    if not data.is_dir():
        checks = checks[:2]
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except DifferentDays as error:
            if name == "store":
                findings.append(Finding(name, Verdict.fail, ages.summary(error.gaps), OF_ONE_DAY))
        except RapportError as error:
            damaged = type(error) in (DataFolderError, RowError)
            findings.append(Finding(name, Verdict.fail, str(error), ANOTHER if damaged else ""))
        except OSError as error:
            findings.append(
                Finding(name, Verdict.fail, f"{error.filename}: {error.strerror}", "check its permissions and the disk")
            )
    if not data.is_dir():
        advice = "rapport replay or rapport demo makes one; name another with --data DIR"
        findings.append(Finding("store", Verdict.fail, f"{data} does not exist", advice))
    return findings


def of_plan(folder: Path | None, data: Path | None = None) -> Iterator[Finding]:
    """Whether it can be loaded, or what a data folder goes on with."""
    if folder is None:
        if data is None or not plan_folder.has_kept(data):
            yield Finding(
                "plan", Verdict.ok, "none named: defaults, no rules", "a plan folder: rapport init, then --plan DIR"
            )
            return
        found = plan_folder.load(None, data).rules.rules
        yield Finding("plan", Verdict.ok, f"none named: {counted(len(found), 'rule')}, as in the run before")
        return
    try:
        rules = plan_folder.load(folder).rules.rules
    except PlanError as error:
        yield Finding(
            "plan",
            Verdict.fail,
            f"{counted(len(error.problems), 'problem')} in {folder}",
            f"rapport rules check {folder}",
        )
        return
    yield Finding("plan", Verdict.ok, f"{counted(len(rules), 'rule')} in {folder}")


def of_disk(data: Path) -> Iterator[Finding]:
    """Whether there is room, and leave to write."""
    place = next(folder for folder in (data.absolute(), *data.absolute().parents) if folder.exists())
    free = disk.free(data)
    found = f"{free / 1e9:,.1f} GB free under {data}"
    if free < disk.NEEDED:
        yield Finding("disk", Verdict.fail, found, "free some space before the next run")
    elif free < FREE_WARN:
        yield Finding("disk", Verdict.warn, found, "free some space soon")
    else:
        yield Finding("disk", Verdict.ok, found)
    if not os.access(place, os.W_OK):
        yield Finding(
            "disk", Verdict.fail, f"{place} is read-only", "mount it for writing, or name another folder with --data"
        )


def _store(data: Path) -> Iterator[Finding]:
    if manifest.of_kafka(data / LAKE):
        yield Finding("store", Verdict.ok, "none: sinks fill this folder", "rapport doctor --brokers looks at the rest")
        return
    before = ages.ends(data / LAKE)
    with Reader.open(data) as reader:
        state, gaps = reader.state(), reader.gaps(before)
    if gaps:
        raise DifferentDays(data, gaps)
    outputs = state.get("outputs", {})
    profiles, events = counted(state.get("profiles", 0), "profile"), counted(outputs.get("facts", 0), "event")
    yield Finding("store", Verdict.ok, f"{profiles}, {events}")
    if (waiting := sum(outputs.values()) - sum(ages.ends(data / LAKE).values())) > 0:
        yield Finding(
            "store",
            Verdict.warn,
            f"{waiting:,} outputs are not in Parquet yet",
            "any run writes them; rapport publish does, too",
        )


def set_offsets(data: Path) -> list[Finding]:
    """Where store and lake are of different days, lets both go on as they are; says what each lacks then."""
    lacking = []
    for gap in ages.align(data, wall_now()):
        who, knows = ("customers", "the tables know") if gap.lake_is_newer else ("the tables", "customers know")
        lacking.append(Finding("offsets", Verdict.warn, f"{who} lack {ages.counted([gap])} that {knows}", WHOLE))
    return lacking or [Finding("offsets", Verdict.ok, "store and lake are of one day: nothing was set")]


def _lake(data: Path) -> Iterator[Finding]:
    files = [
        (topic, file) for topic in OUTPUTS for each in manifest.load_all(data / LAKE, topic) for file in each.files
    ]
    missing = [file.path for _, file in files if not (data / LAKE / file.path).is_file()]
    cut = [
        file.path
        for _, file in files
        if file.path not in missing and (data / LAKE / file.path).stat().st_size != file.bytes
    ]
    for paths, what in ((missing, "missing"), (cut, "of another size than written")):
        if paths:
            yield Finding(
                "lake", Verdict.fail, f"{len(paths)} files {what}, first {paths[0]}", "restore the lake from a backup"
            )
    if not missing and not cut:
        yield Finding(
            "lake", Verdict.ok, f"{len(files):,} files, {sum(file.rows for _, file in files):,} rows, all there"
        )
    named = {file.path for _, file in files}
    strays = [
        path
        for topic in OUTPUTS
        for path in (data / LAKE / topic).rglob("*.parquet")
        if str(path.relative_to(data / LAKE)) not in named
    ]
    if strays:
        yield Finding(
            "lake",
            Verdict.warn,
            f"{len(strays):,} files that nothing names, left by a crash: other tools count them",
            "any run removes them, rapport compact does, too",
        )
    if by_day := sum(file.by_day for _, file in files):
        yield Finding(
            "lake",
            Verdict.ok,
            f"{by_day:,} files lie by day, as earlier releases wrote them",
            "rapport compact moves them",
        )
    if len(files) > 1_000:
        yield Finding("lake", Verdict.warn, f"{len(files):,} files", "rapport compact makes queries faster")


def _published(data: Path) -> Iterator[Finding]:
    found = _short_of(data / LAKE, data / PUBLISHED) if (data / PUBLISHED).is_file() else "does not exist"
    if found:
        yield Finding("published", Verdict.warn, f"{PUBLISHED} {found}", "rapport publish writes it anew")
    else:
        yield Finding("published", Verdict.ok, f"{PUBLISHED} shows all of the lake")


def _short_of(lake: Path, target: Path) -> str:
    """What the published file lacks, for Rapport or for other tools; empty where nothing."""
    try:
        with queries.opened(target.parent):
            pass
    except NotPublished as error:
        return queries.shut(error.__cause__)
    if not shows_all(lake, target):
        return "does not show all of the lake"
    files = (file for topic in OUTPUTS for each in manifest.load_all(lake, topic) for file in each.files)
    if views.missing(lake, files):
        return "finds no Parquet: the folder was copied without its links"
    if not is_current(lake, target):
        old = listed(sorted({place for *_, place in published_positions(target) or ()}))
        return f"was published elsewhere: other tools look for the Parquet in {old}"
    if left := generations.logs(target):
        return f"was written to by another program, and what it wrote lies in {left[0].name}: others may read that, too"
    if generations.written_since(target):
        return "was written to by another program, or copied, since it was published"
    return ""


def _leftovers(data: Path) -> Iterator[Finding]:
    if (data / SCRATCH).exists():
        yield Finding(
            "leftovers",
            Verdict.warn,
            f"{data / SCRATCH} of a run that ended early",
            "the next --clock events run removes it",
        )
    else:
        yield Finding("leftovers", Verdict.ok, "none")


def listed(values: Sequence[object], most: int = 8) -> str:
    """The first few, and how many more."""
    shown = ", ".join(map(str, values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown

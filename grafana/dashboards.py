"""The dashboards, in one language.

What is drawn of a parameter comes from `gateway/parameters.toml`, what is said of its limits from the rule packs; the
limit lines themselves are data that the collector writes, so that they are those in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d

from collector.verdicts.pack import ClauseText, RulePack
from collector.verdicts.pack_words import limit
from gateway.measurement import Status
from gateway.parameters import Parameter, Parameters
from grafana import panels
from grafana.panels import BAD, GOOD, HALF, PLAIN, THIRD, WARN, WIDE, AnyPanel
from grafana.queries import AT_PLANT, HERE, SOURCE, Asked, Query, Region, each, energy, limits, mean, tag_values, where
from grafana.words import Words

TAG = "emitwatch"
NOISE_PACK = "gb12348-2008"
FIRST = {"stack": ("dust", "SO2", "NOx"), "water": ("COD", "NH3-N", "pH")}  # shown from the start, the rest in rows
ZONES = ("Asia/Shanghai", "Europe/Berlin", "Europe/London", "America/New_York", "UTC")
OPEN = '"open" = 1'
STANDS, HIGH, LEVEL = '"withdrawn" = 0', "\"bound\" = 'high'", "\"parameter\" = 'LAeq'"
GOOD_ONES = '"status" = 0'
DECIBELS, NO_DECIBELS = '"unit" =~ /^dB/', '"unit" !~ /^dB/'  # levels are averaged by energy
MINUTE, HOUR, DAY, NIGHT = (f"\"window\" = '{kind}'" for kind in ("1m", "1h", "24h", "night"))
CHOSEN = '"parameter" =~ /^${parameter:regex}$/'
LISTED = '"parameter", "value", "limit", "unit", "window", "clause", "standing"'


class Maker:
    """Makes the dashboards. parameters, packs: those of the product."""

    def __init__(self, language: str, parameters: Parameters, packs: Mapping[str, RulePack]) -> None:
        self._words = Words(language)
        self._parameters, self._packs = parameters, packs

    def all(self) -> dict[str, dashboard.Dashboard]:
        """Every dashboard by its name."""
        made = {
            "overview": (self._begin("overview", "now-7d", many=True, zone=True), self._overview()),
            "night-noise": (self._begin("night-noise", "now-7d").annotation(self._band()), self._night()),
            "stack": (self._begin("stack", "now-2d"), self._medium("stack")),
            "water": (self._begin("water", "now-2d"), self._medium("water")),
            "gateways": (self._begin("gateways", "now-1d", points=False), self._gateways()),
            "point": (self._begin("point", "now-1d", parameter=True), self._point()),
        }
        for board, parts in made.values():
            for part in parts:
                if isinstance(part, dashboard.Row):
                    board.with_row(part)
                else:
                    board.with_panel(part)
        return {name: board for name, (board, _) in made.items()}

    # --- what is on each ---------------------------------------------------------------------------

    def _overview(self) -> Iterator[AnyPanel]:
        say, recent = self._words.panel, "time > now() - 10m"
        good = f'SELECT last("value") AS "v" FROM "measurement" {where(HERE, GOOD_ONES, span=recent)}'
        now = f'SELECT count("v") FROM ({good} GROUP BY "plant", "point", "parameter") WHERE {recent}'
        count = f'SELECT count("value") FROM "exceedance" {where(STANDS, HERE)}'
        valid = f'SELECT mean("valid") FROM "average" {where(HOUR, HERE)}'
        yield panels.number(*say("series_now"), "", Query(now), steps=[(None, BAD), (1, GOOD)])
        yield panels.number(*say("exceedances"), "", Query(count), steps=[(None, GOOD), (1, BAD)])
        incidents = f'SELECT count("open") FROM "incident" {where(OPEN, AT_PLANT)}'
        yield panels.number(*say("incidents"), "", Query(incidents), steps=[(None, GOOD), (1, WARN)])
        yield panels.number(*say("valid_hours"), "share", Query(valid), steps=[(None, BAD), (0.75, WARN), (0.9, GOOD)])
        newest = f'SELECT "value", "status" FROM "measurement" {where(HERE)}'
        by = 'GROUP BY "plant", "point", "sensor", "parameter", "unit" ORDER BY time DESC LIMIT 1'
        by_series = Query(f"{newest} {by}", table=True)
        yield panels.rows(
            *say("points_now"), by_series, names=self._columns(), mapped={"status": self._statuses()}, width=HALF
        )
        listed = (
            f'SELECT "plant", "point", {LISTED} FROM "exceedance" {where(STANDS, HERE)} ORDER BY time DESC LIMIT 500'
        )
        yield panels.rows(*say("exceedance_list"), Query(listed, table=True), names=self._columns(), width=HALF)
        days = Query(f"{count} GROUP BY time(1d), \"plant\" fill(0) tz('${{zone}}')", "$tag_plant")
        yield panels.bars(*say("exceedances_a_day"), "", days)
        shares = Query(f'{valid} GROUP BY "plant", "point", "parameter"', "$tag_plant $tag_point $tag_parameter")
        yield panels.shares(*say("valid_by_series"), shares, least=0.75)

    def _night(self) -> Iterator[AnyPanel]:
        say, pack = self._words.panel, self._packs[NOISE_PACK]
        minutes = Query(energy("average", MINUTE, LEVEL, HERE, by='"point"'), "LAeq $tag_point")
        told = say("minutes", pack=pack.id)
        yield panels.series(*told, "dB(A)", minutes, self._limit(LEVEL, HIGH), width=WIDE, height=10)
        levels = [
            Query(each("average", name, HOUR, LEVEL, HERE, by='"point"'), f"{name.replace('value', 'LAeq')} $tag_point")
            for name in ("value", "L10", "L50", "L90")
        ]
        yield panels.series(*say("statistical_levels"), "dB(A)", *levels)
        nights = Query(each("average", "evaluated", NIGHT, LEVEL, HERE, by='"point"'), "$tag_point")
        yield panels.bars(*say("nights"), "dB(A)", nights, self._limit(LEVEL, NIGHT, HIGH, field="daily"))
        broken = Query(f'SELECT count("value") FROM "exceedance" {where(STANDS, NIGHT, HERE)}')
        yield panels.number(*say("nights_violated"), "", broken, steps=[(None, GOOD), (1, BAD)], width=THIRD)
        loudest = Query(f'SELECT max("maximum") FROM "average" {where(MINUTE, LEVEL, HERE)}')
        yield panels.number(*say("loudest"), "dB(A)", loudest, steps=[(None, PLAIN)], width=THIRD)
        valid = Query(f'SELECT mean("valid") FROM "average" {where(NIGHT, LEVEL, HERE)}')
        yield panels.number(*say("valid_nights"), "share", valid, steps=[(None, BAD), (0.75, GOOD)], width=THIRD)
        yield panels.words(*say("limit_table"), self._limit_table(pack), width=WIDE)

    def _medium(self, kind: str) -> Iterator[AnyPanel]:
        """Stack or water: what is limited, then what else is measured there."""
        judged = self._judged(kind)
        for parameter in judged:
            row = dashboard.Row(self._name(parameter))
            if parameter.code in FIRST[kind]:
                yield row
                yield from self._parameter(parameter, kind)
            else:
                yield _folded(row, self._parameter(parameter, kind))
        # Totals with filled gaps are of months, which no chart of days shows.
        others = [
            p for p in self._parameters.values()
            if kind in p.media and p not in judged and p.derived != "mass_substituted"
        ]  # fmt: skip
        yield _folded(dashboard.Row(self._words.word("conditions")), map(self._condition, others))

    def _parameter(self, parameter: Parameter, kind: str) -> Iterator[AnyPanel]:
        name, about, of = self._name(parameter), self._clauses(parameter, kind), f"\"parameter\" = '{parameter.code}'"
        say = self._words.panel

        def shown(window: str, *fields: str) -> list[Query]:
            drawn = [("measured", "value"), ("converted", "converted"), ("evaluated", "evaluated")]
            return [
                Query(each("average", field, window, of, HERE, by='"point"'), f"{self._words.word(word)} $tag_point")
                for word, field in drawn if field in fields
            ]  # fmt: skip

        clauses = [clause for _, clause in self._of(parameter, kind) if clause.statistic == "value"]
        converted = any(clause.corrected != "as measured" for clause in clauses)
        title = say("parameter_measured", name=name)[0]
        yield panels.series(title, about, parameter.unit, self._measured(of, "$tag_point $tag_sensor"), width=THIRD)
        for title, window, span in (("parameter_hours", "1h", HOUR), ("parameter_days", "24h", DAY)):
            limited = any(clause.window == window for clause in clauses)
            fields = ["value", *["converted"] * converted, *["evaluated"] * (converted or limited)]
            lines = [self._limit(of, span)] if limited else []
            yield panels.series(
                say(title, name=name)[0], about, parameter.unit, *shown(span, *fields), *lines, width=THIRD
            )

    def _condition(self, parameter: Parameter) -> AnyPanel:
        about = self._words.word("no_limit") + parameter.source
        of = f"\"parameter\" = '{parameter.code}'"
        drawn = self._measured(of, "$tag_point $tag_sensor")
        if parameter.derived:  # masses and the like are made of hours
            drawn = Query(each("average", "value", HOUR, of, HERE, by='"point"'), "$tag_point")
        return panels.series(self._name(parameter), about, parameter.unit, drawn, width=THIRD, height=7)

    def _measured(self, of: str, alias: str) -> Query:
        """The good values themselves: an analyser that gives one an hour has no averages of minutes."""
        return Query(mean("measurement", of, GOOD_ONES, HERE, by='"point", "sensor"'), alias)

    def _gateways(self) -> Iterator[AnyPanel]:
        say, word, at = self._words.panel, self._words.word, where(AT_PLANT)

        def last(field: str) -> Query:
            by = 'GROUP BY time($__interval), "gateway" fill(null)'
            return Query(f'SELECT last("{field}") FROM "gateway" {at} {by}', "$tag_gateway")

        named = {0: (word("away"), BAD), 1: (word("online"), GOOD)}
        yield panels.states(*say("online"), last("online"), words=named)
        for panel, unit, field in (("ack_age", "s", "ack_age_s"), ("backlog", "", "backlog_batches"),
                                   ("clock", "s", "clock_off_s"), ("room", "share", "storage_share")):  # fmt: skip
            yield panels.series(*say(panel), unit, last(field))
        good = f'SELECT max("good_s") FROM "link" {at} GROUP BY time($__interval), "sensor" fill(null)'
        yield panels.series(*say("last_good"), "s", Query(good, "$tag_sensor"), width=WIDE)
        answered = f'SELECT mean("share") FROM "link" {at} GROUP BY "gateway", "sensor"'
        yield panels.shares(*say("links"), Query(answered, "$tag_gateway $tag_sensor"), least=0.99, width=WIDE)

    def _point(self) -> Iterator[AnyPanel]:
        say, word = self._words.panel, self._words.word
        raw = [
            Query(
                made("measurement", CHOSEN, GOOD_ONES, of, HERE, by='"sensor", "parameter", "unit"'),
                "$tag_parameter $tag_sensor",
            )
            for made, of in ((mean, NO_DECIBELS), (energy, DECIBELS))
        ]
        yield panels.series(*say("as_measured"), "", *raw, width=WIDE)
        for name, window in (("hours", HOUR), ("days", DAY)):
            drawn = [
                Query(each("average", field, window, CHOSEN, HERE, by='"parameter"'), f"{word(said)} $tag_parameter")
                for said, field in (("measured", "value"), ("evaluated", "evaluated"))
            ]
            yield panels.series(*say(name), "", *drawn, self._limit(CHOSEN, window))
        worst = f'SELECT max("status") FROM "measurement" {where(CHOSEN, HERE)}'
        status = Query(f'{worst} GROUP BY time($__interval), "parameter" fill(null)', "$tag_parameter")
        yield panels.states(*say("status"), status, words=self._statuses())
        listed = f'SELECT {LISTED} FROM "exceedance" {where(STANDS, HERE)} ORDER BY time DESC LIMIT 200'
        yield panels.rows(*say("point_exceedances"), Query(listed, table=True), names=self._columns())

    # --- what they share ---------------------------------------------------------------------------

    def _begin(
        self, name: str, span: str, *, many: bool = False, zone: bool = False, points: bool = True,
        parameter: bool = False,
    ) -> dashboard.Dashboard:  # fmt: skip
        """A dashboard with its variables and links. many: several plants at once."""
        words, tags = self._words, [TAG, self._words.language]
        other = dashboard.DashboardLink(words.word("language")).type(d.DashboardLinkType.LINK)
        others = dashboard.DashboardLink(TAG).type(d.DashboardLinkType.DASHBOARDS).tags(tags).as_dropdown(True)
        board = (
            dashboard.Dashboard(f"{TAG}: {words.board(name)}").uid(f"{TAG}-{name}-{words.language}").tags(tags)
            .readonly().refresh("1m").time(span, "now").timezone("browser").tooltip(d.DashboardCursorSync.CROSSHAIR)
            .link(other.url(f"/d/{TAG}-{name}-{words.other}").include_vars(True).keep_time(True))
            .link(others.include_vars(True).keep_time(True))
            .with_variable(dashboard.DatasourceVariable("source").label(words.word("source")).type("influxdb"))
            .with_variable(self._variable("plant", tag_values("average", "plant"), many=many))
        )  # fmt: skip
        if points:
            board.with_variable(self._variable("point", tag_values("average", "point", AT_PLANT), many=name != "point"))
        if parameter:
            board.with_variable(self._variable("parameter", tag_values("average", "parameter", HERE), many=True))
        if zone:
            first = d.VariableOption(text=ZONES[0], value=ZONES[0])
            zones = dashboard.CustomVariable("zone").label(words.word("zone")).values(",".join(ZONES)).current(first)
            board.with_variable(zones)
        return board

    def _variable(self, name: str, asked: str, *, many: bool) -> dashboard.QueryVariable:
        variable = (
            dashboard.QueryVariable(name).label(self._words.word(name)).query(asked)
            .datasource(c.DataSourceRef(type_val="influxdb", uid=SOURCE))
            .refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(d.VariableSort.ALPHABETICAL_ASC)
        )  # fmt: skip
        everything = d.VariableOption(text="All", value="$__all")
        return variable.multi(True).include_all(True).current(everything) if many else variable

    def _band(self) -> dashboard.AnnotationQuery:
        """The night as a shaded band."""
        night = self._packs[NOISE_PACK].night
        assert night, "a pack of noise has a night"
        return (
            dashboard.AnnotationQuery().name(self._words.word("night")).enable(True).icon_color("#5794F2")
            .datasource(c.DataSourceRef(type_val="datasource", uid="grafana"))
            .target(Asked(Region(night.begin, night.end)))
        )  # fmt: skip

    def _limit(self, *conditions: str, field: str = "value") -> Query:
        return Query(limits(*conditions, HERE, field=field), f"{self._words.word('limit')} $tag_clause")

    def _judged(self, kind: str) -> list[Parameter]:
        """The parameters of a kind of point that any pack limits, those shown first before the others."""
        asked = {clause.parameter for pack in self._packs.values() for clause in pack.clauses if pack.kind == kind}
        found = [p for p in self._parameters.values() if kind in p.media and p.code in asked]
        return sorted(found, key=lambda p: p.code not in FIRST[kind])

    def _clauses(self, parameter: Parameter, kind: str) -> str:
        """Which clauses of which packs are about a parameter."""
        told = [f"{pack} {clause.cite} ({clause.window})" for pack, clause in self._of(parameter, kind)]
        return self._words.word("limited_by") + "; ".join(dict.fromkeys(told))

    def _of(self, parameter: Parameter, kind: str) -> list[tuple[str, ClauseText]]:
        """The clauses about a parameter at a kind of point, with the ids of their packs."""
        return [
            (pack.id, clause) for pack in self._packs.values() if pack.kind == kind
            for clause in pack.clauses if clause.parameter == parameter.code
        ]  # fmt: skip

    def _limit_table(self, pack: RulePack) -> str:
        """The clauses of a pack, as a table."""
        lines = [
            f"| {clause.cite} | {self._words.label(clause.title)} | "
            f"{'<br>'.join(limit(row, clause.unit) for row in clause.rows)} |"
            for clause in pack.clauses
        ]
        head = [f"**{self._words.label(pack.title)}**", "", self._words.word("clause_head"), "|---|---|---|"]
        return "\n".join([*head, *lines, ""])

    @staticmethod
    def _statuses() -> dict[int, tuple[str, str]]:
        return {one.value: (one.name.lower(), GOOD if one is Status.OK else WARN) for one in Status}

    def _columns(self) -> dict[str, str]:
        names = (
            "time",
            "plant",
            "point",
            "sensor",
            "parameter",
            "value",
            "status",
            "limit",
            "unit",
            "window",
            "clause",
            "standing",
        )
        return {"Time": self._words.word("time"), **{name: self._words.word(name) for name in names}}

    def _name(self, parameter: Parameter) -> str:
        return f"{self._words.label(parameter.name)} ({parameter.code})"


def _folded(row: dashboard.Row, inside: Iterator[AnyPanel]) -> dashboard.Row:
    for panel in inside:
        row.with_panel(panel)
    return row.collapsed(True)

"""A day of everything the InfluxDB store lays out, as line protocol: two plants, every parameter, a gateway."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.catalogue import parameters

MINUTE_NS, HOUR_NS = 60 * 10**9, 3600 * 10**9
PLANTS = ("river side", "harbour")


def lines(now_ns: int) -> Iterator[str]:
    """Lines up to now, with hours and nights that end before it."""
    begin = now_ns // HOUR_NS * HOUR_NS - 24 * HOUR_NS
    for plant in (name.replace(" ", "\\ ") for name in PLANTS):
        for parameter in parameters().values():
            for medium in parameter.media:
                unit = f",unit={parameter.unit}" if parameter.unit else ""
                tags = f"parameter={parameter.code},plant={plant},point={medium}-1"
                yield from _measured(f"{tags},sensor=s1{unit}", now_ns)
                yield from _averages(f"{tags}{unit}", begin)
                yield from _judged(f"{tags},standing=finding{unit}", begin)
        told = 'open=1,severity=2,seconds=600,text="it is loud"'
        yield f"incident,id=7,kind=exceedance,plant={plant},point=noise-1 {told} {begin}"
        for ago in range(60):
            time_ns = now_ns - ago * MINUTE_NS
            fields = (
                "ack_age_s=1.5,backlog_batches=0,backlog_s=0,clock_off_s=0.01,clock_right=1,online=1,storage_share=0.1"
            )
            yield f"gateway,gateway=gw-1,plant={plant} {fields} {time_ns}"
            yield f"link,gateway=gw-1,link=tcp,plant={plant},sensor=s1 answers=60,faults=0,share=1 {time_ns}"


def _measured(tags: str, now_ns: int) -> Iterator[str]:
    for ago in range(30):
        yield f"measurement,{tags} value={50 + ago % 7},status=0 {now_ns - ago * MINUTE_NS}"


def _averages(tags: str, begin: int) -> Iterator[str]:
    fields = "value=51,evaluated=51,converted=52,standard_dry=52,maximum=58,coverage=1,valid=1,version=1,count=60"
    levels = ",L10=54,L50=51,L90=48"
    for hour in range(24):
        yield f"average,{tags},window=1h {fields}{levels} {begin + hour * HOUR_NS}"
        yield f"average,{tags},window=1m {fields}{levels} {begin + hour * HOUR_NS}"
    for window in ("24h", "night"):
        yield f"average,{tags},window={window} {fields}{levels} {begin}"


def _judged(tags: str, begin: int) -> Iterator[str]:
    for window in ("1h", "24h", "night"):
        clause = f"clause=gb12348-2008/{window}-level,{tags},window={window}"
        yield f"exceedance,{clause} value=58,limit=50,withdrawn=0,version=1,late=0,minutes=60 {begin}"
        yield f"limit,bound=high,{clause} value=50 {begin}"

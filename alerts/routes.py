"""Who is told about an incident, over which channels.

A recipient is told when the plant is theirs and the verdict is worth enough for them. Two rules guard
what leaves the house: a regulator hears of a clause whose text nobody verified only where the site file
switches that clause on by name; what derives from back-filled data goes only over channels that take
late notices (a console always does), so that nobody is woken for the day before yesterday. Pure.
"""

from __future__ import annotations

from alerts.incidents import RANK
from alerts.records import Incident, Reason
from alerts.settings import AlertSettings, Channel, Recipient


def routes(incident: Incident, reason: Reason, settings: AlertSettings) -> list[tuple[Recipient, Channel]]:
    """Every (recipient, channel) that gets a notice, in the order of the site files."""
    if reason is Reason.CLOSED and not settings.closing:
        return []
    return [
        (recipient, channel)
        for recipient in settings.recipients.values()
        if concerns(incident, recipient)
        for channel in (settings.channels[name] for name in recipient.channels)
        if takes(incident, channel)
    ]


def concerns(incident: Incident, recipient: Recipient) -> bool:
    """Whether a recipient is to hear of an incident at all."""
    if "*" not in recipient.plants and incident.plant not in recipient.plants:
        return False
    if RANK[incident.standing] < RANK[recipient.min_standing]:
        return False
    return incident.verified or recipient.role != "regulator" or incident.key in recipient.unverified


def takes(incident: Incident, channel: Channel) -> bool:
    """Whether a channel takes notices about an incident."""
    return not incident.late or channel.late or channel.kind == "console"

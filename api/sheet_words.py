"""The words of the acceptance sheet in English and Chinese, as docs/glossary.md has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LANGUAGES = ("en", "zh")

WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Acceptance sheet", "自动监测点位验收表"),
    "made": ("made {0} by {1}", "生成时间 {0}，由 {1} 生成"),
    "nothing_open": (
        "Nothing is open: all that this sheet asks for is there and passed.",
        "无遗留问题：本表所列各项齐全且合格。",
    ),
    "open": ("Open points", "遗留问题"),
    "place": ("Plant and point", "企业与点位"),
    "plant": ("Plant", "企业"),
    "point": ("Point", "监测点位"),
    "kind": ("Kind", "类别"),
    "industry": ("Industry", "行业"),
    "district": ("District", "行政区"),
    "timezone": ("Time zone", "时区"),
    "position": ("Position", "经纬度"),
    "settings": ("Settings", "点位参数"),
    "noise": ("noise", "噪声"),
    "stack": ("stack gas", "烟气"),
    "water": ("waste water", "废水"),
    "commissioning": ("Commissioning", "调试状态"),
    "never_silent": ("was never told of", "无记录"),
    "silent_now": ("{0} until now: nobody is told of incidents", "{0} 至今：事件不发送通知"),
    "silent_then": ("{0} to {1}: nobody was told of incidents", "{0} 至 {1}：事件未发送通知"),
    "instruments": ("Instruments", "监测仪器"),
    "sensor": ("Sensor", "传感器"),
    "instrument": ("Instrument", "仪器型号"),
    "serial": ("Serial number", "出厂编号"),
    "link": ("Link", "通信链路"),
    "interval": ("Interval", "采样间隔"),
    "profile": ("Profile and its source", "设备配置及来源"),
    "unknown": ("not said", "未填写"),
    "gateway": ("Gateway", "网关"),
    "registers": ("Registers", "寄存器"),
    "parameter": ("Parameter", "监测因子"),
    "register": ("Function, address", "功能码、地址"),
    "type": ("Type", "数据类型"),
    "scale": ("Scale", "换算"),
    "range": ("Range", "量程"),
    "manual": ("Manual", "手册出处"),
    "status": ("Status: {0}", "状态：{0}"),
    "limits": ("Rules and limits in force", "适用标准与限值"),
    "clause": ("Clause", "条款"),
    "limit": ("Limit", "限值"),
    "window": ("Window", "评价时段"),
    "standing": ("Standing", "证据效力"),
    "verified": ("verified", "已核实"),
    "unverified": ("not verified", "未核实"),
    "no_rules": ("No rule pack is in force at this point.", "该点位未配置适用标准。"),
    "finding": ("finding", "认定"),
    "evidence": ("evidence", "证据"),
    "early warning": ("early warning", "预警"),
    "loopchecks": ("Loop checks", "回路检查"),
    "injected": ("Injected", "注入值"),
    "stage": ("Stage", "环节"),
    "value": ("Value", "数值"),
    "difference": ("Difference", "偏差"),
    "tolerance": ("Tolerance", "允许偏差"),
    "result": ("Result", "结果"),
    "when": ("When", "时间"),
    "no_loopchecks": ("No loop check was given.", "未提供回路检查结果。"),
    "stage_register": ("register", "寄存器"),
    "stage_stored": ("stored", "入库"),
    "stage_shown": ("shown", "显示"),
    "agrees": ("agrees", "一致"),
    "departs": ("departs", "不一致"),
    "late": ("late", "超时"),
    "unreached": ("not reached", "未能查询"),
    "passed": ("passed", "合格"),
    "failed": ("failed", "不合格"),
    "work": ("Swaps and sound checks", "仪器更换与声校准检查"),
    "what": ("What", "事项"),
    "as_found": ("As found", "检查前"),
    "as_left": ("As left", "检查后"),
    "reference": ("Reference", "标准值"),
    "by": ("By", "责任人"),
    "swap": ("Swap: {0} → {1}", "更换：{0} → {1}"),
    "sound_check": ("Sound check", "声校准检查"),
    "no_work": ("None is on record.", "无记录。"),
    "taken_back": ("taken back", "已撤回"),
    "configuration": ("What measures, and by what", "运行配置"),
    "hash": ("Configuration (SHA-256)", "配置摘要（SHA-256）"),
    "approval": ("Approval", "配置批准"),
    "approved": ("approved, told {0}", "已批准，上报时间 {0}"),
    "here": ("By the site file here", "按本机站点文件"),
    "same": ("the same", "一致"),
    "another": ("another one", "不一致"),
    "key": ("Ed25519 public key", "Ed25519 公钥"),
    "collector": ("collector", "采集端"),
    "clock": ("Clock", "时钟"),
    "clock_right": ("in order", "正常"),
    "clock_wrong": ("wrong", "错误"),
    "heard": ("last heard", "最近接收"),
    "versions": ("Software", "软件版本"),
    "never": ("never", "从未"),
    "coverage": ("Data from {0} to {1}", "数据有效率：{0} 至 {1}"),
    "awaited": ("Awaited", "应收"),
    "received": ("Received", "实收"),
    "good": ("Good", "有效"),
    "share": ("Coverage", "有效率"),
    "newest": ("Newest", "最新"),
    "signatures": ("Signatures", "签字"),
    "for_plant": ("For the plant", "企业（签章）"),
    "for_regulator": ("For the regulator", "生态环境主管部门（签章）"),
    "name": ("Name", "姓名"),
    "window_1m": ("minute", "1分钟"),
    "window_5m": ("5 minutes", "5分钟"),
    "window_10m": ("10 minutes", "10分钟"),
    "window_15m": ("15 minutes", "15分钟"),
    "window_30m": ("half-hour", "半小时"),
    "window_1h": ("hour", "小时"),
    "window_24h": ("day", "日"),
    "window_day": ("day", "昼间"),
    "window_night": ("night", "夜间"),
    "window_calendar_night": ("night of the date", "自然日夜间"),
    "window_month": ("month", "月"),
    "window_30d": ("30 days", "30日"),
    "window_year": ("year", "年"),
    "collector_key": ("Collector's public key", "采集端公钥"),
    "this_sheet": ("this sheet", "本表"),
    "date": ("Date", "日期"),
    "signature": ("Signature", "签名"),
    "proof": (
        (
            "The SHA-256 of this file stands in the journal of plant {0}, signed by {1}, from the moment it was made. "
            "Whether a file is this one, say: emitwatch sheet SITE --verify FILE, and, of any export of the plant, "
            "emitwatch verify."
        ),
        (
            "本文件的 SHA-256 摘要自生成时起即由 {1} 签名写入企业 {0} 的日志。"
            "核验方法：emitwatch sheet SITE --verify FILE，或对该企业的任一导出文件运行 emitwatch verify。"
        ),
    ),
    "page": ("page {0} of {1}", "第 {0} 页，共 {1} 页"),
    # What is open.
    "open_silent": (
        "The point is in commissioning: nobody is told of its incidents.",
        "点位处于调试状态，事件不发送通知。",
    ),
    "open_serial": ("{0}: no serial number is known.", "{0}：出厂编号未填写。"),
    "open_differs": (
        "{0}: the record says serial number {1}, the site file {2}.",
        "{0}：记录的出厂编号为 {1}，站点文件为 {2}。",
    ),
    "open_profile": ("{0}: of its profile nobody has verified: {1}.", "{0}：设备配置尚未核实：{1}。"),
    "open_rule": ("{0}: the clause is not verified in the primary text.", "{0}：条款原文未核实。"),
    "open_no_loop": ("{0}: no loop check of {1}.", "{0}：{1} 无回路检查结果。"),
    "open_loop": ("{0}: the loop check of {1} failed.", "{0}：{1} 回路检查不合格。"),
    "open_no_sound": ("{0}: no sound check is on record.", "{0}：无声校准检查记录。"),
    "open_sound": ("{0}: its last sound check failed.", "{0}：最近一次声校准检查不合格。"),
    "open_approval": ("Gateway {0}: its configuration is not approved: {1}.", "网关 {0}：配置未批准：{1}。"),
    "open_hash": (
        "Gateway {0} measures by another configuration than the site file here says.",
        "网关 {0} 的运行配置与本机站点文件不一致。",
    ),
    "open_clock": ("Gateway {0}: its clock is wrong.", "网关 {0}：时钟错误。"),
    "open_key": ("Gateway {0}: its key is not known to the collector.", "网关 {0}：采集端没有其公钥。"),
    "open_data": ("{0}: no good value of {1} in these 24 hours.", "{0}：24 小时内 {1} 无有效数据。"),
    "open_health": ("The collector says: {0}", "采集端提示：{0}"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language, `en` or `zh`."""

    language: str

    def __call__(self, key: str, *values: object) -> str:
        """A text with its values; a key that is not known stands for itself."""
        both = WORDS.get(key)
        return both[self.language == "zh"].format(*values) if both else key

    def of(self, name: Mapping[str, str]) -> str:
        """A name that is there in both languages."""
        return name.get(self.language) or name.get("en", "")

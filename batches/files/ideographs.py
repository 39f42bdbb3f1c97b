"""Say how much words look like names of China, Taiwan, Japan or Korea, in the encoding that they were read in. Pure.

These encodings sort their characters: those in daily use come first, and rare ones after them. Words that were read in
the wrong encoding consist of rare characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_CHINESE = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
    "姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
    "焦"
)
_TAIWANESE = (
    "張劉陳楊黃趙吳孫馬鄭謝許韓馮鄧蕭葉蘇呂盧鍾譚陸範賈韋鄒龍賀顧龔萬錢嚴莊賴簡詹游洪"
    "王李周徐朱胡郭何高林梁宋唐曹彭曾田董袁潘蔡余杜程魏丁任沈姚姜崔汪金石廖夏方白孟熊秦邱江薛段雷侯史毛郝"
    "邵武戴孔"
)
_JAPANESE = (
    "佐鈴高田渡伊山中小吉木松井清斎藤村森池橋石前岡長近後遠青坂福太西三金原上野安宮大内平竹島菊今武丸杉古"
    "千久川阿加河谷土柴新荒本"
)
_KOREAN = (
    "김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하곽성차주우구민나진지엄채원천방공현"
    "함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁"
)
# Characters of given names.
_CHINESE_GIVEN = (
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂玉春红梅华建国志文海云成琳慧婷玲雪峰宇鹏浩俊欣佳晨丹"
    "凤波斌辉鑫凯颖莹倩帆健东利旭"
)
_TAIWANESE_GIVEN = (
    "偉芳娜秀英敏靜麗強軍勇艷傑娟濤雅婷怡君淑芬美玲志明俊宏家豪冠宇宗翰承柏惠華建國文玉春梅鳳珍佩涵詩欣佳慧雯瑋廷哲彥凱"
)
_JAPANESE_GIVEN = (
    "子美郎一二翔陽菜結衣和也直樹裕真由香健介浩恵幸春夏秋冬舞淳七翼拓充修涼人男雄夫明学聡修陽知実里奈央花桃亮智"
)
_KOREAN_GIVEN = "준지현수영은예연호재희경미숙자순우민서진정성주환상철훈혜아윤태동병용광"
SURNAMES = frozenset(_CHINESE + _TAIWANESE + _JAPANESE + _KOREAN)
"""The characters that most family names begin with."""

_COMMON = {
    "gb18030": frozenset(_CHINESE + _CHINESE_GIVEN),
    "big5": frozenset(_TAIWANESE + _TAIWANESE_GIVEN),
    "cp932": frozenset(_JAPANESE + _JAPANESE_GIVEN),
    "euc_jp": frozenset(_JAPANESE + _JAPANESE_GIVEN),
    "cp949": frozenset(_KOREAN + _KOREAN_GIVEN),
}
"""The characters that most names begin or end with, by encoding."""

ENCODINGS = tuple(_COMMON)

_RARE, _SIGN = 0.4, 0.6

_LEVELS: dict[str, tuple[tuple[int, int, float], ...]] = {
    "gb18030": ((0xB0A1, 0xD7F9, 1.0), (0xD8A1, 0xF7FE, _RARE), (0xA1A1, 0xA3FE, _SIGN)),
    "big5": ((0xA440, 0xC67E, 1.0), (0xC940, 0xF9D5, _RARE), (0xA140, 0xA3FE, _SIGN)),
    "cp949": ((0xB0A1, 0xC8FE, 1.0), (0xCAA1, 0xFDFE, _RARE), (0xA1A1, 0xA3FE, _SIGN)),
    "euc_jp": ((0xA4A1, 0xA5FE, 1.0), (0xB0A1, 0xCFD3, 1.0), (0xD0A1, 0xF4FE, _RARE), (0xA1A1, 0xA3FE, _SIGN)),
    "cp932": ((0x829F, 0x8396, 1.0), (0x889F, 0x9872, 1.0), (0x989F, 0xEAA4, _RARE), (0x8140, 0x829E, _SIGN)),
}
"""From which code to which code a character is so likely. Of all others none is likely."""

_UNKNOWN = 0.8
"""How likely a word of daily characters is of which none is common in names."""

_PROOF_OF_A_WORD = 0.06
"""Each word of another encoding has half a chance to have an odd number of bytes, which these encodings do not have."""
_PROVING_WORDS = 10


def measure_ideographs(words: Iterable[str], encoding: str) -> tuple[float, float]:
    """Say how much some words look like names, and how well one language explains them. Both from 0 to about 1.6."""
    values = [_judge(word, encoding) for word in words]
    if not values:
        return 0.0, 0.0
    mean = sum(values) / len(values)
    proof = _PROOF_OF_A_WORD * min(len(values) - 1, _PROVING_WORDS) if mean > _RARE else 0.0
    return mean, mean + proof


@lru_cache(maxsize=4096)
def _judge(word: str, encoding: str) -> float:
    if any(char.isascii() and char.isalpha() for char in word):  # as in "ネise", which is "Élise"
        return 0.0
    chars = [char for char in word if not char.isascii()]
    if all("\uff61" <= char <= "\uff9f" for char in chars):  # half-width Katakana, as old Japanese programs write it
        return 0.7 if len(chars) > 2 and "\uff9e" not in chars[0] else 0.2
    value = sum(_likelihood(char, encoding) for char in chars) / len(chars)
    is_name = any(char in _COMMON[encoding] or "\u3041" <= char <= "\u30ff" for char in chars)
    return value if is_name else _UNKNOWN * value


@lru_cache(maxsize=8192)
def _likelihood(char: str, encoding: str) -> float:
    code = int.from_bytes(char.encode(encoding, errors="replace"), "big")
    return next((value for first, last, value in _LEVELS[encoding] if first <= code <= last), 0.0)

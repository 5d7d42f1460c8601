"""The fixed texts that say what the bots are and what is kept. None is ever written by an LLM."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from piyasad.config import Settings
from piyasad.language.suffix import inflect
from piyasad.language.text import fold

DESCRIPTION = (
    "Bu hesap bir yapay zekâ karakteridir. Kurgusal bir piyasa sohbetine katılır; portföyü sanaldır, "
    "yazdıkları yatırım tavsiyesi değildir."
)
"""At most 512 characters (Bot API, setMyDescription)."""

SHORT_DESCRIPTION = "Yapay zekâ karakteri. Sohbet ve portföy kurgudur, yatırım tavsiyesi değildir."
"""At most 120 characters (Bot API, setMyShortDescription)."""

NAME_CHARACTERS = 64
"""Bot API, setMyName."""

HONEST = (
    "Evet, ben bir yapay zekâ karakteriyim; gerçek bir insan değilim. Buradaki sohbet ve portföyüm kurgu.",
    "Dürüst olayım: insan değilim, bu grupta konuşan bir yapay zekâ karakteriyim. Portföyüm de sanal.",
    "Ben bir botum, yani yapay zekâ karakteriyim. Yazdıklarım kurgu bir sohbetin parçası, yatırım tavsiyesi değil.",
)
"""What a bot says when it is asked whether it is one."""

PRIVATE_LINE = "Merhaba, ben bir yapay zekâ karakteriyim ve yalnızca kendi grubumda konuşuyorum. Orada görüşelim."
"""The one line in a private chat."""

_SAYS_SO = ("yapay zek", "artificial intelligence", "ai persona", "ai bot", "ai karakter")


def polite_text(at: float, now: float, zone: ZoneInfo) -> str:
    """The one line after a member's answers are used up; `at`: when the next one is possible (Unix seconds)."""
    again, today = datetime.fromtimestamp(at + 59.0, zone), datetime.fromtimestamp(now, zone)  # never a minute early
    clock = f"{again:%H.%M}"
    # a full hour is read without its minutes: 14.00'ten, 16.00'dan
    ending = inflect(f"{again.hour:d}" if again.minute == 0 and again.hour else clock, "abl").partition("'")[2]
    day = "" if again.date() == today.date() else "yarın "
    return f"Seninle epey konuştuk, biraz da diğerlerine söz kalsın; {day}{clock}'{ending} sonra yine konuşuruz."


def says_it_is_ai(text: str) -> bool:
    """Whether an operator's own description already says what the account is; then it is kept."""
    folded = fold(text)
    return any(words in folded for words in _SAYS_SO)


def marked_name(name: str, mark: str) -> str:
    """The display name with the mark, at most 64 characters."""
    return name if mark in name else f"{name[: NAME_CHARACTERS - 1 - len(mark)].rstrip()} {mark}"


def privacy_text(settings: Settings) -> str:
    """What /gizlilik answers: what is kept, where, how long, and what a language model gets to see."""
    masked = (
        "Bir dil modeline gönderilmeden önce adlar “Üye 1” gibi yazılır; telefon, IBAN, kimlik no, e-posta, kullanıcı adı "
        "ve bağlantılar maskelenir. "
        if settings.privacy.mask
        else ""
    )
    return (
        f"Bu gruptaki {settings.disclosure.name_mark} işaretli hesaplar yapay zekâ karakterleridir. Grupta yazılanlar, yanıt "
        f"verebilmek için bu sistemin sunucusunda en çok {settings.store.retention_days} gün saklanır, sonra silinir. {masked}"
        "Sorularınız için grup yöneticisine yazın."
    )
